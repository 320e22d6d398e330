package caddymodule

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// contract: R2, R3
// security: X9
func TestErrorsOverTheWire(t *testing.T) {
	u := newUpstream(t)
	g := start(t, config{global: "provider up openai {\n base_url " + u.base() + "\n}", handler: "auth off\n max_body 64KiB"})
	post := func(body string, header ...string) *answer {
		return g.do("POST", "/v1/chat/completions", body, header...)
	}
	good := chatBody("up/m", false)
	tests := []struct {
		name   string
		answer *answer
		status int
		code   string
		param  string
	}{
		{"unknown path", g.do("GET", "/v1/nothing", ""), 404, "unknown_url", ""},
		{"path with a tail", g.do("POST", "/v1/chat/completions/x", good), 404, "unknown_url", ""},
		{"wrong method", g.do("GET", "/v1/chat/completions", ""), 405, "method_not_allowed", ""},
		{"wrong method on models", g.do("DELETE", "/v1/models", ""), 405, "method_not_allowed", ""},
		{"unknown model", post(chatBody("nobody", false)), 404, "model_not_found", "model"},
		{"unknown provider", post(chatBody("nobody/m", false)), 404, "model_not_found", "model"},
		{"no content type", post(good, "Content-Type", ""), 415, "unsupported_media_type", ""},
		{"a model of control characters", post(strings.Replace(good, "up/m", "up/\u202e\u009b31m", 1)), 400, "", "model"},
		{"form", post("a=b", "Content-Type", "application/x-www-form-urlencoded"), 415, "unsupported_media_type", ""},
		{"other charset", post(good, "Content-Type", "application/json; charset=latin1"), 415, "unsupported_media_type", ""},
		{"compressed", post(good, "Content-Encoding", "gzip"), 415, "unsupported_media_type", ""},
		{"too large", post(`{"model":"` + strings.Repeat("a", 70<<10) + `"}`), 413, "request_too_large", ""},
		{"empty", post(""), 400, "", ""},
		{"no object", post("[]"), 400, "", ""},
		{"trailing data", post(good + "x"), 400, "", ""},
		{"invalid UTF-8", post("{\"model\":\"\xff\"}"), 400, "", ""},
		{"model twice", post(`{"model":"a","model":"up/m","messages":[{"role":"user","content":"x"}]}`), 400, "", "model"},
		{"other case", post(`{"Model":"up/m","messages":[{"role":"user","content":"x"}]}`), 400, "", "model"},
		{"no model", post(`{"messages":[{"role":"user","content":"x"}]}`), 400, "", "model"},
		{"no messages", post(`{"model":"up/m"}`), 400, "", "messages"},
		{"no message", post(`{"model":"up/m","messages":[]}`), 400, "", "messages"},
		{"strange role", post(`{"model":"up/m","messages":[{"role":"king"}]}`), 400, "", "messages[0].role"},
		{"stream is text", post(`{"model":"up/m","stream":"yes","messages":[{"role":"user","content":"x"}]}`), 400, "", "stream"},
		{"too hot", post(`{"model":"up/m","temperature":3,"messages":[{"role":"user","content":"x"}]}`), 400, "", "temperature"},
		{"too deep", post(`{"model":"up/m","messages":[{"role":"user","content":"x"}],"x":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}`), 400, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.answer.want(t, tt.status)
			e := tt.answer.apiError(t)
			if e.Code != tt.code || e.Param != tt.param || e.Message == "" || e.Type != "invalid_request_error" {
				t.Errorf("%+v", e)
			}
			if ct := tt.answer.Header.Get("Content-Type"); ct != "application/json" {
				t.Errorf("Content-Type %q", ct)
			}
			if tt.status == 405 && tt.answer.Header.Get("Allow") == "" {
				t.Error("no Allow")
			}
		})
	}
	if n := len(u.seen()); n != 0 {
		t.Errorf("%d of these requests reached the upstream", n)
	}
}

// A body without a length is cut off at the limit, too.
func TestTooLargeWithoutLength(t *testing.T) {
	u := newUpstream(t)
	g := start(t, config{global: "provider up openai {\n base_url " + u.base() + "\n}", handler: "auth off\n max_body 64KiB"})
	body := strings.NewReader(`{"x":"` + strings.Repeat("a", 1<<20) + `"}`)
	res := g.open("POST", "/v1/chat/completions", struct{ io.Reader }{body}) // the wrapper hides the length
	defer res.Body.Close()
	if res.StatusCode != 413 {
		t.Errorf("status %d", res.StatusCode)
	}
}

