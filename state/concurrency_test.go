package state

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestConcurrency(t *testing.T) {
	var c Concurrency
	for range 3 {
		for range 2 {
			if !c.Acquire("a", 2) {
				t.Fatal("there is room")
			}
		}
		if c.Acquire("a", 2) || !c.Acquire("b", 1) {
			t.Fatal("there is none, and another key has its own")
		}
		c.Release("a")
		if !c.Acquire("a", 2) || c.Acquire("a", 1) {
			t.Fatal("wrong after a release")
		}
		c.Release("a")
		c.Release("a")
		c.Release("b")
	}
}

// However many come at once: never more than n, nobody is refused for want of a place
// that is free, and in the end nothing is left.
//
// security: X12
func TestConcurrencyAtOnce(t *testing.T) {
	const callers, each, n = 64, 500, 5
	var c Concurrency
	var busy, refused atomic.Int64
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			key := string(rune('a' + i%2))
			for range each {
				if !c.Acquire(key, n) {
					refused.Add(1)
					continue
				}
				if now := busy.Add(1); now > 2*n {
					t.Errorf("%d under way", now)
				}
				busy.Add(-1)
				c.Release(key)
			}
		})
	}
	wg.Wait()
	for range n {
		if !c.Acquire("a", n) {
			t.Error("a place was not given back")
		}
	}
	if c.Acquire("a", n) {
		t.Error("one too many")
	}
	for range n {
		c.Release("a")
	}
	if len(c.busy) != 0 {
		t.Errorf("%v is left", c.busy)
	}
}

// All places at once: those who come when all are taken are refused.
func TestConcurrencyHeld(t *testing.T) {
	const callers, n = 64, 7
	var c Concurrency
	var got atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			if c.Acquire("a", n) {
				got.Add(1)
			}
		})
	}
	wg.Wait()
	if got.Load() != n {
		t.Errorf("%d have a place, of %d", got.Load(), n)
	}
	if c.Acquire("a", 0) || c.Acquire("b", 0) || len(c.busy) != 1 {
		t.Errorf("without places: %v", c.busy)
	}
}
