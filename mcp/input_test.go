package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/universal-ai-gateway/magicproxy/mcp/mcptest"
)

// asked is an Input that keeps the questions, and answers all with one answer.
type asked struct {
	answer string

	mu        sync.Mutex
	questions []*Question
}

func (a *asked) input(_ context.Context, q *Question) json.RawMessage {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.questions = append(a.questions, q)
	return json.RawMessage(a.answer)
}

func (a *asked) all() []*Question {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.questions
}

// newAsking is a server of the older era of which the tool ask asks for a name, and
// roots for what it is to keep to; those with beside in their names do so apart from
// their call, as long as own lasts.
func newAsking(own context.Context) *sdk.Server {
	s := newTools(own.Done())
	s.AddReceivingMiddleware(func(next sdk.MethodHandler) sdk.MethodHandler {
		return func(ctx context.Context, method string, r sdk.Request) (sdk.Result, error) {
			if method == methodDiscover {
				return nil, &jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: "no such method"}
			}
			return next(ctx, method, r)
		}
	})
	object := json.RawMessage(anyObject)
	text := func(format string, args ...any) *sdk.CallToolResult {
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: fmt.Sprintf(format, args...)}}}
	}
	ask := func(ctx context.Context, r *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		res, err := r.Session.Elicit(ctx, &sdk.ElicitParams{
			Message:         "Who are you, canary-0123456789?",
			RequestedSchema: json.RawMessage(`{"type":"object","properties":{"name":{"type":"string","default":"canary-0123456789"}}}`),
		})
		if err != nil {
			return nil, err
		}
		return text("%s %v", res.Action, res.Content["name"]), nil
	}
	s.AddTool(&sdk.Tool{Name: "ask", InputSchema: object}, ask)
	s.AddTool(&sdk.Tool{Name: "beside", InputSchema: object}, func(_ context.Context, r *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		return ask(own, r)
	})
	roots := func(ctx context.Context, r *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		res, err := r.Session.ListRoots(ctx, nil) //nolint:staticcheck // deprecated, and still in the protocol
		if err != nil {
			return nil, err
		}
		return text("%d %s", len(res.Roots), res.Roots[0].URI), nil
	}
	s.AddTool(&sdk.Tool{Name: "roots", InputSchema: object}, roots)
	s.AddTool(&sdk.Tool{Name: "roots_beside", InputSchema: object}, func(_ context.Context, r *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		return roots(own, r)
	})
	s.AddTool(&sdk.Tool{Name: "declared", InputSchema: object}, func(_ context.Context, r *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		can := r.Session.InitializeParams().Capabilities
		b, err := json.Marshal([]any{can.Elicitation, can.Sampling, can.RootsV2}) //nolint:staticcheck // deprecated, and still in the protocol
		return text("%s", b), err
	})
	return s
}

// overAll runs a test of a server of the older era over each transport.
func overAll(t *testing.T, test func(t *testing.T, o Options)) {
	t.Helper()
	for name, o := range map[string]func(t *testing.T) Options{
		"streamable": func(t *testing.T) Options { return Options{URL: streamable(t, newAsking(t.Context()), nil).URL} },
		"SSE":        func(t *testing.T) Options { return Options{URL: overSSE(t, newAsking(t.Context())).URL} },
		"stdio":      func(t *testing.T) Options { return program(t, "asks") },
	} {
		t.Run(name, func(t *testing.T) {
			o := o(t)
			o.Secrets = []string{"canary-0123456789"}
			test(t, o)
		})
	}
}

