package mongodb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
	"github.com/universal-ai-gateway/magicproxy/users"
)

const (
	enough = 500 * time.Millisecond // for a call to say that the backend is away
	back   = 2 * time.Second        // for a store to find that it is not
)

// calls are all calls of a store, for a user who exists.
func calls(s *Store, u users.User, k users.Token) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Find":        func(ctx context.Context) error { _, _, err := s.Find(ctx, k.Hash); return err },
		"Get":         func(ctx context.Context) error { _, err := s.Get(ctx, u.Name); return err },
		"List":        func(ctx context.Context) error { _, err := s.List(ctx, "", 10); return err },
		"Tokens":      func(ctx context.Context) error { _, err := s.Tokens(ctx, u.Name, u.ID); return err },
		"Create":      func(ctx context.Context) error { return s.Create(ctx, users.User{Name: word()}, token(u.Created)) },
		"AddToken":    func(ctx context.Context) error { return s.AddToken(ctx, u.Name, u.ID, token(u.Created)) },
		"Disable":     func(ctx context.Context) error { return s.Disable(ctx, u.Name, true) },
		"Override":    func(ctx context.Context) error { return s.Override(ctx, u.Name, users.Overrides{}) },
		"SetKey":      func(ctx context.Context) error { return s.SetKey(ctx, u.Name, u.ID, "provider", []byte("sealed")) },
		"RemoveToken": func(ctx context.Context) error { _, err := s.RemoveToken(ctx, u.Name, u.ID, "tok_none"); return err },
		"ReplaceToken": func(ctx context.Context) error {
			_, err := s.ReplaceToken(ctx, u.Name, u.ID, "tok_none", token(u.Created))
			return err
		},
		"Delete": func(ctx context.Context) error { return s.Delete(ctx, word()) },
	}
}

