package caddymodule

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/zap"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
	"github.com/universal-ai-gateway/magicproxy/rotation"
)

// contract: O1, O3, O4
func TestWhatOperatorsSee(t *testing.T) {
	u := newUpstream(t)
	t.Setenv("KEY", "canary-key")
	g := start(t, config{
		global:  "provider seen openai {\n base_url " + u.base() + "\n key {env.KEY}\n}\n tier observed {\n rotate seen/m\n}",
		site:    "log_append ph_target {http.ai_gateway.target}\n log_append ph_outcome {http.ai_gateway.outcome}\n log_append ph_tokens {http.ai_gateway.completion_tokens}",
		handler: "auth off",
	})
	metric := func(name string) (v float64) {
		var text string
		g.adminDo("GET", "/metrics", &text)
		for line := range strings.Lines(text) {
			if rest, ok := strings.CutPrefix(line, name+" "); ok {
				if _, err := fmt.Sscan(rest, &v); err != nil {
					t.Fatal(err)
				}
			}
		}
		return v
	}
	u.when("", raw("text/event-stream", goodStream))
	a := g.chat("observed", true).want(t, 200)
	entry := g.accessLog(a.Header.Get("X-Request-Id"))
	for field, want := range map[string]any{"model": "observed", "target": "seen/m", "outcome": "ok", "attempts": 1.0, "prompt_tokens": 7.0, "completion_tokens": 3.0, "endpoint": "chat"} {
		if entry.AI[field] != want {
			t.Errorf("access log: %s is %v, want %v", field, entry.AI[field], want)
		}
	}
	for _, field := range []string{"overhead", "first_content"} {
		if v, _ := entry.AI[field].(float64); v <= 0 || v > 1 {
			t.Errorf("access log: %s is %v", field, entry.AI[field])
		}
	}
	for _, field := range []string{`"ph_target":"seen/m"`, `"ph_outcome":"ok"`, `"ph_tokens":3`} {
		if !strings.Contains(g.logged(), field) {
			t.Errorf("no %s in the access log", field)
		}
	}
	u.when("", status(500))
	g.chat("observed", false).want(t, 502)
	for name, want := range map[string]float64{
		`caddy_ai_gateway_requests_total{code="200",endpoint="chat",model="observed",outcome="ok"}`:       1,
		`caddy_ai_gateway_requests_total{code="502",endpoint="chat",model="observed",outcome="provider"}`: 1,
		`caddy_ai_gateway_attempts_total{outcome="ok",provider="seen"}`:                                   1,
		`caddy_ai_gateway_attempts_total{outcome="server_error",provider="seen"}`:                         1,
		`caddy_ai_gateway_tokens_total{kind="prompt",provider="seen"}`:                                    7,
		`caddy_ai_gateway_tokens_total{kind="completion",provider="seen"}`:                                3,
		`caddy_ai_gateway_first_content_seconds_count{model="observed"}`:                                  1,
		`caddy_ai_gateway_streams_in_flight`:                                                              0,
		`caddy_ai_gateway_keys{provider="seen",state="healthy"}`:                                          1,
	} {
		if got := metric(name); got != want {
			t.Errorf("%s is %g, want %g", name, got, want)
		}
	}
	// What clients make up does not make series.
	u.when("", nil)
	for i := range 20 {
		g.chat(fmt.Sprintf("seen/made-up-%d", i), false).want(t, 200)
		g.chat(fmt.Sprintf("made-up-%d", i), false).want(t, 404)
	}
	var text string
	g.adminDo("GET", "/metrics", &text)
	if strings.Contains(text, "made-up") {
		t.Error("a model's name from a request became a label")
	}

	// A rest, seen and ended by the operator.
	u.when("", status(401))
	refused := g.chat("observed", false).want(t, 502).Header.Get("X-Request-Id")
	if line := g.logLine(refused, "attempt failed"); !strings.Contains(line, `"outcome":"unauthorized"`) || !strings.Contains(line, `"rests_until":`) {
		t.Errorf("%s", line)
	}
	s := g.provider("seen")
	if k := s.Keys[0]; k.State != "retired" || k.Cause != "unauthorized" || len(k.ID) != 12 {
		t.Errorf("%+v", s)
	}
	if got := metric(`caddy_ai_gateway_keys{provider="seen",state="retired"}`); got != 1 {
		t.Errorf("%g keys retired", got)
	}
	// What follows can try nothing; the log says what it waits for, and until when,
	// and the attempt's line can be found by the request's id.
	id := g.chat("observed", false).want(t, 503).Header.Get("X-Request-Id")
	if line := g.logLine(id, "request failed"); !strings.Contains(line, `"resting":"seen/m: unauthorized, due in 1h0m0s"`) {
		t.Errorf("%s", line)
	}
	for path, want := range map[string]int{
		"/ai_gateway/providers/seen/keys/nobody/reset": 404, "/ai_gateway/providers/nobody/reset": 404, "/ai_gateway/nothing": 404,
		"/ai_gateway/providers": 405, "/ai_gateway/providers/seen": 405, "/ai_gateway/providers/seen/reset": 200,
	} {
		if got := g.adminDo("POST", path, nil); got != want {
			t.Errorf("POST %s: %d, want %d", path, got, want)
		}
	}
	if got := g.adminDo("GET", "/ai_gateway/providers/seen/reset", nil); got != 405 {
		t.Errorf("GET reset: %d", got)
	}
	if s := g.provider("seen"); s.Keys[0].State != "healthy" || s.Models["m"].State != "healthy" {
		t.Errorf("after the reset: %+v", s)
	}
}