// contract: R1
// security: X1, X4
func TestWhatReachesTheUpstream(t *testing.T) {
	u := newUpstream(t)
	t.Setenv("UP_KEY", "canary-upstream")
	g := start(t, config{global: "provider up openai {\n base_url " + u.base() + "\n key {env.UP_KEY}\n header X-Team research\n drop secret_sauce\n rename max_completion_tokens max_tokens\n}", handler: "auth off"})
	body := `{ "api_base":"http://evil.example", "model" : "up/m","zeta":12345678901234567890123, "messages":[{"role":"user","content":"h\u00e9 é"}],"secret_sauce":{"a":[1,2]},"max_completion_tokens": 5 ,"alpha":1e400}`
	g.do("POST", "/v1/chat/completions?base_url=http://evil.example", body,
		"Authorization", "Bearer client-token", "Cookie", "a=b", "X-Api-Key", "k", "Proxy-Authorization", "Basic x", "X-Forwarded-Host", "evil.example",
		"Openai-Organization", "org", "Accept-Encoding", "gzip", "User-Agent", "client/1").want(t, 200)
	in := u.seen()[0]
	want := `{ "api_base":"http://evil.example", "model" : "m","zeta":12345678901234567890123, "messages":[{"role":"user","content":"h\u00e9 é"}],"max_tokens": 5 ,"alpha":1e400}`
	if in.body != want {
		t.Errorf("body\n%s\nwant\n%s", in.body, want)
	}
	wantHeader := map[string]string{
		"Authorization": "Bearer canary-upstream", "Content-Type": "application/json", "Accept": "application/json",
		"User-Agent": "ai-gateway", "X-Team": "research", "Content-Length": in.header.Get("Content-Length"),
	}
	for name := range in.header {
		if in.header.Get(name) != wantHeader[name] {
			t.Errorf("header %s: %q travelled upstream", name, in.header.Get(name))
		}
	}
	for name := range wantHeader {
		if in.header.Get(name) == "" {
			t.Errorf("header %s is missing", name)
		}
	}
}

// security: X4
func TestWhatReachesTheClient(t *testing.T) {
	u := newUpstream(t)
	u.when("", func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Set-Cookie", "X-Ratelimit-Remaining-Tokens", "Openai-Organization", "Access-Control-Allow-Origin", "X-Request-Id", "Alt-Svc"} {
			w.Header().Set(name, "from-upstream")
		}
		raw("application/json", goodAnswer)(w, r)
	})
	g := start(t, config{global: "provider up openai {\n base_url " + u.base() + "\n}", handler: "auth off"})
	a := g.chat("up/m", false).want(t, 200)
	if a.body != goodAnswer {
		t.Errorf("body %s", a.body)
	}
	for name, values := range a.Header {
		if values[0] == "from-upstream" {
			t.Errorf("%s came through", name)
		}
	}
	if got := a.Header.Get("X-AI-Gateway-Target"); got != "up/m" {
		t.Errorf("target %q", got)
	}
}

