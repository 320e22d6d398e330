package redis

import (
	"context"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
	"github.com/universal-ai-gateway/magicproxy/state"
)

// What a request needs goes in one round trip, and nothing is asked for what it does
// not need. The server counts what a script calls, too: TIME once, GET and SET for
// each limit.
func TestOneRoundTrip(t *testing.T) {
	const n = 50
	server := backendtest.Redis(t)
	look := plain(t, server.Addr)
	for _, tc := range []struct {
		name string
		ask  state.Admission
		want map[string]int
	}{
		{"nothing", state.Admission{}, map[string]int{}},
		{"a chain", state.Admission{Chain: "c"}, map[string]int{"incrby": n}},
		{"a cached answer", state.Admission{Cache: "k"}, map[string]int{"get": n}},
		{"a limit", state.Admission{Limits: []state.Limit{plenty("one|a")}},
			map[string]int{"evalsha": n, "time": n, "get": n, "set": n}},
		{"all", state.Admission{Limits: []state.Limit{plenty("one|a")}, Chain: "c", Cache: "k"},
			map[string]int{"evalsha": n, "incrby": n, "time": n, "get": 2 * n, "set": n}},
		{"two limits of one caller", state.Admission{Limits: []state.Limit{plenty("one|a"), plenty("one|b")}, Chain: "c", Cache: "k"},
			map[string]int{"evalsha": n, "incrby": n, "time": n, "get": 3 * n, "set": 2 * n}},
		{"limits of two callers", state.Admission{Limits: []state.Limit{plenty("one|a"), plenty("two|a")}, Chain: "c", Cache: "k"},
			map[string]int{"evalsha": 2 * n, "incrby": n, "time": 2 * n, "get": 3 * n, "set": 2 * n}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := between(t, server.Addr)
			s := connect(t, p.url, Options{Prefix: backendtest.RedisPrefix(t), Wait: calm})
			s.Admit(t.Context(), state.Admission{Limits: []state.Limit{plenty("first")}, Chain: "first"}) // connects
			if err := look.ConfigResetStat(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			before := p.rounds.Load()
			for range n {
				if got := s.Admit(t.Context(), tc.ask); got.Refused || got.Closed {
					t.Fatalf("%+v", got)
				}
			}
			got := calls(t, look)
			delete(got, "config|resetstat")
			delete(got, "info")
			if !maps.Equal(got, tc.want) {
				t.Errorf("the server has run %v, want %v", got, tc.want)
			}
			rounds := p.rounds.Load() - before
			if want := int64(n); len(tc.want) > 0 && rounds != want || len(tc.want) == 0 && rounds != 0 {
				t.Errorf("%d round trips for %d requests", rounds, n)
			}
			if bySelf(s) {
				t.Errorf("not all were decided by Redis: %+v", s.Health())
			}
		})
	}
}

