package openai

import "iter"

// Fields walks over the top-level fields of the request in their order: names
// decoded, values as they stand.
func (r *Request) Fields() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, f := range r.fields {
			if !yield(unquote(r.body[f.key+1:f.keyEnd-1]), r.body[f.val:f.end]) {
				return
			}
		}
	}
}

// Elements walks over the elements of a valid JSON array, as they stand; of
// anything else there are none.
func Elements(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		s := scanner{b: array}
		if s.peek() != '[' {
			return
		}
		s.enterArray()
		for n := 0; s.nextElement(&n); {
			if v := s.value(); s.fault != "" || !yield(v) {
				return
			}
		}
	}
}

// Member returns where the value of an object's member stands; ok is false if
// there is none. Of several the last counts, as for most decoders.
func Member(object []byte, name string) (from, to int, ok bool) {
	s := scanner{b: object}
	if s.peek() != '{' {
		return 0, 0, false
	}
	s.enterObject()
	for n := 0; ; {
		key, more := s.nextMember(&n)
		if !more {
			return from, to, ok
		}
		s.space()
		at := s.i
		if !s.skip() {
			return from, to, ok
		}
		if means(key, name) {
			from, to, ok = at, s.i, true
		}
	}
}
