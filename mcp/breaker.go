package mcp

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"
)

// BreakerPolicy says when a breaker opens and for how long. A field that is not
// positive means its default.
type BreakerPolicy struct {
	Failures int           // as many within Window open it; 3
	Window   time.Duration // 30 s
	Open     time.Duration // how long it stays open before a probe; 60 s
}

var defaultPolicy = BreakerPolicy{Failures: 3, Window: 30 * time.Second, Open: time.Minute}

// withDefaults returns p with what is missing filled in.
func (p BreakerPolicy) withDefaults() BreakerPolicy {
	return BreakerPolicy{
		Failures: cmp.Or(max(p.Failures, 0), defaultPolicy.Failures),
		Window:   cmp.Or(max(p.Window, 0), defaultPolicy.Window),
		Open:     cmp.Or(max(p.Open, 0), defaultPolicy.Open),
	}
}

// Breaker keeps calls away from a server that fails (contract M4).
//
//	closed → open → half-open (one probe at a time) → closed
//
// It is passive: it learns from the calls there are, and costs those of a good
// server one atomic load. Each call that Allow lets through ends with exactly one
// of Succeed, Fail and Release. Times are Unix nanoseconds.
//
// Failures count however many calls succeed between them. What a call says that
// began before the breaker opened is not heard: it neither closes nor opens it.
//
// The zero value is closed and has the default policy. It is safe for concurrent
// use, and must not be copied.
type Breaker struct {
	word   atomic.Uint64 // see word; it leaves closed and open half-open without mu
	policy atomic.Pointer[BreakerPolicy]
	hook   atomic.Pointer[func(from, to string, cause Kind)]

	mu       sync.Mutex
	failures []int64 // when, oldest first; at most as many as open it
	cause    Kind
	since    int64 // when it opened first after it was closed last
}

// Permit is Allow's leave for one call.
type Permit struct {
	outage uint16
	probe  uint8 // which probe of the outage, counted from 1; 0 for none
}

// Probe reports whether the call finds out if the server has recovered.
func (p Permit) Probe() bool { return p.probe != 0 }

// SetPolicy changes the policy; the state stays. What is due by the old one and
// lies far beyond the new one's open time is due at once.
func (b *Breaker) SetPolicy(p BreakerPolicy) {
	p = p.withDefaults()
	b.policy.Store(&p)
}

func (b *Breaker) rules() BreakerPolicy {
	if p := b.policy.Load(); p != nil {
		return *p
	}
	return defaultPolicy
}

// OnChange sets the hook that hears of changes of state, each once; nil for none.
// cause is the failure that opened the breaker, also when it leaves that state. The
// hook runs on the goroutine of the call that brought the change about, outside of
// any lock; those of changes that follow each other closely may run at once.
func (b *Breaker) OnChange(hook func(from, to string, cause Kind)) {
	if hook == nil {
		b.hook.Store(nil)
		return
	}
	b.hook.Store(&hook)
}

func (b *Breaker) changed(from, to state, cause Kind) {
	if hook := b.hook.Load(); hook != nil {
		(*hook)(from.String(), to.String(), cause)
	}
}

// Allow asks whether a call may go to the server now. Once the open time is over
// one caller gets the probe and the others are refused until it has reported. A
// probe that has not after another open time is given up, and the next caller gets
// one: a holder that is lost locks nobody out.
func (b *Breaker) Allow(now int64) (Permit, bool) {
	w := word(b.word.Load())
	if w.state() == closed {
		return Permit{outage: w.outage()}, true
	}
	return b.allow(w, now)
}

func (b *Breaker) allow(w word, now int64) (Permit, bool) {
	open := b.rules().Open
	for {
		if w.state() == closed {
			return Permit{outage: w.outage()}, true
		}
		if !w.due(now, open) {
			return Permit{}, false
		}
		probe := max(w.probe()+1, 1) // 0 is no probe
		if b.word.CompareAndSwap(uint64(w), uint64(pack(probing, now, open, w.outage(), probe))) {
			if w.state() == shut {
				b.mu.Lock()
				cause := b.cause
				b.mu.Unlock()
				b.changed(shut, probing, cause)
			}
			return Permit{outage: w.outage(), probe: probe}, true
		}
		w = word(b.word.Load())
	}
}

// Ready reports whether the server's tools should be offered, without claiming a
// call: it is closed, or the open time is over. They are also while the probe is
// under way: it will succeed more often than not, and a run that begins meanwhile
// would go without its tools. A call that comes too early gets an observation.
func (b *Breaker) Ready(now int64) bool {
	w := word(b.word.Load())
	return w.state() != shut || w.due(now, b.rules().Open)
}

// Succeed ends a call that the server answered well. Only a probe closes the
// breaker, also one that was given up: a server slower than the open time would
// never get out otherwise.
func (b *Breaker) Succeed(p Permit, _ int64) {
	if !p.Probe() {
		return
	}
	b.mu.Lock()
	cause, ok := b.cause, b.swap(func(w word) (word, bool) {
		return pack(closed, 0, 0, p.outage, 0), w.halfOpen() && w.outage() == p.outage
	})
	if ok {
		b.failures, b.cause, b.since = b.failures[:0], 0, 0
	}
	b.mu.Unlock()
	if ok {
		b.changed(probing, closed, cause)
	}
}

// Fail ends a call that the server failed. A failed dial counts as all that it
// takes; a failed probe opens again. A cause that is not held against a server
// (Kind.Blames) is Release.
func (b *Breaker) Fail(p Permit, now int64, cause Kind) {
	if !cause.Blames() {
		b.Release(p, now)
		return
	}
	rules := b.rules()
	b.mu.Lock()
	w := word(b.word.Load())
	if !w.answers(p) {
		b.mu.Unlock()
		return
	}
	b.failures = append(b.recent(now, rules), now)
	ok := p.Probe() || cause == KindDial || len(b.failures) >= rules.Failures
	if ok {
		next := pack(shut, now, rules.Open, p.outage+1, 0)
		ok = b.swap(func(w word) (word, bool) { return next, w.answers(p) })
	}
	if ok {
		b.cause = cause
		if !p.Probe() {
			b.since = now
		}
	}
	b.mu.Unlock()
	if ok {
		b.changed(w.state(), shut, cause)
	}
}

// recent drops the failures that no longer count and makes room for one. A clock
// set back makes old ones lie ahead: those do not count for long either.
func (b *Breaker) recent(now int64, rules BreakerPolicy) []int64 {
	f := b.failures
	for len(f) > 0 && (f[0] <= now-int64(rules.Window) || f[0] >= now+int64(rules.Window)) {
		f = f[1:]
	}
	if extra := len(f) - (rules.Failures - 1); extra > 0 {
		f = f[extra:]
	}
	return append(b.failures[:0], f...)
}

// Release ends a call that says nothing about the server: the client has left, or
// was refused for what it asked. After a probe the next caller gets one.
func (b *Breaker) Release(p Permit, _ int64) {
	if p.Probe() {
		b.swap(func(w word) (word, bool) {
			return pack(idle, 0, 0, p.outage, p.probe), w.answers(p)
		})
	}
}

// swap changes the word by change until nobody else does, or it declines.
func (b *Breaker) swap(change func(word) (next word, ok bool)) bool {
	for {
		w := word(b.word.Load())
		next, ok := change(w)
		if !ok {
			return false
		}
		if b.word.CompareAndSwap(uint64(w), uint64(next)) {
			return true
		}
	}
}
