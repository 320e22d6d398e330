package redis

import (
	"testing"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
	"github.com/universal-ai-gateway/magicproxy/state"
)

// What is wrong with one key is the trouble of whoever needs it, not of those who
// travel along, and no reason to give Redis up.
func TestABrokenKeyConcernsNobodyElse(t *testing.T) {
	c := newCrowd(t, Options{})
	look := plain(t, backendtest.Shared(t, "redis"))
	for _, key := range []string{c.s.prefix + "chain:{bad}", c.s.limitKeys([]state.Limit{plenty("bad|a")})[0], c.s.cacheKey("bad")} {
		if err := look.LPush(t.Context(), key, "a list").Err(); err != nil {
			t.Fatal(err)
		}
	}
	bad := []state.Admission{{Chain: "bad"}, {Limits: []state.Limit{plenty("bad|a")}, Chain: "c"}, {Cache: "bad", Chain: "c"}}
	for _, a := range bad {
		c.come(t.Context(), 1, a)
	}
	c.come(t.Context(), 20, state.Admission{Limits: []state.Limit{plenty("good|a")}, Chain: "c"})
	got, _ := c.leave()
	var starts []uint64
	for _, g := range got {
		if g.Refused || g.Closed {
			t.Errorf("%+v", g)
		}
		if g.Start < 1<<32 { // else it is its own
			starts = append(starts, g.Start)
		}
	}
	dense(t, append(starts, c.starts("c", 5)...))
	if h := c.s.Health(); len(starts) != 20 || h.Alone != uint64(len(bad)) || !h.Up {
		t.Errorf("%d have a start of Redis, %+v", len(starts), h)
	}
}

// A server that was restarted knows no script: it is told, once.
func TestAScriptIsToldOnce(t *testing.T) {
	server := backendtest.Redis(t)
	look := plain(t, server.Addr)
	s := connect(t, server.Addr, Options{Wait: calm})
	for range 3 {
		if err := look.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if err := look.ConfigResetStat(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			got := s.Admit(t.Context(), state.Admission{Limits: []state.Limit{plenty("a|x"), plenty("b|x")}, Chain: "c"})
			if got.Refused || got.Limit.N == 0 {
				t.Errorf("%+v", got)
			}
		}
		if got := calls(t, look); got["evalsha"] != 20 || got["eval"] != 2 || got["incrby"] != 10 {
			t.Errorf("the server has run %v", got)
		}
	}
	if bySelf(s) {
		t.Errorf("%+v", s.Health())
	}
}

// A reply that is lost may lose starts, and hands none out twice.
func TestALostReplyDoublesNothing(t *testing.T) {
	p := between(t, backendtest.Shared(t, "redis"))
	s := connect(t, p.url, Options{Prefix: backendtest.RedisPrefix(t), Wait: calm})
	seen := make(map[uint64]bool)
	for i := range 200 {
		if i%50 == 25 {
			p.lose.Store(true)
		}
		got := s.Admit(t.Context(), state.Admission{Chain: "c"}).Start
		if seen[got] {
			t.Fatalf("%d a second time", got)
		}
		seen[got] = true
		await(t, "Redis is back", func() bool { return s.Health().Up })
	}
	if alone := s.Health().Alone; alone != 4 {
		t.Errorf("%d went on alone, of 4", alone)
	}
}
