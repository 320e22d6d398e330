package caddymodule

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// two is a tier over two upstreams, then a third to fall back on.
func two(t *testing.T, a, b, c *upstream, more string) config {
	t.Setenv("KEY_A1", "canary-a1")
	t.Setenv("KEY_A2", "canary-a2")
	t.Setenv("KEY_B", "canary-b")
	return config{global: `
		provider a openai {
			base_url ` + a.base() + `
			key {env.KEY_A1} {env.KEY_A2}
			` + more + `
		}
		provider b openai {
			base_url ` + b.base() + `
			key {env.KEY_B}
			` + more + `
		}
		provider c openai {
			base_url ` + c.base() + `
			` + more + `
		}
		tier t {
			rotate a/m b/m
			fallback c/m
		}`, handler: "auth off"}
}

func targets(answers ...*answer) (s []string) {
	for _, a := range answers {
		s = append(s, a.Header.Get(HeaderTarget))
	}
	return s
}

// contract: F6, F7
func TestRotationIsExact(t *testing.T) {
	a, b, c := newUpstream(t), newUpstream(t), newUpstream(t)
	g := start(t, two(t, a, b, c, ""))
	memory.Admit(t.Context(), state.Admission{Chain: "t"}) // wherever the count is now: exact means it goes on
	var got []string
	for range 6 {
		got = append(got, targets(g.chat("t", false).want(t, 200))...)
	}
	if got[0] == got[1] || !slices.Equal(got[:2], got[2:4]) || !slices.Equal(got[:2], got[4:]) {
		t.Errorf("%v", got)
	}
	// Least recently used key first: of a's three requests no two in a row.
	var keys []string
	for _, r := range a.seen() {
		keys = append(keys, r.key)
	}
	if len(keys) != 3 || keys[0] == keys[1] || keys[1] == keys[2] {
		t.Errorf("keys %v", keys)
	}
	if entry := g.accessLog(g.chat("t", true).Header.Get("X-Request-Id")); entry.AI["target"] == nil || entry.AI["attempts"] != float64(1) {
		t.Errorf("access log %v", entry.AI)
	}
}

// contract: F2, F3, R4, R2
func TestFailoverByStatus(t *testing.T) {
	for _, stream := range []bool{false, true} {
		for _, code := range []int{401, 402, 403, 404, 408, 409, 425, 429, 500, 502, 503, 529, 302} {
			t.Run(strconv.Itoa(code)+"/stream="+strconv.FormatBool(stream), func(t *testing.T) {
				a, b, c := newUpstream(t), newUpstream(t), newUpstream(t)
				a.when("", status(code, "Location", "http://127.0.0.1:1/"))
				b.when("", status(code))
				g := start(t, two(t, a, b, c, ""))
				answer := g.chat("t", stream).want(t, 200)
				if got := answer.Header.Get(HeaderTarget); got != "c/m" {
					t.Errorf("answered by %s", got)
				}
				if stream {
					answer.whole(t)
				}
				keyed := code == 401 || code == 402 || code == 429 || code == 403 || code == 404
				if n := len(a.seen()); keyed && n != 2 || !keyed && n != 1 {
					t.Errorf("a was asked %d times", n)
				}
				marks := func(provider string) (keys, pairs, models int) {
					s := g.provider(provider)
					for _, k := range s.Keys {
						if k.State != "healthy" {
							keys++
						}
						pairs += len(k.Models)
					}
					for _, m := range s.Models {
						if m.State != "healthy" {
							models++
						}
					}
					return
				}
				keys, pairs, models := marks("a")
				_, _, modelsB := marks("b")
				switch code {
				case 401, 402, 429:
					if keys != 2 || pairs != 0 || models != 0 {
						t.Errorf("marked %d keys, %d pairs, %d models", keys, pairs, models)
					}
				case 403, 404:
					if keys != 0 || pairs != 2 || models != 0 {
						t.Errorf("marked %d keys, %d pairs, %d models", keys, pairs, models)
					}
				case 500, 502, 503, 302:
					if keys != 0 || pairs != 0 || models+modelsB != 1 { // only the first 5xx of a request counts
						t.Errorf("marked %d keys, %d pairs, %d+%d models", keys, pairs, models, modelsB)
					}
				default:
					if keys+pairs+models+modelsB != 0 {
						t.Errorf("marked %d keys, %d pairs, %d+%d models", keys, pairs, models, modelsB)
					}
				}
			})
		}
	}
}

