package agentruntime

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/mcp"
	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
	"github.com/universal-ai-gateway/magicproxy/rotation"
	"github.com/universal-ai-gateway/magicproxy/state"
)

// model is a provider that says what it is told to, one answer a call, and keeps
// the requests. After the last answer it says it again.
type model struct {
	mu       sync.Mutex
	answers  []answerOf
	requests []map[string]json.RawMessage
	bodies   []string
}

// answerOf is one answer: the events of a stream, or a refusal.
type answerOf struct {
	status int // 0 for 200
	body   string
	broken bool // the stream breaks off at the end
}

func (m *model) Do(ctx context.Context, c *provider.Call) (*provider.Response, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	body := c.Request.Rewrite(openai.Edit{Model: c.Model, AskUsage: c.AskUsage})
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, err
	}
	a := m.answers[min(len(m.requests), len(m.answers)-1)]
	m.requests = append(m.requests, fields)
	m.bodies = append(m.bodies, string(body))
	if a.status != 0 {
		return &provider.Response{Status: a.status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(a.body))}, nil
	}
	var r io.Reader = strings.NewReader(a.body)
	if a.broken {
		r = io.MultiReader(r, broken{})
	}
	return &provider.Response{Status: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: io.NopCloser(r)}, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// messages returns those of the n-th request.
