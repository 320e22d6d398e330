package userstest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/users"
)

// patience bounds one call: a store that hangs fails its scenario.
const patience = 30 * time.Second

// newName returns a name that nobody has.
func newName() string { return "t-" + strings.ToLower(rand.Text()) }

// newHash returns the hash of a token that nobody has.
func newHash() (h users.Hash) {
	_, _ = rand.Read(h[:])
	return h
}

func newToken() users.Token {
	return users.Token{Hash: newHash(), ID: users.NewTokenID(), Created: now()}
}

func newUser(name string) users.User {
	return users.User{ID: users.NewUserID(), Name: name, Created: now()}
}

func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// ctx returns the context of one call.
func ctx(t *testing.T) context.Context {
	t.Helper()
	c, stop := context.WithTimeout(t.Context(), patience)
	t.Cleanup(stop)
	return c
}

// create makes a user with a token.
func create(t *testing.T, s users.Store) (users.User, users.Token) {
	t.Helper()
	u, k := newUser(newName()), newToken()
	done(t, "Create", s.Create(ctx(t), u, k))
	return u, k
}

// addToken gives a user a further token.
func addToken(t *testing.T, s users.Store, u users.User) users.Token {
	t.Helper()
	k := newToken()
	done(t, "AddToken", s.AddToken(ctx(t), u.Name, u.ID, k))
	return k
}

// find looks a token up that is known.
func find(t *testing.T, s users.Store, k users.Token) users.User {
	t.Helper()
	u, got, err := s.Find(ctx(t), k.Hash)
	if err != nil {
		t.Fatalf("Find: %v", err)
	}
	sameToken(t, "Find", got, k)
	return u
}

// unknown looks a token up that must not be known.
func unknown(t *testing.T, s users.Store, when string, k users.Token) {
	t.Helper()
	u, got, err := s.Find(ctx(t), k.Hash)
	wantError(t, "Find "+when, err, users.ErrUnknown)
	if u.ID != "" || got.ID != "" {
		t.Errorf("Find %s: an unknown token brings %q and %q", when, u.ID, got.ID)
	}
}

func get(t *testing.T, s users.Store, name string) users.User {
	t.Helper()
	u, err := s.Get(ctx(t), name)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return u
}

// tokensOf lists a user's tokens.
func tokensOf(t *testing.T, s users.Store, u users.User) []users.Token {
	t.Helper()
	got, err := s.Tokens(ctx(t), u.Name, u.ID)
	if err != nil {
		t.Fatalf("Tokens: %v", err)
	}
	return got
}

func done(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// same compares users; no keys are the same as an empty map of them. That Allow and
// Limits are nil is not the same as that they are empty.
func same(t *testing.T, when string, got, want users.User) {
	t.Helper()
	if got.ID != want.ID || got.Name != want.Name || got.Disabled != want.Disabled ||
		!reflect.DeepEqual(got.Overrides, want.Overrides) || !maps.EqualFunc(got.Keys, want.Keys, bytes.Equal) {
		t.Errorf("%s: got %+v, want %+v", when, got, want)
	}
	sameTime(t, when, got.Created, want.Created)
}

func sameToken(t *testing.T, when string, got, want users.Token) {
	t.Helper()
	if got.Hash != want.Hash || got.ID != want.ID {
		t.Errorf("%s: got token %q, want %q", when, got.ID, want.ID)
	}
	sameTime(t, when, got.Created, want.Created)
}

func sameTime(t *testing.T, when string, got, want time.Time) {
	t.Helper()
	if !got.Equal(want) || got.Location() != time.UTC {
		t.Errorf("%s: created %v, want %v", when, got, want)
	}
}

// sameTokens compares lists; want is in the order in which they must come.
func sameTokens(t *testing.T, when string, got []users.Token, want ...users.Token) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d tokens, want %d", when, len(got), len(want))
		return
	}
	for i := range want {
		sameToken(t, when, got[i], want[i])
	}
}

// together runs do n times at once and returns the errors.
func together(n int, do func(i int) error) []error {
	var wg sync.WaitGroup
	errs, start := make([]error, n), make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = do(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// split requires that good of the errors are nil, and all others are other. It
// returns which ones are nil.
func split(t *testing.T, what string, errs []error, good int, other error) []int {
	t.Helper()
	var which []int
	for i, err := range errs {
		switch {
		case err == nil:
			which = append(which, i)
		case !errors.Is(err, other):
			t.Errorf("%s: got %v, want nil or %v", what, err, other)
		}
	}
	if len(which) != good {
		t.Errorf("%s: %d of %d succeed, want %d", what, len(which), len(errs), good)
	}
	return which
}

// among reports whether i is one of which.
func among(which []int, i int) bool { return slices.Contains(which, i) }
