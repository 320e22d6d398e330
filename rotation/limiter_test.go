package rotation

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func wantLoad(t *testing.T, l *limiter, active, waiting int) {
	t.Helper()
	if a, w := l.load(); a != active || w != waiting {
		t.Fatalf("%d active, %d waiting; want %d, %d", a, w, active, waiting)
	}
}

func TestLimiterQueuesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l limiter
		if !l.take(1) || l.take(1) {
			t.Fatal("one slot and no more")
		}
		var order []int
		for i := range 3 {
			go func() {
				if err := l.wait(t.Context(), 1, 3); err != nil {
					t.Error(err)
				}
				order = append(order, i) // one at a time: the slot
			}()
			synctest.Wait()
		}
		wantLoad(t, &l, 1, 3)
		if err := l.wait(t.Context(), 1, 3); err != errBusy {
			t.Fatalf("a full queue: %v", err)
		}
		for i := range 3 {
			l.done()
			synctest.Wait()
			if len(order) != i+1 || order[i] != i {
				t.Fatalf("order %v", order)
			}
			// A newcomer does not overtake: the slot went from hand to hand.
			if l.take(1) {
				t.Fatal("took a slot that was handed over")
			}
		}
		l.done()
		wantLoad(t, &l, 0, 0)
		if err := l.wait(t.Context(), 1, 0); err != nil {
			t.Fatalf("a free slot needs no queue: %v", err)
		}
		l.done()
	})
}

func TestLimiterCanceledWaiterLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l limiter
		l.take(1)
		left := errors.New("left")
		ctx, cancel := context.WithCancelCause(t.Context())
		got := make(chan error, 1)
		go func() { got <- l.wait(ctx, 1, 1) }()
		synctest.Wait()
		cancel(left)
		if err := <-got; err != left {
			t.Fatalf("%v", err)
		}
		wantLoad(t, &l, 1, 0)
		l.done()
		wantLoad(t, &l, 0, 0)
	})
}

// The slot comes and the client leaves in the same moment: whoever wins, the
// slot is not lost and the next one in the queue gets it.
func TestLimiterCanceledInTheMomentOfHandOver(t *testing.T) {
	for range 200 {
		var l limiter
		l.take(1)
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		queued := func(n int) {
			for {
				if _, w := l.load(); w == n {
					return
				}
			}
		}
		go func() { first <- l.wait(ctx, 1, 2) }()
		queued(1)
		go func() { second <- l.wait(t.Context(), 1, 2) }()
		queued(2)
		l.mu.Lock() // nobody leaves the queue before the slot is handed over
		cancel()
		l.active--
		l.wake()
		l.mu.Unlock()
		if <-first == nil {
			l.done()
		}
		if err := <-second; err != nil {
			t.Fatal(err)
		}
		wantLoad(t, &l, 1, 0)
		l.done()
		wantLoad(t, &l, 0, 0)
	}
}

func TestLimiterUnderLoad(t *testing.T) {
	const limit, queue = 3, 8
	var l limiter
	var inside, most, served, refusals, canceled atomic.Int64
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			for j := range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				if (i+j)%5 == 0 {
					go cancel()
				}
				if l.full(limit) || !l.take(limit) {
					if err := l.wait(ctx, limit, queue); err != nil {
						if err == errBusy {
							refusals.Add(1)
						} else {
							canceled.Add(1)
						}
						cancel()
						continue
					}
				}
				n := inside.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				served.Add(1)
				inside.Add(-1)
				l.done()
				cancel()
			}
		})
	}
	wg.Wait()
	if most.Load() > limit {
		t.Errorf("%d at once", most.Load())
	}
	if served.Load()+refusals.Load()+canceled.Load() != 8000 {
		t.Error("somebody got no answer")
	}
	wantLoad(t, &l, 0, 0)
}

// A limit that a reload changed holds for those who wait already.
func TestLimiterAdoptsANewLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l limiter
		l.take(1)
		for range 6 {
			go func() { _ = l.wait(t.Context(), 1, 9) }()
		}
		synctest.Wait()
		wantLoad(t, &l, 1, 6)
		if l.take(4) {
			t.Error("overtook those who wait")
		}
		synctest.Wait()
		wantLoad(t, &l, 4, 3)
		if l.take(2) { // lowered: those under way go on, nobody follows until they are few enough
			t.Error("a slot beyond the limit")
		}
		l.done()
		l.done()
		synctest.Wait()
		wantLoad(t, &l, 2, 3)
		l.done()
		synctest.Wait()
		wantLoad(t, &l, 2, 2)
		l.take(0) // none any more
		synctest.Wait()
		wantLoad(t, &l, 5, 0)
	})
}
