package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
	"github.com/universal-ai-gateway/magicproxy/state"
	"github.com/universal-ai-gateway/magicproxy/state/statetest"
)

// leasing makes a store's leases last another time, before it is used.
func leasing(s *Store, ttl time.Duration) *Store {
	s.sessions.(*sessions).leaseTTL = ttl
	return s
}

func sessionKey() state.SessionKey { return state.SessionKey{User: "user", ID: state.NewSessionID()} }

func begin(t testing.TB, s *Store, key state.SessionKey) state.Lease {
	t.Helper()
	l, err := s.Sessions().Begin(t.Context(), key, state.Opening{Agent: "agent"})
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	return l
}

func save(t testing.TB, l state.Lease, phase int) {
	t.Helper()
	if err := l.Save(t.Context(), state.Session{Agent: "agent", Phase: phase}); err != nil {
		t.Errorf("Save: %v", err)
	}
}

func release(t testing.TB, l state.Lease) {
	t.Helper()
	if err := l.Release(t.Context()); err != nil {
		t.Errorf("Release: %v", err)
	}
}

// holds polls until a session is as it is to be.
func holds(t testing.TB, s *Store, key state.SessionKey, phase int, running bool) {
	t.Helper()
	await(t, fmt.Sprintf("the session is in phase %d, running: %t", phase, running), func() bool {
		got, err := s.Sessions().Get(t.Context(), key)
		return err == nil && got.Phase == phase && got.Running == running
	})
}

func refusesBegin(t testing.TB, s *Store, key state.SessionKey, want error) {
	t.Helper()
	if _, err := s.Sessions().Begin(t.Context(), key, state.Opening{}); !errors.Is(err, want) {
		t.Errorf("Begin: %v, not %v", err, want)
	}
}

// ends waits for the end of a run.
func ends(t testing.TB, l state.Lease, want error) {
	t.Helper()
	await(t, "the run ends", func() bool { return l.Context().Err() != nil })
	if err := context.Cause(l.Context()); !errors.Is(err, want) {
		t.Errorf("it ended with %v, not %v", err, want)
	}
}

// contract: A12
func TestSessions(t *testing.T) {
	statetest.Sessions(t, func(t *testing.T) state.Sessions { return shared(t, Options{Wait: calm}).Sessions() })
}

func TestSessionsOfTwoStores(t *testing.T) { commonSessions(t, on(backendtest.Shared(t, "redis"))) }

func TestSessionsOnCluster(t *testing.T) {
	url, _, _ := startCluster(t)
	open := func(t *testing.T) (a, b *Store) {
		o := Options{Prefix: backendtest.RedisPrefix(t), Wait: calm}
		return connect(t, url, o), connect(t, url, o)
	}
	t.Run("suite", func(t *testing.T) {
		statetest.Sessions(t, func(t *testing.T) state.Sessions { a, _ := open(t); return a.Sessions() })
	})
	commonSessions(t, open)
}

// commonSessions says whether two stores have the same sessions.
func commonSessions(t *testing.T, open pair) {
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, a, b *Store)
	}{
		{"a session goes on elsewhere", goesOn},
		{"one of a thousand has it", oneOfAThousand},
		{"a run is cancelled from elsewhere", func(t *testing.T, a, b *Store) { cancelledElsewhere(t, leasing(a, 10*time.Hour), b) }},
		{"also where the news does not come", func(t *testing.T, a, b *Store) { cancelledSilently(t, leasing(a, 3*time.Second), b, false) }},
		{"at once if it may not have come", func(t *testing.T, a, b *Store) { cancelledSilently(t, leasing(a, 10*time.Hour), b, true) }},
		{"a user's are bounded", boundedSessions},
		{"all are listed", listedSessions},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, b := open(t)
			tc.run(t, a, b)
		})
	}
}

// contract: A12
// security: X6
func goesOn(t *testing.T, a, b *Store) {
	key := sessionKey()
	l := begin(t, a, key)
	if err := l.Save(t.Context(), state.Session{Agent: "agent", Phase: 2, Steps: 3, Notebook: []string{"one", "zwei ✓"}}); err != nil {
		t.Fatal(err)
	}
	refusesBegin(t, b, key, state.ErrBusy)
	release(t, l)
	l = begin(t, b, key)
	if s := l.Session(); s.Phase != 2 || s.Steps != 3 || len(s.Notebook) != 2 || s.Notebook[1] != "zwei ✓" {
		t.Errorf("%+v", s)
	}
	other := key
	other.User = "somebody else"
	if _, err := a.Sessions().Get(t.Context(), other); !errors.Is(err, state.ErrUnknown) {
		t.Errorf("somebody else's: %v", err)
	}
	if err := a.Sessions().Cancel(t.Context(), other); !errors.Is(err, state.ErrUnknown) {
		t.Errorf("somebody else's: %v", err)
	}
	release(t, l)
}