// contract: R4, F2
func TestUpstreamRefusalsReachTheClient(t *testing.T) {
	for _, stream := range []bool{false, true} {
		for _, code := range []int{400, 413, 422} {
			a, b, c := newUpstream(t), newUpstream(t), newUpstream(t)
			for _, u := range []*upstream{a, b, c} {
				u.when("", status(code))
			}
			g := start(t, two(t, a, b, c, ""))
			e := g.chat("t", stream).want(t, code).apiError(t)
			if e.Message != "upstream says "+strconv.Itoa(code) || e.Param != "p" || e.Code != "c" {
				t.Errorf("%d: %+v", code, e)
			}
			if n := len(a.seen()) + len(b.seen()) + len(c.seen()); n != 1 {
				t.Errorf("%d: %d attempts", code, n)
			}
		}
	}
}

// contract: R4, F4
func TestWhenEverythingFails(t *testing.T) {
	for _, tt := range []struct {
		name       string
		answer     http.HandlerFunc
		status     int
		kind, code string
	}{
		{"rate limits", status(429, "Retry-After", "17"), 429, "rate_limit_exceeded", "rate_limit_exceeded"},
		{"bad keys", status(401), 502, "server_error", "upstream_error"},
		{"forbidden", status(403), 502, "server_error", "upstream_error"},
		{"crashes", status(500), 502, "server_error", "upstream_error"},
		{"overload", status(529, "Retry-After", "5"), 503, "server_error", "overloaded"},
		{"unknown models", status(404), 502, "server_error", "upstream_error"},
		{"HTML", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(502)
			_, _ = w.Write([]byte("<html>Bad gateway</html>"))
		}, 502, "server_error", "upstream_error"},
		{"HTML with 200", raw("text/html", "<html>Welcome</html>"), 502, "server_error", "upstream_error"},
	} {
		for _, stream := range []bool{false, true} {
			t.Run(tt.name+"/stream="+strconv.FormatBool(stream), func(t *testing.T) {
				a, b, c := newUpstream(t), newUpstream(t), newUpstream(t)
				for _, u := range []*upstream{a, b, c} {
					u.when("", tt.answer)
				}
				g := start(t, two(t, a, b, c, ""))
				answer := g.chat("t", stream).want(t, tt.status)
				e := answer.apiError(t)
				if e.Type != tt.kind || e.Code != tt.code || strings.Contains(e.Message, "<html") {
					t.Errorf("%+v", e)
				}
				retry := answer.Header.Get("Retry-After")
				if needs := tt.status == 429 || tt.status == 503; needs != (retry != "") {
					t.Errorf("Retry-After %q", retry)
				}
				if tt.status == 429 && retry != "17" {
					t.Errorf("Retry-After %q, the upstreams said 17", retry)
				}
			})
		}
	}
}

// contract: F2, F4
// A cooling key survives a reload that does not touch its provider, and not one
// that gives the provider another address.
func TestCoolingSurvivesReload(t *testing.T) {
	a, b, c := newUpstream(t), newUpstream(t), newUpstream(t)
	cfg := two(t, a, b, c, "")
	g := start(t, cfg)
	a.when("canary-a1", status(429, "Retry-After", "600"))
	for range 4 {
		g.chat("t", false).want(t, 200)
	}
	cooling := func() (n int) {
		for _, k := range g.provider("a").Keys {
			if k.State == "cooling" && k.Cause == "rate_limited" {
				n++
			}
		}
		return n
	}
	if cooling() != 1 {
		t.Fatalf("%+v", g.provider("a"))
	}
	asked := func(key string) (n int) {
		for _, r := range a.seen() {
			if r.key == key {
				n++
			}
		}
		return n
	}
	before := asked("canary-a1")
	edited := cfg
	edited.global = strings.Replace(cfg.global, "fallback c/m", "fallback c/other", 1)
	g.mustLoad(edited)
	if cooling() != 1 {
		t.Errorf("after an edit elsewhere: %+v", g.provider("a"))
	}
	for range 6 {
		g.chat("t", false).want(t, 200)
	}
	if n := asked("canary-a1"); n != before {
		t.Errorf("the cooling key was asked %d times more", n-before)
	}
	moved := cfg
	moved.global = strings.Replace(cfg.global, a.base(), c.base(), 1)
	g.mustLoad(moved)
	if cooling() != 0 {
		t.Errorf("at another address: %+v", g.provider("a"))
	}
	g.mustLoad(cfg)
	// Nobody referred to the old address in between, so it starts afresh as well.
	if cooling() != 0 {
		t.Errorf("back at the old address: %+v", g.provider("a"))
	}
}

