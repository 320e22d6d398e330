package statetest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// patience bounds what another machine may take to hear of something.
const patience = 10 * time.Second

// newKey returns the key of a session nobody has.
func newKey() state.SessionKey { return state.SessionKey{User: "user", ID: state.NewSessionID()} }

func begin(t *testing.T, s state.Sessions, key state.SessionKey) state.Lease {
	t.Helper()
	l, err := s.Begin(t.Context(), key, state.Opening{Agent: "agent"})
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	return l
}

func refused(t *testing.T, s state.Sessions, key state.SessionKey, want error) {
	t.Helper()
	l, err := s.Begin(t.Context(), key, state.Opening{Agent: "refused"})
	if err == nil {
		_ = l.Release(t.Context())
	}
	wantError(t, "Begin", err, want)
}

func get(t *testing.T, s state.Sessions, key state.SessionKey) state.Session {
	t.Helper()
	got, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return got
}

func save(t *testing.T, l state.Lease, s state.Session) {
	t.Helper()
	if err := l.Save(t.Context(), s); err != nil {
		t.Fatalf("Save: %v", err)
	}
}

func release(t *testing.T, l state.Lease) {
	t.Helper()
	if err := l.Release(t.Context()); err != nil {
		t.Fatalf("Release: %v", err)
	}
}

func cancel(t *testing.T, s state.Sessions, key state.SessionKey) {
	t.Helper()
	if err := s.Cancel(t.Context(), key); err != nil {
		t.Fatalf("Cancel: %v", err)
	}
}

// ended waits for the end of a run.
func ended(t *testing.T, l state.Lease, want error) {
	t.Helper()
	select {
	case <-l.Context().Done():
		wantError(t, "the run's end", context.Cause(l.Context()), want)
	case <-time.After(patience):
		t.Fatal("the run goes on")
	}
}

func alive(t *testing.T, l state.Lease) {
	t.Helper()
	if l.Context().Err() != nil {
		t.Errorf("the run has ended: %v", context.Cause(l.Context()))
	}
}

func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// equal compares what a caller has saved.
func equal(t *testing.T, when string, got, want state.Session) {
	t.Helper()
	if got.Agent != want.Agent || got.Phase != want.Phase || got.Steps != want.Steps || got.Running != want.Running ||
		!slices.Equal(got.Notebook, want.Notebook) {
		t.Errorf("%s: got %.200q, want %.200q", when, show(got), show(want))
	}
}

func show(s state.Session) string {
	b, err := json.Marshal(s)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
