package userstest

import (
	"fmt"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/users"
)

// keys are scenarios of a user's own provider keys.
var keys = []scenario{
	{"a key set, replaced, removed", oneKey},
	{"as many keys as there may be", fullOfKeys},
}

func oneKey(t *testing.T, s users.Store) {
	u, k := create(t, s)
	other, otherToken := create(t, s)
	set := func(provider string, sealed []byte) {
		t.Helper()
		done(t, "SetKey", s.SetKey(ctx(t), u.Name, u.ID, provider, sealed))
		same(t, "Find", find(t, s, k), u)
		same(t, "Get", get(t, s, u.Name), u)
	}
	first, second := []byte{0, 1, 2, 0xff}, make([]byte, 2048)
	u.Keys = map[string][]byte{"one": first}
	set("one", first)
	u.Keys["two_2-x"] = second
	set("two_2-x", second)
	u.Keys["one"] = second
	set("one", second)
	delete(u.Keys, "one")
	set("one", nil)
	set("one", nil) // is not there any more: nothing to do
	set("never", nil)
	delete(u.Keys, "two_2-x")
	set("two_2-x", nil)
	same(t, "somebody else", find(t, s, otherToken), other)
}

func fullOfKeys(t *testing.T, s users.Store) {
	u, k := create(t, s)
	u.Keys = map[string][]byte{}
	for i := range users.MaxKeys {
		provider := fmt.Sprintf("p%d", i)
		u.Keys[provider] = []byte{byte(i)}
		done(t, "SetKey", s.SetKey(ctx(t), u.Name, u.ID, provider, u.Keys[provider]))
	}
	for range 2 {
		wantError(t, "SetKey", s.SetKey(ctx(t), u.Name, u.ID, "more", []byte{1}), users.ErrTooMany)
	}
	done(t, "SetKey to nil of what is not there", s.SetKey(ctx(t), u.Name, u.ID, "more", nil))
	u.Keys["p0"] = []byte("another")
	done(t, "SetKey of one that is there", s.SetKey(ctx(t), u.Name, u.ID, "p0", u.Keys["p0"]))
	same(t, "when full", find(t, s, k), u)
	delete(u.Keys, "p1")
	done(t, "SetKey to nil", s.SetKey(ctx(t), u.Name, u.ID, "p1", nil))
	u.Keys["more"] = []byte{1}
	done(t, "SetKey in its place", s.SetKey(ctx(t), u.Name, u.ID, "more", u.Keys["more"]))
	same(t, "full again", find(t, s, k), u)
	wantError(t, "SetKey again", s.SetKey(ctx(t), u.Name, u.ID, "p1", []byte{1}), users.ErrTooMany)
}