// contract: F4
func TestSingleKeyBlip(t *testing.T) {
	a := newUpstream(t)
	t.Setenv("KEY", "canary-only")
	g := start(t, config{global: "provider a openai {\n base_url " + a.base() + "\n key {env.KEY}\n}", handler: "auth off"})
	a.when("", status(429, "Retry-After", "600"))
	if retry := g.chat("a/m", false).want(t, 429).Header.Get("Retry-After"); retry != "600" {
		t.Errorf("Retry-After %q", retry)
	}
	a.when("", nil)
	g.chat("a/m", false).want(t, 200) // the one probe, before its time
	if s := g.provider("a").Keys[0].State; s != "healthy" {
		t.Errorf("the key is %s", s)
	}
	// A key that was refused is not probed early, until an operator says so.
	a.when("", status(401))
	g.chat("a/m", false).want(t, 502)
	a.when("", nil)
	if e := g.chat("a/m", false).want(t, 503); e.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	id := g.provider("a").Keys[0].ID
	if status := g.adminDo("POST", "/ai_gateway/providers/a/keys/"+id+"/reset", nil); status != 200 {
		t.Errorf("reset: %d", status)
	}
	g.chat("a/m", false).want(t, 200)
}

// contract: S4, S5, S6, S7
func TestStreamsThatBreak(t *testing.T) {
	type behaviour struct {
		name   string
		answer http.HandlerFunc
		over   bool // fails over; else the client sees it break
	}
	for _, tt := range []behaviour{
		{"error as the first event", raw("text/event-stream", `data: {"error":{"message":"overloaded","type":"x"}}`+"\n\n"), true},
		{"named error event", raw("text/event-stream", "event: error\ndata: {\"message\":\"overloaded\"}\n\n"), true},
		{"error after the role", raw("text/event-stream", roleEvent+`data: {"error":"overloaded"}`+"\n\n"), true},
		{"nothing at all", raw("text/event-stream", ""), true},
		{"ends after the role", raw("text/event-stream", roleEvent), true},
		{"cut after the role", cut(roleEvent), true},
		{"cut before the header", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true},
		{"garbage", raw("text/event-stream", "data: <html>\n\n"), true},
		{"a JSON error", raw("application/json", `{"error":{"message":"no"}}`), true},
		{"a JSON answer", raw("application/json", goodAnswer), true},
		{"never answers", hang(""), true},
		{"stalls after the role", hang(roleEvent), true},
		{"a line without end", raw("text/event-stream", "data: "+strings.Repeat("x", 2<<20)), true},
		{"compressed", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			raw("text/event-stream", "\x1f\x8b")(w, r)
		}, true},

		{"cut after content", cut(roleEvent + contentEvent), false},
		{"ends after content", raw("text/event-stream", roleEvent+contentEvent), false},
		{"ends within an event", raw("text/event-stream", roleEvent+contentEvent+finishEvent[:40]), false},
		{"stalls after content", hang(roleEvent + contentEvent), false},
		{"garbage after content", raw("text/event-stream", roleEvent+contentEvent+"data: <html>\n\n"), false},
		{"error after content", raw("text/event-stream", roleEvent+contentEvent+`data: {"error":{"message":"gone"}}`+"\n\n"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b, c := newUpstream(t), newUpstream(t), newUpstream(t)
			a.when("", tt.answer)
			b.when("", tt.answer)
			cfg := two(t, a, b, c, "first_timeout 600ms\n idle_timeout 600ms")
			cfg.handler += "\n keep_alive 100ms"
			g := start(t, cfg)
			answer := g.chat("t", true).want(t, 200)
			if tt.over {
				answer.whole(t)
				if len(c.seen()) != 1 {
					t.Errorf("the fallback was asked %d times", len(c.seen()))
				}
			} else {
				answer.broken(t)
				if !strings.Contains(answer.body, contentEvent) {
					t.Error("what had come is lost")
				}
				if n := len(a.seen()) + len(b.seen()) + len(c.seen()); n != 1 {
					t.Errorf("%d attempts after content", n)
				}
			}
			if n := strings.Count(answer.body, ": keep-alive\n\n"); strings.Contains(tt.name, "stalls after") || tt.name == "never answers" {
				if n == 0 {
					t.Error("no keep-alive in the silence")
				}
			}
			eventually(t, "nothing is in flight", func() bool { return g.provider("a").Active+g.provider("b").Active == 0 })
		})
	}
}

