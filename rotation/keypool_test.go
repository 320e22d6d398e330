package rotation

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/provider"
)

func bound(name string, keys ...string) *Provider {
	p := &Provider{Name: name, Quarantine: quarantine}
	p.Bind(new(State), keys)
	return p
}

// fresh is a call that has used nothing.
func fresh() *run { return &run{Tries: new(Tries)} }

// take takes a key as a call does that has used those of r.
func take(r *run, t *Target, now int64) string {
	a := &attempt{run: r, target: t}
	if !a.takeKey(now, false) {
		return ""
	}
	return a.key.Secret
}

// contract: F3
func TestKeysLeastRecentlyUsedFirst(t *testing.T) {
	p := bound("p", "k0", "k1", "k2")
	target := NewTarget(p, "m")
	var got []string
	for range 5 {
		got = append(got, take(fresh(), target, noon))
	}
	p.Keys[2].state.fail(granted, noon, provider.KindRateLimited, time.Minute, quarantine)
	for range 3 {
		got = append(got, take(fresh(), target, noon))
	}
	now := noon + 60*second // k2 is half-open, and the one unused for longest
	for range 3 {
		got = append(got, take(fresh(), target, now))
	}
	if s := strings.Join(got, " "); s != "k0 k1 k2 k0 k1 k0 k1 k0 k2 k1 k0" {
		t.Error(s)
	}
	wantState(t, &p.Keys[2].state.health, now, "probing")
}

// contract: F3
func TestKeysEvenlyUsedConcurrently(t *testing.T) {
	p := bound("p", "k0", "k1", "k2", "k3")
	target := NewTarget(p, "m")
	var mu sync.Mutex
	counts := map[string]int{}
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for range 8 {
		wg.Go(func() {
			mine := map[string]int{}
			<-begin
			for range 5000 {
				mine[take(fresh(), target, noon)]++
			}
			mu.Lock()
			defer mu.Unlock()
			for k, n := range mine {
				counts[k] += n
			}
		})
	}
	close(begin)
	wg.Wait()
	for i := range 4 {
		if n := counts[fmt.Sprintf("k%d", i)]; n != 10_000 {
			t.Errorf("k%d was taken %d times of 40000, want a quarter", i, n)
		}
	}
}

// contract: F3
func TestKeyNeverTwiceInACall(t *testing.T) {
	p := bound("p", "k0", "k1")
	target, other := NewTarget(p, "m"), NewTarget(p, "other")
	r := fresh()
	for _, want := range []string{"k0", "k1", ""} {
		got := take(r, target, noon)
		if got != want {
			t.Fatalf("took %q, want %q", got, want)
		}
		for _, k := range p.Keys {
			if k.Secret == got {
				r.tried = append(r.tried, pair{k.state, target.state})
			}
		}
	}
	// For another model they may serve, unless refused as keys.
	r.spent = append(r.spent, p.Keys[0].state)
	if got := take(r, other, noon); got != "k1" {
		t.Errorf("took %q for another model", got)
	}
}

// contract: F2
func TestPairIsMarkedForItsModelOnly(t *testing.T) {
	p := bound("p", "k0", "k1")
	k0 := p.Keys[0].state
	k0.failPair("m", refused, noon, provider.KindForbidden, 0, quarantine)
	m, other := NewTarget(p, "m"), NewTarget(p, "other")
	for range 3 {
		if got := take(fresh(), m, noon); got != "k1" {
			t.Fatalf("took %q for the model it is refused for", got)
		}
	}
	if got := take(fresh(), other, noon); got != "k0" {
		t.Errorf("took %q for another model", got)
	}
	if at, early, cause := k0.due("m"); at != noon+second || !early || cause != provider.KindForbidden {
		t.Errorf("due %d %v %v", at-noon, early, cause)
	}
	// Both the key and the pair are probes then, and come back together.
	k0.fail(granted, noon, provider.KindRateLimited, time.Second, quarantine)
	a := &attempt{run: fresh(), target: m}
	p.Keys[1].state.fail(granted, noon, provider.KindRateLimited, time.Hour, quarantine)
	if !a.takeKey(noon+second, false) || a.key.Secret != "k0" || a.ofKey != probe || a.ofPair != probe {
		t.Fatalf("%+v", a)
	}
	a.mark(provider.KindOK, 0)
	wantState(t, &k0.health, noon, "healthy")
	wantState(t, k0.pair("m"), noon, "healthy")
}

