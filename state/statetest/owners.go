package statetest

import (
	"strings"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// owners of sessions.
var owners = []scenario{
	{"sessions of others are unknown", foreign},
	{"user and id are not one string", joined},
	{"anonymous callers use what was issued", anonymous},
	{"a malformed id is unknown", malformed},
}

// security: X6
func foreign(t *testing.T, s state.Sessions) {
	id := state.NewSessionID()
	mine, theirs, nobodys := state.SessionKey{User: "me", ID: id}, state.SessionKey{User: "Me", ID: id}, state.SessionKey{ID: id}
	l := begin(t, s, mine)
	save(t, l, state.Session{Phase: 1})
	for _, key := range []state.SessionKey{theirs, nobodys} {
		_, err := s.Get(t.Context(), key)
		wantError(t, "Get", err, state.ErrUnknown)
		wantError(t, "Cancel", s.Cancel(t.Context(), key), state.ErrUnknown)
	}
	refused(t, s, nobodys, state.ErrUnknown)
	alive(t, l)

	other := begin(t, s, theirs) // the same id, another session, at the same time
	equal(t, "the other's", other.Session(), state.Session{Agent: "agent"})
	save(t, other, state.Session{Phase: 2})
	cancel(t, s, theirs)
	ended(t, other, state.ErrCancelled)
	alive(t, l)
	release(t, other)
	release(t, l)
	equal(t, "mine", get(t, s, mine), state.Session{Phase: 1})
	equal(t, "the other's", get(t, s, theirs), state.Session{Phase: 2})
}

// security: X6 (parts of a key are not run together)
func joined(t *testing.T, s state.Sessions) {
	const a, b = "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"
	for _, between := range []string{"", "-", "_"} {
		user := "u" + state.NewSessionID()
		l := begin(t, s, state.SessionKey{User: user, ID: a + between + b})
		_, err := s.Get(t.Context(), state.SessionKey{User: user + between + a, ID: b})
		wantError(t, "Get", err, state.ErrUnknown)
		_, err = s.Get(t.Context(), state.SessionKey{User: user + a + between, ID: b})
		wantError(t, "Get", err, state.ErrUnknown)
		release(t, l)
	}
	// A user's name may have any bytes.
	for _, user := range []string{"a:b", "a\x00b", "{a}", "*", "ü", strings.Repeat("long", 100)} {
		key := state.SessionKey{User: user, ID: state.NewSessionID()}
		release(t, begin(t, s, key))
		equal(t, user, get(t, s, key), state.Session{Agent: "agent"})
	}
}

// contract: A12 (an anonymous caller)
func anonymous(t *testing.T, s state.Sessions) {
	chosen := state.SessionKey{ID: strings.Repeat("chosen-by-client", 2)}
	refused(t, s, chosen, state.ErrUnknown)
	_, err := s.Get(t.Context(), chosen)
	wantError(t, "Get of what was refused", err, state.ErrUnknown)

	issued := state.SessionKey{ID: state.NewSessionID()}
	l, err := s.Begin(t.Context(), issued, state.Opening{Agent: "agent", Issued: true})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, s, issued, state.ErrBusy)
	save(t, l, state.Session{Phase: 1})
	release(t, l)
	l = begin(t, s, issued) // known by now
	equal(t, "the next run", l.Session(), state.Session{Phase: 1})
	cancel(t, s, issued)
	ended(t, l, state.ErrCancelled)
	release(t, l)
}

func malformed(t *testing.T, s state.Sessions) {
	for _, id := range []string{"", "short", strings.Repeat("x", 129), strings.Repeat("x", 15) + ":", strings.Repeat("x", 16) + "\n", strings.Repeat("ü", 16)} {
		for _, user := range []string{"", "me"} {
			key := state.SessionKey{User: user, ID: id}
			_, err := s.Begin(t.Context(), key, state.Opening{Issued: true})
			wantError(t, "Begin", err, state.ErrUnknown)
			_, err = s.Get(t.Context(), key)
			wantError(t, "Get", err, state.ErrUnknown)
			wantError(t, "Cancel", s.Cancel(t.Context(), key), state.ErrUnknown)
		}
	}
}
