package userstest

import (
	"slices"
	"strings"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/users"
)

// lists are scenarios of List.
var lists = []scenario{
	{"pages of users", pages},
	{"no page at all", noPage},
}

// crowd makes users whose names begin alike, and so stand together in the list. It
// returns the beginning, and them in order.
func crowd(t *testing.T, s users.Store) (string, []users.User) {
	t.Helper()
	prefix := newName() + "-"
	var all []users.User
	for _, end := range []string{"z", "10", "_", "a", "9", "-", "a_", "1", "aa"} {
		u := newUser(prefix + end)
		u.Overrides.Concurrency = len(all)
		done(t, "Create", s.Create(ctx(t), u, newToken()))
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b users.User) int { return strings.Compare(a.Name, b.Name) })
	return prefix, all
}

func pages(t *testing.T, s users.Store) {
	prefix, all := crowd(t, s)
	for _, limit := range []int{1, 2, 4, len(all), len(all) + 1} {
		var got []users.User
		after, rest := prefix, true
		for rest {
			page := list(t, s, after, limit)
			for _, u := range page {
				if rest = rest && strings.HasPrefix(u.Name, prefix); rest {
					got = append(got, u)
				}
			}
			rest = rest && len(page) > 0
			if rest {
				after = page[len(page)-1].Name
			}
		}
		if len(got) != len(all) {
			t.Fatalf("in pages of %d: %d users, want %d", limit, len(got), len(all))
		}
		for i := range all {
			same(t, "List", got[i], all[i])
		}
	}
	gap := list(t, s, all[3].Name+"--", 1) // nobody is called so
	if len(gap) != 1 {
		t.Fatalf("after a name that nobody has: %d users", len(gap))
	}
	same(t, "after a name that nobody has", gap[0], all[4])

	done(t, "Disable", s.Disable(ctx(t), all[1].Name, true))
	done(t, "Delete", s.Delete(ctx(t), all[2].Name))
	all[1].Disabled = true
	page := list(t, s, all[0].Name, 2)
	if len(page) != 2 {
		t.Fatalf("once one is deleted: %d users", len(page))
	}
	same(t, "disabled", page[0], all[1])
	same(t, "behind the deleted", page[1], all[3])
}

func noPage(t *testing.T, s users.Store) {
	crowd(t, s)
	for _, limit := range []int{0, -1} {
		if got, err := s.List(ctx(t), "", limit); err != nil || len(got) != 0 {
			t.Errorf("up to %d: %d users, %v", limit, len(got), err)
		}
	}
	if got, err := s.List(ctx(t), "zzzzzzzz", 3); err != nil || len(got) != 0 {
		t.Errorf("behind all: %d users, %v", len(got), err)
	}
}

// list returns a page, which must be in order and hold nobody twice.
func list(t *testing.T, s users.Store, after string, limit int) []users.User {
	t.Helper()
	page, err := s.List(ctx(t), after, limit)
	done(t, "List", err)
	if len(page) > limit {
		t.Errorf("%d users, at most %d were wanted", len(page), limit)
	}
	for _, u := range page {
		if u.Name <= after {
			t.Errorf("%q is behind %q", u.Name, after)
		}
		after = u.Name
	}
	return page
}
