package rotation

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// gate holds requests back until the test lets them through.
type gate struct{ arrived, open chan struct{} }

func newGate() *gate { return &gate{make(chan struct{}, 100), make(chan struct{})} }

func (g *gate) then(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		g.arrived <- struct{}{}
		<-g.open
		answer(w, r)
	}
}

func waits(t *testing.T, tg *Target, active, waiting int) {
	t.Helper()
	eventually(t, "the queue fills", func() bool {
		a, w := tg.Provider.Load()
		return a == active && w == waiting
	})
}

// Two at once, one waits, the fourth is refused; what waited is served.
func TestMaxConcurrentWithQueue(t *testing.T) {
	bothWays(t, func(t *testing.T, stream bool) {
		g := newGate()
		a := serve(t, g.then(good))
		p, ta := a.provider(t, "a")
		p.MaxConcurrent, p.Queue = 2, 1
		results := make(chan result, 3)
		for i := range 3 {
			go func() { results <- ask(t, direct(ta), stream) }()
			waits(t, ta, min(i+1, 2), max(i-1, 0))
		}
		res := ask(t, direct(ta), stream)
		wantAPI(t, res.err, 503, "Too many requests at once")
		if e := res.err.API; e.RetryAfter <= 0 || e.Class.String() != "policy" || res.err.Cause != nil {
			t.Errorf("%+v", e)
		}
		if n := len(g.arrived); n > 2 {
			t.Errorf("%d at once", n)
		}
		close(g.open)
		for range 3 {
			if res := <-results; res.target != ta {
				t.Errorf("%+v", res.err)
			}
		}
		wantMarks(t, ta, "", "", "")
		wantIdle(t, ta)
	})
}

// A target without a free slot is passed over while another one has one.
func TestBusyTargetFailsOver(t *testing.T) {
	a, b := serve(t, good), serve(t, good)
	p, ta := a.provider(t, "a")
	_, tb := b.provider(t, "b")
	p.MaxConcurrent, p.Queue = 1, 5
	p.state.limit.take(1)
	for range 2 {
		if res := ask(t, inOrder(ta, tb), false); res.target != tb {
			t.Fatalf("%+v", res)
		}
	}
	// It keeps its turn in the plan, but is better waited for than one that fails.
	b.then(fails(500))
	done := make(chan result)
	go func() { done <- ask(t, inOrder(ta, tb), false) }()
	waits(t, ta, 1, 1)
	p.state.limit.done()
	if res := <-done; res.target != ta || res.trace.Attempts != 2 {
		t.Errorf("%+v", res)
	}
	wantIdle(t, ta, tb)
}

// A client that leaves the queue takes no slot with it.
//
// contract: S9
func TestClientLeavesTheQueue(t *testing.T) {
	a := serve(t, good)
	p, ta := a.provider(t, "a")
	p.MaxConcurrent, p.Queue = 1, 5
	p.state.limit.take(1)
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan result)
	go func() { done <- askAs(t, ctx, new(Caller), inOrder(ta), true) }()
	waits(t, ta, 1, 1)
	leave()
	if res := <-done; res.err == nil || !res.err.Canceled() {
		t.Errorf("%+v", res)
	}
	p.state.limit.done()
	if a.calls() != "" {
		t.Error("asked for a client that had left")
	}
	wantIdle(t, ta)
}

// The one that holds the only slot fails. Whoever waited for it finds a cooling
// target: that blip is no outage either.
//
// contract: F4
func TestWaiterProbesWhatFailedMeanwhile(t *testing.T) {
	bothWays(t, func(t *testing.T, stream bool) {
		g := newGate()
		a := serve(t, g.then(fails(500)))
		p, ta := a.provider(t, "a")
		p.MaxConcurrent, p.Queue = 1, 1
		first, second := make(chan result), make(chan result)
		go func() { first <- ask(t, inOrder(ta), stream) }()
		<-g.arrived
		go func() { second <- ask(t, inOrder(ta), stream) }()
		waits(t, ta, 1, 1)
		a.then(good) // for the second
		close(g.open)
		wantAPI(t, (<-first).err, 502, "")
		if res := <-second; res.target != ta {
			t.Errorf("%+v", res.err)
		}
		wantIdle(t, ta)
	})
}

// Bounds hold however calls end.
//
// fault: K5
func TestLimitsUnderMixedLoad(t *testing.T) {
	answers := []http.HandlerFunc{good, fails(500), fails(400), fails(529), drops, cuts(roleEvent), cuts(helloEvent), good, good}
	var mu sync.Mutex
	n := 0
	a := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n++
		answer := answers[n%len(answers)]
		mu.Unlock()
		answer(w, r)
	})
	p, ta := a.provider(t, "a", "k1", "k2")
	_, tb := serve(t, good).provider(t, "b")
	p.MaxConcurrent, p.Queue = 3, 2
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 30 {
				ctx, cancel := context.WithCancel(t.Context())
				if (i+j)%7 == 0 {
					time.AfterFunc(time.Duration(j)*50*time.Microsecond, cancel)
				}
				askAs(t, ctx, new(Caller), inOrder(ta, tb), (i+j)%2 == 0)
				cancel()
			}
		})
	}
	wg.Wait()
	wantIdle(t, ta, tb)
}

// Nobody waits in a queue for ever: as long as a stream may take to its first
// content, an answer without stream as long as the whole.
func TestQueueHasAnEnd(t *testing.T) {
	for _, stream := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			target := timed(paced(0, step{0, wholeStream}))
			p := target.Provider
			p.MaxConcurrent, p.Queue = 1, 1
			p.state.limit.take(1)
			start := time.Now()
			res := ask(t, inOrder(target), stream)
			wantAPI(t, res.err, 503, "Too many requests at once")
			want := p.Timeout
			if stream {
				want = p.FirstTimeout
			}
			if took := time.Since(start); took != want {
				t.Errorf("waited %v, want %v", took, want)
			}
			p.state.limit.done()
			wantIdle(t, target)
		})
	}
}
