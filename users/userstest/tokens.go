package userstest

import (
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/users"
)

// tokens are scenarios of a user's tokens.
var tokens = []scenario{
	{"further tokens", further},
	{"the oldest token first", oldest},
	{"a token revoked", revoked},
	{"a token replaced", replaced},
	{"no token left", noneLeft},
	{"somebody else's token", foreign},
	{"as many tokens as there may be", fullOfTokens},
}

func further(t *testing.T, s users.Store) {
	u, k := create(t, s)
	k2 := addToken(t, s, u)
	same(t, "by the first", find(t, s, k), u)
	same(t, "by the second", find(t, s, k2), u)
	done(t, "Disable", s.Disable(ctx(t), u.Name, true))
	u.Disabled = true
	same(t, "disabled, by the second", find(t, s, k2), u)
}

func oldest(t *testing.T, s users.Store) {
	u, middle := newUser(newName()), newToken()
	done(t, "Create", s.Create(ctx(t), u, middle))
	first, last := newToken(), newToken()
	first.Created, last.Created = middle.Created.Add(-time.Millisecond), middle.Created.Add(time.Millisecond)
	done(t, "AddToken", s.AddToken(ctx(t), u.Name, u.ID, last))
	done(t, "AddToken", s.AddToken(ctx(t), u.Name, u.ID, first))
	sameTokens(t, "Tokens", tokensOf(t, s, u), first, middle, last)
}

func revoked(t *testing.T, s users.Store) {
	u, k := create(t, s)
	k2 := addToken(t, s, u)
	got, err := s.RemoveToken(ctx(t), u.Name, u.ID, k.ID)
	done(t, "RemoveToken", err)
	sameToken(t, "RemoveToken", got, k)
	unknown(t, s, "once revoked", k)
	same(t, "by the other", find(t, s, k2), u)
	sameTokens(t, "Tokens", tokensOf(t, s, u), k2)
	got, err = s.RemoveToken(ctx(t), u.Name, u.ID, k.ID)
	wantError(t, "RemoveToken again", err, users.ErrUnknown)
	if got != (users.Token{}) {
		t.Errorf("RemoveToken again: got %q", got.ID)
	}
}

func replaced(t *testing.T, s users.Store) {
	u, k := create(t, s)
	kept := addToken(t, s, u)
	for range users.MaxTokens - 2 { // a full list is none too full
		addToken(t, s, u)
	}
	fresh := newToken()
	got, err := s.ReplaceToken(ctx(t), u.Name, u.ID, k.ID, fresh)
	done(t, "ReplaceToken", err)
	sameToken(t, "ReplaceToken", got, k)
	unknown(t, s, "once replaced", k)
	same(t, "by the new one", find(t, s, fresh), u)
	same(t, "by another", find(t, s, kept), u)
	if n := len(tokensOf(t, s, u)); n != users.MaxTokens {
		t.Errorf("%d tokens", n)
	}

	other, otherToken := create(t, s)
	for _, c := range []struct {
		when, name, id, token string
		fresh                 users.Token
		want                  error
	}{
		{"that is gone", u.Name, u.ID, k.ID, newToken(), users.ErrUnknown},
		{"of somebody else", u.Name, u.ID, otherToken.ID, newToken(), users.ErrUnknown},
		{"with the other's id", u.Name, other.ID, fresh.ID, newToken(), users.ErrUnknown},
		{"without an id", u.Name, u.ID, "", newToken(), users.ErrUnknown},
		{"without a name", "", u.ID, fresh.ID, newToken(), users.ErrUnknown},
		{"by a known hash", other.Name, other.ID, otherToken.ID, fresh, users.ErrTaken},
	} {
		got, err := s.ReplaceToken(ctx(t), c.name, c.id, c.token, c.fresh)
		wantError(t, "ReplaceToken "+c.when, err, c.want)
		if got != (users.Token{}) {
			t.Errorf("ReplaceToken %s: got %q", c.when, got.ID)
		}
		if c.fresh != fresh {
			unknown(t, s, c.when, c.fresh)
		}
	}
	same(t, "the new one is as it was", find(t, s, fresh), u)
	same(t, "the other one is as it was", find(t, s, otherToken), other)
}

func noneLeft(t *testing.T, s users.Store) {
	u, k := create(t, s)
	_, err := s.RemoveToken(ctx(t), u.Name, u.ID, k.ID)
	done(t, "RemoveToken", err)
	sameTokens(t, "Tokens", tokensOf(t, s, u))
	same(t, "Get", get(t, s, u.Name), u)
	same(t, "by a new one", find(t, s, addToken(t, s, u)), u)
}

// security: X6 (a foreign id is unknown)
func foreign(t *testing.T, s users.Store) {
	u, k := create(t, s)
	other, otherToken := create(t, s)
	for _, c := range []struct{ when, name, id string }{
		{"with one's own id", u.Name, u.ID},
		{"with the other's name", other.Name, u.ID},
		{"with the other's id", u.Name, other.ID},
		{"without an id", other.Name, ""},
		{"without a name", "", other.ID},
	} {
		_, err := s.RemoveToken(ctx(t), c.name, c.id, otherToken.ID)
		wantError(t, "RemoveToken "+c.when, err, users.ErrUnknown)
		if c.name == u.Name && c.id == u.ID {
			continue
		}
		gone(t, s, users.User{ID: c.id, Name: c.name}, otherToken)
	}
	_, err := s.RemoveToken(ctx(t), u.Name, u.ID, "")
	wantError(t, "RemoveToken without an id", err, users.ErrUnknown)
	same(t, "the other", find(t, s, otherToken), other)
	same(t, "the one", find(t, s, k), u)
}

func fullOfTokens(t *testing.T, s users.Store) {
	u, k := create(t, s)
	for range users.MaxTokens - 1 {
		addToken(t, s, u)
	}
	more := newToken()
	for range 2 {
		wantError(t, "AddToken", s.AddToken(ctx(t), u.Name, u.ID, more), users.ErrTooMany)
		unknown(t, s, "of what is too many", more)
	}
	if n := len(tokensOf(t, s, u)); n != users.MaxTokens {
		t.Errorf("%d tokens", n)
	}
	_, err := s.RemoveToken(ctx(t), u.Name, u.ID, k.ID)
	done(t, "RemoveToken", err)
	done(t, "AddToken in its place", s.AddToken(ctx(t), u.Name, u.ID, more))
	same(t, "by that", find(t, s, more), u)
	wantError(t, "AddToken again", s.AddToken(ctx(t), u.Name, u.ID, newToken()), users.ErrTooMany)

	other, _ := create(t, s)
	wantError(t, "AddToken of a known hash", s.AddToken(ctx(t), other.Name, other.ID, more), users.ErrTaken)
	for range users.MaxTokens - 1 { // what was refused takes no place
		addToken(t, s, other)
	}
}