func TestHeaderText(t *testing.T) {
	for in, want := range map[string]string{"": "", "groq/llama": "groq/llama", "a/ü": "a/%C3%BC", "a/üb": "a/%C3%BCb"} {
		if got := headerText(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

// contract: S1, S2, S3, S8
func TestPlainStreamKeepsItsBytes(t *testing.T) {
	u := newUpstream(t)
	odd := ": a comment\r\n\r\n" + roleEvent + "data:" + strings.TrimPrefix(contentEvent, "data: ") + "id: 7\n" + finishEvent
	u.when("", raw("text/event-stream; charset=utf-8", odd+usageEvent+doneEvent))
	g := start(t, config{global: "provider up openai {\n base_url " + u.base() + "\n}", handler: "auth off"})
	a := g.chat("up/m", true).want(t, 200)
	a.whole(t)
	if a.body != odd+doneEvent {
		t.Errorf("without usage asked for:\n%s", a.body)
	}
	for name, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no", "X-Ai-Gateway-Target": "up/m"} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	a = g.do("POST", "/v1/chat/completions", `{"model":"up/m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}]}`).want(t, 200)
	if a.body != odd+usageEvent+doneEvent {
		t.Errorf("with usage asked for:\n%s", a.body)
	}
	for _, in := range u.seen() {
		if !strings.Contains(in.body, `"stream_options":{"include_usage":true}`) {
			t.Errorf("usage was not asked for: %s", in.body)
		}
	}
	if p := g.accessLog(a.Header.Get("X-Request-Id")).AI["prompt_tokens"]; p != float64(7) {
		t.Errorf("the access log counts %v prompt tokens", p)
	}
}

// An upstream that does not end with [DONE] although every choice has finished
// is whole, and clients that wait for [DONE] get it.
func TestMissingDoneIsAdded(t *testing.T) {
	u := newUpstream(t)
	u.when("", raw("text/event-stream", roleEvent+contentEvent+finishEvent))
	g := start(t, config{global: "provider up openai {\n base_url " + u.base() + "\n}", handler: "auth off"})
	g.chat("up/m", true).want(t, 200).whole(t)
}

// contract: R5
func TestModels(t *testing.T) {
	g := start(t, config{global: `mock on
		provider groq {
			model fast meta/llama small
		}
		tier chat {
			rotate groq/fast mistral/large
		}
		provider mistral {
		}`, handler: "auth off\n allow chat groq/*"})
	var list struct {
		Object string
		Data   []model
	}
	a := g.do("GET", "/v1/models", "").want(t, 200)
	if err := json.Unmarshal([]byte(a.body), &list); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, m := range list.Data {
		ids = append(ids, m.ID)
	}
	if got := strings.Join(ids, " "); got != "chat groq/fast groq/meta/llama groq/small" {
		t.Errorf("models %s", got)
	}
	for _, path := range []string{"groq/meta/llama", "groq%2Fmeta%2Fllama", "chat"} {
		a := g.do("GET", "/v1/models/"+path, "").want(t, 200)
		if !strings.Contains(a.body, `"object":"model"`) {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	for _, path := range []string{"mistral/large", "nobody", "groq/unnamed"} {
		if e := g.do("GET", "/v1/models/"+path, "").want(t, 404).apiError(t); e.Code != "model_not_found" {
			t.Errorf("%s: %+v", path, e)
		}
	}
	if e := g.chat("mistral/large", false).want(t, 403).apiError(t); e.Param != "model" {
		t.Errorf("%+v", e)
	}
	g.chat("groq/unnamed", false).want(t, 200) // a provider's model needs no naming
}

// contract: R6
func TestOtherEndpoints(t *testing.T) {
	u := newUpstream(t)
	t.Setenv("UP_KEY", "canary-upstream")
	g := start(t, config{global: "provider up openai {\n base_url " + u.base() + "\n key {env.UP_KEY}\n}", handler: "auth off"})
	for path, body := range map[string]string{
		"/v1/completions": `{"model":"up/m","prompt":"x"}`,
		"/v1/embeddings":  `{"model":"up/m","input":["x","y"]}`,
		"/v1/responses":   `{"model":"up/m","input":"x"}`,
	} {
		g.do("POST", path, body).want(t, 200)
		if path == "/v1/embeddings" {
			continue
		}
		a := g.do("POST", path, strings.Replace(body, "{", `{"stream":true,`, 1)).want(t, 200)
		if path == "/v1/completions" {
			a.whole(t)
		} else if !strings.Contains(a.body, "event: response.completed") || strings.Contains(a.body, "[DONE]") {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	for _, in := range u.seen() {
		if in.key != "canary-upstream" || in.model != "m" {
			t.Errorf("%+v", in)
		}
	}
}

// One site's header directives must not reach another site's answers.
func TestHeadersAreEachResponsesOwn(t *testing.T) {
	other := freeAddr(t)
	g := start(t, config{
		global: "mock on\n provider mock {\n token_delay off\n}",
		site: "header >Content-Type text/event-stream text/evil\n header >Content-Type application/json text/evil\n header >Cache-Control no-transform public\n" +
			" ai_gateway /v1/*\n}\nhttp://" + other + " {\n",
		handler: "auth off",
	})
	evil := *g
	for range 2 {
		evil.chat("mock/m", true)
		evil.chat("mock/m", false)
		evil.do("GET", "/v1/models", "")
	}
	g.addr = other
	if a := g.chat("mock/m", true).want(t, 200); a.Header.Get("Content-Type") != "text/event-stream" || a.Header.Get("Cache-Control") != "no-cache, no-transform" {
		t.Errorf("%v", a.Header)
	}
	if a := g.chat("mock/m", false).want(t, 200); a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%v", a.Header)
	}
}

// contract: R2
func TestCaddysOwnLimitsOnBodies(t *testing.T) {
	g := start(t, config{head: "servers {\n timeouts {\n read_body 200ms\n}\n}", global: "mock on", site: "request_body {\n max_size 100\n}", handler: "auth off"})
	res := g.open("POST", "/v1/chat/completions", struct{ io.Reader }{strings.NewReader(strings.Repeat(" ", 200))})
	defer res.Body.Close()
	if res.StatusCode != 413 {
		t.Errorf("status %d for a body beyond request_body's limit", res.StatusCode)
	}
	slow, w := io.Pipe()
	defer func() { _ = w.Close() }() // a pipe cannot fail to close
	a := g.open("POST", "/v1/chat/completions", slow)
	defer a.Body.Close()
	if a.StatusCode != 408 {
		t.Errorf("status %d for a body that does not come", a.StatusCode)
	}
}

// Nothing is remembered of models that the caller may not use.
func TestRefusedModelsLeaveNoTrace(t *testing.T) {
	g := start(t, config{global: "mock on\n tier t {\n rotate mock/m\n}", handler: "auth off\n allow t"})
	g.chat("mock/secret", false).want(t, 403)
	g.chat("nobody/secret", false).want(t, 404)
	g.chat("t", false).want(t, 200)
	if _, ok := g.provider("mock").Models["secret"]; ok {
		t.Error("the state of a model was made for a caller who may not use it")
	}
}
