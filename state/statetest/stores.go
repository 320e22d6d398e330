package statetest

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// Pair makes two stores on one backend, as two machines have them; where there is no
// backend to share, the same store twice. They may share it with other scenarios: keys
// are never used twice. It cleans up with t.Cleanup.
type Pair func(t *testing.T) (a, b state.Store)

// Stores runs the scenarios of a state.Store whose backend is there. Those of its
// sessions alone are Sessions.
func Stores(t *testing.T, open Pair) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, a, b state.Store)
	}{
		{"nothing is asked", nothing},
		{"starts are exact", starts},
		{"who is refused takes no start", noStartForTheRefused},
		{"a limit is smooth", smooth},
		{"limits are common, and all or none", limits},
		{"cached answers", cachedAnswers},
		{"news", news},
		{"keys that rest", rests},
		{"sessions are common", commonSessions},
		{"health", health},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := open(t)
			c.run(t, a, b)
		})
	}
}

// name makes a name that no other scenario has, and no other run.
func name(what string) string { return what + " " + rand.Text() }

// await polls until a condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) { //nolint:forbidigo // between two looks
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

func admit(t *testing.T, s state.Store, a state.Admission) state.Admitted {
	t.Helper()
	got := s.Admit(t.Context(), a)
	if got.Closed {
		t.Fatalf("closed: %+v", got)
	}
	return got
}

func nothing(t *testing.T, a, _ state.Store) {
	if got := a.Admit(t.Context(), state.Admission{}); got.Refused || got.Closed || got.Limit.N != 0 || got.Start != 0 || got.Cached != nil {
		t.Errorf("%+v", got)
	}
}

// contract: F6
func starts(t *testing.T, a, b state.Store) {
	const callers, each = 64, 50
	chain, all := name("chain"), make([]uint64, callers*each)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for j := range each {
				all[i*each+j] = admit(t, []state.Store{a, b}[i%2], state.Admission{Chain: chain}).Start
			}
		})
	}
	wg.Wait()
	dense(t, all)
	// One after the other they come in order.
	last := admit(t, a, state.Admission{Chain: chain}).Start
	for i := range 10 {
		if got := admit(t, []state.Store{b, a}[i%2], state.Admission{Chain: chain}).Start; got != last+1 {
			t.Errorf("%d after %d", got, last)
		} else {
			last = got
		}
	}
	admit(t, a, state.Admission{Chain: name("another")})
	if got := admit(t, a, state.Admission{Chain: chain}).Start; got != last+1 {
		t.Errorf("another chain counts in this one: %d after %d", got, last)
	}
}

// dense requires that no start is missing, and none is there twice.
func dense(t *testing.T, all []uint64) {
	t.Helper()
	slices.Sort(all)
	for i, v := range all {
		if v != all[0]+uint64(i) {
			t.Fatalf("of %d starts the %d. is %d, the first %d", len(all), i+1, v, all[0])
		}
	}
}

func noStartForTheRefused(t *testing.T, a, b state.Store) {
	chain, limit := name("chain"), state.Limit{Key: name("user") + "|", N: 30, Window: time.Hour}
	key := name("key")
	a.Put(key, []byte("kept"), time.Hour)
	await(t, "the answer is kept", func() bool { return b.Admit(t.Context(), state.Admission{Cache: key}).Cached != nil })
	var mu sync.Mutex
	var all []uint64
	var wg sync.WaitGroup
	for i := range 120 {
		wg.Go(func() {
			ask := state.Admission{Chain: chain, Limits: []state.Limit{limit}}
			if i%3 == 0 {
				ask = state.Admission{Chain: chain, Cache: key}
			}
			got := admit(t, []state.Store{a, b}[i%2], ask)
			if got.Refused || got.Cached != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, got.Start)
		})
	}
	wg.Wait()
	for range 100 { // starts that were left over come first
		all = append(all, admit(t, a, state.Admission{Chain: chain}).Start, admit(t, b, state.Admission{Chain: chain}).Start)
	}
	if len(all) != 230 {
		t.Errorf("%d starts", len(all))
	}
	dense(t, all)
}

