// Package statetest says whether a backend fulfils the contracts of package
// state. Each backend's tests run all of it.
//
//	func TestStores(t *testing.T) {
//		statetest.Stores(t, func(t *testing.T) (a, b state.Store) { return newPair(t) })
//	}
//	func TestSessions(t *testing.T) {
//		statetest.Sessions(t, func(t *testing.T) state.Sessions { return newBackend(t) })
//	}
package statetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// Backend makes a store for one scenario. It may share its data with other
// stores: scenarios use ids of their own. It cleans up with t.Cleanup.
type Backend func(t *testing.T) state.Sessions

// scenario tests one sentence of the contract.
type scenario struct {
	name string
	run  func(t *testing.T, s state.Sessions)
}

// Sessions runs the scenarios that need no time to pass.
func Sessions(t *testing.T, b Backend) {
	t.Helper()
	for _, c := range scenarios {
		t.Run(c.name, func(t *testing.T) { c.run(t, b(t)) })
	}
}

// scenarios of a session's use; the others are in the files of their subject.
var scenarios = slices.Concat([]scenario{
	{"a new session", newSession},
	{"what is saved is there for the next run", saved},
	{"nothing is shared with callers", unshared},
	{"a second run is refused", busy},
	{"one of a thousand gets the lease", thousand},
	{"release gives back once", releasedOnce},
	{"too large", tooLarge},
}, ends, owners)

// contract: A12
func newSession(t *testing.T, s state.Sessions) {
	key, before := newKey(), time.Now().Add(-time.Minute) // another machine's clock
	_, err := s.Get(t.Context(), key)
	wantError(t, "Get beforehand", err, state.ErrUnknown)

	l := begin(t, s, key)
	got := l.Session()
	equal(t, "at the beginning", got, state.Session{Agent: "agent"})
	if got.Created.Before(before) || got.Used.Before(got.Created) {
		t.Errorf("created %v, used %v", got.Created, got.Used)
	}
	equal(t, "during the run", get(t, s, key), state.Session{Agent: "agent", Running: true})
	release(t, l)
	equal(t, "afterwards", get(t, s, key), state.Session{Agent: "agent"})
}

// contract: A12
func saved(t *testing.T, s state.Sessions) {
	key := newKey()
	l := begin(t, s, key)
	created := get(t, s, key).Created
	first := state.Session{Agent: "other", Phase: 1, Steps: 2, Notebook: []string{"one", "", "zwei \x00 \"✓\"\n"}}
	save(t, l, first)
	first.Running = true
	equal(t, "once saved", get(t, s, key), first)
	equal(t, "at the beginning", l.Session(), state.Session{Agent: "agent"})

	second := state.Session{Agent: "other", Phase: 2, Steps: 4, Notebook: []string{"three"}, Created: time.Unix(1, 0), Used: time.Unix(2, 0), Running: true}
	save(t, l, second)
	release(t, l)
	second.Running = false
	equal(t, "afterwards", get(t, s, key), second)

	l = begin(t, s, key)
	got := l.Session()
	equal(t, "in the next run", got, second)
	if !got.Created.Equal(created) || got.Used.Before(created) {
		t.Errorf("created %v, used %v; it was created %v", got.Created, got.Used, created)
	}
	save(t, l, state.Session{Agent: "other"})
	release(t, l)
	equal(t, "emptied", get(t, s, key), state.Session{Agent: "other"})
}

func unshared(t *testing.T, s state.Sessions) {
	key, want := newKey(), state.Session{Notebook: []string{"one", "two"}}
	l := begin(t, s, key)
	mine := state.Session{Notebook: slices.Clone(want.Notebook)}
	save(t, l, mine)
	mine.Notebook[0] = "changed after saving"
	release(t, l)
	equal(t, "after a change of what was saved", get(t, s, key), want)
	get(t, s, key).Notebook[0] = "changed after looking"
	l = begin(t, s, key)
	l.Session().Notebook[1] = "changed after beginning"
	equal(t, "after a change of what was returned", l.Session(), want)
	release(t, l)
	equal(t, "after all", get(t, s, key), want)
}

// contract: A12 (a second runner)
func busy(t *testing.T, s state.Sessions) {
	key := newKey()
	l := begin(t, s, key)
	save(t, l, state.Session{Phase: 1})
	for range 3 {
		refused(t, s, key, state.ErrBusy)
	}
	if err := l.Context().Err(); err != nil {
		t.Errorf("the refused ones have ended the run: %v", err)
	}
	release(t, begin(t, s, newKey()))
	release(t, l)
	l = begin(t, s, key)
	equal(t, "the next run", l.Session(), state.Session{Phase: 1})
	release(t, l)
}

func thousand(t *testing.T, s state.Sessions) {
	const runners = 1000
	key := newKey()
	var (
		wg    sync.WaitGroup
		start = make(chan struct{})
		won   atomic.Pointer[state.Lease]
		wins  atomic.Int32
	)
	for range runners {
		wg.Go(func() {
			<-start
			l, err := s.Begin(t.Context(), key, state.Opening{})
			switch {
			case err == nil:
				wins.Add(1)
				won.Store(&l)
			case !errors.Is(err, state.ErrBusy):
				t.Errorf("Begin: %v", err)
			}
		})
	}
	close(start)
	wg.Wait()
	if n := wins.Load(); n != 1 {
		t.Fatalf("%d runs have the lease", n)
	}
	release(t, *won.Load())
	release(t, begin(t, s, key))
}

func releasedOnce(t *testing.T, s state.Sessions) {
	key := newKey()
	old := begin(t, s, key)
	release(t, old)
	ended(t, old, context.Canceled)
	wantError(t, "Save after the release", old.Save(t.Context(), state.Session{Phase: 9}), state.ErrLost)

	l := begin(t, s, key)
	release(t, old) // a second time
	wantError(t, "Save during the next run", old.Save(t.Context(), state.Session{Phase: 9}), state.ErrLost)
	refused(t, s, key, state.ErrBusy)
	save(t, l, state.Session{Phase: 1})
	release(t, l)
	equal(t, "afterwards", get(t, s, key), state.Session{Phase: 1})
}

func tooLarge(t *testing.T, s state.Sessions) {
	key := newKey()
	l := begin(t, s, key)
	largest := state.Session{Notebook: []string{""}}
	largest.Notebook[0] = strings.Repeat("x", state.MaxSessionBytes-largest.Size())
	save(t, l, largest)
	for name, over := range map[string]state.Session{
		"a byte more":      {Agent: "a", Notebook: largest.Notebook},
		"many empty notes": {Notebook: make([]string, state.MaxSessionBytes/2)},
	} {
		wantError(t, name, l.Save(t.Context(), over), state.ErrTooLarge)
	}
	if err := l.Context().Err(); err != nil {
		t.Errorf("the run has ended: %v", err)
	}
	release(t, l)
	equal(t, "afterwards", get(t, s, key), largest)
}