func TestInput(t *testing.T) {
	overAll(t, func(t *testing.T, o Options) {
		for answer, want := range map[string]string{
			`{"name":"Ada"}`: "accept Ada",
			`{}`:             "accept <nil>",
			``:               "decline <nil>",
			`null`:           "decline <nil>",
			`["Ada"]`:        "decline <nil>",
			`{`:              "decline <nil>",
		} {
			a := &asked{answer: answer}
			o.Input = a.input
			s := open(t, o)
			for _, tool := range []string{"ask", "beside"} {
				res, err := s.Call(t.Context(), Call{Tool: tool})
				if err != nil || res.Failed || res.Text != want {
					t.Errorf("%q: %s got %+v, %v", answer, tool, res, err)
				}
			}
			for _, q := range a.all() {
				if q.Server != "test" || q.Message != "Who are you, [redacted]?" ||
					string(q.Schema) != `{"properties":{"name":{"default":"[redacted]","type":"string"}},"type":"object"}` {
					t.Errorf("asks %+v", q)
				}
			}
			if q := a.all(); len(q) != 2 || q[0].Tool != "ask" {
				t.Errorf("asks %d times, %+v", len(q), q)
			}
		}
	})
}

// Nothing is declared that was not asked for, and who asks for it is refused at once.
func TestNoInput(t *testing.T) {
	overAll(t, func(t *testing.T, o Options) {
		s := open(t, o)
		for _, tool := range []string{"ask", "beside", "roots"} {
			start := time.Now()
			if res, err := s.Call(t.Context(), Call{Tool: tool}); err == nil && !res.Failed || time.Since(start) > 2*time.Second {
				t.Errorf("%s: got %+v, %v after %v", tool, res, err, time.Since(start))
			}
		}
		if got := text(t, s, "declared"); got != `[null,null,null]` {
			t.Errorf("declares %s", got)
		}
		o.Input, o.Roots = new(asked).input, []string{"file:///srv/docs"}
		if got := text(t, open(t, o), "declared"); got != `[{"form":{}},null,{}]` {
			t.Errorf("declares %s", got)
		}
	})
}

// text calls a tool that must do it.
func text(t *testing.T, s *Server, tool string) string {
	t.Helper()
	res, err := s.Call(t.Context(), Call{Tool: tool})
	if err != nil {
		t.Fatalf("%s: %v (%v)", tool, err, errors.Unwrap(err))
	}
	if res.Failed {
		t.Fatalf("%s failed: %s", tool, res.Text)
	}
	return res.Text
}

func TestRoots(t *testing.T) {
	overAll(t, func(t *testing.T, o Options) {
		o.Roots = []string{"file:///srv/docs"}
		s := open(t, o)
		for _, tool := range []string{"roots", "roots_beside"} {
			if got := text(t, s, tool); got != "1 file:///srv/docs" {
				t.Errorf("%s: got %s", tool, got)
			}
		}
		if res, err := s.Call(t.Context(), Call{Tool: "ask"}); err == nil && !res.Failed {
			t.Errorf("asked without Input: %+v", res)
		}
	})
	for _, root := range []string{"https://docs.internal", "/srv/docs", ":"} {
		if _, err := New(Options{Name: "test", URL: "http://localhost", Roots: []string{root}}, new(State)); err == nil {
			t.Errorf("%s is a root", root)
		}
	}
}

// The time of an answer is the call's, and not the server's fault; the caller waits for
// neither.
//
// contract: M4, S9
func TestInputTakesLong(t *testing.T) {
	overAll(t, func(t *testing.T, o Options) {
		var running atomic.Int64
		asked := make(chan struct{}, 10)
		o.Timeout = 300 * time.Millisecond
		o.Breaker = BreakerPolicy{Failures: 1}
		o.Input = func(ctx context.Context, _ *Question) json.RawMessage {
			running.Add(1)
			defer running.Add(-1)
			asked <- struct{}{}
			<-ctx.Done()
			return json.RawMessage(`{"name":"late"}`)
		}
		s := open(t, o)
		eventually(t, "its tools are known", func() bool { return len(s.Offer(t.Context()).Tools) > 0 })
		for _, tool := range []string{"ask", "beside"} {
			start := time.Now()
			res, err := s.Call(t.Context(), Call{Tool: tool})
			if !ended(t, res, err) || time.Since(start) > 2*time.Second {
				t.Errorf("%s: got %+v, %v after %v", tool, res, err, time.Since(start))
			}
			select {
			case <-asked:
			default:
				t.Fatal("nobody was asked")
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				defer cancel()
				select {
				case <-asked:
				case <-ctx.Done():
				}
			}()
			if res, err = s.Call(ctx, Call{Tool: tool}); !ended(t, res, err) {
				t.Errorf("%s, given up: got %+v, %v", tool, res, err)
			}
			eventually(t, "nobody is asked any more", func() bool { return running.Load() == 0 })
		}
		if b := s.Status().Breaker; b.State != "closed" {
			t.Errorf("the breaker is %s", b.State)
		}
		say(t, s, "after it")
	})
}

