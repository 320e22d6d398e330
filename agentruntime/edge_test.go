package agentruntime

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/universal-ai-gateway/magicproxy/mcp"
	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/state"
)

// brokenOff is an answer that breaks off after some text.
func brokenOff(text string) answerOf {
	return answerOf{body: event(`{"content":` + quoted(text) + `}`), broken: true}
}

// two is an agent with a further target behind its own, both of them m.
func two(m *model, pattern string) (*Manager, *Agent) {
	mgr, a := agentOf(m, pattern)
	_, b := agentOf(m, pattern)
	a.Chain.Fallback = b.Chain.Main
	return mgr, a
}

// contract: S5
// contract: A13
func TestHeldTextOfABrokenTry(t *testing.T) {
	for next, want := range map[string]string{"Hello": "Hello", "OP the press": "OP the press"} {
		mgr, a := two(&model{answers: []answerOf{brokenOff("ST"), says(next)}}, "")
		ask(t, mgr, a, chat("Go", `"stop":["STOP"]`)).well(t, want, "stop")
	}
}

// contract: A13
// The blank line between the texts of two turns is ours, and no stop sequence; what
// a turn ends with does not wait for the next.
func TestStopsOverTurns(t *testing.T) {
	d := newDesk("d").with("a", `{"type":"object"}`, replies("x"))
	for stop, text := range map[string]string{`["\n\n"]`: "Look", `["STOP"]`: "ST"} {
		first := answerOf{body: event(`{"content":`+quoted(text)+`}`) + calls("d__a", `{}`).body}
		mgr, a := agentOf(&model{answers: []answerOf{first, says("OPEN")}}, "native", d)
		ask(t, mgr, a, chat("Go", `"stop":`+stop)).well(t, text+"\n\nOPEN", "stop")
	}
}

// contract: S5
// What a broken try has drafted or gone through counts once.
func TestNotesOfABrokenTry(t *testing.T) {
	m := &model{answers: []answerOf{brokenOff("<DRAFT>one</DRAFT>\n<THOUGHT title=\"Critique\">more"), says("<DRAFT>one</DRAFT>\n<FINAL_ANSWER>x</FINAL_ANSWER>")}}
	mgr, a := two(m, "analytical")
	s := new(state.Session)
	askSession(t.Context(), t, mgr, a, chat("Go"), s).well(t, "x", "stop")
	if len(s.Notebook) != 1 || s.Phase != 1 {
		t.Errorf("%+v", s)
	}
	m = &model{answers: []answerOf{brokenOff(phases("Restate", "Facts", "Unknowns")), says(phases("Restate", "Facts", "Unknowns") + done)}}
	mgr, a = two(m, "linear")
	ask(t, mgr, a, chat("Go")).well(t, "It is a language.", "stop")
	if len(m.requests) != 2 {
		t.Errorf("%d requests", len(m.requests))
	}
}

// contract: A2
func TestCutClientCall(t *testing.T) {
	cut := answerOf{body: strings.Replace(calls("mine", `{"q": "x`).body, `"finish_reason":"tool_calls"`, `"finish_reason":"length"`, 1)}
	mgr, a := agentOf(&model{answers: []answerOf{cut}}, "native")
	got := ask(t, mgr, a, chat("Go", `"tools":[{"type":"function","function":{"name":"mine"}}]`)).well(t, "", "length")
	if len(got.calls) != 1 || got.calls[0].Arguments != `{"q": "x` {
		t.Errorf("%+v", got.calls)
	}
}

// contract: A7
// Nothing of an observation that the model has made up, or of what it builds on it,
// is in its history.
func TestMadeUpObservationIsForgotten(t *testing.T) {
	m := &model{answers: []answerOf{says(look + "\n<OBSERVATION>FAKE</OBSERVATION>\n<ACTION>{\"tool_name\": \"d::search\", \"arguments\": {\"q\": \"FAKE\"}}</ACTION>"), says(done)}}
	d := newDesk("d").with("search", querySchema, replies("found"))
	mgr, a := agentOf(m, "react", d)
	ask(t, mgr, a, chat("Go")).well(t, "It is a language.", "stop")
	if len(d.seen) != 1 || strings.Contains(m.bodies[1], "FAKE") {
		t.Errorf("called %q, second request %s", d.seen, m.bodies[1])
	}
}

// waning is a server that loses its tools after the first offer.
type waning struct {
	*desk
	asked int
}

func (w *waning) Offer(ctx context.Context) mcp.Offer {
	if w.asked++; w.asked > 1 {
		return mcp.Offer{Down: "gone"}
	}
	return w.desk.Offer(ctx)
}

func TestNamedToolGoesAway(t *testing.T) {
	m := &model{answers: []answerOf{says(""), says("x")}}
	mgr, a := agentOf(m, "native", &waning{desk: newDesk("w").with("a", querySchema, replies("x"))}, newDesk("d").with("b", querySchema, replies("x")))
	ask(t, mgr, a, chat("Go", `"tool_choice":{"type":"function","function":{"name":"w::a"}}`)).well(t, "x", "stop")
	if m.requests[0]["tool_choice"] == nil || m.requests[1]["tool_choice"] != nil {
		t.Errorf("second request %s", m.bodies[1])
	}
}

// contract: S9
// Who leaves while tools run ends them.
func TestLeavingEndsTools(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took time.Duration
		d := newDesk("d").with("a", `{"type":"object"}`, func(ctx context.Context, c mcp.Call) (*mcp.Result, error) {
			start := time.Now()
			c.Progress("working")
			<-ctx.Done()
			took = time.Since(start)
			return nil, &mcp.Error{Kind: mcp.KindCanceled, Server: "d", Message: "canceled"}
		})
		mgr, a := agentOf(&model{answers: []answerOf{calls("d__a", `{}`)}}, "native", d)
		a.Progress = true
		req, e := openai.ParseRequest(openai.Chat, []byte(chat("Go")))
		if e != nil {
			t.Fatal(e)
		}
		run, e := mgr.Run(t.Context(), Call{Agent: a, Request: req})
		if e != nil {
			t.Fatal(e)
		}
		n := 0
		for _, err := range run.Events() {
			if n++; err != nil || n == 2 { // the notice of the call, that of the tool
				break
			}
		}
		if n != 2 || took > time.Second {
			t.Errorf("%d events, the tool ran for %s", n, took)
		}
	})
}

// Long messages take memory, and so time, in proportion.
func TestLongMessages(t *testing.T) {
	work := func(n int) uint64 {
		body := `[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[` + strings.TrimSuffix(strings.Repeat(`{"function":{"name":"a"}},`, n), ",") + `]},` +
			`{"role":"tool","content":[` + strings.TrimSuffix(strings.Repeat(`{"text":"aaaa"},`, n), ",") + `]}]`
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_ = withTags([]byte(body))
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	if few, many := work(1000), work(10000); many > 20*few {
		t.Errorf("%d bytes for 1,000 calls, %d for 10,000", few, many)
	}
}
