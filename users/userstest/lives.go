package userstest

import (
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/users"
)

// lives are scenarios of what becomes of a user.
var lives = []scenario{
	{"who is created is found", created},
	{"all of a user is kept", whole},
	{"the name is taken", nameTaken},
	{"the token is taken", tokenTaken},
	{"disabled, and enabled again", disabled},
	{"overrides", overrides},
	{"overrides that leave nothing are not none", nothingLeft},
	{"deleted", deleted},
	{"a name used again brings nothing back", again},
	{"nobody of that name", nobody},
	{"health after use", healthy},
}

func created(t *testing.T, s users.Store) {
	u, k := newUser(newName()), newToken()
	unknown(t, s, "beforehand", k)
	_, err := s.Get(ctx(t), u.Name)
	wantError(t, "Get beforehand", err, users.ErrUnknown)

	done(t, "Create", s.Create(ctx(t), u, k))
	same(t, "Find", find(t, s, k), u)
	same(t, "Get", get(t, s, u.Name), u)
	sameTokens(t, "Tokens", tokensOf(t, s, u), k)
}

func whole(t *testing.T, s users.Store) {
	u, k := newUser(newName()), newToken()
	u.Created, k.Created = time.UnixMilli(1_000_000_000_001).UTC(), time.UnixMilli(1_000_000_000_999).UTC()
	u.Disabled = true
	u.Overrides = someOverrides()
	u.Keys = map[string][]byte{"one": {0, 1, 0xff}, "two": make([]byte, 2048)}
	done(t, "Create", s.Create(ctx(t), u, k))
	same(t, "Find", find(t, s, k), u)
	same(t, "Get", get(t, s, u.Name), u)
}

func someOverrides() users.Overrides {
	return users.Overrides{
		Allow:       []string{"openai/*", "a.b$c", ""},
		Limits:      []users.Limit{{N: 5, Window: time.Minute}, {N: 1 << 30, Window: 1<<62 + 1}},
		Concurrency: 7,
	}
}

func nameTaken(t *testing.T, s users.Store) {
	u, k := create(t, s)
	second, other := newUser(u.Name), newToken()
	for range 2 {
		wantError(t, "Create", s.Create(ctx(t), second, other), users.ErrTaken)
		unknown(t, s, "of the loser", other)
	}
	same(t, "the first", find(t, s, k), u)
	sameTokens(t, "Tokens", tokensOf(t, s, u), k)
	done(t, "Create elsewhere", s.Create(ctx(t), newUser(newName()), other)) // nothing of it was kept
}

func tokenTaken(t *testing.T, s users.Store) {
	u, k := create(t, s)
	second := newUser(newName())
	k2 := k
	k2.ID = users.NewTokenID()
	wantError(t, "Create", s.Create(ctx(t), second, k2), users.ErrTaken)
	_, err := s.Get(ctx(t), second.Name)
	wantError(t, "Get of the loser", err, users.ErrUnknown)
	same(t, "the first", find(t, s, k), u)
	done(t, "Create with another", s.Create(ctx(t), second, newToken()))
	wantError(t, "AddToken", s.AddToken(ctx(t), second.Name, second.ID, k2), users.ErrTaken)
	same(t, "the first after all", find(t, s, k), u)
}

func disabled(t *testing.T, s users.Store) {
	u, k := create(t, s)
	other, otherToken := create(t, s)
	for _, off := range []bool{true, true, false, false, true} {
		done(t, "Disable", s.Disable(ctx(t), u.Name, off))
		u.Disabled = off
		same(t, "Find", find(t, s, k), u)
		same(t, "Get", get(t, s, u.Name), u)
	}
	same(t, "somebody else", find(t, s, otherToken), other)
}

func overrides(t *testing.T, s users.Store) {
	u, k := create(t, s)
	for _, o := range []users.Overrides{someOverrides(), {Concurrency: 1}, {Allow: []string{"x"}}, {}} {
		done(t, "Override", s.Override(ctx(t), u.Name, o))
		u.Overrides = o
		same(t, "Find", find(t, s, k), u)
	}
}

