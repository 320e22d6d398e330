package rotation

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/universal-ai-gateway/magicproxy/provider"
)

const (
	// firstCooling is what a failure costs when the upstream names no time; it
	// doubles with every further failure up to the provider's quarantine.
	firstCooling = time.Second

	// retirement is how long a key rests after a definite 401, and so how often
	// it is probed.
	retirement = time.Hour
)

// health is the state of one thing that can fail: a key, a key for one model,
// or a target.
//
//	healthy → cooling → half-open (one probe at a time) → healthy
//
// It is safe for concurrent use. Reading a healthy one costs an atomic load.
type health struct {
	// until is the end of the cooling in Unix nanoseconds, 0 while healthy.
	// Written under mu, read without.
	until atomic.Int64

	mu       sync.Mutex
	probing  bool
	retired  bool
	failures int
	cause    provider.Kind
	since    int64
}

// grant says how a thing was claimed.
type grant uint8

const (
	refused grant = iota
	granted       // it is healthy
	probe         // it is not, and this attempt finds out whether it recovered
)

// spend returns g and leaves what needs no further settling.
func (g *grant) spend() grant {
	was := *g
	*g = granted
	return was
}

// ready reports whether claim would succeed now, without claiming.
func (h *health) ready(now int64) bool {
	until := h.until.Load()
	if until == 0 {
		return true
	}
	if now < until {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.probing
}

// claim takes h for one attempt. With early set a cooling h is probed before
// its time, which is what keeps one failure of the only target from becoming an
// outage (contract F4); a retired key waits for its hour all the same.
func (h *health) claim(now int64, early bool) grant {
	if h.until.Load() == 0 {
		return granted
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	until := h.until.Load()
	switch {
	case until == 0:
		return granted
	case h.probing, now < until && (h.retired || !early):
		return refused
	}
	h.probing = true
	return probe
}

// succeed ends an attempt that proved h good. Only a probe heals: an attempt
// that began before the failure says nothing about what came after it.
func (h *health) succeed(g grant) {
	if g != probe {
		return
	}
	h.reset()
}

// reset makes h healthy, whatever it was.
func (h *health) reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.until.Store(0)
	h.probing, h.retired, h.failures, h.cause = false, false, 0, provider.KindOK
}

// release ends an attempt that said nothing about h.
func (h *health) release(g grant) {
	if g != probe {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.probing = false
}

// fail ends an attempt that proved h bad. given is what the upstream asked for,
// 0 for nothing; limit bounds the doubling. A deadline is never moved forward
// in time by a later, shorter one.
func (h *health) fail(g grant, now int64, kind provider.Kind, given, limit time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	until := h.until.Load()
	// Attempts already under way when the cooling began fail for the same
	// reason, however late; only the first of them and probes count towards the
	// doubling.
	fresh := g == probe || until == 0
	if g == probe {
		h.probing = false
		h.retired = false // a 401 retires it again; anything else was not that definite
	}
	cooling := given
	switch {
	case kind == provider.KindUnauthorized:
		h.retired = true
		cooling = retirement
	case cooling <= 0 && !fresh:
		return
	case cooling <= 0:
		cooling = min(firstCooling<<min(h.failures, 30), max(limit, firstCooling))
	}
	if fresh {
		h.failures++
	}
	if until == 0 {
		h.since = now
	}
	h.cause = kind
	h.until.Store(max(until, now+int64(cooling)))
}

// learn takes over a failure that was met elsewhere, which lasts until then. It is
// not one more failure of this machine's.
func (h *health) learn(kind provider.Kind, now, until int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.until.Load()
	if until <= was {
		return
	}
	if was == 0 {
		h.since = now
	}
	h.failures = max(h.failures, 1)
	h.cause, h.retired = kind, h.retired || kind == provider.KindUnauthorized
	h.until.Store(until)
}

// due returns when h can be claimed, in Unix nanoseconds; 0 means now. early
// says that a probe before that time is allowed.
func (h *health) due() (at int64, early bool, cause provider.Kind) {
	at = h.until.Load()
	if at == 0 {
		return 0, true, provider.KindOK
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.until.Load(), !h.retired && !h.probing, h.cause
}

// Status is a snapshot of a key's, a pair's or a target's state, for operators.
type Status struct {
	// State is healthy, cooling, half-open (the next request probes), probing or
	// retired (a key that was refused with 401).
	State string `json:"state"`

	// Cause is the kind of the failure behind it, empty while healthy.
	Cause string `json:"cause,omitempty"`

	// Failures counts the failures in a row.
	Failures int `json:"failures,omitempty"`

	// Until is the end of the cooling.
	Until *time.Time `json:"until,omitempty"`
}

const (
	stateHealthy  = "healthy"
	stateCooling  = "cooling"
	stateHalfOpen = "half-open"
	stateProbing  = "probing"
	stateRetired  = "retired"
)

// States are the values of Status.State.
var States = []string{stateHealthy, stateCooling, stateHalfOpen, stateProbing, stateRetired}

func (h *health) status(now int64) Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	until := h.until.Load()
	if until == 0 {
		return Status{State: stateHealthy}
	}
	t := time.Unix(0, until).UTC()
	s := Status{Cause: h.cause.String(), Failures: h.failures, Until: &t}
	switch {
	case h.probing:
		s.State = stateProbing
	case h.retired:
		s.State = stateRetired
	case now < until:
		s.State = stateCooling
	default:
		s.State = stateHalfOpen
	}
	return s
}
