package agentruntime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/universal-ai-gateway/magicproxy/mcp"
	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
	"github.com/universal-ai-gateway/magicproxy/rotation"
	"github.com/universal-ai-gateway/magicproxy/state"
)

// silent is a provider that never answers.
type silent struct{}

func (silent) Do(ctx context.Context, _ *provider.Call) (*provider.Response, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// contract: A1
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mgr, a := agentOf(silent{}, "")
		a.Timeout = 5 * time.Second
		start := time.Now()
		e, ok := errors.AsType[*openai.Error](ask(t, mgr, a, chat("Go")).err)
		if !ok || e.Status != http.StatusGatewayTimeout || time.Since(start) != 5*time.Second {
			t.Errorf("%v after %s", e, time.Since(start))
		}
	})
}

// A tool that never answers is the server's trouble; the run's own bound holds all
// the same.
func TestTimeoutInATool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk("d").with("a", `{"type":"object"}`, func(ctx context.Context, _ mcp.Call) (*mcp.Result, error) {
			<-ctx.Done()
			return nil, &mcp.Error{Kind: mcp.KindCanceled, Server: "d", Message: "canceled"}
		})
		mgr, a := agentOf(&model{answers: []answerOf{calls("d__a", `{}`, "d__a", `{"x":1}`)}}, "native", d)
		a.Timeout = 5 * time.Second
		start := time.Now()
		e, ok := errors.AsType[*openai.Error](ask(t, mgr, a, chat("Go")).err)
		if !ok || e.Status != http.StatusGatewayTimeout || time.Since(start) != 5*time.Second {
			t.Errorf("%v after %s", e, time.Since(start))
		}
	})
}

// contract: A12
func TestCancelledRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mgr, a := agentOf(silent{}, "")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(state.ErrCancelled) })
		e, ok := errors.AsType[*openai.Error](askSession(ctx, t, mgr, a, chat("Go"), nil).err)
		if !ok || e.Code != "cancelled" {
			t.Errorf("%v", e)
		}
	})
}

// contract: S9
// A client that leaves is nobody's failure, whenever it does.
func TestClientLeaves(t *testing.T) {
	for name, first := range map[string]string{"before anything": "", "in the middle": event(`{"content":"Once"}`)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mgr, a := agentOf(endless(first), "")
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				e, ok := errors.AsType[*rotation.Error](askSession(ctx, t, mgr, a, chat("Go"), nil).err)
				if !ok || !e.Canceled() {
					t.Errorf("%#v", e)
				}
			})
		})
	}
}

// endless is a provider whose stream begins and never ends.
type endless string

func (e endless) Do(ctx context.Context, _ *provider.Call) (*provider.Response, error) {
	return &provider.Response{Status: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: io.NopCloser(io.MultiReader(strings.NewReader(string(e)), waiting{ctx}))}, nil
}

type waiting struct{ ctx context.Context }

func (w waiting) Read([]byte) (int, error) {
	<-w.ctx.Done()
	return 0, context.Cause(w.ctx)
}

// contract: S9
func TestConsumerThatLeaves(t *testing.T) {
	m := &model{answers: []answerOf{says("One. ", "Two. ", "Three.")}}
	mgr, a := agentOf(m, "")
	req, _ := openai.ParseRequest(openai.Chat, []byte(chat("Go")))
	run, e := mgr.Run(t.Context(), Call{Agent: a, Request: req})
	if e != nil {
		t.Fatal(e)
	}
	n := 0
	for _, err := range run.Events() {
		if n++; err != nil {
			t.Error(err)
		}
		break
	}
	if active, _ := a.Chain.Main[0].Provider.Load(); n != 1 || active != 0 {
		t.Errorf("%d events, %d calls under way", n, active)
	}
}

// However a model's text is cut into deltas, the run is the same.
func TestAnySplitIsTheSame(t *testing.T) {
	fragments := []string{
		"<THOUGHT title=\"Plan\">", "</THOUGHT>", "\n", "<ACTION>", `{"tool_name": "d::search", "arguments": {"q": "</ACTION> \" ü"}}`, "</ACTION>", "<FINAL_ANSWER>",
		"</FINAL_ANSWER>", "<think>", "</think>", "prose ", "`<ACTION>`", "```\n", "<DRAFT>", "</DRAFT>", "<tool_call>", "</tool_call>", `{"name": "search", "arguments": {"q": "x"}}`, "<", "</",
		"<function=search>{\"q\": 1}</function>", "Action: search\nAction Input: {\"q\": \"x\"}\n", "\n\n", " ", "<OBSERVATION>",
	}
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 3000 {
		var text strings.Builder
		for range 1 + random.IntN(12) {
			text.WriteString(fragments[random.IntN(len(fragments))])
		}
		pattern := []string{"native", "react"}[n%2]
		run := func(pieces []string) string {
			d := newDesk("d").with("search", querySchema, replies("found"))
			mgr, a := agentOf(&model{answers: []answerOf{says(pieces...), says("<FINAL_ANSWER>end</FINAL_ANSWER>")}}, pattern, d)
			o := ask(t, mgr, a, chat("Go"))
			slices.Sort(d.seen) // calls of one turn run at the same time
			return fmt.Sprintf("%q %q %q %v %q", o.reasoning, o.content, o.reason, o.err, d.seen)
		}
		var pieces []string
		for rest := []rune(text.String()); len(rest) > 0; {
			k := 1 + random.IntN(min(len(rest), 6))
			pieces = append(pieces, string(rest[:k]))
			rest = rest[k:]
		}
		if whole, parts := run([]string{text.String()}), run(pieces); whole != parts {
			t.Fatalf("%s: %q\nwhole %s\nparts %s", pattern, text.String(), whole, parts)
		}
	}
}

// FuzzRun has a model say anything: no run panics, loops or gives content that the
// model has not written, and no tool is called with what its schema refuses.
func FuzzRun(f *testing.F) {
	f.Add(look+"\n"+done, true)
	f.Add("<tool_call>{\"name\": \"search\", \"arguments\": {\"q\": \"x\"}}</tool_call>", false)
	f.Add("<FINAL_ANSWER>x", true)
	f.Fuzz(func(t *testing.T, text string, tags bool) {
		pattern := "native"
		if tags {
			pattern = "react"
		}
		d := newDesk("d").with("search", querySchema, func(_ context.Context, c mcp.Call) (*mcp.Result, error) {
			var args struct{ Q *string }
			if err := json.Unmarshal(c.Arguments, &args); err != nil || args.Q == nil {
				t.Errorf("called with %s", c.Arguments)
			}
			return &mcp.Result{Text: "found"}, nil
		})
		m := &model{answers: []answerOf{says(split(strings.ToValidUTF8(text, "?"), 7)...)}}
		mgr, a := agentOf(m, pattern, d)
		a.MaxSteps = 3
		o := ask(t, mgr, a, chat("Go"))
		if o.err == nil && o.reason == "" || len(m.requests) > 8 {
			t.Errorf("%+v after %d requests", o, len(m.requests))
		}
	})
}
