package userstest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/users"
)

// hostile are scenarios of arguments that nobody means well with (security X7), and
// of callers that leave.
var hostile = []scenario{
	{"names that are no names", hostileNames},
	{"ids that are no ids", hostileIDs},
	{"hashes that are no hashes", hostileHashes},
	{"providers that are no names", hostileProviders},
	{"overrides that are no models", hostileOverrides},
	{"a context that has ended", ended},
}

// texts mean something in one query language or another.
var texts = []string{
	"", ".", "..", "$", "$ne", `{"$gt":""}`, `{"$ne":null}`, "$where", "a.b", "name.$[]", "users.0", "*", ".*", "^t-", "%", "_", "?",
	"'; DROP TABLE users; --", `"`, `\`, "\x00", "\x00\x00", "a\x00b", "\xff\xfe", "\n", "../users", "T-A", "null", "0", "-1", "_id",
	strings.Repeat("a", 65), strings.Repeat("$", 4096), strings.Repeat("a.", 1<<18),
}

// security: X7
func hostileNames(t *testing.T, s users.Store) {
	u, k := create(t, s)
	all := append([]string{u.Name + "\x00", u.Name + " ", " " + u.Name, u.Name + "\n", strings.ToUpper(u.Name), u.ID, u.Name[:len(u.Name)-1]}, texts...)
	for _, name := range all {
		show := shorten(name)
		_, err := s.Get(ctx(t), name)
		wantError(t, "Get of "+show, err, users.ErrUnknown)
		wantError(t, "Disable of "+show, s.Disable(ctx(t), name, true), users.ErrUnknown)
		wantError(t, "Override of "+show, s.Override(ctx(t), name, someOverrides()), users.ErrUnknown)
		wantError(t, "Delete of "+show, s.Delete(ctx(t), name), users.ErrUnknown)
		gone(t, s, users.User{ID: u.ID, Name: name}, k)
		page, err := s.List(ctx(t), name, 2)
		if err != nil || len(page) > 2 {
			t.Errorf("List after %s: %d users, %v", show, len(page), err)
		}
	}
	same(t, "somebody else", find(t, s, k), u)
}

// security: X7
func hostileIDs(t *testing.T, s users.Store) {
	u, k := create(t, s)
	for _, id := range append([]string{u.ID + "\x00", u.Name, u.ID[:len(u.ID)-1], strings.ToUpper(u.ID)}, texts...) {
		gone(t, s, users.User{ID: id, Name: u.Name}, k)
	}
	for _, id := range append([]string{k.ID + "\x00", u.ID, string(k.Hash[:]), k.ID[:len(k.ID)-1], strings.ToUpper(k.ID)}, texts...) {
		_, err := s.RemoveToken(ctx(t), u.Name, u.ID, id)
		wantError(t, "RemoveToken of "+shorten(id), err, users.ErrUnknown)
	}
	same(t, "after all", find(t, s, k), u)
	sameTokens(t, "after all", tokensOf(t, s, u), k)
}

// security: X7
func hostileHashes(t *testing.T, s users.Store) {
	u, k := create(t, s)
	for _, text := range append([]string{k.ID, u.ID, u.Name}, texts...) {
		var h users.Hash
		copy(h[:], text)
		unknown(t, s, "of "+shorten(text), users.Token{Hash: h})
	}
	for i := range k.Hash {
		h := k.Hash
		h[i] ^= 1
		unknown(t, s, "of all but a bit", users.Token{Hash: h})
	}
	for _, h := range []users.Hash{{}, {0: '$', 1: 'n', 2: 'e'}, {31: 1}} {
		second, odd := newUser(newName()), newToken()
		odd.Hash = h
		copy(odd.Hash[8:], k.Hash[:16]) // nobody else's
		done(t, "Create", s.Create(ctx(t), second, odd))
		same(t, "by an odd hash", find(t, s, odd), second)
	}
	same(t, "after all", find(t, s, k), u)
}

// hostileProviders: a store may refuse such a name; if it takes it, it is data.
func hostileProviders(t *testing.T, s users.Store) {
	for _, provider := range append([]string{"id", "disabled", "keys", "tokens", "keys.one", "one.x", "overrides.allow"}, texts...) {
		u, k := newUser(newName()), newToken()
		u.Keys = map[string][]byte{"one": {1}}
		done(t, "Create", s.Create(ctx(t), u, k))
		err := s.SetKey(ctx(t), u.Name, u.ID, provider, []byte{2})
		if err == nil {
			u.Keys[provider] = []byte{2}
		} else if errors.Is(err, users.ErrTaken) || errors.Is(err, users.ErrTooMany) {
			t.Errorf("SetKey for %s: %v", shorten(provider), err)
		}
		same(t, "with a key for "+shorten(provider), find(t, s, k), u)
		if s.SetKey(ctx(t), u.Name, u.ID, provider, nil) == nil {
			delete(u.Keys, provider)
		}
		same(t, "without a key for "+shorten(provider), find(t, s, k), u)
	}
}

func hostileOverrides(t *testing.T, s users.Store) {
	u, k := create(t, s)
	for _, text := range texts {
		if strings.Contains(text, "\xff") { // JSON, where they come from, has none
			continue
		}
		u.Overrides.Allow = []string{text, "x"}
		done(t, "Override", s.Override(ctx(t), u.Name, u.Overrides))
		same(t, "with "+shorten(text), find(t, s, k), u)
	}
}

// ended: who has left gets an error that says nothing of users, and nothing is done.
func ended(t *testing.T, s users.Store) {
	u, k := create(t, s)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	second, other := newUser(newName()), newToken()
	for what, do := range map[string]func() error{
		"Create":       func() error { return s.Create(over, second, other) },
		"Find":         func() error { _, _, err := s.Find(over, k.Hash); return err },
		"Find none":    func() error { _, _, err := s.Find(over, other.Hash); return err },
		"Get":          func() error { _, err := s.Get(over, u.Name); return err },
		"Get none":     func() error { _, err := s.Get(over, second.Name); return err },
		"List":         func() error { _, err := s.List(over, "", 10); return err },
		"Disable":      func() error { return s.Disable(over, u.Name, true) },
		"Override":     func() error { return s.Override(over, u.Name, someOverrides()) },
		"Delete":       func() error { return s.Delete(over, u.Name) },
		"Delete none":  func() error { return s.Delete(over, second.Name) },
		"AddToken":     func() error { return s.AddToken(over, u.Name, u.ID, other) },
		"Tokens":       func() error { _, err := s.Tokens(over, u.Name, u.ID); return err },
		"RemoveToken":  func() error { _, err := s.RemoveToken(over, u.Name, u.ID, k.ID); return err },
		"ReplaceToken": func() error { _, err := s.ReplaceToken(over, u.Name, u.ID, k.ID, other); return err },
		"SetKey":       func() error { return s.SetKey(over, u.Name, u.ID, "one", []byte{1}) },
	} {
		err := do()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want %v", what, err, context.Canceled)
		}
		for _, wrong := range []error{users.ErrUnknown, users.ErrTaken, users.ErrTooMany} {
			if errors.Is(err, wrong) {
				t.Errorf("%s: %v says something of users", what, err)
			}
		}
	}
	same(t, "after all", find(t, s, k), u)
	unknown(t, s, "that was never given", other)
	_, err := s.Get(ctx(t), second.Name)
	wantError(t, "Get of who was never created", err, users.ErrUnknown)
	if h := s.Health(); !h.Up || h.Error != "" {
		t.Errorf("who leaves is no trouble of the backend: %+v", h)
	}
}

// shorten makes a text fit for a message.
func shorten(s string) string {
	const most = 24
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' {
			return '·'
		}
		return r
	}, s), "·")
}
