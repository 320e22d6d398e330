package redis

import (
	"errors"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// Whoever begins a session does not find it busy because of what this machine has not
// given back yet.
func TestOwedIsNotBusy(t *testing.T) {
	s := leasing(shared(t, Options{Wait: calm}), 10*time.Hour)
	m := s.sessions.(*sessions)
	release(t, begin(t, s, sessionKey()))
	key := sessionKey()
	for _, taken := range []bool{true, false} { // as far as is known
		l, err := m.take(t.Context(), key, state.Opening{TTL: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		save(t, l, 1)
		l.leave()
		if !taken {
			l.ctx = nil //nolint:fatcontext // as if take had not heard of it
		}
		m.mu.Lock()
		m.later[l] = true // without a round
		m.mu.Unlock()
		next := begin(t, s, key)
		if next.Session().Phase != 1 {
			t.Errorf("%+v", next.Session())
		}
		release(t, next)
	}
}

// What this machine knows of its runs it knows without Redis.
func TestRunsWithoutRedis(t *testing.T) {
	p, a, b := behind(t, state.ModeLocal)
	key, elsewhere := sessionKey(), sessionKey()
	l, l2 := begin(t, a, key), begin(t, b, elsewhere)
	away(t, p, a)
	refusesBegin(t, a, key, state.ErrBusy)
	if err := a.Sessions().Cancel(t.Context(), elsewhere); !errors.Is(err, state.ErrUnavailable) {
		t.Errorf("a run elsewhere: %v", err)
	}
	if _, err := a.Sessions().Begin(t.Context(), state.SessionKey{ID: state.NewSessionID()}, state.Opening{}); !errors.Is(err, state.ErrUnavailable) {
		t.Errorf("an anonymous session: %v", err)
	}
	if err := a.Sessions().Cancel(t.Context(), key); err != nil {
		t.Errorf("Cancel: %v", err)
	}
	ends(t, l, state.ErrCancelled)
	save(t, l, 1)
	release(t, l)
	list, err := a.Sessions().(state.Lister).List(t.Context(), "", 10)
	if err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	release(t, begin(t, a, key))
	list, err = a.Sessions().(state.Lister).List(t.Context(), "", 10)
	if err != nil || len(list) != 1 || list[0].Key != key {
		t.Errorf("%v, %v", list, err)
	}
	release(t, l2)
}

// What was begun without Redis stays here to its end, and is carried over then.
func TestCarriedOver(t *testing.T) {
	p, a, b := behind(t, state.ModeLocal)
	fresh, known := sessionKey(), sessionKey()
	l := begin(t, b, known)
	save(t, l, 5)
	release(t, l)
	away(t, p, a)
	l, l2 := begin(t, a, fresh), begin(t, a, known)
	if l2.Session().Phase != 0 {
		t.Errorf("%+v", l2.Session())
	}
	save(t, l, 1)
	save(t, l2, 1)
	release(t, l2)
	back(t, p, a)
	refusesBegin(t, a, fresh, state.ErrBusy)
	holds(t, a, fresh, 1, true)
	if err := a.Sessions().Cancel(t.Context(), fresh); err != nil {
		t.Errorf("Cancel: %v", err)
	}
	ends(t, l, state.ErrCancelled)
	release(t, l)
	holds(t, a, fresh, 1, false)
	l, l2 = begin(t, a, fresh), begin(t, a, known)
	if got := l.Session(); got.Phase != 1 || got.Agent != "agent" {
		t.Errorf("%+v", got)
	}
	if got := l2.Session(); got.Phase != 5 { // what Redis has counts
		t.Errorf("%+v", got)
	}
	release(t, l)
	release(t, l2)
	holds(t, b, fresh, 1, false)
	holds(t, a, known, 5, false)
}

func TestSessionModes(t *testing.T) {
	url := nowhere(t)
	for mode, want := range map[state.Mode]error{state.ModeClosed: state.ErrUnavailable, state.ModeLocal: nil, state.ModeOpen: nil} {
		t.Run(string(mode), func(t *testing.T) {
			s := connect(t, url, Options{Modes: map[state.Use]state.Mode{state.UseSessions: mode}})
			key := sessionKey()
			l, err := s.Sessions().Begin(t.Context(), key, state.Opening{Agent: "agent"})
			if !errors.Is(err, want) {
				t.Fatalf("%v", err)
			}
			if err != nil {
				return
			}
			save(t, l, 1)
			release(t, l)
			l = begin(t, s, key)
			if kept := l.Session().Phase == 1; kept != (mode == state.ModeLocal) {
				t.Errorf("kept: %v", kept)
			}
			release(t, l)
		})
	}
}
