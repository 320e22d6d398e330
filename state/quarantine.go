package state

import (
	"context"
	"time"
)

// Quarantine shares what machines find out about providers' keys: that one rests,
// because its provider refused it, so that not every machine has to find out for
// itself. Of keys only the beginnings of their hashes are shared.
//
// Rest and Well are called on the goroutines of requests: they return at once, and
// what cannot be shared is lost.
type Quarantine interface {
	// Rest tells the other processes that a key rests until r.Until.
	Rest(r Rested)

	// Well tells them that a key, or a key for one model, is well again.
	Well(provider, key, model string)

	// Watch calls f with every key that rests, and then with what other processes tell,
	// one call after the other, until ctx ends. It blocks as long. What could not be heard
	// for a while is made up for: also that a key which another process let rest is well.
	Watch(ctx context.Context, f func(Rested))
}

// Rested is a key that rests.
type Rested struct {
	// Provider names the provider, and where it is.
	Provider string `json:"p"`

	// Key is the beginning of the key's hash; Model is empty for the whole key.
	Key   string `json:"k"`
	Model string `json:"m,omitempty"`

	// Cause is the kind of failure.
	Cause string `json:"c,omitempty"`

	// Until is the rest's end, zero for a key that is well again.
	Until time.Time `json:"u,omitzero"`
}

// nobody is a Quarantine of one process: there is nobody to tell.
type nobody struct{}

func (nobody) Rest(Rested)                               {}
func (nobody) Well(_, _, _ string)                       {}
func (nobody) Watch(ctx context.Context, _ func(Rested)) { <-ctx.Done() }
