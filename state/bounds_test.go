package state

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

// same reports whether two strings begin at the same byte.
func same(a, b string) bool { return unsafe.StringData(a) == unsafe.StringData(b) }

func sessionKey(user string, n int) SessionKey {
	return SessionKey{User: user, ID: "session-number-" + strconv.Itoa(n)}
}

func mustBegin(t testing.TB, m *MemorySessions, key SessionKey) Lease {
	t.Helper()
	l, err := m.Begin(t.Context(), key, Opening{Issued: true})
	if err != nil {
		t.Fatalf("Begin of %v: %v", key, err)
	}
	return l
}

func used(t testing.TB, m *MemorySessions, keys ...SessionKey) {
	t.Helper()
	for _, key := range keys {
		if err := mustBegin(t, m, key).Release(t.Context()); err != nil {
			t.Fatalf("Release of %v: %v", key, err)
		}
	}
}

func has(t testing.TB, m *MemorySessions, want bool, keys ...SessionKey) {
	t.Helper()
	for _, key := range keys {
		if _, err := m.Get(t.Context(), key); (err == nil) != want {
			t.Errorf("%v: %v", key, err)
		}
	}
}

func TestTheLongestIdleGoesFirst(t *testing.T) {
	for name, b := range map[string]Bounds{"in all": {Total: 3}, "of a user": {PerUser: 3}} {
		t.Run(name, func(t *testing.T) {
			m, k := NewMemorySessions(b), func(n int) SessionKey { return sessionKey("user", n) }
			used(t, m, k(1), k(2), k(3), k(1)) // 1 again
			used(t, m, k(4))
			has(t, m, false, k(2))
			has(t, m, true, k(1), k(3), k(4))

			running := mustBegin(t, m, k(3))
			used(t, m, k(5), k(6))
			has(t, m, false, k(1))
			has(t, m, name == "of a user", k(4)) // there the one that runs does not count
			has(t, m, true, k(3), k(5), k(6))
			if err := running.Save(t.Context(), Session{}); err != nil {
				t.Errorf("the one that runs: %v", err)
			}
			check(t, m)
		})
	}
}

func TestNoRoomBesideThoseThatRun(t *testing.T) {
	m := NewMemorySessions(Bounds{Total: 4, PerUser: 1})
	a1, a2 := mustBegin(t, m, sessionKey("a", 1)), mustBegin(t, m, sessionKey("a", 2)) // runs of one user as many as there are
	used(t, m, sessionKey("b", 1))
	mustBegin(t, m, sessionKey("", 1))
	mustBegin(t, m, sessionKey("", 2)) // instead of b's
	has(t, m, false, sessionKey("b", 1))
	if _, err := m.Begin(t.Context(), sessionKey("b", 2), Opening{}); !errors.Is(err, ErrFull) {
		t.Errorf("a fifth in all: %v", err)
	}
	check(t, m)
	for _, l := range []Lease{a1, a2} {
		if err := l.Release(t.Context()); err != nil {
			t.Error(err)
		}
	}
	used(t, m, sessionKey("a", 3), sessionKey("b", 2))
	check(t, m)
}

func TestAnonymousCallersAreNotOneUser(t *testing.T) {
	m := NewMemorySessions(Bounds{PerUser: 2})
	used(t, m, sessionKey("", 1), sessionKey("", 2), sessionKey("", 3))
	has(t, m, true, sessionKey("", 1), sessionKey("", 2), sessionKey("", 3))
	check(t, m)
}