func smooth(t *testing.T, a, _ state.Store) {
	limit := state.Limit{Key: name("user") + "|", N: 4, Window: 2 * time.Second}
	for i := range 4 {
		got := admit(t, a, state.Admission{Limits: []state.Limit{limit}})
		if got.Refused || got.Limit != limit || got.Remaining != 3-i || got.Reset <= 0 || got.Reset > limit.Window || got.Retry != 0 {
			t.Errorf("request %d: %+v", i+1, got)
		}
	}
	got := admit(t, a, state.Admission{Limits: []state.Limit{limit}})
	if !got.Refused || got.Remaining != 0 || got.Retry <= 0 || got.Retry > limit.Window/4 || got.Reset > limit.Window {
		t.Fatalf("a fifth at once: %+v", got)
	}
	from := time.Now()
	await(t, "there is room again", func() bool { return !admit(t, a, state.Admission{Limits: []state.Limit{limit}}).Refused })
	if early := got.Retry - time.Since(from); early > 20*time.Millisecond {
		t.Errorf("there was room %s before it was said", early)
	}
}

// security: X12
func limits(t *testing.T, a, b state.Store) {
	const room, callers = 50, 80
	who, other := name("user"), name("user")
	small := state.Limit{Key: who + "|small", N: room, Window: time.Hour}
	large := state.Limit{Key: who + "|large", N: 2 * room, Window: time.Hour}
	var wg sync.WaitGroup
	var admitted, refused atomic.Int64
	for i := range callers {
		wg.Go(func() {
			got := admit(t, []state.Store{a, b}[i%2], state.Admission{Limits: []state.Limit{large, small}})
			switch {
			case !got.Refused:
				admitted.Add(1)
			case got.Limit == small && got.Retry > 0 && got.Remaining == 0:
				refused.Add(1)
			default:
				t.Errorf("%+v", got)
			}
		})
	}
	wg.Wait()
	if admitted.Load() != room || refused.Load() != callers-room {
		t.Errorf("%d are admitted, %d refused, of %d for %d", admitted.Load(), refused.Load(), callers, room)
	}
	if got := admit(t, b, state.Admission{Limits: []state.Limit{large}}); got.Refused || got.Remaining != room-1 {
		t.Errorf("those that were refused count in the large limit: %+v", got)
	}
	small.Key = other + "|small"
	if got := admit(t, a, state.Admission{Limits: []state.Limit{small}}); got.Refused || got.Remaining != room-1 {
		t.Errorf("another caller: %+v", got)
	}
	// Of several that have room the tightest is told, by the part that is left.
	tight := state.Limit{Key: other + "|tight", N: 2, Window: time.Hour}
	if got := admit(t, b, state.Admission{Limits: []state.Limit{small, tight}}); got.Limit != tight || got.Remaining != 1 {
		t.Errorf("%+v", got)
	}
}

func cachedAnswers(t *testing.T, a, b state.Store) {
	look := func(s state.Store, key string) []byte { return admit(t, s, state.Admission{Cache: key}).Cached }
	strange, short, large := name("\x00}{\n"+strings.Repeat("k", 300)), name("short"), name("large")
	value := []byte("an answer\x00")
	a.Put(strange, value, time.Hour)
	a.Put(short, []byte("soon gone"), 300*time.Millisecond)
	a.Put(large, make([]byte, state.MaxCached+1), time.Hour)
	await(t, "the answer is there", func() bool { return string(look(b, strange)) == "an answer\x00" })
	a.Put(strange, []byte("another"), time.Hour)
	await(t, "the later one is", func() bool { return string(look(b, strange)) == "another" })
	if look(b, large) != nil || look(a, name("none")) != nil {
		t.Error("there is more than may be")
	}
	await(t, "the short one is gone", func() bool { return look(a, short) == nil })
}

