package caddymodule

import (
	"fmt"
	"io"
	"net"
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

// Whatever a caller asks for counts, once it is known who it is; and so do its own
// affairs, but for taking something away.
//
// security: X12
func TestNothingIsFree(t *testing.T) {
	u := newUpstream(t)
	c := userConfig(t, u, "register 100 1h\nrate_limit 2 45m\nmax_body 2KiB\nallow up/*")
	t.Setenv("TEST_UP_KEY", "up-key")
	g := start(t, c)
	chat := func(body string) func(ann []string) int {
		return func(ann []string) int { return g.do(http.MethodPost, "/v1/chat/completions", body, ann...).StatusCode }
	}
	send := func(method, path, body string) func(ann []string) int {
		return func(ann []string) int { return g.do(method, path, body, ann...).StatusCode }
	}
	for i, tt := range []struct {
		name  string
		first int
		ask   func(ann []string) int
	}{
		{"no JSON", 400, chat("{")},
		{"no messages", 400, chat(`{"model":"up/m"}`)},
		{"unknown model", 404, chat(chatBody("nobody/m", false))},
		{"not allowed", 403, chat(chatBody("helper", false))},
		{"too large", 413, func(ann []string) int { // its length is not announced
			res := g.open(http.MethodPost, "/v1/chat/completions", io.MultiReader(strings.NewReader(strings.Repeat(" ", 4<<10))), ann...)
			_ = res.Body.Close()
			return res.StatusCode
		}},
		{"me", 200, send(http.MethodGet, "/v1/user/me", "")},
		{"keys", 200, send(http.MethodGet, "/v1/user/keys", "")},
		{"a key", 201, send(http.MethodPost, "/v1/user/keys", `{"provider":"up","key":"mine"}`)},
		{"a bad key", 400, send(http.MethodPost, "/v1/user/keys", `{`)},
		{"a token", 201, send(http.MethodPost, "/v1/user/tokens", "")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			made := g.register(fmt.Sprintf("ann%d", i))
			ann := bearer(made.Token)
			for n, want := range []int{tt.first, tt.first, 429, 429} {
				if got := tt.ask(ann); got != want {
					t.Errorf("request %d: %d, want %d", n+1, got, want)
				}
			}
			g.chat("up/m", false, ann...).want(t, 429)
			g.do(http.MethodGet, "/v1/user/tokens", "", ann...).want(t, 200) // or how would one know what to revoke
			g.do(http.MethodDelete, "/v1/user/tokens/"+made.TokenID, "", ann...).want(t, 200)
			g.chat("up/m", false, ann...).want(t, 401)
		})
	}
	t.Run("a client that leaves", func(t *testing.T) {
		ann := bearer(g.register("leaver").Token)
		for range 2 {
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", g.addr)
			if err != nil {
				t.Fatal(err)
			}
			_, err = fmt.Fprintf(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\nUser-Agent: leaver\r\nContent-Type: application/json\r\n%s: %s\r\nContent-Length: 100\r\n\r\n{", g.addr, ann[0], ann[1])
			if cerr := conn.Close(); err != nil || cerr != nil {
				t.Fatal(err, cerr)
			}
		}
		eventually(t, "both have ended", func() bool { return strings.Count(g.logged(), `"User-Agent":["leaver"]`) == 2 })
		g.chat("up/m", false, ann...).want(t, 429)
	})
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
