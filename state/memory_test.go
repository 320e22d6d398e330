package state_test

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/universal-ai-gateway/magicproxy/state"
	"github.com/universal-ai-gateway/magicproxy/state/statetest"
)

func memory(*testing.T) state.Sessions { return state.NewMemorySessions(state.Bounds{}) }

func TestMemorySessions(t *testing.T) { statetest.Sessions(t, memory) }

func TestMemorySessionsInTime(t *testing.T) {
	statetest.SessionsInTime(t, memory, statetest.Clock{
		Run: synctest.Test,
		Pass: func(d time.Duration) {
			synctest.Wait()
			time.Sleep(d) //nolint:forbidigo // the clock is the bubble's
			synctest.Wait()
		},
	})
}

// contract: A12 (a second runner): the race detector watches notes, which nothing
// guards but the lease.
func TestRunsTakeTurns(t *testing.T) {
	const runners = 1000
	m := state.NewMemorySessions(state.Bounds{})
	key := state.SessionKey{User: "user", ID: state.NewSessionID()}
	first, err := m.Begin(t.Context(), key, state.Opening{})
	if err != nil {
		t.Fatal(err)
	}
	var wg, refused sync.WaitGroup // refused: each of them at least once
	refused.Add(runners)
	pushing := make(chan struct{}, 8) // those that try again and again
	notes := 0
	for range runners {
		wg.Go(func() {
			l, err := m.Begin(t.Context(), key, state.Opening{})
			refused.Done()
			pushing <- struct{}{}
			defer func() { <-pushing }()
			for errors.Is(err, state.ErrBusy) {
				runtime.Gosched()
				l, err = m.Begin(t.Context(), key, state.Opening{})
			}
			if err != nil {
				t.Errorf("Begin: %v", err)
				return
			}
			notes++
			s := l.Session()
			s.Steps++
			runtime.Gosched()
			if err = l.Save(t.Context(), s); err != nil {
				t.Errorf("Save: %v", err)
			}
			if err = l.Release(t.Context()); err != nil {
				t.Errorf("Release: %v", err)
			}
		})
	}
	refused.Wait()
	if notes != 0 {
		t.Errorf("%d runs beside the first", notes)
	}
	if err = first.Release(t.Context()); err != nil {
		t.Error(err)
	}
	wg.Wait()
	s, err := m.Get(t.Context(), key)
	if err != nil || notes != runners || s.Steps != runners || s.Running {
		t.Errorf("%d notes; %+v, %v", notes, s, err)
	}
}

// A run may end in every way at once.
func TestEndsRace(t *testing.T) {
	m := state.NewMemorySessions(state.Bounds{Total: 4})
	for i := range 500 {
		key := state.SessionKey{User: "user", ID: "session-number-" + strconv.Itoa(i)}
		ctx, leave := context.WithCancel(t.Context())
		l, err := m.Begin(ctx, key, state.Opening{})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(leave)
		wg.Go(func() { _ = m.Cancel(t.Context(), key) })
		wg.Go(func() { _ = l.Save(t.Context(), state.Session{Phase: 1}) })
		wg.Go(func() { _ = l.Release(t.Context()) })
		wg.Wait()
		if err = l.Release(t.Context()); err != nil {
			t.Fatalf("a second Release: %v", err)
		}
		if s, err := m.Get(t.Context(), key); err != nil || s.Running {
			t.Fatalf("%+v, %v", s, err)
		}
	}
}

// BenchmarkBegin begins and releases: a session that is there, and a new one in a
// full store.
func BenchmarkBegin(b *testing.B) {
	turn := func(b *testing.B, m *state.MemorySessions, key state.SessionKey) {
		l, err := m.Begin(b.Context(), key, state.Opening{Agent: "agent", Issued: true})
		if err == nil {
			err = l.Release(b.Context())
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	b.Run("known", func(b *testing.B) {
		m := state.NewMemorySessions(state.Bounds{})
		key := state.SessionKey{User: "user", ID: state.NewSessionID()}
		b.ReportAllocs()
		for b.Loop() {
			turn(b, m, key)
		}
	})
	b.Run("new", func(b *testing.B) {
		m := state.NewMemorySessions(state.Bounds{})
		fill := func() { turn(b, m, state.SessionKey{ID: state.NewSessionID()}) }
		for range 100_000 {
			fill()
		}
		b.ReportAllocs()
		for b.Loop() {
			fill()
		}
	})
	b.Run("parallel", func(b *testing.B) {
		m := state.NewMemorySessions(state.Bounds{})
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			key := state.SessionKey{User: "user", ID: state.NewSessionID()}
			for pb.Next() {
				turn(b, m, key)
			}
		})
	})
}
