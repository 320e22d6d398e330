package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// pool is a target's keep-alive connections, kept over the whole run.
type pool struct {
	clients []*client
	reqs    [4][]byte // by kind
}

// newPool makes size connections, for requests with prompts of so many KB.
func newPool(addr, token string, size, prompt int) *pool {
	p := &pool{}
	for range size {
		p.clients = append(p.clients, newClient(addr))
	}
	for _, k := range []kind{plain, stream, slowStream, flood} {
		p.reqs[k] = requestBytes(addr, token, k, prompt)
	}
	return p
}

func (p *pool) close() {
	for _, c := range p.clients {
		c.close()
	}
}

// result of one load: what came back and how long it took.
type result struct {
	tally
	elapsed time.Duration
	sorted  []time.Duration // latencies of good answers
	lag     []time.Duration // open loop: how late requests left, sorted
}

// closedLoop sends n requests over c connections, each sending its next when the last is answered.
func closedLoop(ctx context.Context, p *pool, k kind, n, c int) result {
	c = min(c, len(p.clients))
	var next atomic.Int64
	parts := make([]result, c)
	var wg sync.WaitGroup
	start := time.Now()
	for w := range c {
		wg.Go(func() {
			part, cl, req, check := &parts[w], p.clients[w], p.reqs[k], k.check()
			part.sorted = make([]time.Duration, 0, n/c+n/8)
			for ctx.Err() == nil && next.Add(1) <= int64(n) {
				t := time.Now()
				err := cl.do(req, check)
				part.count(err)
				if err == nil {
					part.sorted = append(part.sorted, time.Since(t))
				}
			}
		})
	}
	wg.Wait()
	r := result{elapsed: time.Since(start)}
	for i := range parts {
		r.add(parts[i].tally)
		r.sorted = append(r.sorted, parts[i].sorted...)
	}
	slices.Sort(r.sorted)
	return r
}

// schedule says when request i of an open loop is meant to leave: fixed by the start and the rate, never by the answers.
type schedule struct {
	start time.Time
	rate  float64 // per second
}

func (s schedule) at(i int) time.Time {
	return s.start.Add(time.Duration(float64(i) * float64(time.Second) / s.rate))
}

// openLoop sends n requests at the given rate whatever the target does. Latency counts from the intended start, so a stall is seen
// by every request it delays, also by those that could not leave in time (coordinated omission).
//
// One goroutine on a thread of its own sleeps by the kernel's clock and writes the requests itself: the runtime's timers may be
// late by a millisecond on an idle process, more than the latency to measure.
func openLoop(ctx context.Context, p *pool, k kind, n int, rate float64) result {
	type job struct{ intended time.Time }
	var (
		mu   sync.Mutex
		wg   sync.WaitGroup
		r    = result{sorted: make([]time.Duration, 0, n), lag: make([]time.Duration, 0, n)}
		idle = make(chan int, len(p.clients))
		jobs = make([]chan job, len(p.clients))
	)
	record := func(intended time.Time, err error) {
		took := time.Since(intended)
		mu.Lock()
		defer mu.Unlock()
		r.count(err)
		if err == nil {
			r.sorted = append(r.sorted, took)
		}
	}
	check := k.check()
	for i, c := range p.clients {
		jobs[i] = make(chan job, 1)
		idle <- i
		wg.Go(func() {
			for j := range jobs[i] {
				record(j.intended, c.receive(check))
				idle <- i
			}
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		s := schedule{start: time.Now().Add(time.Millisecond), rate: rate}
		for i := range n {
			intended := s.at(i)
			sleepUntil(intended)
			if ctx.Err() != nil {
				break
			}
			w := <-idle // none free: the wait counts, latency runs from intended
			r.lag = append(r.lag, time.Since(intended))
			if err := p.clients[w].send(p.reqs[k]); err != nil {
				record(intended, err)
				idle <- w
				continue
			}
			jobs[w] <- job{intended}
		}
		for _, j := range jobs {
			close(j)
		}
	}()
	start := time.Now()
	<-done
	wg.Wait()
	r.elapsed = time.Since(start)
	slices.Sort(r.sorted)
	slices.Sort(r.lag)
	return r
}

// merge adds another slice of the same load.
func (r *result) merge(o result) {
	r.add(o.tally)
	r.elapsed += o.elapsed
	r.sorted = append(r.sorted, o.sorted...)
	r.lag = append(r.lag, o.lag...)
	slices.Sort(r.sorted)
	slices.Sort(r.lag)
}

func (r *result) p(q float64) time.Duration { return percentile(r.sorted, q) }

func (r *result) throughput() float64 { return float64(len(r.sorted)) / r.elapsed.Seconds() }

// problem is nil when every answer came whole.
func (t *tally) problem() error {
	if t.clean() {
		return nil
	}
	return fmt.Errorf("%d failed, %d truncated of %d: %s", t.Failed, t.Truncated, t.Requests, t.FirstErr)
}
