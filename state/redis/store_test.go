package redis

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
	"github.com/universal-ai-gateway/magicproxy/state"
	"github.com/universal-ai-gateway/magicproxy/state/statetest"
)

// pair opens two stores on the same keys of one backend, as two machines do.
type pair func(t *testing.T) (a, b *Store)

// on makes pairs on the Redis at a URL.
func on(url string) pair {
	return func(t *testing.T) (a, b *Store) {
		t.Helper()
		o := Options{Prefix: backendtest.RedisPrefix(t), Wait: calm}
		return connect(t, url, o), connect(t, url, o)
	}
}

func TestStandalone(t *testing.T) { together(t, on(backendtest.Shared(t, "redis"))) }

// together says whether two stores are one: it is run for every kind of backend.
func together(t *testing.T, open pair) {
	t.Helper()
	t.Run("suite", func(t *testing.T) {
		t.Run("alone", func(t *testing.T) {
			statetest.Store(t, func(t *testing.T) state.Store {
				a, _ := open(t)
				return a
			})
		})
		t.Run("shared", func(t *testing.T) {
			statetest.Shared(t, func(t *testing.T) (state.Store, state.Store) {
				a, b := open(t)
				return a, b
			})
		})
		statetest.Stores(t, func(t *testing.T) (state.Store, state.Store) {
			a, b := open(t)
			return a, b
		})
	})
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, a, b *Store)
	}{
		{"many keys at once", manyKeys},
		{"cached answers are common", commonCache},
		{"news", commonNews},
		{"keys that rest", commonRests},
		{"keys that were well meanwhile", commonMissed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, b := open(t)
			tc.run(t, a, b)
			for _, s := range []*Store{a, b} {
				if h := s.Health(); !h.Up || h.Alone > 0 {
					t.Errorf("%+v", h)
				}
			}
		})
	}
}

// On a cluster these are on all nodes.
func manyKeys(t *testing.T, a, b *Store) {
	const many = 100
	var wg sync.WaitGroup
	for i := range many {
		for _, s := range []*Store{a, b} {
			wg.Go(func() {
				n := strconv.Itoa(i)
				one := state.Limit{Key: "user " + n + "|5", N: 1, Window: time.Hour}
				other := state.Limit{Key: "address " + n + "|5", N: 5, Window: time.Hour}
				got := s.Admit(t.Context(), state.Admission{Limits: []state.Limit{one, other}, Chain: "chain " + n, Cache: "key " + n})
				if got.Closed || got.Limit.N == 0 || got.Cached != nil || !got.Refused && (got.Limit != one || got.Start-1 > 1) {
					t.Errorf("%+v", got)
				}
			})
		}
	}
	wg.Wait()
	for i := range many {
		got := a.Admit(t.Context(), state.Admission{Limits: []state.Limit{{Key: "user " + strconv.Itoa(i) + "|5", N: 1, Window: time.Hour}}})
		if !got.Refused {
			t.Fatalf("caller %d is let through again: %+v", i, got)
		}
	}
}

func commonCache(t *testing.T, a, b *Store) {
	look := func(s *Store, key string) []byte {
		return s.Admit(t.Context(), state.Admission{Cache: key}).Cached
	}
	strange := "\x00}{\n" + strings.Repeat("k", 500)
	large := bytes.Repeat([]byte("x"), state.MaxCached)
	a.Put(strange, large, time.Minute)
	a.Put("too large", append(large, 'x'), time.Minute)
	a.Put("short", []byte("soon gone"), 300*time.Millisecond)
	a.Put("last", nil, time.Minute)
	await(t, "the answer is there", func() bool { return bytes.Equal(look(b, strange), large) })
	await(t, "an empty one is there", func() bool { return look(b, "last") != nil })
	if look(b, "too large") != nil || look(b, "other") != nil {
		t.Error("there is more than may be")
	}
	await(t, "the short one is gone", func() bool { return look(b, "short") == nil })
}

func commonNews(t *testing.T, a, b *Store) {
	own, heard := make(chan string, 100), make(chan string, 100)
	into := func(c chan string) func([]byte) {
		return func(m []byte) {
			if m != nil { // the connection is there
				c <- string(m)
			}
		}
	}
	defer a.Bus().Subscribe("topic", into(own))()
	defer b.Bus().Subscribe("topic", into(heard))()
	// The subscriptions reach Redis a little later.
	const hello, hi = "hello", "hi"
	came := func(c chan string, word string) bool {
		for {
			select {
			case m := <-c:
				if m == word {
					return true
				}
			default:
				return false
			}
		}
	}
	await(t, "the other hears", func() bool {
		a.Bus().Publish("topic", []byte(hello))
		return came(heard, hello)
	})
	await(t, "the one hears the other", func() bool {
		b.Bus().Publish("topic", []byte(hi))
		return came(own, hi)
	})
	a.Bus().Publish("other topic", []byte("for others"))
	const n = 20
	for i := range n {
		a.Bus().Publish("topic", fmt.Appendf(nil, "with blanks, and a number %d", i))
	}
	// A cluster's nodes pass messages on, each its own: they may overtake each other.
	_, cluster := a.steady.(*goredis.ClusterClient)
	for _, c := range []chan string{own, heard} {
		last, come := time.After(deadline), make(map[string]bool)
		for len(come) < n {
			select {
			case m := <-c:
				if m == hello || m == hi {
					continue
				}
				if want := fmt.Sprintf("with blanks, and a number %d", len(come)); m != want && (c == own || !cluster) || come[m] {
					t.Fatalf("%q, want %q", m, want)
				}
				come[m] = true
			case <-last:
				t.Fatalf("%d messages have come, of %d", len(come), n)
			}
		}
	}
	// What it sent itself comes back from Redis, and is not told again: b's answer
	// comes behind it.
	b.Bus().Publish("topic", []byte("the end"))
	for end := time.After(deadline); ; {
		select {
		case m := <-own:
			switch m {
			case "the end":
				return
			case hi:
			default:
				t.Fatalf("again: %q", m)
			}
		case <-end:
			t.Fatal("no answer")
		}
	}
}