// away makes all calls for d and wants each to fail in time with an error that
// says nothing of the user.
func away(t *testing.T, s *Store, u users.User, k users.Token, d time.Duration) {
	t.Helper()
	all := calls(s, u, k)
	slowest := make(map[string]time.Duration)
	n := 0
	for began := time.Now(); time.Since(began) < d || n < 1; n++ {
		// Look-ups first: that is what comes in when the backend goes away.
		for _, name := range slices.Concat([]string{"Find"}, slices.Sorted(maps.Keys(all))) {
			start := time.Now()
			err := all[name](t.Context())
			took := time.Since(start)
			slowest[name] = max(slowest[name], took)
			if took > enough {
				t.Errorf("%s took %v", name, took)
			}
			if _, ok := errors.AsType[*trouble](err); !ok {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if h := s.Health(); h.Up || h.Error == "" || h.Since.IsZero() {
		t.Errorf("%+v", h)
	}
	t.Logf("%d rounds; the slowest: %v; %s", n, slowest, s.Health().Error)
}

// fault: K2
func TestKilled(t *testing.T) {
	server := backendtest.Mongo(t)
	s := quickStore(t, server.Addr)
	defer closeStore(t, s)
	works(t, s, 10*time.Second)
	u, k := create(t, s)
	before := s.Health()
	if !before.Up || before.Since.IsZero() {
		t.Errorf("before: %+v", before)
	}

	server.Kill()
	away(t, s, u, k, 5*time.Second)

	server.Start()
	began := time.Now()
	works(t, s, back)
	t.Logf("back after %v", time.Since(began))
	if h := s.Health(); !h.Up || h.Error != "" || !h.Since.After(before.Since) {
		t.Errorf("afterwards: %+v", h)
	}
	if got, _, err := s.Find(t.Context(), k.Hash); err != nil || !reflect.DeepEqual(got, u) {
		t.Errorf("the user: %v, %v", got, err)
	}
	create(t, s)

	// A write that comes first waits for a server no longer than others do.
	server.Kill()
	began = time.Now()
	err := s.Disable(t.Context(), u.Name, true)
	if _, ok := errors.AsType[*trouble](err); !ok {
		t.Errorf("Disable: %v", err)
	}
	if d := time.Since(began); d > enough {
		t.Errorf("took %v", d)
	}
}

// fault: K2
func TestFrozen(t *testing.T) {
	server := backendtest.Mongo(t)
	s := quickStore(t, server.Addr)
	defer closeStore(t, s)
	works(t, s, 10*time.Second)
	u, k := create(t, s)

	server.Freeze()
	away(t, s, u, k, 5*time.Second)

	server.Thaw()
	began := time.Now()
	works(t, s, back)
	t.Logf("back after %v", time.Since(began))
	create(t, s)

	// A write that comes first can't know, and takes its own time.
	server.Freeze()
	defer server.Thaw()
	began = time.Now()
	if err := s.Disable(t.Context(), u.Name, true); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Disable: %v", err)
	}
	if d := time.Since(began); d > change+200*time.Millisecond {
		t.Errorf("took %v", d)
	}
	if s.Health().Up {
		t.Error("it counts as up")
	}
}

// Health tells that the backend is back when nobody calls.
//
// fault: K2
func TestHealthRecoversByItself(t *testing.T) {
	server := backendtest.Mongo(t)
	s := quickStore(t, server.Addr)
	defer closeStore(t, s)
	works(t, s, 10*time.Second)
	server.Kill()
	if _, err := s.Get(t.Context(), "nobody"); err == nil || s.Health().Up {
		t.Fatalf("%v, %+v", err, s.Health())
	}
	server.Start()
	eventually(t, 5*time.Second, "up", func() bool { return s.Health().Up })
}

// fault: K2
func TestAbsentAtStart(t *testing.T) {
	server := backendtest.Mongo(t)
	server.Kill()
	s := quickStore(t, server.Addr)
	defer closeStore(t, s)
	for range 2 {
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
	}
	u, k := newPerson()
	away(t, s, u, k, time.Second)
	if e := s.Health().Error; !strings.Contains(e, "refused") {
		t.Errorf("health does not say why: %s", e)
	}
	server.Start()
	works(t, s, back)
	if err := s.Create(t.Context(), u, k); err != nil {
		t.Fatal(err)
	}
	c := raw(t, s)
	eventually(t, 10*time.Second, "prepared", func() bool {
		_, err := c.tokens.InsertOne(t.Context(), bson.D{{Key: "_id", Value: word()}})
		return refusesValue(err)
	})
}

// Whatever has been reported as done is there after the server was killed.
func TestAcknowledgedWritesSurvive(t *testing.T) {
	server := backendtest.Mongo(t)
	s := quickStore(t, server.Addr)
	defer closeStore(t, s)
	works(t, s, 10*time.Second)
	var mu sync.Mutex
	state := make(map[users.Hash]*users.User) // nil for what does not exist any more
	note := func(h users.Hash, u *users.User) {
		mu.Lock()
		defer mu.Unlock()
		state[h] = u
	}
	total := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(state)
	}
	for round := range 3 {
		want := total() + 60
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Go(func() {
				for i := 0; ; i++ {
					u, k := newPerson()
					if s.Create(t.Context(), u, k) != nil {
						return
					}
					note(k.Hash, &u)
					if (i+worker)%3 == 0 {
						continue
					}
					if s.Disable(t.Context(), u.Name, true) != nil {
						note(k.Hash, &users.User{}) // either way
						return
					}
					u2 := u
					u2.Disabled = true
					note(k.Hash, &u2)
					if (i+worker)%3 == 1 {
						continue
					}
					if s.Delete(t.Context(), u.Name) != nil {
						note(k.Hash, &users.User{})
						return
					}
					note(k.Hash, nil)
				}
			})
		}
		eventually(t, 60*time.Second, fmt.Sprintf("at %d users", want), func() bool { return total() >= want })
		server.Kill()
		wg.Wait()
		server.Start()
		works(t, s, 10*time.Second)
		for h, u := range state {
			got, _, err := s.Find(t.Context(), h)
			switch {
			case u == nil:
				wantError(t, "a user who was deleted", err, users.ErrUnknown)
			case u.Name == "":
			case err != nil || !reflect.DeepEqual(got, *u):
				t.Errorf("round %d: got %v, %v; want %v", round, got, err, *u)
			}
		}
	}
	t.Logf("%d users", total())
}