func (m *model) messages(t *testing.T, n int) (list []message) {
	t.Helper()
	if n >= len(m.requests) {
		t.Fatalf("there were %d requests", len(m.requests))
	}
	if err := json.Unmarshal(m.requests[n]["messages"], &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// event is one chunk with a delta.
func event(delta string) string {
	return `data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":` + delta + `,"finish_reason":null}]}` + "\n\n"
}

// endOf is the end of a stream, with usage.
func endOf(reason string) string {
	return fmt.Sprintf(`data: {"id":"x","choices":[{"index":0,"delta":{},"finish_reason":%q}]}`+"\n\n"+
		`data: {"id":"x","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}`+"\n\n"+openai.Done, reason)
}

// says is an answer of text, in pieces.
func says(pieces ...string) answerOf {
	var b strings.Builder
	b.WriteString(event(`{"role":"assistant","content":""}`))
	for _, p := range pieces {
		b.WriteString(event(`{"content":` + quoted(p) + `}`))
	}
	return answerOf{body: b.String() + endOf("stop")}
}

// calls is an answer that calls functions: pairs of names and arguments.
func calls(pairs ...string) answerOf {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		b.WriteString(event(fmt.Sprintf(`{"tool_calls":[{"index":%d,"id":"call_%d","type":"function","function":{"name":%s,"arguments":%s}}]}`, i/2, i/2, quoted(pairs[i]), quoted(pairs[i+1]))))
	}
	return answerOf{body: b.String() + endOf("tool_calls")}
}

func quoted(s string) string { return string(openai.AppendString(nil, s)) }

// desk is a tool server whose tools are functions.
type desk struct {
	name  string
	tools []*mcp.Tool
	run   map[string]func(ctx context.Context, c mcp.Call) (*mcp.Result, error)
	down  string

	mu   sync.Mutex
	seen []string // tool and arguments
}

func newDesk(name string) *desk {
	return &desk{name: name, run: make(map[string]func(context.Context, mcp.Call) (*mcp.Result, error))}
}

func (d *desk) with(tool, schema string, run func(ctx context.Context, c mcp.Call) (*mcp.Result, error)) *desk {
	d.tools = append(d.tools, &mcp.Tool{Server: d.name, Name: tool, Description: "Does " + tool + ".", Schema: json.RawMessage(schema)})
	d.run[tool] = run
	return d
}

func (d *desk) Name() string { return d.name }

func (d *desk) Offer(context.Context) mcp.Offer {
	if d.down != "" {
		return mcp.Offer{Down: d.down}
	}
	return mcp.Offer{Tools: d.tools}
}

func (d *desk) Call(ctx context.Context, c mcp.Call) (*mcp.Result, error) {
	d.mu.Lock()
	d.seen = append(d.seen, c.Tool+" "+string(c.Arguments))
	d.mu.Unlock()
	run := d.run[c.Tool]
	if run == nil {
		return nil, &mcp.Error{Kind: mcp.KindUnknown, Server: d.name, Message: "no such tool"}
	}
	return run(ctx, c)
}

func replies(text string) func(context.Context, mcp.Call) (*mcp.Result, error) {
	return func(context.Context, mcp.Call) (*mcp.Result, error) { return &mcp.Result{Text: text}, nil }
}

const querySchema = `{"type":"object","properties":{"q":{"type":"string"}},"required":["q"]}`

// agent returns an agent that asks m, and its manager.
func agentOf(m provider.Provider, pattern string, servers ...ToolServer) (*Manager, *Agent) {
	p := &rotation.Provider{Name: "p", Client: m, Quarantine: time.Minute}
	p.Bind(new(rotation.State), nil)
	a := &Agent{
		Name: "agent", Chain: &rotation.Chain{Name: "agent", Main: []*rotation.Target{rotation.NewTarget(p, "m")}},
		Servers: servers, MaxSteps: DefaultMaxSteps, MaxToolCalls: DefaultMaxToolCalls, Timeout: time.Minute, ToolOutput: DefaultToolOutput,
	}
	if len(servers) > 0 {
		a.Tools = []string{"*"}
	}
	for _, known := range Patterns() {
		if known.Name == pattern {
			a.Pattern = known
		}
	}
	return &Manager{Caller: new(rotation.Caller)}, a
}

// told is what a client sees of a run.
type told struct {
	reasoning, content, hidden string
	notices                    []string
	calls                      []openai.ToolCall
	reason                     string
	usage                      openai.Usage
	err                        error
	order                      string // of the kinds seen: r, c, n, t, f
}

func ask(t *testing.T, m *Manager, a *Agent, body string) told {
	t.Helper()
	return askSession(t.Context(), t, m, a, body, nil)
}

func askSession(ctx context.Context, t *testing.T, m *Manager, a *Agent, body string, s *state.Session) (out told) {
	t.Helper()
	req, e := openai.ParseRequest(openai.Chat, []byte(body))
	if e != nil {
		t.Fatal(e)
	}
	run, e := m.Run(ctx, Call{Agent: a, Request: req, Session: s})
	if e != nil {
		return told{err: e}
	}
	for ev, err := range run.Events() {
		if err != nil {
			out.err = err
			continue
		}
		if ev.Hidden {
			out.hidden += ev.Text
			continue
		}
		kind := "rcntf"[ev.Kind : ev.Kind+1]
		if !strings.HasSuffix(out.order, kind) {
			out.order += kind
		}
		switch ev.Kind {
		case Reasoning:
			out.reasoning += ev.Text
		case Content:
			out.content += ev.Text
		case Notice:
			out.notices = append(out.notices, ev.Text)
		case ToolCall:
			out.calls = append(out.calls, ev.Call)
		case Finish:
			out.reason, out.usage = ev.Reason, ev.Usage
		}
	}
	return out
}

func chat(text string, more ...string) string {
	return `{"model":"agent","stream":true,"messages":[{"role":"user","content":` + quoted(text) + `}]` + strings.Join(append([]string{""}, more...), ",") + `}`
}

// well fails the test if the run has not ended with an answer.
func (o told) well(t *testing.T, content, reason string) told {
	t.Helper()
	if o.err != nil || o.content != content || o.reason != reason {
		t.Fatalf("content %q, reason %q, error %v, want %q and %q", o.content, o.reason, o.err, content, reason)
	}
	return o
}

func compact(raw []byte) string {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return err.Error()
	}
	return b.String()
}

func now() time.Time { return time.Now() }