// Who could not hear for a while makes up for it, and forgets nothing of its own.
func commonMissed(t *testing.T, a, b *Store) {
	until := time.Now().Add(time.Hour).Round(0)
	theirs := state.Rested{Provider: "missed", Key: "theirs", Until: until}
	still := state.Rested{Provider: "missed", Key: "still", Model: "m", Until: until}
	own := state.Rested{Provider: "missed", Key: "own", Until: until}
	ctx, stop := context.WithCancel(t.Context())
	told := make(chan state.Rested, 1000)
	var wg sync.WaitGroup
	wg.Go(func() { b.Quarantine().Watch(ctx, func(r state.Rested) { told <- r }) })
	defer wg.Wait()
	defer stop()
	a.Quarantine().Rest(theirs)
	a.Quarantine().Rest(still)
	rests := make(map[string]bool)
	hear := func() {
		for len(told) > 0 {
			r := <-told
			rests[r.Key] = !r.Until.IsZero()
		}
	}
	await(t, "theirs rest", func() bool { hear(); return rests["theirs"] && rests["still"] })
	b.Quarantine().Rest(own) // now that it watches: of its own it hears at once, or not at all
	await(t, "all rest", func() bool { hear(); return rests["own"] })
	hash := a.Quarantine().(quarantine).hash()
	await(t, "all are written down", func() bool {
		n, err := a.steady.HLen(t.Context(), hash).Result()
		return err == nil && n >= 3
	})
	// What nobody hears: another process says that they are well.
	for _, r := range []state.Rested{theirs, own} {
		if err := a.steady.HDel(t.Context(), hash, field(r.Provider, r.Key, r.Model)).Err(); err != nil {
			t.Fatal(err)
		}
	}
	b.bus.local.Missed()
	await(t, "what was missed is told", func() bool { hear(); return !rests["theirs"] })
	if !rests["still"] || !rests["own"] {
		t.Errorf("%v", rests)
	}
	for _, r := range []state.Rested{still, own} { // for the scenarios that follow
		a.Quarantine().Well(r.Provider, r.Key, r.Model)
	}
	await(t, "nothing rests", func() bool {
		n, err := a.steady.HLen(t.Context(), hash).Result()
		return err == nil && n == 0
	})
}

func commonRests(t *testing.T, a, b *Store) {
	until := time.Now().Add(time.Hour).Round(0)
	early := state.Rested{Provider: "p", Key: "early", Until: until}
	late := state.Rested{Provider: "p", Key: "late", Model: "m", Until: until}
	a.Quarantine().Rest(early)
	a.Quarantine().Rest(state.Rested{Provider: "p", Key: "over", Until: time.Now().Add(-time.Second)})
	await(t, "both are written down", func() bool {
		n, err := a.steady.HLen(t.Context(), a.Quarantine().(quarantine).hash()).Result()
		return err == nil && n == 2
	})
	ctx, stop := context.WithCancel(t.Context())
	told := make(chan state.Rested, 1000)
	var wg sync.WaitGroup
	wg.Go(func() { b.Quarantine().Watch(ctx, func(r state.Rested) { told <- r }) })
	defer wg.Wait()
	defer stop()
	hear := func(key string, rests bool) {
		t.Helper()
		await(t, key+" is told", func() bool {
			for len(told) > 0 {
				r := <-told
				if r.Key == "over" && !r.Until.Before(time.Now()) {
					t.Errorf("%+v", r)
				}
				if r.Key == key && r.Until.After(time.Now()) == rests {
					return true
				}
			}
			return false
		})
	}
	hear("early", true) // from what is written
	a.Quarantine().Rest(late)
	hear("late", true) // as news
	a.Quarantine().Well("p", "late", "m")
	hear("late", false)
	await(t, "only one is written down", func() bool {
		all, err := a.steady.HGetAll(t.Context(), a.Quarantine().(quarantine).hash()).Result()
		return err == nil && len(all) == 1
	})
}
