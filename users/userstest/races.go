package userstest

import (
	"fmt"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/users"
)

// races are scenarios of calls at the same time.
var races = []scenario{
	{"one of many gets the name", nameRace},
	{"one of many gets the token", tokenRace},
	{"many tokens at once", tokensRace},
	{"many keys at once", keysRace},
	{"a token removed at once by many", removeRace},
	{"a token replaced at once by many", replaceRace},
	{"deleted at once by many", deleteRace},
	{"no change of others is lost", changeRace},
	{"a token given while the user goes", givenRace},
	{"a name taken while its user goes", takenRace},
}

func nameRace(t *testing.T, s users.Store) {
	const n = 16
	name := newName()
	us, ks := make([]users.User, n), make([]users.Token, n)
	for i := range n {
		us[i], ks[i] = newUser(name), newToken()
	}
	errs := together(n, func(i int) error { return s.Create(ctx(t), us[i], ks[i]) })
	won := split(t, "Create", errs, 1, users.ErrTaken)
	if len(won) != 1 {
		return
	}
	losers := func(when string) {
		t.Helper()
		for i := range n {
			if i != won[0] {
				unknown(t, s, when, ks[i])
			}
		}
	}
	same(t, "who has won", find(t, s, ks[won[0]]), us[won[0]])
	losers("of a loser")
	done(t, "Delete", s.Delete(ctx(t), name))
	losers("of a loser, once the name is free")
	done(t, "Create", s.Create(ctx(t), newUser(name), newToken()))
	losers("of a loser, once the name is taken again")
}

func tokenRace(t *testing.T, s users.Store) {
	const n = 16
	k := newToken()
	us := make([]users.User, n)
	for i := range n {
		us[i] = newUser(newName())
	}
	errs := together(n, func(i int) error { return s.Create(ctx(t), us[i], k) })
	won := split(t, "Create", errs, 1, users.ErrTaken)
	for i, u := range us {
		if among(won, i) {
			same(t, "who has won", find(t, s, k), u)
			continue
		}
		_, err := s.Get(ctx(t), u.Name)
		wantError(t, "Get of a loser", err, users.ErrUnknown)
	}
}

func tokensRace(t *testing.T, s users.Store) {
	const n = 2 * users.MaxTokens
	u, _ := create(t, s)
	ks := make([]users.Token, n)
	for i := range n {
		ks[i] = newToken()
	}
	errs := together(n, func(i int) error { return s.AddToken(ctx(t), u.Name, u.ID, ks[i]) })
	won := split(t, "AddToken", errs, users.MaxTokens-1, users.ErrTooMany)
	for i := range n {
		if among(won, i) {
			same(t, "by a token", find(t, s, ks[i]), u)
		} else {
			unknown(t, s, "of what was too many", ks[i])
		}
	}
	if got := len(tokensOf(t, s, u)); got != users.MaxTokens {
		t.Errorf("%d tokens", got)
	}
}

func keysRace(t *testing.T, s users.Store) {
	const n = 2 * users.MaxKeys
	u, _ := create(t, s)
	provider := func(i int) string { return fmt.Sprintf("p%d", i) }
	errs := together(n, func(i int) error { return s.SetKey(ctx(t), u.Name, u.ID, provider(i), []byte(provider(i))) })
	u.Keys = map[string][]byte{}
	for _, i := range split(t, "SetKey", errs, users.MaxKeys, users.ErrTooMany) {
		u.Keys[provider(i)] = []byte(provider(i))
	}
	same(t, "afterwards", get(t, s, u.Name), u)
}

func removeRace(t *testing.T, s users.Store) {
	u, k := create(t, s)
	errs := together(8, func(int) error {
		_, err := s.RemoveToken(ctx(t), u.Name, u.ID, k.ID)
		return err
	})
	split(t, "RemoveToken", errs, 1, users.ErrUnknown)
	for range users.MaxTokens { // one place became free, not several
		addToken(t, s, u)
	}
	wantError(t, "AddToken", s.AddToken(ctx(t), u.Name, u.ID, newToken()), users.ErrTooMany)
}

func replaceRace(t *testing.T, s users.Store) {
	u, k := create(t, s)
	ks := make([]users.Token, 8)
	for i := range ks {
		ks[i] = newToken()
	}
	won := split(t, "ReplaceToken", together(len(ks), func(i int) error {
		_, err := s.ReplaceToken(ctx(t), u.Name, u.ID, k.ID, ks[i])
		return err
	}), 1, users.ErrUnknown)
	for i := range ks {
		if among(won, i) {
			same(t, "by the winner's", find(t, s, ks[i]), u)
		} else {
			unknown(t, s, "of a loser", ks[i])
		}
	}
	if n := len(tokensOf(t, s, u)); n != 1 {
		t.Errorf("%d tokens", n)
	}
}

func deleteRace(t *testing.T, s users.Store) {
	u, k := create(t, s)
	split(t, "Delete", together(8, func(int) error { return s.Delete(ctx(t), u.Name) }), 1, users.ErrUnknown)
	unknown(t, s, "afterwards", k)
}

func changeRace(t *testing.T, s users.Store) {
	u, k := create(t, s)
	u.Overrides, u.Disabled, u.Keys = someOverrides(), true, map[string][]byte{"one": {1}, "two": {2}}
	k2 := newToken()
	errs := together(5, func(i int) error {
		switch i {
		case 0:
			return s.Override(ctx(t), u.Name, u.Overrides)
		case 1:
			return s.Disable(ctx(t), u.Name, true)
		case 2:
			return s.SetKey(ctx(t), u.Name, u.ID, "one", []byte{1})
		case 3:
			return s.SetKey(ctx(t), u.Name, u.ID, "two", []byte{2})
		default:
			return s.AddToken(ctx(t), u.Name, u.ID, k2)
		}
	})
	split(t, "all changes", errs, len(errs), nil)
	same(t, "by the first token", find(t, s, k), u)
	same(t, "by the second token", find(t, s, k2), u)
}

func givenRace(t *testing.T, s users.Store) {
	for range 12 {
		u, _ := create(t, s)
		k := newToken()
		errs := together(2, func(i int) error {
			if i == 0 {
				return s.Delete(ctx(t), u.Name)
			}
			return s.AddToken(ctx(t), u.Name, u.ID, k)
		})
		done(t, "Delete", errs[0])
		if errs[1] != nil {
			wantError(t, "AddToken", errs[1], users.ErrUnknown)
		}
		unknown(t, s, "of who has gone", k)
		done(t, "Create", s.Create(ctx(t), newUser(u.Name), newToken()))
		unknown(t, s, "of who has gone, once the name is taken again", k)
	}
}

// takenRace: a Delete never takes tokens of the next one who has the name.
func takenRace(t *testing.T, s users.Store) {
	for range 12 {
		old, oldToken := create(t, s)
		u, k := newUser(old.Name), newToken()
		errs := together(2, func(i int) error {
			if i == 0 {
				return s.Delete(ctx(t), old.Name)
			}
			return s.Create(ctx(t), u, k)
		})
		done(t, "Delete", errs[0])
		unknown(t, s, "of the old one", oldToken)
		switch got, _, err := s.Find(ctx(t), k.Hash); {
		case errs[1] == nil && err == nil:
			same(t, "the new one", got, u)
		case errs[1] == nil:
			// The name was free: the Delete was before, and has nothing to do with it.
			t.Errorf("Find of the new one: %v", err)
		default:
			wantError(t, "Create", errs[1], users.ErrTaken)
			wantError(t, "Find of the loser", err, users.ErrUnknown)
		}
	}
}
