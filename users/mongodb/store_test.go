package mongodb

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
	"github.com/universal-ai-gateway/magicproxy/users"
)

// newStore makes a store with a database of its own on a server that is there. It
// is patient: a busy machine is not what most tests are about.
func newStore(t testing.TB, url string) *Store {
	t.Helper()
	s := quickStore(t, url)
	s.lookup, s.change = 20*time.Second, 20*time.Second
	t.Cleanup(func() { closeStore(t, s) })
	works(t, s, 10*time.Second)
	return s
}

// quickStore makes a store as everybody has it, for the caller to close.
func quickStore(t testing.TB, url string) *Store {
	t.Helper()
	s, err := New(url, Options{Database: backendtest.MongoDatabase(t)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// works waits until the store does.
func works(t testing.TB, s *Store, d time.Duration) {
	t.Helper()
	eventually(t, d, "working", func() bool {
		_, err := s.Get(context.Background(), "nobody")
		return errors.Is(err, users.ErrUnknown)
	})
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// raw returns what a store works with.
func raw(t testing.TB, s *Store) *connection {
	t.Helper()
	c, err := s.connected(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// word returns something that is there once.
func word() string { return strings.ToLower(rand.Text())[:16] }

func newPerson() (users.User, users.Token) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	return users.User{ID: "user_" + word(), Name: word(), Created: now}, token(now)
}

func token(created time.Time) users.Token {
	return users.Token{Hash: users.HashToken(rand.Text()), ID: "tok_" + word(), Created: created}
}

func create(t testing.TB, s *Store) (users.User, users.Token) {
	t.Helper()
	u, k := newPerson()
	if err := s.Create(t.Context(), u, k); err != nil {
		t.Fatalf("Create: %v", err)
	}
	return u, k
}

func wantError(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, not %v", what, err, want)
	}
}

// eventually waits for what has to become true within d.
func eventually(t testing.TB, d time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(d)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("after %v: still not %s", d, what)
		case <-tick.C:
		}
	}
}

func TestOverridesAreKeptAsTheyAre(t *testing.T) {
	s := newStore(t, backendtest.Shared(t, "mongodb"))
	for name, o := range map[string]users.Overrides{
		"none":        {},
		"all":         {Allow: []string{"fast", "gpt-*"}, Limits: []users.Limit{{N: 3, Window: time.Minute + 1}, {N: 1 << 40, Window: time.Hour}}, Concurrency: 7},
		"empty lists": {Allow: []string{}, Limits: []users.Limit{}},
	} {
		t.Run(name, func(t *testing.T) {
			u, _ := newPerson()
			u.Overrides = o
			if err := s.Create(t.Context(), u, token(u.Created)); err != nil {
				t.Fatal(err)
			}
			made, err := s.Get(t.Context(), u.Name)
			if err != nil || !reflect.DeepEqual(made, u) {
				t.Errorf("created: got %#v, %v\nwant %#v", made, err, u)
			}
			v, _ := create(t, s)
			if err := s.Override(t.Context(), v.Name, o); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Get(t.Context(), v.Name); err != nil || !reflect.DeepEqual(got.Overrides, o) {
				t.Errorf("set: got %#v, %v\nwant %#v", got.Overrides, err, o)
			}
		})
	}
}

// What interrupted calls leave in the collection of tokens is no way in, and the
// names that are no longer taken let nobody else's token work.
//
// security: X3
func TestTokenThatTheUserDoesNotList(t *testing.T) {
	s := newStore(t, backendtest.Shared(t, "mongodb"))
	u, _ := create(t, s)
	c := raw(t, s)
	orphan := token(u.Created)
	for name, owner := range map[string]string{"of a user": u.Name, "of nobody": word()} {
		orphan.Hash = users.HashToken(word())
		if _, err := c.tokens.InsertOne(t.Context(), tokenDocument{orphan.Hash[:], owner}); err != nil {
			t.Fatal(err)
		}
		_, _, err := s.Find(t.Context(), orphan.Hash)
		wantError(t, name, err, users.ErrUnknown)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	s := newStore(t, backendtest.Shared(t, "mongodb"))
	u, first := create(t, s)
	c := raw(t, s)

	loser, lost := newPerson()
	loser.Name = u.Name
	wantError(t, "the same name", s.Create(t.Context(), loser, lost), users.ErrTaken)
	other, _ := newPerson()
	wantError(t, "the same token", s.Create(t.Context(), other, first), users.ErrTaken)
	wantError(t, "the same token for the same user", s.AddToken(t.Context(), u.Name, u.ID, first), users.ErrTaken)
	wantError(t, "for another id", s.AddToken(t.Context(), u.Name, other.ID, token(u.Created)), users.ErrUnknown)
	for range users.MaxTokens - 1 {
		if err := s.AddToken(t.Context(), u.Name, u.ID, token(u.Created)); err != nil {
			t.Fatal(err)
		}
	}
	wantError(t, "one more", s.AddToken(t.Context(), u.Name, u.ID, token(u.Created)), users.ErrTooMany)
	if _, err := s.RemoveToken(t.Context(), u.Name, u.ID, first.ID); err != nil {
		t.Fatal(err)
	}
	count(t, c.tokens, users.MaxTokens-1)
	count(t, c.users, 1)
	if err := s.Delete(t.Context(), u.Name); err != nil {
		t.Fatal(err)
	}
	count(t, c.tokens, 0)
	count(t, c.users, 0)
}

func count(t *testing.T, c *mongo.Collection, want int64) {
	t.Helper()
	if n, err := c.CountDocuments(t.Context(), bson.D{}); err != nil || n != want {
		t.Errorf("%s: %d documents, %v; want %d", c.Name(), n, err, want)
	}
}

func TestBoundsHoldUnderConcurrency(t *testing.T) {
	s := newStore(t, backendtest.Shared(t, "mongodb"))
	const more = 8
	t.Run("tokens", func(t *testing.T) {
		u, _ := create(t, s)
		added := race(users.MaxTokens+more, func(int) error { return s.AddToken(t.Context(), u.Name, u.ID, token(u.Created)) })
		all, err := s.Tokens(t.Context(), u.Name, u.ID)
		if err != nil || len(all) != users.MaxTokens || added[nil] != users.MaxTokens-1 || added[users.ErrTooMany] != more+1 {
			t.Errorf("%d tokens, %v; %v", len(all), err, added)
		}
		for _, k := range all {
			if _, got, err := s.Find(t.Context(), k.Hash); err != nil || got != k {
				t.Errorf("a token that is listed: %v, %v", got, err)
			}
		}
	})
	t.Run("keys", func(t *testing.T) {
		u, _ := create(t, s)
		set := race(4*(users.MaxKeys+more), func(i int) error {
			return s.SetKey(t.Context(), u.Name, u.ID, fmt.Sprintf("p.$%d", i%(users.MaxKeys+more)), []byte{byte(i)})
		})
		got, err := s.Get(t.Context(), u.Name)
		if err != nil || len(got.Keys) != users.MaxKeys || set[nil] < users.MaxKeys || set[nil]+set[users.ErrTooMany] != 4*(users.MaxKeys+more) {
			t.Errorf("%d keys, %v; %v", len(got.Keys), err, set)
		}
	})
	t.Run("a key that comes and goes", func(t *testing.T) {
		u, _ := create(t, s)
		got := race(64, func(i int) error {
			var key []byte
			if i%2 == 0 {
				key = []byte("sealed")
			}
			return s.SetKey(t.Context(), u.Name, u.ID, "provider", key)
		})
		var d userDocument
		if err := find(t.Context(), raw(t, s).users, byName(u.Name), &d); err != nil || len(d.Keys) > 1 || got[nil] != 64 {
			t.Errorf("%d keys, %v; %v", len(d.Keys), err, got)
		}
	})
}

// race runs f n times at once, and counts what came of it.
func race(n int, f func(i int) error) map[error]int {
	var wg sync.WaitGroup
	var mu sync.Mutex
	results := make(map[error]int)
	for i := range n {
		wg.Go(func() {
			err := f(i)
			mu.Lock()
			defer mu.Unlock()
			results[err]++
		})
	}
	wg.Wait()
	return results
}

func TestWhatIsNotThere(t *testing.T) {
	s := newStore(t, backendtest.Shared(t, "mongodb"))
	u, k := create(t, s)
	for _, name := range []string{"", "$ne", "a.b", "nul\x00", `{"$gt":""}`, strings.Repeat("a", 65), "\xff", word()} {
		_, err := s.Get(t.Context(), name)
		wantError(t, fmt.Sprintf("Get %q", name), err, users.ErrUnknown)
		wantError(t, fmt.Sprintf("Delete %q", name), s.Delete(t.Context(), name), users.ErrUnknown)
		_, err = s.Tokens(t.Context(), u.Name, name)
		wantError(t, fmt.Sprintf("Tokens of id %q", name), err, users.ErrUnknown)
		_, err = s.RemoveToken(t.Context(), u.Name, u.ID, name)
		wantError(t, fmt.Sprintf("RemoveToken %q", name), err, users.ErrUnknown)
		if err := s.SetKey(t.Context(), u.Name, u.ID, name, []byte(name)); err != nil {
			t.Errorf("a key for %q: %v", name, err)
		}
		if got, err := s.Get(t.Context(), u.Name); err != nil || string(got.Keys[name]) != name || len(got.Keys) != 1 {
			t.Errorf("the key for %q: %v, %v", name, got.Keys, err)
		}
		if err := s.SetKey(t.Context(), u.Name, u.ID, name, nil); err != nil {
			t.Errorf("no key for %q: %v", name, err)
		}
		_, err = s.List(t.Context(), name, 10)
		if err != nil {
			t.Errorf("List after %q: %v", name, err)
		}
	}
	if got, _, err := s.Find(t.Context(), k.Hash); err != nil || !reflect.DeepEqual(got, u) {
		t.Errorf("afterwards: %v, %v", got, err)
	}
}

// Many callers at once see each other's users, and only whole ones.
func TestConcurrency(t *testing.T) {
	s := newStore(t, backendtest.Shared(t, "mongodb"))
	var found atomic.Int64
	got := race(32, func(int) error {
		for range 5 {
			u, k := newPerson()
			if err := s.Create(t.Context(), u, k); err != nil {
				return err
			}
			if got, _, err := s.Find(t.Context(), k.Hash); err != nil || !reflect.DeepEqual(got, u) {
				return fmt.Errorf("found %v, %w", got, err)
			}
			found.Add(1)
			if err := s.Delete(t.Context(), u.Name); err != nil {
				return err
			}
			if _, _, err := s.Find(t.Context(), k.Hash); !errors.Is(err, users.ErrUnknown) {
				return fmt.Errorf("after Delete: %w", err)
			}
		}
		return nil
	})
	if got[nil] != 32 || found.Load() != 160 {
		t.Errorf("%v; %d found", got, found.Load())
	}
}

// The collections get their rules also when a first user was quicker.
func TestPrepare(t *testing.T) {
	for _, existing := range []bool{false, true} {
		t.Run(fmt.Sprintf("collections exist %t", existing), func(t *testing.T) {
			s := newStore(t, backendtest.Shared(t, "mongodb"))
			ctx := t.Context()
			if existing {
				other := newStore(t, backendtest.Shared(t, "mongodb"))
				db := raw(t, other).client.Database(s.database)
				if _, err := db.Collection("users").InsertOne(ctx, newUser(newPerson())); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Start(); err != nil {
				t.Fatal(err)
			}
			c := raw(t, s)
			eventually(t, 10*time.Second, "prepared", func() bool {
				_, err := c.users.InsertOne(ctx, bson.D{{Key: "_id", Value: word()}, {Key: "name", Value: "of another program"}})
				_, err2 := c.tokens.InsertOne(ctx, bson.D{{Key: "_id", Value: word()}})
				return refusesValue(err) && refusesValue(err2)
			})
			create(t, s)
		})
	}
}

func TestDocumentOfAnotherProgram(t *testing.T) {
	s := newStore(t, backendtest.Shared(t, "mongodb"))
	name := word()
	c := raw(t, s)
	_, err := c.users.InsertOne(t.Context(), bson.D{{Key: "_id", Value: name}, {Key: "id", Value: 7}},
		options.InsertOne().SetBypassDocumentValidation(true))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Get(t.Context(), name)
	wantError(t, "Get", err, errMalformed)
	if h := s.Health(); !h.Up {
		t.Errorf("the backend works: %+v", h)
	}
	if err := s.Delete(t.Context(), name); err != nil {
		t.Errorf("Delete: %v", err)
	}
}