// contract: O2
func TestSpans(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	defer func() { _ = tp.Shutdown(context.Background()) }()
	o := &observer{&App{logger: zap.NewNop(), store: lasting{memory}}}
	target := rotation.NewTarget(boundProvider(), "m")

	ctx, parent := tp.Tracer("caddy").Start(t.Context(), "request")
	of := o.Begin(ctx, rotation.Attempt{Target: target})
	o.End(of, rotation.Attempt{Target: target, Usage: openai.Usage{Prompt: 7, Completion: 3, Total: 10}})
	of = o.Begin(ctx, rotation.Attempt{Target: target, Endpoint: openai.Embeddings})
	o.End(of, rotation.Attempt{Target: target, Err: &provider.Error{Kind: provider.KindTimeout}})
	parent.End()
	// Without a span in the context there is none of ours either.
	o.End(o.Begin(t.Context(), rotation.Attempt{Target: target}), rotation.Attempt{Target: target})

	spans := recorder.Ended()
	if len(spans) != 3 {
		t.Fatalf("%d spans", len(spans))
	}
	has := func(s sdktrace.ReadOnlySpan, want attribute.KeyValue) {
		t.Helper()
		if !slices.Contains(s.Attributes(), want) {
			t.Errorf("%s has no %v: %v", s.Name(), want, s.Attributes())
		}
	}
	if spans[0].Name() != "chat m" || spans[0].Parent().SpanID() != parent.SpanContext().SpanID() {
		t.Errorf("span %q of %v", spans[0].Name(), spans[0].Parent())
	}
	has(spans[0], attribute.String("gen_ai.provider.name", "spanned"))
	has(spans[0], attribute.Int64("gen_ai.usage.output_tokens", 3))
	has(spans[1], attribute.String("gen_ai.operation.name", "embeddings"))
	has(spans[1], attribute.String("error.type", "timeout"))
}

func boundProvider() *rotation.Provider {
	p := &rotation.Provider{Name: "spanned"}
	p.Bind(new(rotation.State), nil)
	return p
}

// Caddy's own parts around the handler keep working: compression leaves streams
// alone, HTTP/2 carries them.
func TestBesideCaddysOwn(t *testing.T) {
	g := start(t, config{
		head:    "servers {\n protocols h1 h2c\n}",
		global:  "provider mock {\n token_delay 20ms\n}",
		site:    "encode gzip",
		handler: "auth off",
	})
	h2 := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
	h2.Protocols.SetUnencryptedHTTP2(true)
	defer h2.CloseIdleConnections()
	g.client = &http.Client{Transport: h2}
	a := g.chat("mock/m", true, "Accept-Encoding", "gzip").want(t, 200)
	a.whole(t)
	if a.ProtoMajor != 2 || a.Header.Get("Content-Encoding") != "" {
		t.Errorf("%s, Content-Encoding %q", a.Proto, a.Header.Get("Content-Encoding"))
	}
	if e := g.chat("nobody", true).want(t, 404).apiError(t); e.Code != "model_not_found" {
		t.Errorf("%+v", e)
	}
}
