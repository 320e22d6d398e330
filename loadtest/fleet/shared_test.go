package fleet

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
)

// shared is the environment of gateways that share the servers of the test run, and
// nothing of other tests'.
func shared(t *testing.T) []string {
	t.Helper()
	brokers := backendtest.Shared(t, "kafka")
	return []string{
		"FLEET_REDIS=" + backendtest.Shared(t, "redis"), "FLEET_PREFIX=" + backendtest.RedisPrefix(t),
		"FLEET_MONGODB=" + database(backendtest.Shared(t, "mongodb"), backendtest.MongoDatabase(t)),
		"FLEET_KAFKA=" + brokers, "FLEET_TOPIC=" + backendtest.KafkaTopic(t, brokers, 3),
	}
}

// database puts a database into a URL of MongoDB.
func database(url, name string) string {
	base, query, _ := strings.Cut(url, "?")
	return strings.TrimSuffix(base, "/") + "/" + name + "?" + query
}

// contract: F6, A12
func TestTwoGateways(t *testing.T) {
	env := shared(t)
	one, two := launch(t, env...), launch(t, env...)

	t.Run("rotation is exact over both", func(t *testing.T) {
		const each = 150
		count := make(map[string]int)
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 2 * each {
			p := []*process{one, two}[i%2]
			wg.Go(func() {
				a := p.chat(opsToken, "turn", i%4 < 2)
				if !a.whole() {
					t.Errorf("%d %v %.200s", a.status, a.err, a.body)
				}
				mu.Lock()
				count[a.header.Get("X-Ai-Gateway-Target")]++
				mu.Unlock()
			})
		}
		wg.Wait()
		// On a machine that has too much to do a few may have been decided without Redis:
		// the gateways say how many, and only those may be out of turn.
		alone := one.alone() + two.alone()
		for _, target := range []string{"a/x", "b/x", "c/x"} {
			if off := count[target] - each*2/3; max(off, -off) > alone {
				t.Errorf("%v, decided without Redis: %d", count, alone)
			}
		}
		// One after the other: the order goes on from gateway to gateway. Those that were
		// decided alone may have left a start each at their gateway, which the next ones use
		// up first.
		until(t, 30*time.Second, "six in a row are decided by Redis", func() bool {
			for _, p := range []*process{one, two} {
				for range p.alone() {
					p.chat(opsToken, "turn", false)
				}
			}
			alone := one.alone() + two.alone()
			var got []string
			for i := range 6 {
				got = append(got, []*process{one, two}[i%2].chat(opsToken, "turn", false).header.Get("X-Ai-Gateway-Target"))
			}
			if one.alone()+two.alone() != alone {
				return false
			}
			if !slices.Equal(got[:3], got[3:]) || got[0] == got[1] || got[1] == got[2] {
				t.Errorf("%v", got)
			}
			return true
		})
	})

	t.Run("a token works everywhere, and nowhere once it is revoked", func(t *testing.T) {
		token, id := one.register("ann")
		for _, p := range []*process{one, two} {
			if a := p.chat(token, "turn", false); !a.whole() {
				t.Fatalf("%d %s", a.status, a.body)
			}
		}
		if a := one.do(t.Context(), http.MethodPost, "/v1/auth/register", "", `{"username":"ann"}`); a.status != http.StatusConflict {
			t.Errorf("the same name: %d %s", a.status, a.body)
		}
		from := time.Now()
		if a := one.do(t.Context(), http.MethodDelete, "/v1/user/tokens/"+id, token, ""); a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if a := one.chat(token, "turn", false); a.status != http.StatusUnauthorized {
			t.Errorf("at once, where it was revoked: %d", a.status)
		}
		until(t, 5*time.Second, "the other one knows", func() bool { return two.chat(token, "turn", false).status == http.StatusUnauthorized })
		t.Logf("revoked on the other gateway after %s", time.Since(from).Round(time.Millisecond))
		if took := time.Since(from); took > time.Second {
			t.Errorf("it took %s, more than a second", took)
		}
	})

	t.Run("a session goes on, and is cancelled, anywhere", func(t *testing.T) {
		token, _ := two.register("bob")
		a := one.chat(token, "thinker", false)
		id := a.header.Get("X-Session-Id")
		if !a.whole() || id == "" {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if a := two.chat(token, "thinker", false, "X-Session-Id", id); !a.whole() {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if a := two.do(t.Context(), http.MethodGet, "/v1/sessions/"+id, token, ""); !strings.Contains(a.body, `"steps":2`) {
			t.Errorf("%d %s", a.status, a.body)
		}
		const own = "a-session-of-bobs-own"
		done := make(chan answer, 1)
		go func() { done <- one.chat(token, "sleeper", true, "X-Session-Id", own) }()
		until(t, 10*time.Second, "it runs", func() bool {
			return strings.Contains(two.do(t.Context(), http.MethodGet, "/v1/sessions/"+own, token, "").body, `"running":true`)
		})
		if a := two.chat(token, "thinker", false, "X-Session-Id", own); a.status != http.StatusConflict {
			t.Errorf("a second runner: %d %s", a.status, a.body)
		}
		from := time.Now()
		if a := two.do(t.Context(), http.MethodPost, "/v1/sessions/"+own+"/cancel", token, ""); a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
		b := <-done
		t.Logf("cancelled on the other gateway after %s", time.Since(from).Round(time.Millisecond))
		if !strings.Contains(b.body, `"code":"cancelled"`) || strings.Contains(b.body, "[DONE]") || time.Since(from) > 5*time.Second {
			t.Errorf("after %s: %.300s", time.Since(from), b.body)
		}
		other, _ := one.register("carl")
		if a := two.do(t.Context(), http.MethodGet, "/v1/sessions/"+own, other, ""); a.status != http.StatusNotFound {
			t.Errorf("somebody else's session: %d", a.status)
		}
	})

	t.Run("answers are cached for both", func(t *testing.T) {
		body := chat("kept", false, `,"seed":1`)
		first := one.do(t.Context(), http.MethodPost, "/v1/chat/completions", opsToken, body)
		if first.header.Get("X-Cache") != "miss" {
			t.Errorf("%v", first.header)
		}
		var second answer
		until(t, 5*time.Second, "the other one has it", func() bool {
			second = two.do(t.Context(), http.MethodPost, "/v1/chat/completions", opsToken, body)
			return second.header.Get("X-Cache") == "hit"
		})
		if second.body != first.body {
			t.Errorf("%s\n%s", first.body, second.body)
		}
	})

	t.Run("a key that one finds refused rests on both", func(t *testing.T) {
		if a := one.chat(opsToken, "limited/x", false); a.status != http.StatusTooManyRequests {
			t.Fatalf("%d %s", a.status, a.body)
		}
		state := func(p *process) string {
			var s struct{ Keys []struct{ State string } }
			p.adminGet("/ai_gateway/providers/limited", &s)
			return fmt.Sprint(s.Keys)
		}
		until(t, 5*time.Second, "the other one knows", func() bool { return state(two) == "[{cooling}]" })
		three := launch(t, env...)
		until(t, 5*time.Second, "one that starts later knows", func() bool { return state(three) == "[{cooling}]" })
		res, err := two.client.Post(two.admin+"/ai_gateway/providers/limited/reset", "application/json", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		for _, p := range []*process{one, two, three, launch(t, env...)} {
			until(t, 5*time.Second, "an operator's reset reaches all", func() bool { return state(p) == "[{healthy}]" })
		}
	})

	t.Run("limits count over both", func(t *testing.T) {
		token, _ := one.register("dora")
		if a := two.do(t.Context(), http.MethodPost, "/v1/chat/completions", token, chat("turn", false, "")); a.header.Get("X-Ratelimit-Remaining-Requests") != "999999" {
			t.Errorf("%v", a.header)
		}
		if a := one.do(t.Context(), http.MethodPost, "/v1/chat/completions", token, chat("turn", false, "")); a.header.Get("X-Ratelimit-Remaining-Requests") != "999998" {
			t.Errorf("%v", a.header)
		}
	})

	audited(t, env, one, two)
}
