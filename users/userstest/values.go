package userstest

import (
	"slices"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/users"
)

// values are scenarios of whose the values are.
var values = []scenario{
	{"what was given may change", givenChanges},
	{"what was returned may change", returnedChanges},
}

// full is a user with all that could be shared. The values are new each time.
func full(u users.User) users.User {
	u.Overrides = users.Overrides{Allow: []string{"one", "two"}, Limits: []users.Limit{{N: 1, Window: time.Second}, {N: 2, Window: time.Hour}}}
	u.Keys = map[string][]byte{"one": {1, 2, 3}}
	return u
}

// spoil changes all that could be shared.
func spoil(u users.User) {
	for i := range u.Overrides.Allow {
		u.Overrides.Allow[i] = "spoilt"
	}
	for i := range u.Overrides.Limits {
		u.Overrides.Limits[i].N = -1
	}
	for _, sealed := range u.Keys {
		clear(sealed)
	}
	if u.Keys != nil {
		u.Keys["spoilt"] = []byte{0}
	}
}

func givenChanges(t *testing.T, s users.Store) {
	plain, k := newUser(newName()), newToken()
	given, want := full(plain), full(plain)
	done(t, "Create", s.Create(ctx(t), given, k))
	spoil(given)
	same(t, "after a change of what was created", find(t, s, k), want)

	o := full(plain).Overrides
	done(t, "Override", s.Override(ctx(t), plain.Name, o))
	spoil(users.User{Overrides: o})
	same(t, "after a change of overrides", find(t, s, k), want)

	sealed := []byte{4, 5, 6}
	want.Keys["two"] = slices.Clone(sealed)
	done(t, "SetKey", s.SetKey(ctx(t), plain.Name, plain.ID, "two", sealed))
	clear(sealed)
	same(t, "after a change of a key", find(t, s, k), want)
}

func returnedChanges(t *testing.T, s users.Store) {
	plain, k := newUser(newName()), newToken()
	want := full(plain)
	done(t, "Create", s.Create(ctx(t), full(plain), k))
	spoil(find(t, s, k))
	same(t, "after a change of what was found", find(t, s, k), want)
	spoil(get(t, s, plain.Name))
	same(t, "after a change of what was got", get(t, s, plain.Name), want)
	before := plain.Name[:len(plain.Name)-1]
	first := func() users.User {
		for _, u := range list(t, s, before, 100) {
			if u.Name == plain.Name {
				return u
			}
		}
		t.Fatal("is not in the list")
		return users.User{}
	}
	spoil(first())
	same(t, "after a change of what was listed", first(), want)
	ks := tokensOf(t, s, plain)
	ks[0] = users.Token{}
	sameTokens(t, "after a change of the list", tokensOf(t, s, plain), k)
}