// contract: S4
// fault: K5
func TestUpstreamKilledUnderStreams(t *testing.T) {
	a, b, c := newUpstream(t), newUpstream(t), newUpstream(t)
	begun := make(chan struct{}, 64)
	a.when("", func(w http.ResponseWriter, r *http.Request) {
		raw("text/event-stream", roleEvent+contentEvent)(w, r)
		begun <- struct{}{}
		<-r.Context().Done()
	})
	b.when("", func(w http.ResponseWriter, r *http.Request) { // begins once a is dead
		select {
		case <-begun:
			begun <- struct{}{}
		case <-r.Context().Done():
		}
		raw("text/event-stream", goodStream)(w, r)
	})
	g := start(t, two(t, a, b, c, ""))
	const n = 20
	answers := make(chan *answer, n)
	for range n {
		go func() { answers <- g.chat("t", true) }()
	}
	eventually(t, "half of them stream from a", func() bool { return len(begun) >= n/2 })
	a.CloseClientConnections()
	a.Close()
	broken := 0
	for range n {
		answer := (<-answers).want(t, 200)
		if answer.Header.Get(HeaderTarget) == "a/m" {
			answer.broken(t)
			broken++
		} else {
			answer.whole(t)
		}
	}
	if broken != n/2 {
		t.Errorf("%d of %d streams broke", broken, n)
	}
	for range 4 { // and what comes now succeeds elsewhere
		g.chat("t", true).want(t, 200).whole(t)
	}
}

func TestUpstreamAbsent(t *testing.T) {
	a, b, c := newUpstream(t), newUpstream(t), newUpstream(t)
	cfg := two(t, a, b, c, "")
	g := start(t, cfg)
	a.Close()
	b.Close()
	for range 3 {
		if got := g.chat("t", false).want(t, 200).Header.Get(HeaderTarget); got != "c/m" {
			t.Errorf("answered by %s", got)
		}
	}
	if s := g.provider("a").Models["m"]; s.State != "cooling" || s.Cause != "dial" {
		t.Errorf("%+v", s)
	}
	c.Close()
	if e := g.chat("t", true).apiError(t); e.Type != "server_error" {
		t.Errorf("%+v", e)
	}
}

func TestMaxConcurrent(t *testing.T) {
	u := newUpstream(t)
	release := make(chan struct{})
	u.when("", func(w http.ResponseWriter, r *http.Request) {
		<-release
		raw("application/json", goodAnswer)(w, r)
	})
	g := start(t, config{global: "provider up openai {\n base_url " + u.base() + "\n max_concurrent 2 1\n}", handler: "auth off"})
	answers := make(chan *answer, 3)
	for range 3 {
		go func() { answers <- g.chat("up/m", false) }()
	}
	eventually(t, "two are under way and one waits", func() bool { s := g.provider("up"); return s.Active == 2 && s.Waiting == 1 })
	from := time.Now()
	refused := g.chat("up/m", false).want(t, 503)
	if took := time.Since(from); took > 2*time.Second || refused.Header.Get("Retry-After") == "" {
		t.Errorf("refused after %s, Retry-After %q", took, refused.Header.Get("Retry-After"))
	}
	if e := refused.apiError(t); e.Code != "overloaded" {
		t.Errorf("%+v", e)
	}
	close(release)
	for range 3 {
		(<-answers).want(t, 200)
	}
	if n := len(u.seen()); n != 3 {
		t.Errorf("%d requests reached the upstream", n)
	}
	if s := g.provider("up"); !well(s, "m") || s.Keys[0].State != "healthy" {
		t.Errorf("a refusal of ours has marked something: %+v", s)
	}
}
