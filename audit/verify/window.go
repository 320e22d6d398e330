package verify

// window is a map that forgets: it surely holds the last half keys that were put, and
// at most twice as many.
type window[K comparable, V any] struct {
	half      int
	cur, prev map[K]V
	forgot    bool
}

func (w *window[K, V]) get(k K) (V, bool) {
	if v, ok := w.cur[k]; ok {
		return v, true
	}
	v, ok := w.prev[k]
	return v, ok
}

// put keeps a value. When it is time to forget, stay (if set) says of each value that
// is old whether to keep it still.
func (w *window[K, V]) put(k K, v V, stay func(K, V) bool) {
	if _, known := w.cur[k]; !known && len(w.cur) >= w.half {
		w.turn(stay)
	}
	if w.cur == nil {
		w.cur = make(map[K]V)
	}
	w.cur[k] = v
}

func (w *window[K, V]) turn(stay func(K, V) bool) {
	old := w.prev
	w.prev, w.cur = w.cur, make(map[K]V)
	w.forgot = w.forgot || len(old) > 0
	if stay == nil {
		return
	}
	for k, v := range old {
		if _, newer := w.prev[k]; !newer && stay(k, v) {
			w.cur[k] = v
		}
	}
}