func news(t *testing.T, a, b state.Store) {
	topic := strings.ReplaceAll(name("topic"), " ", "_")
	heard := make(chan string, 1000)
	cancel := b.Bus().Subscribe(topic, func(m []byte) {
		if m != nil { // else something may have been missed
			heard <- string(m)
		}
	})
	own := make(chan string, 1000)
	quiet := a.Bus().Subscribe(topic, func(m []byte) {
		if m != nil {
			own <- string(m)
		}
	})
	defer quiet()
	await(t, "the other one hears", func() bool {
		a.Bus().Publish(topic, []byte("hello"))
		return len(heard) > 0
	})
	a.Bus().Publish(topic+"_other", []byte("for others"))
	a.Bus().Publish(topic, []byte("with blanks, and \x00"))
	for _, c := range []chan string{heard, own} {
		await(t, "the message has come", func() bool {
			select {
			case m := <-c:
				if m != "hello" && m != "with blanks, and \x00" {
					t.Errorf("%q", m)
				}
				return m != "hello"
			default:
				return false
			}
		})
	}
	cancel()
	for len(heard) > 0 {
		<-heard
	}
	a.Bus().Publish(topic, []byte("after the end"))
	await(t, "it has come to those who still listen", func() bool { return len(own) > 0 })
	if len(heard) > 0 {
		t.Errorf("after the end: %q", <-heard)
	}
}

// A store that shares with nobody has nobody to tell.
func rests(t *testing.T, a, b state.Store) {
	r := state.Rested{Provider: name("p"), Key: "k", Model: "m", Cause: "forbidden", Until: time.Now().Add(time.Hour).UTC().Round(0)}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	told := make(chan state.Rested, 1000)
	wg.Go(func() { b.Quarantine().Watch(ctx, func(r state.Rested) { told <- r }) })
	a.Quarantine().Rest(r)
	if a == b {
		return
	}
	next := func(rests bool) (got state.Rested) {
		await(t, "it is told", func() bool {
			for len(told) > 0 {
				if got = <-told; got.Provider == r.Provider && got.Until.IsZero() == !rests {
					return true
				}
			}
			return false
		})
		return got
	}
	if got := next(true); got.Key != r.Key || got.Model != r.Model || got.Cause != r.Cause || !got.Until.Equal(r.Until) {
		t.Errorf("%+v, want %+v", got, r)
	}
	a.Quarantine().Well(r.Provider, r.Key, r.Model)
	if got := next(false); got.Key != r.Key || got.Model != r.Model {
		t.Errorf("%+v", got)
	}
}

// contract: A12
func commonSessions(t *testing.T, a, b state.Store) {
	key := newKey()
	l := begin(t, a.Sessions(), key)
	refused(t, b.Sessions(), key, state.ErrBusy)
	save(t, l, state.Session{Agent: "agent", Phase: 1, Notebook: []string{"note"}})
	if s := get(t, b.Sessions(), key); !s.Running || s.Phase != 1 || len(s.Notebook) != 1 {
		t.Errorf("%+v", s)
	}
	if err := b.Sessions().Cancel(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	select {
	case <-l.Context().Done():
	case <-time.After(patience):
		t.Fatal("the run goes on")
	}
	if err := context.Cause(l.Context()); !errors.Is(err, state.ErrCancelled) {
		t.Errorf("it ended with %v", err)
	}
	release(t, l)
	l = begin(t, b.Sessions(), key)
	if s := l.Session(); s.Phase != 1 {
		t.Errorf("%+v", s)
	}
	release(t, l)
}

func health(t *testing.T, a, _ state.Store) {
	admit(t, a, state.Admission{Chain: name("chain")})
	h := a.Health()
	if h.Backend == "" || !h.Up || h.Error != "" {
		t.Errorf("%+v", h)
	}
	for _, u := range state.Uses {
		if h.Modes[u] == "" {
			t.Errorf("%s has no mode", u)
		}
	}
}
