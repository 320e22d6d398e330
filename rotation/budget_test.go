package rotation

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/provider"
)

func manyKeys(n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprintf("k%d", i))
	}
	return keys
}

// Many exhausted keys do not use up what is meant for the targets after them.
//
// contract: F3
func TestKeyBudgetLeavesTheFallback(t *testing.T) {
	bothWays(t, func(t *testing.T, stream bool) {
		a, b := serve(t, fails(429)), serve(t, fails(429))
		_, ta := a.provider(t, "a", manyKeys(keyBudget+4)...)
		_, tb := b.provider(t, "b", manyKeys(4)...)
		_, tc := serve(t, good).provider(t, "c")
		res := ask(t, inOrder(ta, tb, tc), stream)
		if res.target != tc {
			t.Fatalf("%+v", res.err)
		}
		if n := len(strings.Fields(a.calls())); n != keyBudget {
			t.Errorf("%d keys of a", n)
		}
		if got := b.calls(); got != "k0/m" { // one try is for free
			t.Errorf("b: %s", got)
		}
		wantIdle(t, ta, tb, tc)
	})
}

// contract: F3
func TestRetryBudget(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{"5xx": fails(500), "429": fails(429)} {
		t.Run(name, func(t *testing.T) {
			u := serve(t, answer)
			var all []*Target
			for i := range 40 {
				_, target := u.provider(t, fmt.Sprintf("p%d", i))
				all = append(all, target)
			}
			res := ask(t, inOrder(all...), false)
			if res.err == nil {
				t.Fatal("answered")
			}
			want := retryBudget
			if name == "429" {
				want += keyBudget
			}
			if n := len(strings.Fields(u.calls())); n != want || res.trace.Attempts != want {
				t.Errorf("%d attempts, want %d", n, want)
			}
		})
	}
}

// A single key's blip must not become an outage: the next request probes before
// the cooling is over.
//
// contract: F4
func TestBlipIsProbedEarly(t *testing.T) {
	for _, status := range []int{402, 403, 404, 429, 500, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			bothWays(t, func(t *testing.T, stream bool) {
				a := serve(t, fails(status, "Retry-After", "3600"))
				_, ta := a.provider(t, "a")
				if res := ask(t, direct(ta), stream); res.err == nil {
					t.Fatal("answered")
				}
				a.then(good)
				if res := ask(t, direct(ta), stream); res.target != ta {
					t.Fatalf("%+v", res.err)
				}
				wantMarks(t, ta, "", "", "")
			})
		})
	}
}

// A key with a definite 401 waits for its hour all the same.
//
// contract: F2, F4
func TestRetiredKeyIsNotProbedEarly(t *testing.T) {
	a := serve(t, fails(401))
	p, ta := a.provider(t, "a")
	wantAPI(t, ask(t, direct(ta), false).err, 502, "refused the gateway's credentials")
	a.then(good)
	res := ask(t, direct(ta), false)
	wantAPI(t, res.err, 503, "No upstream")
	if d := res.err.API.RetryAfter; d < 59*time.Minute || d > time.Hour {
		t.Errorf("Retry-After %v", d)
	}
	if a.calls() != "a/m" {
		t.Error("it was tried before its hour")
	}
	p.Reset("") // the admin's
	if res := ask(t, direct(ta), false); res.err != nil {
		t.Error(res.err)
	}
}

// Two requests while everything cools: one probes, the other is told when to
// come back.
//
// contract: F4
func TestOneOfTwoProbes(t *testing.T) {
	for _, tt := range []struct {
		cause  provider.Kind
		given  time.Duration
		status int
	}{{provider.KindRateLimited, 90 * time.Second, 429}, {provider.KindPayment, 90 * time.Second, 503}} {
		bothWays(t, func(t *testing.T, stream bool) {
			asked, answer := make(chan struct{}), make(chan struct{})
			a := serve(t, func(w http.ResponseWriter, r *http.Request) {
				asked <- struct{}{}
				<-answer
				good(w, r)
			})
			p, ta := a.provider(t, "a")
			p.Keys[0].state.fail(granted, time.Now().UnixNano(), tt.cause, tt.given, quarantine)
			var first result
			var wg sync.WaitGroup
			wg.Go(func() { first = ask(t, inOrder(ta), stream) })
			<-asked
			second := ask(t, inOrder(ta), stream)
			close(answer)
			wg.Wait()
			if first.target != ta {
				t.Errorf("the probe: %+v", first.err)
			}
			wantAPI(t, second.err, tt.status, "tier")
			if d := second.err.API.RetryAfter; d <= 60*time.Second || d > tt.given {
				t.Errorf("Retry-After %v", d)
			}
			wantMarks(t, ta, "", "", "")
			wantIdle(t, ta)
		})
	}
}

// Of several the one due soonest is probed.
//
// contract: F4
func TestTheSoonestIsProbed(t *testing.T) {
	a, b, c := serve(t, good), serve(t, good), serve(t, good)
	pa, ta := a.provider(t, "a", "a1", "a2")
	_, tb := b.provider(t, "b")
	_, tc := c.provider(t, "c")
	now := time.Now().UnixNano()
	pa.Keys[0].state.fail(granted, now, provider.KindUnauthorized, 0, quarantine) // soonest of all, had it not been retired
	pa.Keys[1].state.fail(granted, now, provider.KindRateLimited, 3*time.Hour, quarantine)
	tb.state.fail(granted, now, provider.KindDial, 2*time.Hour, quarantine)
	tc.state.fail(granted, now, provider.KindDial, 4*time.Hour, quarantine)
	if res := ask(t, inOrder(ta, tc, tb), false); res.target != tb {
		t.Fatalf("%+v", res)
	}
	tb.state.fail(granted, now, provider.KindDial, 5*time.Hour, quarantine)
	if res := ask(t, inOrder(tc, tb, ta), false); res.target != ta || a.calls() != "a2/m" {
		t.Fatalf("%+v", res)
	}
}
