package statetest

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// Shared runs the scenarios of two stores on one backend that Stores has not: what is
// soon, and what one finds who comes late. The same store twice passes them, too.
func Shared(t *testing.T, open Pair) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, a, b state.Store)
	}{
		{"a run is cancelled soon", cancelledSoon},
		{"each message comes once", onceEach},
		{"who comes late hears of keys that rest", late},
		{"a limit is smooth for both", smoothForBoth},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := open(t)
			c.run(t, a, b)
		})
	}
}

// soon is less than leases take to be renewed: whoever hears within it was told.
const soon = 5 * time.Second

// contract: A12
func cancelledSoon(t *testing.T, a, b state.Store) {
	// One cancels before the other's news are connected, one after.
	for range 2 {
		key := newKey()
		l := begin(t, a.Sessions(), key)
		from := time.Now()
		cancel(t, b.Sessions(), key)
		ended(t, l, state.ErrCancelled)
		if took := time.Since(from); took > soon {
			t.Errorf("the run went on for %s", took)
		}
		release(t, l)
	}
}

func onceEach(t *testing.T, a, b state.Store) {
	const many = 100
	topic := newTopic()
	var l, own listener
	endTheirs := b.Bus().Subscribe(topic, l.hear)
	defer endTheirs()
	endOwn := a.Bus().Subscribe(topic, own.hear)
	defer endOwn()
	reach(t, a, topic, &l)
	reach(t, b, topic, &own)
	for i := range many {
		a.Bus().Publish(topic, number(i))
	}
	numbers := func(l *listener) (all []string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, m := range l.got {
			if len(m) == len(number(0)) {
				all = append(all, string(m))
			}
		}
		return all
	}
	for _, l := range []*listener{&l, &own} {
		await(t, "all have come", func() bool { return len(numbers(l)) >= many })
	}
	// What one has sent does not come back to it: the other's answer comes behind it.
	b.Bus().Publish(topic, number(many))
	for _, l := range []*listener{&l, &own} {
		await(t, "the answer has come", func() bool { return slices.Contains(numbers(l), string(number(many))) })
		all := numbers(l)
		slices.Sort(all) // a cluster's nodes may overtake each other
		if len(all) != many+1 || len(slices.Compact(all)) != many+1 {
			t.Errorf("%d messages, want %d", len(all), many+1)
		}
	}
}

// reach publishes a message of its own, until a listener has heard it: connections take
// a while.
func reach(t *testing.T, from state.Store, topic string, to *listener) {
	t.Helper()
	hello := []byte(name("hello"))
	await(t, "the other one hears", func() bool {
		from.Bus().Publish(topic, hello)
		to.mu.Lock()
		defer to.mu.Unlock()
		return slices.ContainsFunc(to.got, func(m []byte) bool { return bytes.Equal(m, hello) })
	})
}

func late(t *testing.T, a, b state.Store) {
	if a == b {
		t.Skip("it has nobody to tell")
	}
	topic := newTopic()
	var l listener
	end := b.Bus().Subscribe(topic, l.hear)
	defer end()
	reach(t, a, topic, &l) // the connection is there
	provider, until := name("p"), time.Now().Add(time.Hour).UTC().Round(0)
	rest := func(key string, until time.Time) {
		a.Quarantine().Rest(state.Rested{Provider: provider, Key: key, Until: until})
	}
	rest("over", time.Now().Add(-time.Second))
	rest("well", until)
	a.Quarantine().Well(provider, "well", "")
	rest("rests", until)
	reach(t, a, topic, &l) // the news are over, who watches now has not heard them
	await(t, "who comes late is told what rests, and nothing else", func() bool {
		told := watched(t, b, provider)
		if r, ok := told["rests"]; ok && !r.Until.Equal(until) {
			t.Errorf("%+v, want it until %s", r, until)
		}
		return len(told) == 1 && told["rests"].Key != ""
	})
}

// watched returns the last that a watch of its own is told of a provider's keys in a
// short time.
func watched(t *testing.T, s state.Store, provider string) map[string]state.Rested {
	t.Helper()
	told := make(map[string]state.Rested)
	ctx, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() {
		s.Quarantine().Watch(ctx, func(r state.Rested) {
			if r.Provider == provider {
				told[r.Key] = r
			}
		})
	})
	wg.Wait()
	return told
}

// security: X12
func smoothForBoth(t *testing.T, a, b state.Store) {
	const n, every = 4, 200 * time.Millisecond
	limit, from, passed, asked := state.Limit{Key: name("user") + "|", N: n, Window: n * every}, time.Now(), 0, 0
	await(t, "there is room again", func() bool {
		got := admit(t, []state.Store{a, b}[asked%2], limited(limit))
		asked++
		took := time.Since(from)
		if !got.Refused {
			passed++
		}
		if passed > n+int((took+skew)/every) {
			t.Fatalf("%d requests in %s", passed, took)
		}
		return passed > n && took > 6*every
	})
}
