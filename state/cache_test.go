package state

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestCacheBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(MemoryOptions{CacheBytes: 10_000})
		look := func(key string) bool { return m.Admit(t.Context(), Admission{Cache: key}).Cached != nil }
		for _, key := range []string{"a", "b", "c"} {
			m.Put(key, make([]byte, 3000), time.Minute)
		}
		if !look("a") { // used last now
			t.Fatal("it is not there")
		}
		m.Put("d", make([]byte, 3000), time.Minute)
		if !look("a") || look("b") || !look("c") || !look("d") {
			t.Error("another than the one used longest ago is gone")
		}
		m.Put("e", make([]byte, 20_000), time.Minute)
		if look("e") {
			t.Error("one that is too large is there")
		}
		m.Put("f", []byte("x"), time.Second)
		time.Sleep(time.Second) //nolint:forbidigo // the clock is the bubble's
		if look("f") {
			t.Error("it is there after its time")
		}
	})
}

// kept is an answer of the reference: a list, the one used last at the end.
type kept struct {
	key   string
	size  int
	until time.Time
}

// Whatever is put and looked for in whatever order, the cache has what a plain list has,
// and no more than its bytes.
func TestCacheAgainstAList(t *testing.T) {
	const most = 5000
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			c := newCache(most)
			var list []kept
			take := func(key string) (k kept, ok bool) {
				i := slices.IndexFunc(list, func(k kept) bool { return k.key == key })
				if i < 0 {
					return k, false
				}
				k = list[i]
				list = slices.Delete(list, i, i+1)
				return k, true
			}
			for range 2000 {
				key := strconv.Itoa(r.IntN(12))
				switch r.IntN(6) {
				case 0:
					time.Sleep(time.Duration(r.IntN(400)) * time.Millisecond) //nolint:forbidigo // the clock is the bubble's
				case 1, 2:
					size, ttl := r.IntN(1500), time.Duration(r.IntN(5)-1)*time.Second
					c.put(key, make([]byte, size), ttl)
					if ttl <= 0 {
						break
					}
					take(key)
					list = append(list, kept{key, size, time.Now().Add(ttl)})
				default:
					k, ok := take(key)
					if ok = ok && time.Now().Before(k.until); ok {
						list = append(list, k)
					}
					if got := c.get(key); (got != nil) != ok || len(got) != k.size && ok {
						t.Fatalf("%q: %d bytes, want %v %+v", key, len(got), ok, k)
					}
				}
				bytes := 0
				for _, k := range list {
					bytes += len(k.key) + k.size + cachedOverhead
				}
				for ; bytes > most; list = list[1:] {
					bytes -= len(list[0].key) + list[0].size + cachedOverhead
				}
				if c.bytes != bytes || len(c.byKey) != len(list) || c.order.Len() != len(list) {
					t.Fatalf("%d bytes in %d answers, %d in order; want %d in %d", c.bytes, len(c.byKey), c.order.Len(), bytes, len(list))
				}
			}
		})
	}
}

// An answer that is larger than the cache is not kept, and costs nobody else his.
func TestCacheTooSmall(t *testing.T) {
	c := newCache(1000)
	c.put("a", make([]byte, 100), time.Hour)
	c.put("b", make([]byte, 2000), time.Hour)
	if c.get("b") != nil || c.get("a") == nil {
		t.Errorf("kept: a %v, b %v", c.get("a") != nil, c.get("b") != nil)
	}
	c.put("a", make([]byte, 2000), time.Hour)
	c.put("a", make([]byte, MaxCached+1), time.Hour)
	if len(c.get("a")) != 100 {
		t.Error("what is too large has changed what was there")
	}
}
