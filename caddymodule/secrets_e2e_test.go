package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/universal-ai-gateway/magicproxy/provider"
)

// security: X5
// Canary secrets are driven through every path there is, and then everything
// that came out is searched for them.
func TestNoSecretGetsOut(t *testing.T) {
	const key, header, token, prompt = "canary-key-0123456789", "canary-header-0123456789", "canary-token-0123456789", "canary prompt"
	t.Setenv("KEY", key)
	t.Setenv("HEADER", header)
	t.Setenv("TOKEN", token)
	u := newUpstream(t)
	cfg := config{
		global:  "token ops {env.TOKEN}\n provider up openai {\n base_url " + u.base() + "\n key {env.KEY}\n header X-Extra {env.HEADER}\n first_timeout 300ms\n timeout 2s\n quarantine off\n}",
		handler: "auth bearer",
	}
	g := start(t, cfg)
	var out strings.Builder
	note := func(a *answer) {
		out.WriteString(a.body)
		_ = a.Header.Write(&out)
	}
	ask := func(stream bool) {
		body := strings.Replace(chatBody("up/m", stream), `"hi"`, `"`+prompt+`"`, 1)
		note(g.do("POST", "/v1/chat/completions", body, "Authorization", "Bearer "+token))
	}
	echo := `{"error":{"message":"bad key ` + key + `, Bearer ` + key + `, extra ` + header + `","code":"` + key + `","param":"` + header + `"}}`
	for _, answer := range []http.HandlerFunc{
		nil, status(401), status(429), hang(""), cut(roleEvent + contentEvent),
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400); _, _ = io.WriteString(w, echo) },
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); _, _ = io.WriteString(w, echo) },
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Echo", key)
			w.WriteHeader(302)
			_, _ = io.WriteString(w, key)
		},
		hijacked("HTTP/1.1 200 OK\r\noops Bearer " + key + "\r\n\r\n"),
		hijacked("HTTP/1.1 200 OK\r\nContent-Length: " + key + "\r\n\r\n"),
		raw("application/json", echo), raw("text/event-stream", "data: "+echo+"\n\n"),
		raw("text/event-stream", roleEvent+contentEvent+"data: "+echo+"\n\n"),
	} {
		u.when("", answer)
		for _, stream := range []bool{false, true} {
			ask(stream)
		}
	}
	note(g.do("GET", "/v1/models", "", "Authorization", "Bearer "+token))
	note(g.do("GET", "/v1/models", "", "Authorization", "Bearer "+token+"x"))
	var text string
	for _, path := range []string{"/config/", "/metrics", "/ai_gateway/providers", "/ai_gateway/nothing", "/ai_gateway/providers/up/keys/" + "x/reset"} {
		g.adminDo("GET", path, &text)
		out.WriteString(text)
	}
	adapted, err := g.adapt(cfg)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(adapted)
	g.client.CloseIdleConnections()
	out.WriteString(g.logged())
	for _, secret := range []string{key, header, token} {
		if i := strings.Index(out.String(), secret); i >= 0 {
			t.Errorf("%s got out: …%s…", secret, out.String()[max(0, i-200):i+len(secret)])
		}
	}
	if strings.Contains(g.logged(), prompt) {
		t.Error("the prompt is in the log")
	}
	if !strings.Contains(out.String(), `"outcome":"ok"`) || !strings.Contains(out.String(), "[redacted]") {
		t.Error("the search did not see what it should have")
	}
}

// hijacked answers with bytes that need not be HTTP.
func hijacked(answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		nc, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(nc, answer)
		_ = nc.Close()
	}
}

// panicking is a protocol that panics, to see who else notices.
type panicking struct{}

func (*panicking) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "ai_gateway.providers.test_panic", New: func() caddy.Module { return new(panicking) }}
}
func (p *panicking) Client() provider.Provider { return p }
func (*panicking) Address() string             { return "panic" }
func (*panicking) Secrets() []string           { return nil }
func (*panicking) CheckKeys(int) error         { return nil }

func (*panicking) Do(_ context.Context, c *provider.Call) (*provider.Response, error) {
	if c.Model == "later" {
		return &provider.Response{Status: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: &panickingBody{}}, nil
	}
	panic(errors.New("canary-panic-value"))
}

type panickingBody struct{ read bool }

func (b *panickingBody) Read(p []byte) (int, error) {
	if b.read {
		panic("canary-panic-value")
	}
	b.read = true
	return copy(p, roleEvent+contentEvent), nil
}
func (*panickingBody) Close() error { return nil }

func init() { caddy.RegisterModule(new(panicking)) }

// security: X14
func TestPanicEndsOneRequest(t *testing.T) {
	g := start(t, config{global: "mock on"})
	cfg, err := g.adapt(config{global: "provider mock {\n token_delay off\n}", handler: "auth off"})
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(cfg, &doc); err != nil {
		t.Fatal(err)
	}
	doc["apps"].(map[string]any)["ai_gateway"].(map[string]any)["providers"].(map[string]any)["bad"] = map[string]any{"protocol": map[string]any{"name": "test_panic"}}
	if cfg, err = json.Marshal(doc); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(cfg, true); err != nil {
		t.Fatal(err)
	}
	for _, stream := range []bool{false, true} {
		if e := g.chat("bad/now", stream).want(t, 500).apiError(t); e.Code != "internal_error" {
			t.Errorf("%+v", e)
		}
	}
	a := g.chat("bad/later", true).want(t, 200)
	a.broken(t)
	g.chat("mock/m", true).want(t, 200).whole(t)
	if s := g.provider("bad"); s.Active != 0 {
		t.Errorf("the panics hold %d slots", s.Active)
	}
	if log := g.logged(); !strings.Contains(log, "panic in a request") || strings.Contains(log, "canary-panic-value") {
		t.Error("the log must say that there was a panic, and not its value")
	}
}
