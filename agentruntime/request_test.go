package agentruntime

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/openai"
)

// contract: A13
func TestSampling(t *testing.T) {
	d := newDesk("d").with("a", `{"type":"object"}`, replies("x"))
	for name, c := range map[string]struct{ field, param string }{
		"n":             {`"n":2`, "n"},
		"logprobs":      {`"logprobs":true`, "logprobs"},
		"top_logprobs":  {`"top_logprobs":3`, "top_logprobs"},
		"functions":     {`"functions":[]`, "functions"},
		"an absent one": {`"tool_choice":{"type":"function","function":{"name":"nobody"}}`, "tool_choice"},
		"choice":        {`"tool_choice":"maybe"`, "tool_choice"},
		"stop":          {`"stop":7`, "stop"},
		"format":        {`"response_format":"json"`, "response_format"},
		"retrieval":     {`"tools":[{"type":"retrieval"}]`, "tools"},
	} {
		t.Run(name, func(t *testing.T) {
			mgr, a := agentOf(&model{answers: []answerOf{says("x")}}, "native", d)
			e, ok := errors.AsType[*openai.Error](ask(t, mgr, a, chat("Go", c.field)).err)
			if !ok || e.Status != 400 || e.Param != c.param {
				t.Errorf("%+v", e)
			}
		})
	}
	t.Run("tokens", func(t *testing.T) {
		m := &model{answers: []answerOf{calls("d__a", `{}`), says("Done.")}}
		mgr, a := agentOf(m, "native", d)
		ask(t, mgr, a, chat("Go", `"max_completion_tokens":8`)).well(t, "Done.", "stop")
		if string(m.requests[0]["max_completion_tokens"]) != "8" || string(m.requests[1]["max_completion_tokens"]) != "3" || m.requests[0]["max_tokens"] != nil {
			t.Errorf("%s then %s", m.requests[0]["max_completion_tokens"], m.requests[1]["max_completion_tokens"])
		}
		m = &model{answers: []answerOf{calls("d__a", `{}`), says("Done.")}}
		mgr, a = agentOf(m, "native", d)
		ask(t, mgr, a, chat("Go", `"max_tokens":5`)).well(t, "", "length")
		if len(m.requests) != 1 { // there are no tokens for more
			t.Errorf("%d requests", len(m.requests))
		}
		a.MaxTokens = 50
		m.requests = nil
		ask(t, mgr, a, chat("Go"))
		if string(m.requests[0]["max_tokens"]) != "50" {
			t.Errorf("the agent's own: %s", m.bodies[0])
		}
		m.requests = nil
		ask(t, mgr, a, chat("Go", `"max_completion_tokens":100`))
		if string(m.requests[0]["max_completion_tokens"]) != "50" || m.requests[0]["max_tokens"] != nil {
			t.Errorf("more than the agent's own: %s", m.bodies[0])
		}
	})
	t.Run("defaults", func(t *testing.T) {
		m := &model{answers: []answerOf{says("Done.")}}
		mgr, a := agentOf(m, "native", d)
		a.Sampling = []Field{{"temperature", json.RawMessage("0.70")}, {"top_p", json.RawMessage("0.5")}}
		ask(t, mgr, a, chat("Go", `"temperature":1`, `"seed":12345678901234567890`, `"stop":["x"]`, `"n":1`))
		r := m.requests[0]
		if string(r["temperature"]) != "1" || string(r["top_p"]) != "0.5" || string(r["seed"]) != "12345678901234567890" || r["stop"] != nil || r["n"] != nil {
			t.Errorf("request %s", m.bodies[0])
		}
	})
	t.Run("stop", func(t *testing.T) {
		m := &model{answers: []answerOf{says("One. T", "wo", ". Th", "ree.")}}
		mgr, a := agentOf(m, "native", d)
		ask(t, mgr, a, chat("Go", `"stop":["Three","Thirty"]`)).well(t, "One. Two. ", "stop")
		ask(t, mgr, a, chat("Go", `"stop":"Threesome"`)).well(t, "One. Two. Three.", "stop")
	})
	t.Run("choice", func(t *testing.T) {
		m := &model{answers: []answerOf{says("Done.")}}
		mgr, a := agentOf(m, "native", d)
		ask(t, mgr, a, chat("Go", `"tool_choice":"none"`, `"parallel_tool_calls":false`)).well(t, "Done.", "stop")
		if m.requests[0]["tools"] != nil || m.requests[0]["tool_choice"] != nil || m.requests[0]["parallel_tool_calls"] != nil {
			t.Errorf("none: %s", m.bodies[0])
		}
		for choice, want := range map[string]string{
			`"required"`: `"required"`,
			`{"type":"function","function":{"name":"d::a"}}`: `{"type":"function","function":{"name":"d__a"}}`,
		} {
			m.requests, m.answers = nil, []answerOf{calls("d__a", `{}`), says("Done.")}
			ask(t, mgr, a, chat("Go", `"tool_choice":`+choice, `"parallel_tool_calls":false`)).well(t, "Done.", "stop")
			if string(m.requests[0]["tool_choice"]) != want || m.requests[1]["tool_choice"] != nil || string(m.requests[1]["parallel_tool_calls"]) != "false" {
				t.Errorf("%s: %s then %s", choice, m.requests[0]["tool_choice"], m.requests[1]["tool_choice"])
			}
		}
	})
	t.Run("format", func(t *testing.T) {
		m := &model{answers: []answerOf{calls("d__a", `{}`), says("{}")}}
		mgr, a := agentOf(m, "native", d)
		ask(t, mgr, a, chat("Go", `"response_format":{"type":"json_object"}`)).well(t, "{}", "stop")
		if m.requests[0]["response_format"] == nil || m.requests[1]["response_format"] == nil {
			t.Error("a turn goes without")
		}
	})
}
