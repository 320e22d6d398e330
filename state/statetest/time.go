package statetest

import (
	"context"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// Clock lets time pass for a backend and for whoever holds its leases.
type Clock struct {
	// Run runs one scenario: synctest.Test, or a plain call.
	Run func(t *testing.T, scenario func(t *testing.T))

	// Pass returns when d has passed, and a moment in which everything due has
	// been done.
	Pass func(d time.Duration)
}

// SessionsInTime runs the scenarios in which leases run out and sessions expire.
func SessionsInTime(t *testing.T, b Backend, c Clock) {
	t.Helper()
	for name, run := range map[string]func(t *testing.T, s state.Sessions, c Clock){
		"a run holds its lease":             longRun,
		"a dead run's lease runs out":       deadRun,
		"a cancelled run's too":             cancelledForGood,
		"sessions expire after their use":   expiry,
		"a time to live of its own":         ownTTL,
		"anonymous sessions expire":         anonymousExpiry,
		"looking does not keep it":          lookingIsNoUse,
		"a short life ends after the lease": shortLife,
	} {
		t.Run(name, func(t *testing.T) {
			c.Run(t, func(t *testing.T) { run(t, b(t), c) })
		})
	}
}

// contract: A12 (renewed while running)
func longRun(t *testing.T, s state.Sessions, c Clock) {
	key := newKey()
	l := begin(t, s, key)
	for range 4 {
		c.Pass(state.SessionTTL / 3)
		refused(t, s, key, state.ErrBusy)
		alive(t, l)
	}
	save(t, l, state.Session{Phase: 1})
	release(t, l)
	equal(t, "afterwards", get(t, s, key), state.Session{Phase: 1})
}

func deadRun(t *testing.T, s state.Sessions, c Clock) {
	key := newKey()
	ctx, die := context.WithCancel(t.Context())
	dead, err := s.Begin(ctx, key, state.Opening{Agent: "agent"})
	if err != nil {
		t.Fatal(err)
	}
	save(t, dead, state.Session{Phase: 1})
	c.Pass(2 * state.LeaseTTL)
	die()
	ended(t, dead, context.Canceled)
	c.Pass(state.LeaseTTL / 2) // a renewal may have come just before the end
	refused(t, s, key, state.ErrBusy)
	c.Pass(state.LeaseTTL/2 + time.Second)
	equal(t, "once the lease has run out", get(t, s, key), state.Session{Phase: 1})
	wantError(t, "Save of the dead", dead.Save(t.Context(), state.Session{Phase: 9}), state.ErrLost)

	l := begin(t, s, key)
	equal(t, "the next run", l.Session(), state.Session{Phase: 1})
	wantError(t, "Save beside the next run", dead.Save(t.Context(), state.Session{Phase: 9}), state.ErrLost)
	wantError(t, "Release of the dead", dead.Release(t.Context()), state.ErrLost)
	refused(t, s, key, state.ErrBusy)
	alive(t, l)
	release(t, l)
	equal(t, "afterwards", get(t, s, key), state.Session{Phase: 1})
}

func cancelledForGood(t *testing.T, s state.Sessions, c Clock) {
	key := newKey()
	dead := begin(t, s, key)
	cancel(t, s, key)
	ended(t, dead, state.ErrCancelled)
	c.Pass(state.LeaseTTL + time.Second)
	l := begin(t, s, key)
	wantError(t, "Release of the cancelled run", dead.Release(t.Context()), state.ErrLost)
	alive(t, l)
	release(t, l)
}

// contract: A12 (30 min life)
func expiry(t *testing.T, s state.Sessions, c Clock) {
	key, kept := newKey(), newKey()
	release(t, begin(t, s, key))
	l := begin(t, s, kept)
	created := get(t, s, kept).Created
	release(t, l)
	c.Pass(state.SessionTTL - time.Minute)
	l = begin(t, s, kept)
	c.Pass(time.Minute - time.Second)
	save(t, l, state.Session{Phase: 1})
	release(t, l)
	get(t, s, key)

	c.Pass(2 * time.Second)
	_, err := s.Get(t.Context(), key)
	wantError(t, "Get", err, state.ErrUnknown)
	wantError(t, "Cancel", s.Cancel(t.Context(), key), state.ErrUnknown)
	got := get(t, s, kept)
	equal(t, "the one in use", got, state.Session{Phase: 1})
	if !got.Created.Equal(created) || got.Used.Sub(created) < state.SessionTTL-time.Minute {
		t.Errorf("created %v, used %v", got.Created.Sub(created), got.Used.Sub(created))
	}

	l = begin(t, s, key)
	equal(t, "begun again", l.Session(), state.Session{Agent: "agent"})
	if !l.Session().Created.After(created) {
		t.Error("a new session keeps the old one's time")
	}
	release(t, l)
}

func ownTTL(t *testing.T, s state.Sessions, c Clock) {
	key := newKey()
	l, err := s.Begin(t.Context(), key, state.Opening{TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	release(t, l)
	c.Pass(time.Hour - time.Second)
	get(t, s, key)
	c.Pass(2 * time.Second)
	_, err = s.Get(t.Context(), key)
	wantError(t, "Get", err, state.ErrUnknown)
}

func anonymousExpiry(t *testing.T, s state.Sessions, c Clock) {
	key := state.SessionKey{ID: state.NewSessionID()}
	l, err := s.Begin(t.Context(), key, state.Opening{Issued: true})
	if err != nil {
		t.Fatal(err)
	}
	release(t, l)
	c.Pass(state.SessionTTL + time.Second)
	refused(t, s, key, state.ErrUnknown)
}

func lookingIsNoUse(t *testing.T, s state.Sessions, c Clock) {
	key := newKey()
	release(t, begin(t, s, key))
	used := get(t, s, key).Used
	c.Pass(state.SessionTTL - time.Second)
	if got := get(t, s, key).Used; !got.Equal(used) {
		t.Errorf("used %v later", got.Sub(used))
	}
	cancel(t, s, key)
	c.Pass(2 * time.Second)
	_, err := s.Get(t.Context(), key)
	wantError(t, "Get", err, state.ErrUnknown)
}

func shortLife(t *testing.T, s state.Sessions, c Clock) {
	key := newKey()
	l, err := s.Begin(t.Context(), key, state.Opening{TTL: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	c.Pass(state.LeaseTTL / 3)
	save(t, l, state.Session{Phase: 1})
	c.Pass(2 * time.Second)
	equal(t, "during the run", get(t, s, key), state.Session{Phase: 1, Running: true})
	release(t, l)
	c.Pass(2 * time.Second)
	_, err = s.Get(t.Context(), key)
	wantError(t, "Get", err, state.ErrUnknown)
}
