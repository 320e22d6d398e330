package state

import (
	"context"
	"time"
)

// Store is what the requests of one process share with each other, and, if the
// backend is shared, with those of other machines: counters, rate limits, cached
// answers, sessions, and news.
//
// All methods may be called concurrently. A store is made without dialling; it
// connects when it is first used, and goes on when its backend has been away.
type Store interface {
	// Admit settles in one round trip what a request needs before it goes on. It is
	// called once a request, after the request has been read. It does not wait
	// longer than the backend's usual time allows: what the backend does not say in
	// time is decided here, as the store's Modes say. ctx's end only ends the
	// waiting.
	Admit(ctx context.Context, a Admission) Admitted

	// Put keeps an answer for ttl. It returns at once; that a value could not be
	// kept is nobody's trouble. The store keeps value: nobody changes it any more.
	Put(key string, value []byte, ttl time.Duration)

	// Sessions returns the sessions.
	Sessions() Sessions

	// Bus returns the way to tell the other processes something.
	Bus() Bus

	// Quarantine returns the way to tell them of keys that rest.
	Quarantine() Quarantine

	// Health says how the backend does, for operators: it does no I/O.
	Health() Health
}

// Admission is what a request asks of a store. The zero value asks for nothing,
// and costs nothing.
type Admission struct {
	// Limits are the rate limits it falls under. Either all of them have room, and
	// one request is counted in each, or none is counted; where a backend keeps them
	// apart (see Limit) that holds for those it keeps together.
	Limits []Limit

	// Chain names the chain whose next start it needs, empty for none.
	Chain string

	// Cache is the key of the answer it looks for, empty for none.
	Cache string
}

// Limit is one rate limit: N requests in Window, smoothly. It is a GCRA: a burst
// of N is let through, and then one every Window/N.
type Limit struct {
	// Key is whom it counts, and how: what stands before the first '|' names the
	// caller, and a backend keeps together what names the same one.
	Key string

	N      int
	Window time.Duration
}

// Admitted is a store's word on a request.
type Admitted struct {
	// Refused: a limit has no room. Nothing was counted.
	Refused bool

	// Closed: the backend is away, and the store's mode for what was asked is
	// ModeClosed. Use names it.
	Closed bool
	Use    Use

	// Limit is the tightest limit (the one that refused, or else the one with the
	// least part remaining); N is 0 when there was none to check.
	Limit Limit

	// Remaining is how many more requests it lets through now; Reset is when it is
	// whole again, from now; Retry is when a refused request may come back.
	Remaining    int
	Reset, Retry time.Duration

	// Start is the chain's next start: every value of a chain is handed out once,
	// beginning anywhere, over all processes that share the backend. A request that
	// was refused, or whose answer is cached, takes none.
	Start uint64

	// Cached is the answer that was looked for, nil if there is none. It must not
	// be changed.
	Cached []byte
}

// Use is one thing that a store is used for.
type Use string

// The uses.
const (
	UseCounters   Use = "counters"
	UseLimits     Use = "limits"
	UseSessions   Use = "sessions"
	UseQuarantine Use = "quarantine"
	UseCache      Use = "cache"
)

// Uses are all uses.
var Uses = []Use{UseCounters, UseLimits, UseSessions, UseQuarantine, UseCache}

// Mode says what a use does while the backend is away.
type Mode string

// The modes.
const (
	// ModeOpen: requests go on as if the use were not there: not limited, without a
	// cached answer, with a session that is not kept.
	ModeOpen Mode = "open"

	// ModeLocal: this process goes on for itself.
	ModeLocal Mode = "local"

	// ModeClosed: requests that need it are refused.
	ModeClosed Mode = "closed"
)

// Modes are all modes.
var Modes = []Mode{ModeOpen, ModeLocal, ModeClosed}

// Health is how a backend does.
type Health struct {
	// Backend is its kind, such as "memory" or "redis".
	Backend string `json:"backend"`

	// Up is false while the backend is away. Since is when that last changed, zero
	// before the first use.
	Up    bool      `json:"up"`
	Since time.Time `json:"since,omitzero"`

	// Error is what it said last, while it is away. It holds no secret.
	Error string `json:"error,omitempty"`

	// Alone counts the admissions that were decided without the backend: it was away,
	// or too slow.
	Alone uint64 `json:"alone,omitempty"`

	// Modes is how each use goes on now: "shared" while the backend is up, else the
	// Mode it falls back to.
	Modes map[Use]string `json:"modes"`
}

// Bus carries news to the other processes that share a backend: cancelled
// sessions, revoked tokens, keys that rest. It is quick, not certain: who must
// know also finds out in other ways, only later. Topics are a few constant words.
type Bus interface {
	// Publish sends a message to all subscribers of the topic, those of this
	// process included. It returns at once and never fails visibly.
	Publish(topic string, message []byte)

	// Subscribe calls f with every message of a topic, one after the other, on a
	// goroutine of the bus: f must not block for long. cancel ends that, and waits
	// for a call under way. When a connection has been made, the first time and after it
	// was lost, f gets a nil message: something may have been missed.
	Subscribe(topic string, f func(message []byte)) (cancel func())
}
