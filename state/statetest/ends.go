package statetest

import (
	"context"
	"errors"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// ends of runs.
var ends = []scenario{
	{"cancel ends the run", cancelled},
	{"cancel without a run", cancelledIdle},
	{"the context of a run ends with the caller's", callerLeaves},
	{"a context that has ended", endedBefore},
}

// contract: A12 (cancel)
func cancelled(t *testing.T, s state.Sessions) {
	key, other := newKey(), newKey()
	l, bystander := begin(t, s, key), begin(t, s, other)
	cancel(t, s, key)
	ended(t, l, state.ErrCancelled)
	cancel(t, s, key) // nothing more to end

	// The run winds up: until it has, there is no other.
	equal(t, "during the end", get(t, s, key), state.Session{Agent: "agent", Running: true})
	refused(t, s, key, state.ErrBusy)
	save(t, l, state.Session{Phase: 1})
	release(t, l)

	l = begin(t, s, key)
	equal(t, "the next run", l.Session(), state.Session{Phase: 1})
	alive(t, l)
	alive(t, bystander)
	release(t, l)
	release(t, bystander)
}

func cancelledIdle(t *testing.T, s state.Sessions) {
	key := newKey()
	wantError(t, "Cancel of nothing", s.Cancel(t.Context(), key), state.ErrUnknown)
	release(t, begin(t, s, key))
	cancel(t, s, key)
	l := begin(t, s, key)
	alive(t, l)
	release(t, l)
}

type valueKey struct{}

// contract: S9
func callerLeaves(t *testing.T, s state.Sessions) {
	gone, key := errors.New("gone"), newKey()
	ctx, leave := context.WithCancelCause(context.WithValue(t.Context(), valueKey{}, "kept"))
	l, err := s.Begin(ctx, key, state.Opening{})
	if err != nil {
		t.Fatal(err)
	}
	if v := l.Context().Value(valueKey{}); v != "kept" {
		t.Errorf("the context's values are lost: %v", v)
	}
	leave(gone)
	ended(t, l, gone)
	refused(t, s, key, state.ErrBusy)
	wantError(t, "Save with the run's context", l.Save(l.Context(), state.Session{Phase: 9}), gone)
	save(t, l, state.Session{Phase: 1})
	if err = l.Release(ctx); err != nil {
		t.Errorf("Release: %v", err)
	}
	l = begin(t, s, key)
	equal(t, "the next run", l.Session(), state.Session{Phase: 1})
	release(t, l)
}

func endedBefore(t *testing.T, s state.Sessions) {
	gone, key := errors.New("gone"), newKey()
	ctx, leave := context.WithCancelCause(t.Context())
	leave(gone)
	_, err := s.Begin(ctx, key, state.Opening{})
	wantError(t, "Begin", err, gone)
	_, err = s.Get(t.Context(), key)
	wantError(t, "Get of what was not begun", err, state.ErrUnknown)

	l := begin(t, s, key)
	_, err = s.Get(ctx, key)
	wantError(t, "Get", err, gone)
	wantError(t, "Cancel", s.Cancel(ctx, key), gone)
	alive(t, l)
	release(t, l)
}
