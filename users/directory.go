package users

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// ErrUnavailable means that it cannot be told now whether a token is known: neither
// that it is, nor that it is not (security X2).
var ErrUnavailable = errors.New("users cannot be looked up")

// errBusy: so many tokens that nobody has seen before are looked up already.
var errBusy = errors.New("too many look-ups at once")

// Caller is who a token speaks for. Many requests share it: nothing of it changes,
// and nobody may change it.
type Caller struct {
	ID        string
	Name      string
	Created   time.Time
	Overrides Overrides

	// Keys are the user's own provider keys by the provider's name, sealed.
	Keys map[string][]byte

	// TokenID names the token that was used.
	TokenID string
}

// DirectoryOptions are what a Directory may be told. Zero fields have defaults.
type DirectoryOptions struct {
	// TTL is how long a known token is believed without asking the store. After half
	// of it the store is asked in the background, so that a token in use never waits.
	// Default 30s.
	TTL time.Duration

	// Stale is how long a known token is believed while the store errs, or does not
	// answer. Default 10m, at least TTL.
	Stale time.Duration

	// UnknownTTL is how long an unknown token is refused without asking. Default 1s.
	UnknownTTL time.Duration

	// Timeout bounds one look-up in the store. Default 250ms.
	Timeout time.Duration

	// Callers bounds the known tokens that are remembered, Unknown the unknown ones:
	// whoever makes tokens up displaces nobody who has one. Default 100,000 and 10,000.
	Callers, Unknown int

	// Lookups bounds the look-ups at a time of tokens not seen before; those above it
	// get ErrUnavailable. Default 256.
	Lookups int
}

// retryTime is how long the store is left alone about a known token once it has
// failed.
const retryTime = time.Second

// Directory answers whose a token is, from memory where it can. Handlers ask it,
// concurrently.
//
// It belongs to its store: keep both over configuration reloads. It has nothing to
// close: look-ups end by themselves, soon after Timeout if the store heeds contexts.
type Directory struct {
	o      DirectoryOptions
	store  Store
	start  time.Time
	shards [shardCount]shard

	lookups atomic.Int64 // under way, of those that Lookups bounds
	down    atomic.Bool  // the store has failed last
}

// NewDirectory returns a directory of a store. It asks nothing yet.
func NewDirectory(s Store, o DirectoryOptions) *Directory {
	o.TTL = or(o.TTL, 30*time.Second)
	o.Stale = max(or(o.Stale, 10*time.Minute), o.TTL)
	o.UnknownTTL = or(o.UnknownTTL, time.Second)
	o.Timeout = or(o.Timeout, 250*time.Millisecond)
	o.Callers = or(o.Callers, 100_000)
	o.Unknown = or(o.Unknown, 10_000)
	o.Lookups = or(o.Lookups, 256)
	d := &Directory{o: o, store: s, start: time.Now()}
	for i := range d.shards {
		d.shards[i].init((o.Callers+shardCount-1)/shardCount, (o.Unknown+shardCount-1)/shardCount)
	}
	return d
}

// or returns v, or a default if v is not positive.
func or[T int | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// now is the time since the directory was made: cheaper than a time.Time.
func (d *Directory) now() time.Duration { return time.Since(d.start) }

// Find returns the caller of a token. ErrUnknown if it is unknown, revoked or its
// user disabled; ErrUnavailable if that cannot be told now, also because ctx ends
// first.
func (d *Directory) Find(ctx context.Context, token string) (*Caller, error) {
	h := HashToken(token)
	s := d.shard(h)
	now := d.now()
	s.mu.RLock()
	e := s.known[h]
	refused := e == nil && now < s.unknown[h]
	s.mu.RUnlock()
	switch {
	case refused:
		return nil, ErrUnknown
	case e == nil:
		return d.ask(ctx, s, h, nil)
	case now < time.Duration(e.ask.Load()):
		return e.caller, nil
	}
	return d.confirm(ctx, s, h, e, now)
}

// confirm finds out whether a known token still is. It waits only if the token was
// not used for so long that its time is up, and the store worked last.
func (d *Directory) confirm(ctx context.Context, s *shard, h Hash, e *entry, now time.Duration) (*Caller, error) {
	ask := e.ask.Load()
	next := now + retryTime
	switch expiry := e.asked + d.o.TTL; {
	case now >= e.asked+d.o.Stale:
		return d.ask(ctx, s, h, nil)
	case now < expiry:
		next = min(next, expiry)
	case !d.down.Load():
		return d.ask(ctx, s, h, e)
	}
	if e.ask.CompareAndSwap(ask, int64(next)) { // others go on
		s.mu.Lock()
		if s.known[h] == e {
			d.fly(s, h, true)
		}
		s.mu.Unlock()
	}
	return e.caller, nil
}

// ask waits for the store's word; if it has none, e is believed unless that is nil.
func (d *Directory) ask(ctx context.Context, s *shard, h Hash, e *entry) (*Caller, error) {
	s.mu.Lock()
	now := d.now()
	if other := s.known[h]; other != nil && other != e && now < time.Duration(other.ask.Load()) {
		s.mu.Unlock()
		return other.caller, nil // just found by somebody else
	}
	if now < s.unknown[h] {
		s.mu.Unlock()
		return nil, ErrUnknown // likewise
	}
	f := d.fly(s, h, e == nil)
	s.mu.Unlock()
	err := errBusy
	if f != nil {
		err = f.wait(ctx)
	}
	switch {
	case err == nil:
		return f.caller, nil
	case errors.Is(err, ErrUnknown):
		return nil, ErrUnknown
	case f != nil && ctx.Err() == nil:
		d.down.Store(true)
		if e != nil && s.holds(h, e) {
			return e.caller, nil
		}
	}
	return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// Forget lets the store be asked about a token again: it was revoked. No look-up
// that had begun before is believed any more.
func (d *Directory) Forget(h Hash) {
	s := d.shard(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(h)
	delete(s.unknown, h)
	s.disown(h)
}

// ForgetUser lets the store be asked again about a user's tokens: something of the
// user has changed.
func (d *Directory) ForgetUser(id string) {
	d.each(func(s *shard) {
		for _, h := range slices.Clone(s.owned[id]) {
			s.drop(h)
		}
		// Whose the tokens are that are being looked up, or were refused, is not known.
		clear(s.unknown)
		for h := range s.flights {
			s.disown(h)
		}
	})
}

// ForgetAll lets the store be asked again about everything: news was missed.
func (d *Directory) ForgetAll() {
	d.each(func(s *shard) {
		clear(s.known)
		clear(s.owned)
		clear(s.unknown)
		for h := range s.flights {
			s.disown(h)
		}
	})
}

// each does something with all shards, one after the other.
func (d *Directory) each(do func(*shard)) {
	for i := range d.shards {
		s := &d.shards[i]
		s.mu.Lock()
		do(s)
		s.mu.Unlock()
	}
}