// A pair that is being probed must not keep the key's own probe.
//
// contract: F2
func TestRefusedPairGivesTheKeyBack(t *testing.T) {
	p := bound("p", "k0")
	k0, target := p.Keys[0].state, NewTarget(p, "m")
	k0.fail(granted, noon, provider.KindRateLimited, time.Second, quarantine)
	k0.failPair("m", refused, noon, provider.KindNotFound, 0, quarantine)
	wantGrant(t, "pair", k0.pair("m").claim(noon+second, false), probe)
	if got := take(fresh(), target, noon+second); got != "" {
		t.Errorf("took %q", got)
	}
	wantState(t, &k0.health, noon+second, "half-open")
}

// Callers choose the models' names: what is kept per name has a bound.
//
// contract: F2
func TestStatesAreBounded(t *testing.T) {
	p := bound("p", "k0")
	tab := table(t, map[string]*Provider{"p": p}, map[string]Tier{"t": {Rotate: []string{"p/named"}}})
	named := tab.Lookup("t").Main[0].state
	for i := range 3 * maxTargets {
		model := fmt.Sprintf("m%d", i)
		p.Keys[0].state.failPair(model, refused, noon, provider.KindNotFound, 0, quarantine)
		tab.Lookup("p/" + model)
	}
	if n := len(p.Keys[0].state.pairs); n > maxPairs {
		t.Errorf("%d pairs", n)
	}
	if n := len(p.state.targets); n > maxTargets {
		t.Errorf("%d healthy targets", n)
	}
	for i := range 3 * maxTargets {
		c := tab.Lookup(fmt.Sprintf("p/n%d", i))
		c.Main[0].state.failNow(granted, noon)
	}
	if n := len(p.state.targets); n > 2*maxTargets {
		t.Errorf("%d failing targets", n)
	}
	if p.state.targets["named"] != named {
		t.Error("a model of the configuration was forgotten")
	}
	p.Reset("")
	for _, s := range p.TargetStatuses(time.Unix(0, noon), func(string) bool { return true }) {
		if s.State != "healthy" {
			t.Fatalf("after a reset: %+v", s)
		}
	}
	if s := p.KeyStatuses(time.Unix(0, noon)); len(s) != 1 || s[0].State != "healthy" || len(s[0].Models) != 0 {
		t.Errorf("after a reset: %+v", s)
	}
}

func TestStateOutlivesTheConfiguration(t *testing.T) {
	s := new(State)
	old, next := &Provider{Name: "p"}, &Provider{Name: "p"}
	old.Bind(s, []string{"a", "b", "a"})
	next.Bind(s, []string{"b", "c"})
	if len(old.Keys) != 2 || old.Keys[1].state != next.Keys[0].state || old.Keys[0].state == next.Keys[1].state {
		t.Error("states do not follow the secrets")
	}
	old.Keys[1].state.fail(granted, noon, provider.KindUnauthorized, 0, quarantine)
	st := next.KeyStatuses(time.Unix(0, noon))
	if st[0].State != "retired" || st[0].ID != KeyID("b") || len(st[0].ID) != 12 || st[1].State != "healthy" {
		t.Errorf("%+v", st)
	}
	if !next.Reset(KeyID("b")) || next.Reset("nobody") {
		t.Error("reset by ID")
	}
	wantState(t, &old.Keys[1].state.health, noon, "healthy")
	none := bound("keyless")
	if len(none.Keys) != 1 || none.Keys[0].Secret != "" || none.Keys[0].ID != "" {
		t.Errorf("%+v", none.Keys)
	}
}
