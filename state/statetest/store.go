package statetest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// One makes a store for one scenario, whose backend is there. It may share that with
// other scenarios: keys are never used twice. It cleans up with t.Cleanup.
type One func(t *testing.T) state.Store

// skew is how far two clocks, the backend's and ours, may drift apart in a scenario.
const skew = 50 * time.Millisecond

// Store runs the scenarios of a state.Store that one store is enough for: what a limit
// says and keeps, an answer's life, subscribers. Stores has those of two.
func Store(t *testing.T, open One) {
	t.Helper()
	for _, c := range slices.Concat([]scenarioOfOne{
		{"what a limit says", said},
		{"who comes back when told is let through", comesBack},
		{"the tightest limit is told", tightest},
		{"of limits that refuse the longest is told", longest},
		{"the same limit twice is one", twice},
		{"callers are told apart", apart},
		{"everything at once", everything},
		{"an ended context", endedContext},
		{"health names every use", healthOfUses},
	}, answers, subscribers) {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// scenarioOfOne tests one sentence of the contract.
type scenarioOfOne struct {
	name string
	run  func(t *testing.T, s state.Store)
}

// limited asks for room in limits.
func limited(limits ...state.Limit) state.Admission { return state.Admission{Limits: limits} }

// near requires that something that is want from now at from is got by now.
func near(t *testing.T, what string, got, want time.Duration, from time.Time) {
	t.Helper()
	if least := want - time.Since(from) - skew; got < least || got > want+time.Millisecond {
		t.Errorf("%s: %s, want %s to %s", what, got, least, want)
	}
}

// security: X12
func said(t *testing.T, s state.Store) {
	limit, from := state.Limit{Key: name("user") + "|", N: 5, Window: time.Hour}, time.Now()
	for i := range 5 {
		got := admit(t, s, limited(limit))
		if got.Refused || got.Limit != limit || got.Remaining != 4-i || got.Retry != 0 {
			t.Errorf("request %d: %+v", i+1, got)
		}
		near(t, "Reset", got.Reset, time.Duration(i+1)*12*time.Minute, from)
	}
	// Those that are refused change nothing, however many they are.
	for range 20 {
		got := admit(t, s, limited(limit))
		if !got.Refused || got.Limit != limit || got.Remaining != 0 {
			t.Fatalf("%+v", got)
		}
		near(t, "Retry", got.Retry, 12*time.Minute, from)
		near(t, "Reset", got.Reset, time.Hour, from)
	}
}

// Whoever waits as long as he was told gets one place, and in no time are there more
// than the limit has.
//
// security: X12
func comesBack(t *testing.T, s state.Store) {
	const n, every = 5, 200 * time.Millisecond
	limit, from, passed := state.Limit{Key: name("user") + "|", N: n, Window: n * every}, time.Now(), 0
	for told := time.Duration(0); passed <= n || time.Since(from) < 5*every; {
		got := admit(t, s, limited(limit))
		if most := n + int((time.Since(from)+skew)/every); !got.Refused {
			if passed++; passed > most {
				t.Fatalf("%d requests in %s", passed, time.Since(from))
			}
			told = 0
			continue
		}
		if told > 0 {
			t.Fatalf("refused again after %s, for %s", told, got.Retry)
		}
		if told = got.Retry; told <= 0 || told > every+time.Millisecond {
			t.Fatalf("%+v", got)
		}
		<-time.After(told + 5*time.Millisecond)
	}
}

// Least is the part that is left, not the number.
func tightest(t *testing.T, s state.Store) {
	for what, other := range others() {
		many := state.Limit{Key: name("user") + "|many", N: 20, Window: time.Hour}
		few := state.Limit{Key: other(many.Key, "few"), N: 4, Window: time.Hour}
		for range 11 {
			admit(t, s, limited(many))
		}
		for i, ask := range [][]state.Limit{{many, few}, {few, many}} { // 8 of 20, 3 of 4; 7 of 20, 2 of 4
			if got := admit(t, s, limited(ask...)); got.Refused || got.Limit != many || got.Remaining != 8-i {
				t.Errorf("%s, %d: %+v", what, i, got)
			}
		}
	}
}

func longest(t *testing.T, s state.Store) {
	for what, other := range others() {
		hour := state.Limit{Key: name("user") + "|hour", N: 1, Window: time.Hour}
		day := state.Limit{Key: other(hour.Key, "day"), N: 1, Window: 24 * time.Hour}
		idle := state.Limit{Key: hour.Key + "idle", N: 2, Window: time.Hour}
		from := time.Now()
		admit(t, s, limited(hour))
		admit(t, s, limited(day))
		for _, ask := range [][]state.Limit{{hour, day}, {day, hour}, {hour, idle, day}} {
			got := admit(t, s, limited(ask...))
			if !got.Refused || got.Limit != day || got.Remaining != 0 {
				t.Errorf("%s: %+v", what, got)
			}
			near(t, "Retry", got.Retry, 24*time.Hour, from)
		}
	}
}

// others make a second limit's key from the first one's: of the same caller, whose
// limits a backend keeps together, and of another.
func others() map[string]func(key, what string) string {
	return map[string]func(key, what string) string{
		"the same caller": func(key, what string) string {
			who, _, _ := strings.Cut(key, "|")
			return who + "|" + what
		},
		"another caller": func(_, what string) string { return name("address") + "|" + what },
	}
}

// Two rules may come to the same limit: an anonymous caller's is his address's.
//
// security: X12
func twice(t *testing.T, s state.Store) {
	limit := state.Limit{Key: name("user") + "|", N: 5, Window: time.Hour}
	for i := range 5 {
		if got := admit(t, s, limited(limit, limit)); got.Refused || got.Remaining != 4-i {
			t.Errorf("request %d: %+v", i+1, got)
		}
	}
	if got := admit(t, s, limited(limit, limit)); !got.Refused || got.Retry > limit.Window/5+time.Millisecond {
		t.Errorf("a sixth: %+v", got)
	}
}

// security: X6
func apart(t *testing.T, s state.Store) {
	run := name("run")
	for _, key := range []string{
		"user:a|", "user:a|1", "user:A|", "user:a |", "user:a}|", "user:{a|", "user:{a}|", "user:ä|", "user:|a", "user:\x00|", "|",
		"user:" + strings.Repeat("a", 1000) + "|",
	} {
		one := state.Limit{Key: run + key, N: 1, Window: time.Hour}
		if got := admit(t, s, limited(one)); got.Refused {
			t.Errorf("%.60q has no room: %+v", key, got)
		}
		if got := admit(t, s, limited(one)); !got.Refused {
			t.Errorf("%.60q has room for two", key)
		}
	}
}

// An answer that is there counts in the limits, and takes no start; one that is not
// takes one.
func everything(t *testing.T, s state.Store) {
	ask := state.Admission{Limits: []state.Limit{{Key: name("user") + "|", N: 3, Window: time.Hour}}, Chain: name("chain"), Cache: name("key")}
	first := admit(t, s, ask)
	if first.Refused || first.Cached != nil || first.Remaining != 2 {
		t.Errorf("%+v", first)
	}
	s.Put(ask.Cache, []byte("answer"), time.Hour)
	await(t, "it is kept", func() bool { return admit(t, s, state.Admission{Cache: ask.Cache}).Cached != nil })
	if got := admit(t, s, ask); got.Refused || string(got.Cached) != "answer" || got.Remaining != 1 {
		t.Errorf("%+v", got)
	}
	ask.Cache = name("none")
	if got := admit(t, s, ask); got.Refused || got.Cached != nil || got.Remaining != 0 || got.Start != first.Start+1 {
		t.Errorf("%+v after %+v", got, first)
	}
	if got := admit(t, s, ask); !got.Refused {
		t.Errorf("%+v", got)
	}
	if got := admit(t, s, state.Admission{Chain: ask.Chain}); got.Start != first.Start+2 {
		t.Errorf("%+v after %+v", got, first)
	}
}

// Whose context has ended gets a word all the same, and at once; nobody else's starts
// suffer from it.
func endedContext(t *testing.T, s state.Store) {
	ctx, end := context.WithCancel(t.Context())
	end()
	chain := name("chain")
	limit := state.Limit{Key: name("user") + "|", N: 1000, Window: time.Hour}
	var mu sync.Mutex
	var all, theirs []uint64
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			if i%2 == 0 {
				got := admit(t, s, state.Admission{Chain: chain})
				mu.Lock()
				defer mu.Unlock()
				all = append(all, got.Start)
				return
			}
			from := time.Now()
			got := s.Admit(ctx, state.Admission{Chain: chain, Limits: []state.Limit{limit}, Cache: chain})
			if took := time.Since(from); got.Refused || got.Cached != nil || took > patience/2 {
				t.Errorf("after %s: %+v", took, got)
			}
			mu.Lock()
			defer mu.Unlock()
			theirs = append(theirs, got.Start)
		})
	}
	wg.Wait()
	// Starts that were left over come first, so none is missing in the end.
	for range 40 {
		all = append(all, admit(t, s, state.Admission{Chain: chain}).Start)
	}
	slices.Sort(all)
	for i, v := range all[1:] {
		for want := all[i] + 1; want != v; want++ {
			if v <= all[i] || !slices.Contains(theirs, want) {
				t.Fatalf("%d after %d", v, all[i])
			}
		}
	}
}

func healthOfUses(t *testing.T, s state.Store) {
	admit(t, s, state.Admission{Chain: name("chain")})
	h := s.Health()
	if len(h.Modes) != len(state.Uses) {
		t.Errorf("modes: %v", h.Modes)
	}
	for _, u := range state.Uses {
		if m := h.Modes[u]; m != "shared" && !slices.Contains(state.Modes, state.Mode(m)) {
			t.Errorf("%s: %q", u, m)
		}
	}
}