// ended reports whether a call has ended for the want of an answer: in most cases before
// the server could say so itself.
func ended(t *testing.T, res *Result, err error) bool {
	t.Helper()
	if err == nil {
		return res.Text == "cancel <nil>"
	}
	return kindOf(t, err) == KindCanceled
}

// Who asks is known where the calls have streams of their own, or there is one call.
func TestInputOfOneOfSeveral(t *testing.T) {
	overAll(t, func(t *testing.T, o Options) {
		a := &asked{answer: `{"name":"Ada"}`}
		o.Input = a.input
		s := open(t, o)
		ctx, cancel := context.WithCancel(t.Context())
		hung := make(chan struct{})
		go func() {
			defer close(hung)
			_, _ = s.Call(ctx, Call{Tool: "hang", Arguments: args("x")})
		}()
		defer func() { cancel(); <-hung }()
		eventually(t, "a call is under way", func() bool {
			s.mu.Lock()
			ss := s.current
			s.mu.Unlock()
			return ss != nil && len(ss.iso.calls.all()) == 1
		})
		if got := text(t, s, "ask"); got != "accept Ada" {
			t.Errorf("got %s", got)
		}
		want := ""
		if s.Status().Transport == "streamable" {
			want = "ask"
		}
		if q := a.all(); len(q) != 1 || q[0].Tool != want {
			t.Errorf("asked %d times, by %q, want %q", len(q), q[0].Tool, want)
		}
	})
}

// A server whose question nobody waits for any more is told so.
func TestInputGivenUp(t *testing.T) {
	r := newRaw()
	told := make(chan string, 1)
	r.keep = func(body []byte) {
		var m message
		if json.Unmarshal(body, &m) == nil && string(m.ID) == `"q"` {
			told <- string(m.Result)
		}
	}
	r.acts["bad"] = func(w http.ResponseWriter, q *http.Request, _ ask) {
		sends(w, stream, event1(`{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"m"}}`))
		<-q.Context().Done()
	}
	s := open(t, Options{URL: serve(t, r).URL, Timeout: 300 * time.Millisecond, Input: func(ctx context.Context, _ *Question) json.RawMessage {
		<-ctx.Done()
		return nil
	}})
	if _, err := s.Call(t.Context(), Call{Tool: "bad"}); kindOf(t, err) != KindCanceled {
		t.Errorf("got %v", err)
	}
	select {
	case got := <-told:
		if got != `{"action":"cancel"}` {
			t.Errorf("told %s", got)
		}
	case <-time.After(5 * time.Second):
		t.Error("told nothing")
	}
}