// A request that needs nothing does not even connect.
func TestNothingCostsNothing(t *testing.T) {
	p := between(t, backendtest.Shared(t, "redis"))
	s := connect(t, p.url, Options{Prefix: backendtest.RedisPrefix(t), Wait: calm})
	if n := testing.AllocsPerRun(100, func() { s.Admit(t.Context(), state.Admission{}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if p.conns.Load() != 0 || !s.Health().Since.IsZero() {
		t.Errorf("%d connections, %+v", p.conns.Load(), s.Health())
	}
	s.Admit(t.Context(), state.Admission{Chain: "c"})
	if await(t, "it is used", func() bool { return !s.Health().Since.IsZero() }); p.conns.Load() != 1 {
		t.Errorf("then %d connections", p.conns.Load())
	}
}

// crowd admits several at once while a flight is held back, so that all of them leave
// with the next one.
type crowd struct {
	t     *testing.T
	p     *proxy
	s     *Store
	first sync.WaitGroup
	rest  sync.WaitGroup

	mu  sync.Mutex
	got []state.Admitted
}

func newCrowd(t *testing.T, o Options) *crowd {
	t.Helper()
	p := between(t, backendtest.Shared(t, "redis"))
	o.Prefix, o.Wait = backendtest.RedisPrefix(t), calm
	c := &crowd{t: t, p: p, s: connect(t, p.url, o)}
	c.s.Admit(t.Context(), state.Admission{Limits: []state.Limit{plenty("first")}}) // connects
	p.hold()
	rounds := p.rounds.Load()
	c.first.Go(func() { c.s.Admit(t.Context(), state.Admission{Cache: "nothing"}) })
	await(t, "a flight has left", func() bool { return p.rounds.Load() > rounds })
	return c
}

// come lets n more wait for the next flight.
func (c *crowd) come(ctx context.Context, n int, a state.Admission) {
	c.t.Helper()
	before := c.waiting()
	for range n {
		c.rest.Go(func() {
			got := c.s.Admit(ctx, a)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.got = append(c.got, got)
		})
	}
	await(c.t, "all wait", func() bool { return c.waiting() == before+n })
}

func (c *crowd) waiting() int {
	c.s.flights.mu.Lock()
	defer c.s.flights.mu.Unlock()
	return len(c.s.flights.waiting)
}

// leave lets the flight return and all others leave. It returns what they got, and how
// many round trips that took.
func (c *crowd) leave() (got []state.Admitted, rounds int64) {
	before := c.p.rounds.Load()
	c.p.release()
	c.first.Wait()
	c.rest.Wait()
	return c.got, c.p.rounds.Load() - before
}

// starts returns the next n starts of a chain, which Redis must give.
func (c *crowd) starts(chain string, n int) (all []uint64) {
	c.t.Helper()
	for range n {
		all = append(all, c.s.Admit(c.t.Context(), state.Admission{Chain: chain}).Start)
	}
	return all
}

func TestThoseWhoWaitShareATrip(t *testing.T) {
	c := newCrowd(t, Options{})
	const n = 64
	ask := state.Admission{Chain: "c", Cache: "nothing"}
	c.come(t.Context(), n/2, ask)
	ask.Limits = []state.Limit{plenty("one|a")}
	c.come(t.Context(), n/2, ask)
	got, rounds := c.leave()
	if rounds != 1 {
		t.Errorf("%d round trips for %d who waited", rounds, n)
	}
	var starts []uint64
	for _, g := range got {
		starts = append(starts, g.Start)
	}
	dense(t, append(starts, c.starts("c", 1)...))
	if len(starts) != n || bySelf(c.s) {
		t.Errorf("%d starts, %+v", len(starts), c.s.Health())
	}
}

// A start that was fetched for a request and not used is the next one's: many who are
// refused, have a cached answer or wait no longer leave no gap.
//
// contract: F6
func TestUnusedStartsAreNotLost(t *testing.T) {
	const many = 3000
	none := []state.Limit{{Key: "one|none", N: 1, Window: time.Hour}}
	for _, tc := range []struct {
		name  string
		n     int
		ask   state.Admission
		first *state.Admission // comes before the others
		leave bool             // they wait no longer
		is    func(state.Admitted) bool
	}{
		{"refused", many, state.Admission{Limits: none, Chain: "c"}, &state.Admission{Limits: none}, false,
			func(a state.Admitted) bool { return a.Refused }},
		{"cached", 20, state.Admission{Cache: "there", Chain: "c"}, nil, false,
			func(a state.Admitted) bool { return string(a.Cached) == "answer" }},
		{"gone", 20, state.Admission{Chain: "c"}, nil, true,
			func(a state.Admitted) bool { return a.Start > 1<<32 }}, // its own, from anywhere
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCrowd(t, Options{})
			look := plain(t, backendtest.Shared(t, "redis"))
			if err := look.Set(t.Context(), c.s.cacheKey("there"), "answer", time.Minute).Err(); err != nil {
				t.Fatal(err)
			}
			ctx, end := context.WithCancel(t.Context())
			defer end()
			if tc.first != nil {
				c.come(ctx, 1, *tc.first)
			}
			c.come(ctx, tc.n, tc.ask)
			if tc.leave {
				end()
				c.rest.Wait()
			}
			got, _ := c.leave()
			such := 0
			for _, g := range got {
				if tc.is(g) {
					such++
				}
			}
			if such != tc.n {
				t.Errorf("%d of %d are %s", such, tc.n, tc.name)
			}
			const after = 10
			starts := c.starts("c", tc.n+after)
			dense(t, starts)
			if last, err := look.Get(t.Context(), c.s.prefix+"chain:{c}").Int(); err != nil || last != tc.n+after {
				t.Errorf("the counter stands at %d, %v; %d were handed out", last, err, tc.n+after)
			}
		})
	}
}
