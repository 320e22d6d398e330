package agentruntime

import (
	"strings"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/openai"
)

// withReason puts another finish_reason into an answer.
func withReason(a answerOf, reason string) answerOf {
	for _, old := range []string{"stop", "tool_calls"} {
		a.body = strings.Replace(a.body, `"finish_reason":"`+old+`"`, `"finish_reason":"`+reason+`"`, 1)
	}
	return a
}

// contract: A1
func TestHowRunsEnd(t *testing.T) {
	call := calls("d__search", `{"q":"x"}`)
	beside := answerOf{body: event(`{"content":"It is 5, I check."}`) + call.body}
	thinking := answerOf{body: event(`{"reasoning_content":"Hm"}`) + endOf("stop")}
	for name, c := range map[string]struct {
		answers  []answerOf
		more     string
		content  string
		reason   string
		requests int
	}{
		"an answer in JSON that is cut off": {[]answerOf{withReason(says(`{"name":"Bob","age":4`), "length")}, "", `{"name":"Bob","age":4`, "length", 1},
		"JSON of its own in a format":       {[]answerOf{says(`{"name":"Bob","arguments":{"x":1}}`)}, `"response_format":{"type":"json_object"}`, `{"name":"Bob","arguments":{"x":1}}`, "stop", 1},
		"all of it is reasoning":            {[]answerOf{withReason(thinking, "length")}, "", "", "length", 1},
		"content, then nothing twice":       {[]answerOf{beside, says(""), says("")}, "", "It is 5, I check.", "stop", 3},
		"filtered":                          {[]answerOf{withReason(says(""), "content_filter")}, "", "", "content_filter", 1},
		"white space first":                 {[]answerOf{says("  \n", "\n  ", "x  y")}, "", "  \n\n  x  y", "stop", 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := &model{answers: c.answers}
			mgr, a := agentOf(m, "native", newDesk("d").with("search", querySchema, replies("found")))
			body := chat("Go")
			if c.more != "" {
				body = chat("Go", c.more)
			}
			ask(t, mgr, a, body).well(t, c.content, c.reason)
			if len(m.requests) != c.requests {
				t.Errorf("%d requests", len(m.requests))
			}
		})
	}
}

// contract: A1
// In the last turn an action cannot run, so the answer beside it counts.
func TestAnswerBesideTheLastAction(t *testing.T) {
	m := &model{answers: []answerOf{says(look), says(look + "\n" + done)}}
	d := newDesk("d").with("search", querySchema, replies("found"))
	mgr, a := agentOf(m, "react", d)
	a.MaxSteps = 1
	ask(t, mgr, a, chat("Go")).well(t, "It is a language.", "length")
	if len(d.seen) != 1 {
		t.Errorf("called %q", d.seen)
	}
}

// contract: A10
// Some servers send the message whole in a stream, and its end by itself.
func TestWholeMessageInAStream(t *testing.T) {
	whole := answerOf{body: `data: {"choices":[{"index":0,"message":{"role":"assistant","content":"Hi there"}}]}` + "\n\n" + endOf("stop")}
	mgr, a := agentOf(&model{answers: []answerOf{whole}}, "native")
	ask(t, mgr, a, chat("Go")).well(t, "Hi there", "stop")
}

// contract: S2
// What a try that broke off has cost counts only if its upstream has told.
func TestUsageOfABrokenTry(t *testing.T) {
	m := &model{answers: []answerOf{{body: event(`{"reasoning_content":"` + strings.Repeat("x", 4000) + `"}`), broken: true}, says("Answer")}}
	mgr, a := two(m, "")
	got := ask(t, mgr, a, chat("Go", `"max_tokens":100`)).well(t, "Answer", "stop")
	if got.usage != (openai.Usage{Prompt: 10, Completion: 5, Total: 15}) || string(m.requests[1]["max_tokens"]) != "100" {
		t.Errorf("usage %+v, then %s", got.usage, m.requests[1]["max_tokens"])
	}
}

// contract: A13
// JSON may have our tags in its strings.
func TestFormatWithTagsInIt(t *testing.T) {
	const answer = `{"a":"<think>x</think> <FINAL_ANSWER>y</FINAL_ANSWER>"}`
	m := &model{answers: []answerOf{says(done), says(split(answer, 3)...)}}
	mgr, a := agentOf(m, "react")
	ask(t, mgr, a, chat("Go", `"response_format":{"type":"json_object"}`)).well(t, answer, "stop")
}

// Ids that a provider gives again are none: each result belongs to one call.
func TestIDsOfCallsDiffer(t *testing.T) {
	m := &model{answers: []answerOf{calls("d__search", `{"q":"x"}`), calls("d__search", `{"q":"y"}`), says("Done.")}}
	mgr, a := agentOf(m, "native", newDesk("d").with("search", querySchema, replies("found")))
	ask(t, mgr, a, chat("Go")).well(t, "Done.", "stop")
	h := m.messages(t, 2)
	if one, other := h[1].Calls[0].ID, h[3].Calls[0].ID; one == other || h[2].CallID != one || h[4].CallID != other {
		t.Errorf("history %s", m.bodies[2])
	}
}

// contract: A3
// Calls of functions are tags in the history of a model that writes tags, however
// clients write them.
func TestCallsBecomeTags(t *testing.T) {
	for in, want := range map[string]string{
		`"tool_calls":[{"id":"1","function":{"name":"f","arguments":{"a":1}}}]`:       `<ACTION>{"tool_name": "f", "arguments": {"a":1}}</ACTION>`,
		`"tool_calls":[{"id":"1","function":{"name":"f","arguments":"{broken"}}]`:     `<ACTION>{"tool_name": "f", "arguments": {}}</ACTION>`,
		`"tool_calls":[{"id":"1","type":"custom","custom":{"name":"f","input":"x"}}]`: `<ACTION>{"tool_name": "f", "arguments": "x"}</ACTION>`,
		`"function_call":{"name":"f","arguments":"{\"a\":1}"}`:                        `<ACTION>{"tool_name": "f", "arguments": {"a":1}}</ACTION>`,
	} {
		m := &model{answers: []answerOf{says(done)}}
		mgr, a := agentOf(m, "react")
		ask(t, mgr, a, `{"model":"agent","messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,`+in+`},{"role":"tool","tool_call_id":"1","content":"r"}]}`).well(t, "It is a language.", "stop")
		if h := m.messages(t, 0); contentText(h[2].Content) != want || !strings.HasPrefix(contentText(h[3].Content), "<OBSERVATION") {
			t.Errorf("%s: %s", in, h[2].Content)
		}
	}
}