func TestBytes(t *testing.T) {
	m := NewMemorySessions(Bounds{Bytes: 1000})
	note := func(n int) Session { return Session{Notebook: []string{strings.Repeat("x", n-16)}} }
	save := func(l Lease, n int, want error) {
		t.Helper()
		if err := l.Save(t.Context(), note(n)); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	a := mustBegin(t, m, sessionKey("a", 1))
	save(a, 400, nil)
	b := mustBegin(t, m, sessionKey("b", 1))
	save(b, 600, nil)
	save(b, 601, ErrFull) // the former state stays
	check(t, m)
	_ = a.Release(t.Context())
	save(b, 601, nil) // instead of a's
	has(t, m, false, sessionKey("a", 1))
	check(t, m)
	_ = b.Release(t.Context())

	// A run that has ended may save, and does not push itself out.
	ctx, leave := context.WithCancel(t.Context())
	c, err := m.Begin(ctx, sessionKey("c", 1), Opening{})
	if err != nil {
		t.Fatal(err)
	}
	save(c, 300, nil)
	leave()
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		m.mu.Lock()
		resting := m.byKey[sessionKey("c", 1)].all != nil
		m.mu.Unlock()
		if resting {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the end of the context is not noticed")
		}
	}
	save(c, 1000, nil)
	save(c, 1001, ErrFull)
	has(t, m, false, sessionKey("b", 1))
	has(t, m, true, sessionKey("c", 1))
	check(t, m)
}

// What a caller gives may be a small part of a request or of a large answer, which
// must not be kept with it.
func TestNothingLargeIsKeptWithWhatIsSmall(t *testing.T) {
	m, large := NewMemorySessions(Bounds{}), strings.Repeat("large-", 1<<10)
	key := SessionKey{User: large[:5], ID: large[:20]}
	l, err := m.Begin(t.Context(), key, Opening{Agent: large[:7]})
	if err != nil {
		t.Fatal(err)
	}
	e := m.byKey[key]
	if same(e.key.User, large) || same(e.key.ID, large) || same(e.s.Agent, large) {
		t.Error("Begin keeps what it is given")
	}
	for kept := range m.owners {
		if same(kept, large) {
			t.Error("Begin keeps a user's name")
		}
	}
	if err = l.Save(t.Context(), Session{Agent: large[:7], Notebook: []string{large[:9]}}); err != nil {
		t.Fatal(err)
	}
	if same(e.s.Agent, large) || same(e.s.Notebook[0], large) {
		t.Error("Save keeps what it is given")
	}
}

// A context's end may be heard of only when the next run has begun.
func TestALateEndConcernsNobody(t *testing.T) {
	m, key := NewMemorySessions(Bounds{}), sessionKey("user", 1)
	old := mustBegin(t, m, key)
	_ = old.Release(t.Context())
	l := mustBegin(t, m, key)
	old.(*memoryLease).end()
	check(t, m)
	if e := m.byKey[key]; e.all != nil || !e.held(time.Now()) {
		t.Errorf("%+v", e)
	}
	_ = l.Release(t.Context())
}

func TestEachBeginForgetsSomeOfTheExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemorySessions(Bounds{})
		const n = 3 * sweepMax
		for i := range n {
			used(t, m, sessionKey(strconv.Itoa(i%5), i))
		}
		time.Sleep(SessionTTL) //nolint:forbidigo // the clock is the bubble's
		for i := 1; i <= 3; i++ {
			used(t, m, sessionKey("new", 0))
			if got := len(m.byKey); got != n-i*sweepMax+1 {
				t.Errorf("after %d times %d sessions are left", i, got)
			}
			check(t, m)
		}
	})
}

// Many sessions in a small store leave nothing behind.
func TestMemoryStaysBounded(t *testing.T) {
	const n = 200_000
	m := NewMemorySessions(Bounds{Total: 1000, PerUser: 100})
	text := strings.Repeat("x", 1000)
	round := func(from int) {
		for i := range n / 2 {
			l := mustBegin(t, m, sessionKey("user"+strconv.Itoa(i%50), from+i))
			if err := l.Save(t.Context(), Session{Notebook: []string{text}}); err != nil {
				t.Fatal(err)
			}
			_ = l.Release(t.Context())
		}
	}
	heap := func() uint64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	round(0)
	before := heap()
	round(n)
	if after := heap(); after > before+before/4+1<<20 {
		t.Errorf("%d KiB, then %d KiB", before>>10, after>>10)
	}
	check(t, m)
	runtime.KeepAlive(m)
}
