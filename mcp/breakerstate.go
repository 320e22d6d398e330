package mcp

import (
	"math"
	"time"
)

// BreakerStatus is a snapshot of a breaker, for operators.
type BreakerStatus struct {
	// State is closed, open, or half_open: the open time is over, and the next call
	// is the probe or it is under way.
	State string `json:"state"`

	// Failures counts those within the window.
	Failures int `json:"failures"`

	// Cause is the kind of the failure that opened it last, empty while closed.
	Cause string `json:"cause,omitempty"`

	// Since is when it left closed, nil while closed.
	Since *time.Time `json:"since,omitempty"`

	// Until is the end of the open time, nil unless open.
	Until *time.Time `json:"until,omitempty"`
}

// State returns what the breaker is at a time.
func (b *Breaker) State(now int64) BreakerStatus {
	rules := b.rules()
	b.mu.Lock()
	defer b.mu.Unlock()
	w := word(b.word.Load())
	s := BreakerStatus{State: w.state().String()}
	for _, at := range b.failures {
		if at > now-int64(rules.Window) && at < now+int64(rules.Window) {
			s.Failures++
		}
	}
	if w.state() == closed {
		return s
	}
	since := time.Unix(0, b.since).UTC()
	s.Cause, s.Since = b.cause.String(), &since
	if w.state() == shut {
		if w.due(now, rules.Open) {
			s.State = probing.String()
		} else {
			until := time.UnixMilli(w.deadline()).UTC()
			s.Until = &until
		}
	}
	return s
}

// word is a breaker's state in 64 bits, so that it is read and changed at once:
//
//	deadline 42 | outage 12 | probe 8 | state 2
//
// The deadline is in Unix milliseconds, enough until 2109: until when it is open,
// or until when a probe may take. The outage counts openings and tells late
// results apart; the probe counts those of one outage. Both wrap around far beyond
// what the calls under way can tell apart.
type word uint64

const (
	outageMask  = 1<<12 - 1
	maxDeadline = 1<<42 - 1
)

type state uint8

const (
	closed  state = iota
	shut          // open, before its deadline
	probing       // half-open, the probe is under way
	idle          // half-open, nobody has the probe: it has no deadline
)

var stateNames = [...]string{"closed", "open", "half_open", "half_open"}

func (s state) String() string { return stateNames[s] }

// pack makes the word of a state that lasts for a time from now, rounded up.
func pack(s state, now int64, lasts time.Duration, outage uint16, probe uint8) word {
	var deadline uint64
	if s == shut || s == probing {
		end := now + min(int64(lasts), math.MaxInt64-now)
		deadline = uint64(min(end/1e6+1, maxDeadline)) //nolint:gosec // a time since 1970 is not negative
		if end%1e6 == 0 {
			deadline--
		}
	}
	return word(deadline<<22 | uint64(outage&outageMask)<<10 | uint64(probe)<<2 | uint64(s))
}

func (w word) state() state    { return state(w & 3) }
func (w word) halfOpen() bool  { return w.state() >= probing }
func (w word) outage() uint16  { return uint16(w >> 10 & outageMask) }
func (w word) probe() uint8    { return uint8(w >> 2 & 0xff) }
func (w word) deadline() int64 { return int64(w >> 22) }

// due reports whether the deadline has passed. One that lies further ahead than it
// can is taken as passed: the clock was set back, or the policy shortened.
func (w word) due(now int64, open time.Duration) bool {
	left := w.deadline() - now/1e6
	return left <= 0 || left > 2*open.Milliseconds()+1000
}

// answers reports whether what the holder of p says still counts. A permit that is
// no probe was given while closed, and opening it counts an outage.
func (w word) answers(p Permit) bool {
	return w.outage() == p.outage && (!p.Probe() || w.state() == probing && w.probe() == p.probe)
}