// contract: A12 (a second runner)
func oneOfAThousand(t *testing.T, a, b *Store) {
	key := sessionKey()
	var got atomic.Int32
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			switch _, err := []*Store{a, b}[i%2].Sessions().Begin(t.Context(), key, state.Opening{}); {
			case err == nil:
				got.Add(1)
			case !errors.Is(err, state.ErrBusy):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got.Load() != 1 {
		t.Errorf("%d have it", got.Load())
	}
}

// contract: A12 (cancel)
func cancelledElsewhere(t *testing.T, a, b *Store) {
	for range 2 { // the first may have come with the connection
		key := sessionKey()
		l := begin(t, a, key)
		from := time.Now()
		if err := b.Sessions().Cancel(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		select {
		case <-l.Context().Done():
		case <-time.After(deadline):
			t.Fatal("the run goes on")
		}
		t.Logf("cancelled after %s", time.Since(from))
		ends(t, l, state.ErrCancelled)
		save(t, l, 1)
		refusesBegin(t, b, key, state.ErrBusy) // it winds up
		release(t, l)
		next := begin(t, a, key) // is not concerned
		a.sessions.(*sessions).hear(nil)
		save(t, next, 2)
		if err := next.Context().Err(); err != nil {
			t.Error(err)
		}
		release(t, next)
	}
}

// A renewal tells of a cancel; one is made at once when news may have been missed.
//
// contract: A12 (cancel)
func cancelledSilently(t *testing.T, a, b *Store, missed bool) {
	key := sessionKey()
	l := begin(t, a, key)
	if _, _, err := b.sessions.(*sessions).find(t.Context(), key, "cancel"); err != nil { // tells nobody
		t.Fatal(err)
	}
	if missed {
		a.bus.local.Missed()
	}
	ends(t, l, state.ErrCancelled)
	release(t, l)
}

// security: X12
func boundedSessions(t *testing.T, s, b *Store) {
	s.sessions.(*sessions).max = 3
	key := func(n int) state.SessionKey {
		return state.SessionKey{User: "ann", ID: fmt.Sprintf("session-number-%d", n)}
	}
	var leases []state.Lease
	for n := range 3 {
		leases = append(leases, begin(t, s, key(n)))
	}
	refusesBegin(t, s, key(3), state.ErrFull)
	begin(t, s, state.SessionKey{User: "bob", ID: key(3).ID})
	release(t, leases[1])
	begin(t, s, key(3)) // in the place of what is idle
	if _, err := b.Sessions().Get(t.Context(), key(1)); !errors.Is(err, state.ErrUnknown) {
		t.Errorf("the idle one: %v", err)
	}
	refusesBegin(t, s, key(4), state.ErrFull)
	for n := range 5 { // those of nobody are not one user's
		if _, err := s.Sessions().Begin(t.Context(), state.SessionKey{ID: key(n).ID}, state.Opening{Issued: true}); err != nil {
			t.Errorf("an anonymous one: %v", err)
		}
	}
}

func listedSessions(t *testing.T, a, b *Store) {
	want := make(map[state.SessionKey]bool)
	for i := range 150 {
		key := state.SessionKey{User: []string{"ann", "bob", ""}[i%3], ID: state.NewSessionID()}
		l, err := a.Sessions().Begin(t.Context(), key, state.Opening{Agent: "agent", Issued: true})
		if err != nil {
			t.Fatal(err)
		}
		if want[key] = i%2 == 0; !want[key] {
			release(t, l)
		}
	}
	list := func(user string, limit, n int) {
		t.Helper()
		got, err := b.sessions.(state.Lister).List(t.Context(), user, limit)
		if err != nil || len(got) != n {
			t.Errorf("of %q up to %d: %d, %v", user, limit, len(got), err)
		}
		seen := make(map[state.SessionKey]bool)
		for _, l := range got {
			running, ok := want[l.Key]
			if !ok || seen[l.Key] || running != l.Session.Running || l.Session.Agent != "agent" || user != "" && l.Key.User != user {
				t.Errorf("of %q: %+v", user, l)
			}
			seen[l.Key] = true
		}
	}
	list("", 1000, 150)
	list("", 10, 10)
	list("ann", 1000, 50)
	list("ann", 7, 7)
	list("nobody", 7, 0)
	list("ann", 0, 0)
}

func BenchmarkSession(b *testing.B) {
	turn := func(b *testing.B, s *Store, key state.SessionKey) {
		l := begin(b, s, key)
		if err := errors.Join(l.Save(b.Context(), state.Session{Phase: 1}), l.Release(b.Context())); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("one", func(b *testing.B) {
		s := shared(b, Options{Wait: calm})
		key := sessionKey()
		b.ReportAllocs()
		for b.Loop() {
			turn(b, s, key)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		s := shared(b, Options{Wait: calm})
		b.SetParallelism(32)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			key := sessionKey()
			for pb.Next() {
				turn(b, s, key)
			}
		})
	})
}
