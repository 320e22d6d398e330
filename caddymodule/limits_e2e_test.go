package caddymodule

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// contract: R3
// security: X12
func TestRateLimit(t *testing.T) {
	u := newUpstream(t)
	g := start(t, config{global: `
		token ann ann-secret
		token bob bob-secret
		provider up openai {
			base_url ` + u.base() + `
		}
		agent helper {
			model up/m
		}`, handler: `
		auth optional
		rate_limit 3 1h`})
	ann, bob := []string{"Authorization", "Bearer ann-secret"}, []string{"Authorization", "Bearer bob-secret"}
	for i := range 3 {
		a := g.chat([]string{"up/m", "helper", "up/m"}[i], i == 2, ann...).want(t, 200)
		if h := a.Header; h.Get("X-Ratelimit-Limit-Requests") != "3" || h.Get("X-Ratelimit-Remaining-Requests") != strconv.Itoa(2-i) || h.Get("X-Ratelimit-Reset-Requests") == "" {
			t.Errorf("request %d: %v", i, h)
		}
	}
	for _, stream := range []bool{false, true} {
		a := g.chat("up/m", stream, ann...).want(t, 429)
		e := a.apiError(t)
		if e.Code != "rate_limit_exceeded" || a.Header.Get("Retry-After") != "1200" || a.Header.Get("X-Ratelimit-Remaining-Requests") != "0" {
			t.Errorf("%+v, %v", e, a.Header)
		}
		if log := g.accessLog(a.Header.Get("X-Request-Id")); log.AI["outcome"] != "policy" {
			t.Errorf("%v", log.AI)
		}
	}
	g.chat("up/m", false, bob...).want(t, 200)
	g.chat("up/m", false).want(t, 200) // by the address
	g.do(http.MethodGet, "/v1/models", "", ann...).want(t, 200)
	if n := len(u.seen()); n != 5 {
		t.Errorf("the upstream has seen %d requests", n)
	}
	// What the limits count outlives a configuration.
	g.mustLoad(config{global: `
		token ann ann-secret
		provider up openai {
			base_url ` + u.base() + `
		}`, handler: "rate_limit 3 1h\nkeep_alive 3s"})
	g.chat("up/m", false, ann...).want(t, 429)
}

// Several limits hold all at once, those by address for everybody.
//
// security: X12
func TestRateLimitsTogether(t *testing.T) {
	u := newUpstream(t)
	g := start(t, config{global: `
		token ann ann-secret-2
		token bob bob-secret-2
		provider up openai {
			base_url ` + u.base() + `
		}`, site: "@never path /never", handler: `
		rate_limit 2 50m
		rate_limit 100 20m by user
		rate_limit 3 40m by ip`})
	who := func(name string) []string { return []string{"Authorization", "Bearer " + name + "-secret-2"} }
	for _, step := range []struct {
		who    string
		status int
		limit  string
	}{
		{"ann", 200, "2"}, {"ann", 200, "2"}, {"ann", 429, "2"}, {"bob", 200, "3"}, {"bob", 429, "3"},
	} {
		a := g.chat("up/m", false, who(step.who)...).want(t, step.status)
		if got := a.Header.Get("X-Ratelimit-Limit-Requests"); got != step.limit {
			t.Errorf("%+v: the tightest limit is %s", step, got)
		}
	}
}

// security: X12
func TestConcurrency(t *testing.T) {
	u := newUpstream(t)
	g := start(t, config{global: `
		token ann ann-secret
		token bob bob-secret
		provider up openai {
			base_url ` + u.base() + `
		}`, handler: "concurrency 2"})
	ann, bob := []string{"Authorization", "Bearer ann-secret"}, []string{"Authorization", "Bearer bob-secret"}
	u.when("slow", hang(contentEvent))
	first := g.open(http.MethodPost, "/v1/chat/completions", strings.NewReader(chatBody("up/slow", true)), ann...)
	defer first.Body.Close()
	second := g.open(http.MethodPost, "/v1/chat/completions", strings.NewReader(chatBody("up/slow", true)), ann...)
	defer second.Body.Close()
	if first.StatusCode != 200 || second.StatusCode != 200 {
		t.Fatalf("status %d and %d", first.StatusCode, second.StatusCode)
	}
	a := g.chat("up/m", false, ann...).want(t, 429)
	if e := a.apiError(t); e.Code != "rate_limit_exceeded" || a.Header.Get("Retry-After") != "1" {
		t.Errorf("%+v %v", e, a.Header)
	}
	g.chat("up/m", false, bob...).want(t, 200)
	_ = first.Body.Close()
	_ = second.Body.Close()
	eventually(t, "her places are free again", func() bool { return g.chat("up/m", false, ann...).StatusCode == 200 })
	// Refusals give nothing back that they have not taken.
	for range 20 {
		g.do(http.MethodPost, "/v1/chat/completions", "{", ann...).want(t, 400)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { g.chat("up/m", true, ann...) })
	}
	wg.Wait()
	eventually(t, "nobody is left", func() bool { return running.Acquire("user:ann", 1) })
	running.Release("user:ann")
}

