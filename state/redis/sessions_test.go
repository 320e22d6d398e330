package redis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
	"github.com/universal-ai-gateway/magicproxy/state"
	"github.com/universal-ai-gateway/magicproxy/state/statetest"
)

// leasing makes a store's leases shorter, before it is used.
func leasing(s *Store, ttl time.Duration) *Store {
	s.sessions.(*sessions).leaseTTL = ttl
	return s
}

func sessionKey() state.SessionKey { return state.SessionKey{User: "user", ID: state.NewSessionID()} }

func begin(t testing.TB, s *Store, key state.SessionKey) state.Lease {
	t.Helper()
	l, err := s.Sessions().Begin(t.Context(), key, state.Opening{Agent: "agent"})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// eventually polls until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !holds(); time.Sleep(5 * time.Millisecond) { //nolint:forbidigo // between two looks
		if time.Now().After(end) {
			t.Fatalf("it is still not so that %s", what)
		}
	}
}

// contract: A12
func TestSessions(t *testing.T) {
	statetest.Sessions(t, func(t *testing.T) state.Sessions { return shared(t, Options{Wait: calm}).Sessions() })
}

// contract: A12
// security: X6
func TestSessionsOfTwoStores(t *testing.T) {
	open := on(backendtest.Shared(t, "redis"))
	t.Run("a session goes on elsewhere", func(t *testing.T) {
		a, b := open(t)
		key := sessionKey()
		l := begin(t, a, key)
		if err := l.Save(t.Context(), state.Session{Agent: "agent", Phase: 2, Steps: 3, Notebook: []string{"one", "zwei ✓"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Sessions().Begin(t.Context(), key, state.Opening{}); !errors.Is(err, state.ErrBusy) {
			t.Errorf("a second runner elsewhere: %v", err)
		}
		if err := l.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := begin(t, b, key)
		if s := got.Session(); s.Phase != 2 || s.Steps != 3 || len(s.Notebook) != 2 || s.Notebook[1] != "zwei ✓" {
			t.Errorf("%+v", s)
		}
		other := key
		other.User = "somebody else"
		if _, err := a.Sessions().Get(t.Context(), other); !errors.Is(err, state.ErrUnknown) {
			t.Errorf("somebody else's: %v", err)
		}
		_ = got.Release(t.Context())
	})
	t.Run("one of a thousand has it", func(t *testing.T) {
		a, b := open(t)
		key := sessionKey()
		var got atomic.Int32
		var wg sync.WaitGroup
		for i := range 1000 {
			s := []*Store{a, b}[i%2]
			wg.Go(func() {
				switch _, err := s.Sessions().Begin(t.Context(), key, state.Opening{}); {
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
	})
	t.Run("a run is cancelled from elsewhere", func(t *testing.T) {
		a, b := open(t)
		key := sessionKey()
		l := begin(t, a, key)
		from := time.Now()
		if err := b.Sessions().Cancel(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		<-l.Context().Done()
		if err := context.Cause(l.Context()); !errors.Is(err, state.ErrCancelled) {
			t.Errorf("it ended with %v", err)
		}
		t.Logf("after %s", time.Since(from))
		if err := l.Save(t.Context(), state.Session{Phase: 1}); err != nil {
			t.Errorf("a cancelled run saves: %v", err)
		}
		if err := l.Release(t.Context()); err != nil {
			t.Error(err)
		}
		next := begin(t, b, key) // the next one is not concerned
		if err := next.Context().Err(); err != nil {
			t.Error(err)
		}
		_ = next.Release(t.Context())
	})
	t.Run("also where the news does not come", func(t *testing.T) {
		a, b := open(t)
		leasing(a, 600*time.Millisecond)
		key := sessionKey()
		l := begin(t, a, key)
		if _, _, err := b.sessions.(*sessions).look(t.Context(), key, "cancel"); err != nil { // tells nobody
			t.Fatal(err)
		}
		<-l.Context().Done()
		if err := context.Cause(l.Context()); !errors.Is(err, state.ErrCancelled) {
			t.Errorf("it ended with %v", err)
		}
		_ = l.Release(t.Context())
	})
}

// contract: A12 (renewed while running)
func TestLeaseRenewed(t *testing.T) {
	s := leasing(shared(t, Options{Wait: calm}), 500*time.Millisecond)
	key := sessionKey()
	l := begin(t, s, key)
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) { //nolint:forbidigo // time has to pass
		if _, err := s.Sessions().Begin(t.Context(), key, state.Opening{}); !errors.Is(err, state.ErrBusy) {
			t.Fatalf("while it runs: %v", err)
		}
	}
	if err := l.Save(t.Context(), state.Session{Phase: 1}); err != nil {
		t.Error(err)
	}
	if err := l.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// A run that is gone leaves its session free after the lease's time, and what it still
// says is not heard.
func TestLeaseTakenOver(t *testing.T) {
	a, b := on(backendtest.Shared(t, "redis"))(t)
	leasing(a, 500*time.Millisecond)
	key := sessionKey()
	ctx, leave := context.WithCancel(t.Context())
	l, err := a.Sessions().Begin(ctx, key, state.Opening{})
	if err != nil {
		t.Fatal(err)
	}
	leave() // renewals end
	var next state.Lease
	eventually(t, "the session is free", func() bool {
		next, err = b.Sessions().Begin(t.Context(), key, state.Opening{})
		return err == nil
	})
	if err := next.Save(t.Context(), state.Session{Phase: 2}); err != nil {
		t.Fatal(err)
	}
	if err := l.Save(t.Context(), state.Session{Phase: 1}); !errors.Is(err, state.ErrLost) {
		t.Errorf("the old run saves: %v", err)
	}
	if err := l.Release(t.Context()); !errors.Is(err, state.ErrLost) {
		t.Errorf("the old run gives back: %v", err)
	}
	if s, err := a.Sessions().Get(t.Context(), key); err != nil || s.Phase != 2 || !s.Running {
		t.Errorf("%+v %v", s, err)
	}
	_ = next.Release(t.Context())
}

// A process that is killed blocks its sessions for the lease's time only.
func TestKilledHolder(t *testing.T) {
	const variable = "TEST_HOLD_SESSION"
	url := backendtest.Shared(t, "redis")
	if held := os.Getenv(variable); held != "" {
		prefix, id, _ := strings.Cut(held, " ")
		s := leasing(connect(t, url, Options{Prefix: prefix, Wait: calm}), 700*time.Millisecond)
		begin(t, s, state.SessionKey{User: "user", ID: id})
		_, _ = os.Stdout.WriteString("held\n")
		select {}
	}
	prefix, key := backendtest.RedisPrefix(t), sessionKey()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestKilledHolder$")
	cmd.Env = append(os.Environ(), variable+"="+prefix+" "+key.ID, "REDIS_URL="+url)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var word string
	if _, err := fmt.Fscan(out, &word); err != nil || word != "held" {
		t.Fatalf("the holder says %q: %v", word, err)
	}
	s := connect(t, url, Options{Prefix: prefix, Wait: calm})
	if _, err := s.Sessions().Begin(t.Context(), key, state.Opening{}); !errors.Is(err, state.ErrBusy) {
		t.Errorf("while it is held: %v", err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	eventually(t, "it is free", func() bool {
		l, err := s.Sessions().Begin(t.Context(), key, state.Opening{})
		if err == nil {
			err = l.Release(t.Context())
		}
		return err == nil
	})
}

// A run goes on while Redis is away, and what it saves is there when Redis is back.
//
// fault: K1
func TestSessionsThroughFaults(t *testing.T) {
	for _, fault := range []string{"frozen", "killed"} {
		t.Run(fault, func(t *testing.T) {
			server := backendtest.Redis(t)
			s := connect(t, server.Addr, Options{})
			running, ended := sessionKey(), sessionKey()
			l, l2 := begin(t, s, running), begin(t, s, ended)
			if fault == "frozen" {
				server.Freeze()
			} else {
				server.Kill()
			}
			from := time.Now()
			if err := l2.Save(t.Context(), state.Session{Agent: "agent", Phase: 1}); err != nil {
				t.Errorf("Save: %v", err)
			}
			if err := l2.Release(t.Context()); err != nil {
				t.Errorf("Release: %v", err)
			}
			t.Logf("saved and released without Redis in %s", time.Since(from))
			eventually(t, "it is known to be away", func() bool { _ = s.Admit(t.Context(), state.Admission{Chain: "c"}); return !s.Health().Up })
			if got, err := s.Sessions().Get(t.Context(), ended); err != nil || got.Phase != 1 {
				t.Errorf("here: %+v %v", got, err)
			}
			here, err := s.Sessions().Begin(t.Context(), ended, state.Opening{})
			if err != nil || here.Session().Phase != 1 {
				t.Fatalf("%v", err)
			}
			_ = here.Release(t.Context())
			if err := l.Context().Err(); err != nil {
				t.Errorf("the run has ended: %v", context.Cause(l.Context()))
			}
			if err := l.Save(t.Context(), state.Session{Agent: "agent", Phase: 2}); err != nil {
				t.Errorf("Save: %v", err)
			}
			if fault == "frozen" {
				server.Thaw()
			} else {
				server.Start() // empty
			}
			eventually(t, "it is back", func() bool { return s.Health().Up })
			if err := l.Release(t.Context()); err != nil {
				t.Errorf("Release: %v", err)
			}
			other := connect(t, server.Addr, Options{Wait: calm})
			eventually(t, "both are saved", func() bool {
				a, err1 := other.Sessions().Get(t.Context(), running)
				b, err2 := other.Sessions().Get(t.Context(), ended)
				return err1 == nil && err2 == nil && a.Phase == 2 && b.Phase == 1 && !a.Running && !b.Running
			})
		})
	}
}

func TestSessionModes(t *testing.T) {
	server := backendtest.Redis(t)
	server.Kill()
	for mode, want := range map[state.Mode]error{state.ModeClosed: state.ErrUnavailable, state.ModeLocal: nil, state.ModeOpen: nil} {
		t.Run(string(mode), func(t *testing.T) {
			s := connect(t, server.Addr, Options{Modes: map[state.Use]state.Mode{state.UseSessions: mode}})
			key := sessionKey()
			l, err := s.Sessions().Begin(t.Context(), key, state.Opening{Agent: "agent"})
			if !errors.Is(err, want) {
				t.Fatalf("%v", err)
			}
			if err != nil {
				return
			}
			if err := errors.Join(l.Save(t.Context(), state.Session{Phase: 1}), l.Release(t.Context())); err != nil {
				t.Error(err)
			}
			if l, err = s.Sessions().Begin(t.Context(), key, state.Opening{}); err != nil {
				t.Fatal(err)
			}
			if kept := l.Session().Phase == 1; kept != (mode == state.ModeLocal) {
				t.Errorf("kept: %v", kept)
			}
			_ = l.Release(t.Context())
		})
	}
}

// security: X12
func TestSessionsOfOneUserAreBounded(t *testing.T) {
	s := shared(t, Options{Wait: calm})
	s.sessions.(*sessions).max = 3
	key := func(n int) state.SessionKey {
		return state.SessionKey{User: "ann", ID: fmt.Sprintf("session-number-%d", n)}
	}
	var leases []state.Lease
	for n := range 3 {
		leases = append(leases, begin(t, s, key(n)))
	}
	if _, err := s.Sessions().Begin(t.Context(), key(3), state.Opening{}); !errors.Is(err, state.ErrFull) {
		t.Errorf("a fourth that runs: %v", err)
	}
	begin(t, s, state.SessionKey{User: "bob", ID: key(3).ID})
	_ = leases[1].Release(t.Context())
	begin(t, s, key(3))
	if _, err := s.Sessions().Get(t.Context(), key(1)); !errors.Is(err, state.ErrUnknown) {
		t.Errorf("the idle one: %v", err)
	}
	list, err := s.sessions.(state.Lister).List(t.Context(), "ann", 10)
	if err != nil || len(list) != 3 {
		t.Errorf("%v %v", list, err)
	}
	all, err := s.sessions.(state.Lister).List(t.Context(), "", 10)
	if err != nil || len(all) != 4 {
		t.Errorf("%v %v", all, err)
	}
	for _, l := range all {
		if l.Key.User != "ann" && l.Key.User != "bob" || !l.Session.Running || !state.ValidSessionID(l.Key.ID) {
			t.Errorf("%+v", l)
		}
	}
}

func BenchmarkSession(b *testing.B) {
	s := shared(b, Options{Wait: calm})
	for b.Loop() {
		l := begin(b, s, state.SessionKey{User: "user", ID: "the-session-of-benchmarks"})
		if err := errors.Join(l.Save(b.Context(), state.Session{Phase: 1}), l.Release(b.Context())); err != nil {
			b.Fatal(err)
		}
	}
}