// nothingLeft: nil means what the route allows, an empty list means nothing.
func nothingLeft(t *testing.T, s users.Store) {
	u, k := create(t, s)
	u.Overrides = users.Overrides{Allow: []string{}, Limits: []users.Limit{}}
	done(t, "Override", s.Override(ctx(t), u.Name, u.Overrides))
	same(t, "Find", find(t, s, k), u)

	second, other := newUser(newName()), newToken()
	second.Overrides = u.Overrides
	done(t, "Create", s.Create(ctx(t), second, other))
	same(t, "Find", find(t, s, other), second)
}

func deleted(t *testing.T, s users.Store) {
	u, k := create(t, s)
	k2 := addToken(t, s, u)
	other, otherToken := create(t, s)
	done(t, "Delete", s.Delete(ctx(t), u.Name))
	unknown(t, s, "afterwards", k)
	unknown(t, s, "afterwards", k2)
	_, err := s.Get(ctx(t), u.Name)
	wantError(t, "Get", err, users.ErrUnknown)
	gone(t, s, u, k)
	wantError(t, "Delete again", s.Delete(ctx(t), u.Name), users.ErrUnknown)
	same(t, "somebody else", find(t, s, otherToken), other)
	done(t, "Create with the token", s.Create(ctx(t), newUser(newName()), k)) // all is forgotten
}

// again: what an old id and an old token could do must stay impossible.
func again(t *testing.T, s users.Store) {
	old, k := create(t, s)
	k2 := addToken(t, s, old)
	done(t, "SetKey", s.SetKey(ctx(t), old.Name, old.ID, "one", []byte{1}))
	done(t, "Override", s.Override(ctx(t), old.Name, someOverrides()))
	done(t, "Disable", s.Disable(ctx(t), old.Name, true))
	done(t, "Delete", s.Delete(ctx(t), old.Name))

	u, fresh := newUser(old.Name), newToken()
	done(t, "Create", s.Create(ctx(t), u, fresh))
	same(t, "the new one", find(t, s, fresh), u)
	unknown(t, s, "of the old one", k)
	unknown(t, s, "of the old one", k2)
	gone(t, s, old, k)
	same(t, "the new one after all", get(t, s, u.Name), u)
	sameTokens(t, "the new one's tokens", tokensOf(t, s, u), fresh)
}

// gone requires that a name and an id do not belong together.
func gone(t *testing.T, s users.Store, u users.User, k users.Token) {
	t.Helper()
	further := newToken()
	wantError(t, "AddToken", s.AddToken(ctx(t), u.Name, u.ID, further), users.ErrUnknown)
	unknown(t, s, "of nobody", further)
	_, err := s.Tokens(ctx(t), u.Name, u.ID)
	wantError(t, "Tokens", err, users.ErrUnknown)
	_, err = s.RemoveToken(ctx(t), u.Name, u.ID, k.ID)
	wantError(t, "RemoveToken", err, users.ErrUnknown)
	wantError(t, "SetKey", s.SetKey(ctx(t), u.Name, u.ID, "one", []byte{1}), users.ErrUnknown)
	wantError(t, "SetKey to nil", s.SetKey(ctx(t), u.Name, u.ID, "one", nil), users.ErrUnknown)
}

func nobody(t *testing.T, s users.Store) {
	u := newUser(newName())
	gone(t, s, u, newToken())
	_, err := s.Get(ctx(t), u.Name)
	wantError(t, "Get", err, users.ErrUnknown)
	wantError(t, "Disable", s.Disable(ctx(t), u.Name, true), users.ErrUnknown)
	wantError(t, "Override", s.Override(ctx(t), u.Name, someOverrides()), users.ErrUnknown)
	wantError(t, "Delete", s.Delete(ctx(t), u.Name), users.ErrUnknown)
	_, err = s.Get(ctx(t), u.Name)
	wantError(t, "Get after all", err, users.ErrUnknown)
}

// healthy: that something is unknown is no trouble of the backend.
func healthy(t *testing.T, s users.Store) {
	unknown(t, s, "at all", newToken())
	u, _ := create(t, s)
	wantError(t, "Create", s.Create(ctx(t), u, newToken()), users.ErrTaken)
	h := s.Health()
	if h.Backend == "" || !h.Up || h.Since.IsZero() || h.Since.After(time.Now()) || h.Error != "" {
		t.Errorf("got %+v", h)
	}
}
