package rotation

import (
	"strings"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/provider"
)

// chainOf makes a chain with one provider per name; names before the bar are
// rotated over.
func chainOf(main, fallback string) *Chain {
	byName := map[string]*Target{}
	list := func(names string) (all []*Target) {
		for name := range strings.FieldsSeq(names) {
			if byName[name] == nil {
				byName[name] = NewTarget(bound(name, "key"), "m")
			}
			all = append(all, byName[name])
		}
		return all
	}
	return &Chain{Name: "c", Main: list(main), Fallback: list(fallback)}
}

func planned(r Route, now int64) string {
	var names []string
	for _, t := range r.Plan(nil, now, nil) {
		names = append(names, t.Provider.Name)
	}
	return strings.Join(names, " ")
}

// contract: F6
func TestChainStartsInTurn(t *testing.T) {
	c := chainOf("a b c", "x y")
	for i, want := range []string{"a b c x y", "b c a x y", "c a b x y", "a b c x y"} {
		r := c.Route(uint64(i))
		for range 2 { // an agent keeps its route
			if got := planned(r, noon); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
	}
}

func TestPlanPutsTheUnhealthyLast(t *testing.T) {
	for _, tt := range []struct{ name, main, fallback, bad, want string }{
		{"none", "a b", "x", "", "a b x"},
		{"first", "a b", "x", "a", "b x a"},
		{"fallback", "a b", "x y", "x", "a b y x"},
		{"several keep their order", "a b c", "x", "a c", "b x a c"},
		{"all", "a b", "x", "a b x", "a b x"},
		{"repeated", "a b a c", "a", "b", "a a c a b"},
		{"repeated and bad", "a b a c", "a", "a", "b c a a a"},
		{"nothing", "", "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := chainOf(tt.main, tt.fallback)
			for _, target := range append(c.Main, c.Fallback...) {
				if strings.Contains(tt.bad, target.Provider.Name) && target.state.until.Load() == 0 {
					target.state.failNow(granted, noon)
				}
			}
			if got := planned(c.Route(0), noon); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestReadyAsksForEverythingItNeeds(t *testing.T) {
	target := func() *Target {
		p := bound("p", "k0", "k1")
		p.MaxConcurrent = 1
		return NewTarget(p, "m")
	}
	limited := func(k *keyState, d time.Duration) {
		k.fail(granted, noon, provider.KindRateLimited, d, quarantine)
	}
	for _, tt := range []struct {
		name string
		do   func(*Target)
		want bool
	}{
		{"fresh", func(*Target) {}, true},
		{"target cooling", func(t *Target) { t.state.failNow(granted, noon) }, false},
		{"one key cooling", func(t *Target) { limited(t.Provider.Keys[0].state, time.Hour) }, true},
		{"both keys cooling", func(t *Target) {
			limited(t.Provider.Keys[0].state, time.Hour)
			limited(t.Provider.Keys[1].state, time.Minute)
		}, false},
		{"one cooling, the other not for this model", func(t *Target) {
			limited(t.Provider.Keys[0].state, time.Hour)
			t.Provider.Keys[1].state.failPair("m", refused, noon, provider.KindNotFound, 0, quarantine)
		}, false},
		{"other model refused", func(t *Target) {
			for _, k := range t.Provider.Keys {
				k.state.failPair("other", refused, noon, provider.KindNotFound, 0, quarantine)
			}
		}, true},
		{"no slot", func(t *Target) { t.Provider.state.limit.take(1) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tg := target()
			tt.do(tg)
			if got := tg.ready(noon, nil); got != tt.want {
				t.Errorf("ready = %v", got)
			}
		})
	}
}

func coolingChain() *Chain {
	c := &Chain{Name: "c"}
	for _, name := range []string{"a", "b", "c"} {
		c.Main = append(c.Main, NewTarget(bound(name, "k0", "k1", "k2", "k3"), "m"))
	}
	c.Main[1].state.fail(granted, noon, provider.KindServerError, time.Hour, quarantine)
	return c
}

func TestPlanAllocatesNothing(t *testing.T) {
	c := coolingChain()
	var room [8]*Target
	n := testing.AllocsPerRun(100, func() {
		if len(c.Route(0).Plan(room[:0], noon, nil)) != 3 {
			t.Fatal("lost a target")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Target: at most 1 µs, no allocation.
func BenchmarkPlan(b *testing.B) {
	c := coolingChain()
	var room [8]*Target
	b.ReportAllocs()
	for b.Loop() {
		_ = c.Route(0).Plan(room[:0], noon, nil)
	}
}
