package agentruntime

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/mcp"
	"github.com/universal-ai-gateway/magicproxy/openai"
)

// refusedAfter is content, then the news that the provider could not read the call
// behind it.
func refusedAfter(content, generation string) answerOf {
	return answerOf{body: event(`{"content":`+quoted(content)+`}`) + `data: {"error":{"message":"Failed to call a function.","code":"tool_use_failed","failed_generation":` + quoted(generation) + `}}` + "\n\n"}
}

// contract: A9
func TestRefusedCallAfterContent(t *testing.T) {
	d := newDesk("d").with("search", querySchema, replies("found"))
	m := &model{answers: []answerOf{refusedAfter("Let me look.", "no call"), says("It is so.")}}
	mgr, a := two(m, "native")
	a.Servers, a.Tools = []ToolServer{d}, []string{"*"}
	ask(t, mgr, a, chat("Go")).well(t, "Let me look.\n\nIt is so.", "stop")
	if h := m.messages(t, 1); h[len(h)-2].Role != "assistant" || contentText(h[len(h)-2].Content) != "Let me look." {
		t.Errorf("second request %s", m.bodies[1])
	}

	// A second time nothing can be tried elsewhere: the client has seen content.
	m.answers, m.requests, m.bodies = []answerOf{refusedAfter("Let me look.", "no call")}, nil, nil
	if got := ask(t, mgr, a, chat("Go")); got.err == nil || len(m.requests) != 2 {
		t.Errorf("%+v after %d requests", got, len(m.requests))
	}

	// Text held for a stop sequence is not lost beside a call that can be read.
	m.answers, m.requests, m.bodies = []answerOf{refusedAfter("Let me look ST", `{"name": "search", "arguments": {"q": "x"}}`), says("Yes.")}, nil, nil
	ask(t, mgr, a, chat("Go", `"stop":"STOP"`)).well(t, "Let me look ST\n\nYes.", "stop")
}

// contract: A2
func TestCustomToolsAreRefused(t *testing.T) {
	mgr, a := agentOf(&model{answers: []answerOf{says("x")}}, "native")
	e, ok := errors.AsType[*openai.Error](ask(t, mgr, a, chat("Go", `"tools":[{"type":"custom","custom":{"name":"mine"}}]`)).err)
	if !ok || e.Status != 400 || e.Param != "tools" {
		t.Errorf("%+v", e)
	}
}

// contract: A13
func TestObjectInTheFinalAnswer(t *testing.T) {
	m := &model{answers: []answerOf{says(`<FINAL_ANSWER>{"a": 1}</FINAL_ANSWER>`)}}
	mgr, a := agentOf(m, "react")
	ask(t, mgr, a, chat("Go", `"response_format":{"type":"json_object"}`)).well(t, `{"a": 1}`, "stop")
	m = &model{answers: []answerOf{says(`<FINAL_ANSWER>five</FINAL_ANSWER>`)}}
	mgr, a = agentOf(m, "react")
	ask(t, mgr, a, chat("Go", `"max_tokens":5`, `"response_format":{"type":"json_object"}`)).well(t, "five", "length")
}

// contract: A6
func TestCallsOfOneTurnKnowNothingOfEachOther(t *testing.T) {
	m := &model{answers: []answerOf{calls("d__a", `{}`, "d__a", `{}`, "d__a", `{}`), says("Sorry.")}}
	mgr, a := agentOf(m, "native", newDesk("d").with("a", `{"type":"object"}`, func(context.Context, mcp.Call) (*mcp.Result, error) {
		return &mcp.Result{Text: "no", Failed: true}, nil
	}))
	ask(t, mgr, a, chat("Go")).well(t, "Sorry.", "stop")
	if m.requests[1]["tools"] == nil || strings.Contains(m.bodies[1], "failed before") {
		t.Errorf("second request %s", m.bodies[1])
	}
}

// contract: A1
func TestDraftIsTheBestSoFar(t *testing.T) {
	m := &model{answers: []answerOf{says("<DRAFT>A first try.</DRAFT>"), says("<THOUGHT>Hm.</THOUGHT>")}}
	mgr, a := agentOf(m, "analytical")
	a.MaxSteps = 2
	ask(t, mgr, a, chat("Go")).well(t, "A first try.", "length")
}

// security: X10
func TestNoticesAreBounded(t *testing.T) {
	d := newDesk("d").with("a", `{"type":"object"}`, func(_ context.Context, c mcp.Call) (*mcp.Result, error) {
		for range 100_000 {
			if c.Progress == nil {
				break
			}
			c.Progress("and on")
		}
		return &mcp.Result{Text: "x"}, nil
	})
	m := &model{answers: []answerOf{calls("d__a", `{}`), says("Done.")}}
	mgr, a := agentOf(m, "native", d)
	a.Progress = true
	if got := ask(t, mgr, a, chat("Go")).well(t, "Done.", "stop"); strings.Count(got.reasoning, "and on") > maxNotices {
		t.Errorf("%d notices", strings.Count(got.reasoning, "and on"))
	}
	m.requests = nil
	req, e := openai.ParseRequest(openai.Chat, []byte(chat("Go")))
	if e != nil {
		t.Fatal(e)
	}
	run, e := mgr.Run(t.Context(), Call{Agent: a, Request: req, Quiet: true})
	if e != nil {
		t.Fatal(e)
	}
	for ev, err := range run.Events() {
		if err != nil || ev.Kind == Reasoning || ev.Kind == Notice {
			t.Errorf("%+v, %v", ev, err)
		}
	}
}