func TestHealth(t *testing.T) {
	g := start(t, config{global: "mock on", handler: "health"})
	a := g.do(http.MethodGet, "/v1/health", "").want(t, 200)
	if want := `{"status":"ok","parts":{"store":{"backend":"memory","status":"ok"},"users":{"backend":"local","status":"ok"},"audit":{"backend":"off","status":"ok"}}}`; a.body != want {
		t.Errorf("%s, want %s", a.body, want)
	}
	g.do(http.MethodPost, "/v1/health", "").want(t, 405)
	var live, ready struct {
		Status string
		Parts  map[string]struct {
			Status string
			Detail map[string]any
		}
	}
	if g.adminDo(http.MethodGet, "/ai_gateway/health/live", &live) != 200 || live.Status != "ok" {
		t.Errorf("%+v", live)
	}
	if g.adminDo(http.MethodGet, "/ai_gateway/health/ready", &ready) != 200 || ready.Status != "ok" || ready.Parts["store"].Detail["backend"] != "memory" {
		t.Errorf("%+v", ready)
	}
	g.mustLoad(config{global: "mock on", handler: "health /v1/healthy"})
	g.do(http.MethodGet, "/v1/healthy", "").want(t, 200)
	g.do(http.MethodGet, "/v1/health", "").want(t, 404)
}

// A store that is away degrades the gateway, or closes it, as each use says.
func TestStoreAway(t *testing.T) {
	u := newUpstream(t)
	t.Setenv("TEST_REDIS", "redis://"+freeAddr(t))
	conf := func(fail string) config {
		return config{global: `
			store redis {env.TEST_REDIS} {
				` + fail + `
			}
			provider up openai {
				base_url ` + u.base() + `
			}
			agent helper {
				model up/m
			}`, handler: "auth off\nrate_limit 100 1h\nhealth"}
	}
	for fail, want := range map[string]struct{ model, agent, health int }{
		"fail limits local": {200, 200, 200}, "fail limits open": {200, 200, 200}, "fail limits closed": {503, 503, 503},
		"fail sessions closed": {200, 503, 503}, "fail sessions open": {200, 200, 200},
	} {
		t.Run(fail, func(t *testing.T) {
			g := start(t, conf(fail))
			eventually(t, "it is known before the first request", func() bool {
				return !strings.Contains(g.do(http.MethodGet, "/v1/health", "").body, `"store":{"backend":"redis","status":"ok"}`)
			})
			for range 2 {
				a := g.chat("up/m", false).want(t, want.model)
				if limited := a.Header.Get("X-Ratelimit-Limit-Requests") != ""; limited != (want.model == 200 && fail != "fail limits open") {
					t.Errorf("%v", a.Header)
				}
				if a := g.chat("helper", true).want(t, want.agent); want.agent == 503 && a.Header.Get("Retry-After") == "" {
					t.Errorf("%v", a.Header)
				}
			}
			a := g.do(http.MethodGet, "/v1/health", "").want(t, want.health)
			if status := map[int]string{200: "degraded", 503: "unavailable"}[want.health]; !strings.Contains(a.body, `"store":{"backend":"redis","status":"`+status+`"}`) {
				t.Errorf("%s", a.body)
			}
			var m string
			g.adminDo(http.MethodGet, "/metrics", &m)
			use, mode, _ := strings.Cut(strings.TrimPrefix(fail, "fail "), " ")
			if !strings.Contains(m, `caddy_ai_gateway_store_mode{mode="`+mode+`",use="`+use+`"} 1`) || !strings.Contains(m, `caddy_ai_gateway_backend_up{backend="redis",part="store"} 0`) {
				t.Error("the gauges do not say so")
			}
		})
	}
}

func TestRounded(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-1: "0s", 0: "0s", 1: "1ms", time.Millisecond: "1ms", 1500 * time.Microsecond: "2ms", time.Second: "1s", 1001 * time.Millisecond: "2s", 6 * time.Minute: "6m0s",
	} {
		if got := rounded(d); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
}