// contract: M2, X8
func TestHostileQuestions(t *testing.T) {
	const question = `{"jsonrpc":"2.0","id":"q%d","method":"elicitation/create","params":%p}`
	const form = `{"message":"m","requestedSchema":{"type":"object"}}`
	ask := func(params string, n int) act {
		return func(w http.ResponseWriter, _ *http.Request, a ask) {
			w.Header().Set("Content-Type", stream)
			for i := range n {
				sends(w, stream, event1(strings.NewReplacer("%d", fmt.Sprint(i), "%p", params).Replace(question)))
			}
			sends(w, stream, event1(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, a.ID, said("x"))))
		}
	}
	schema := func(s string) string { return `{"message":"m","requestedSchema":` + s + `}` }
	cases := map[string]struct {
		act  act
		most int // questions that get through
	}{
		"many":        {ask(form, 1000), maxQuestions},
		"no params":   {ask(`null`, 3), 3},
		"types":       {ask(`{"message":7}`, 3), 0},
		"a URL":       {ask(`{"mode":"url","message":"m","url":"https://example.com","elicitationId":"1"}`, 3), 0},
		"a list":      {ask(schema(`[]`), 3), 0},
		"huge":        {ask(schema(`{"type":"object","title":"`+strings.Repeat("x", 1<<20)+`"}`), 3), 0},
		"deep":        {ask(schema(strings.Repeat(`{"a":`, 5000)+`1`+strings.Repeat(`}`, 5000)), 3), 0},
		"invisible":   {ask(schema(`{"type":"object","title":"a\u200bb"}`), 3), 0},
		"invisible m": {ask(`{"message":"a\u202eb","requestedSchema":{"type":"object"}}`, 3), 0},
		"long":        {ask(`{"message":"`+strings.Repeat("x", 100<<10)+`"}`, 1), 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRaw()
			r.acts["bad"] = c.act
			a := &asked{answer: `{}`}
			s := open(t, Options{URL: serve(t, r).URL, Input: a.input, Timeout: 20 * time.Second})
			eventually(t, "its tools are known", func() bool { return len(s.Offer(t.Context()).Tools) == 3 })
			beside(t, r, s, func() {
				if res, err := s.Call(t.Context(), Call{Tool: "bad"}); err != nil || res.Text != "x" {
					t.Errorf("got %+v, %v", res, err)
				}
			})
			if n := len(a.all()); n > c.most {
				t.Errorf("%d questions got through", n)
			}
			for _, q := range a.all() {
				if len(q.Message) > maxDescription || len(q.Schema) > maxSchema {
					t.Errorf("a question of %d and %d bytes", len(q.Message), len(q.Schema))
				}
			}
		})
	}
}

// On one stream for all calls nobody can tell which asks; together they get no more
// questions than they would alone.
//
// contract: M2
func TestHostileQuestionsOnOneStream(t *testing.T) {
	a := &asked{answer: `{}`}
	o := program(t, "rude")
	o.Input, o.Timeout = a.input, 20*time.Second
	s := open(t, o)
	eventually(t, "its tools are known", func() bool { return len(s.Offer(t.Context()).Tools) > 0 })
	res, err := s.Call(t.Context(), Call{Tool: "questions"})
	if err != nil || res.Text != "asked" {
		t.Errorf("got %+v, %v", res, err)
	}
	if n := len(a.all()); n > maxQuestions {
		t.Errorf("%d questions got through", n)
	}
	say(t, s, "after it")
}

func TestRealInput(t *testing.T) {
	for name, o := range map[string]func(t *testing.T) Options{
		"streamable": func(t *testing.T) Options { return Options{URL: mcptest.Everything(t, mcptest.HTTP).URL} },
		"SSE":        func(t *testing.T) Options { return Options{URL: mcptest.Everything(t, mcptest.SSE).URL} },
		"stdio":      func(t *testing.T) Options { return Options{Command: mcptest.StdioCommand(t, "everything")} },
	} {
		t.Run(name, func(t *testing.T) {
			a := &asked{answer: `{"name":"Ada","integer":42}`}
			o := o(t)
			o.Input = a.input
			s := open(t, o)
			res, err := s.Call(t.Context(), Call{Tool: "trigger-elicitation-request"})
			if err != nil || res.Failed || !strings.Contains(res.Text, "Ada") || len(a.all()) != 1 {
				t.Errorf("got %+v, %v, asked %d times", res, err, len(a.all()))
			}
			o.Input = nil
			if res, err := open(t, o).Call(t.Context(), Call{Tool: "trigger-elicitation-request"}); err == nil && !res.Failed {
				t.Errorf("without Input: %+v", res)
			}
		})
	}
}
