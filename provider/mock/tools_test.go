package mock

import (
	"strings"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/openai"
)

const (
	weather = `{"type":"function","function":{"name":"weather","parameters":{"type":"object","required":["city"],
		"properties":{"city":{"type":"string"},"unit":{"enum":["C","F"]},"days":{"type":"integer"}}}}}`
	clock  = `{"type":"function","function":{"name":"clock"}}`
	custom = `{"type":"custom","custom":{"name":"shell"}}`
)

func conversation(messages string) string { return `{"model":"m",` + messages + `}` }

func TestToolCall(t *testing.T) {
	const (
		asked    = `"messages":[{"role":"user","content":"Weather?"}]`
		called   = `{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"weather","arguments":"{}"}}]}`
		answered = `"messages":[{"role":"user","content":"Weather?"},` + called + `,{"role":"tool","tool_call_id":"call_1","content":"12 °C, rain"}]`
		parts    = `"messages":[{"role":"user","content":"?"},` + called + `,{"role":"tool","tool_call_id":"call_1","content":[{"type":"text","text":"12 °C"},{"type":"text","text":"rain"}]}]`
		further  = `"messages":[{"role":"user","content":"?"},` + called + `,{"role":"tool","tool_call_id":"call_1","content":"rain"},{"role":"assistant","content":"Rain."},{"role":"user","content":"And now?"}]`
		args     = `{"city":"mock","days":1}`
	)
	for name, c := range map[string]struct{ body, tool, args, content string }{
		"the first one is called":           {asked + `,"tools":[` + weather + `,` + clock + `]`, "weather", args, ""},
		"custom tools are passed over":      {asked + `,"tools":[` + custom + `,` + clock + `]`, "clock", "{}", ""},
		"auto":                              {asked + `,"tools":[` + weather + `],"tool_choice":"auto"`, "weather", args, ""},
		"required":                          {asked + `,"tools":[` + weather + `],"tool_choice":"required"`, "weather", args, ""},
		"the named one":                     {asked + `,"tools":[` + weather + `,` + clock + `],"tool_choice":{"type":"function","function":{"name":"clock"}}`, "clock", "{}", ""},
		"allowed tools":                     {asked + `,"tools":[` + weather + `],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[]}}`, "weather", args, ""},
		"a result that is no text":          {`"messages":[{"role":"tool","tool_call_id":"call_1","content":null}],"tools":[` + weather + `]`, "", "", "."},
		"nobody has asked":                  {`"messages":[{"role":"system","content":"Hi"}],"tools":[` + weather + `]`, "weather", args, ""},
		"none":                              {asked + `,"tools":[` + weather + `],"tool_choice":"none"`, "", "", "."},
		"no tools":                          {asked + `,"tools":[]`, "", "", "."},
		"null":                              {asked + `,"tools":null`, "", "", "."},
		"only custom tools":                 {asked + `,"tools":[` + custom + `]`, "", "", "."},
		"after the result it answers":       {answered + `,"tools":[` + weather + `]`, "", "", "The tool answered: 12 °C, rain"},
		"a result in parts":                 {parts + `,"tools":[` + weather + `]`, "", "", "The tool answered: 12 °C rain"},
		"a new question calls again":        {further + `,"tools":[` + weather + `]`, "weather", args, ""},
		"also with a format":                {asked + `,"tools":[` + weather + `],"response_format":{"type":"json_object"}`, "weather", args, ""},
		"a format holds after the result":   {answered + `,"tools":[` + weather + `],"response_format":{"type":"json_object"}`, "", "", `{"answer":"`},
		"reasoning precedes a call as well": {asked + `,"tools":[` + weather + `],"reasoning_effort":"low"`, "weather", args, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newMock(Options{})
			body := conversation(c.body)
			all, _ := both(t, p, body, 1)
			h := all[0]
			if c.tool == "" {
				if h.name != "" || h.finish != "stop" || !strings.Contains(h.content, c.content) || h.deltas > 8 {
					t.Errorf("%+v", h)
				}
				return
			}
			if h.name != c.tool || h.arguments != c.args || h.finish != "tool_calls" || h.content != "" || !strings.HasPrefix(h.id, "call_") {
				t.Errorf("%+v", h)
			}
			m := decode[chatDoc](t, ask(t, p, openai.Chat, body)).Choices[0].Message
			if len(m.ToolCalls) != 1 || m.ToolCalls[0].Function.Name != c.tool || m.ToolCalls[0].Function.Arguments != c.args {
				t.Errorf("without stream: %+v", m)
			}
		})
	}
}

func TestEveryChoiceHasItsOwnCall(t *testing.T) {
	all, _ := both(t, newMock(Options{}), chatWith(`"n":2,"tools":[`+weather+`]`), 2)
	if all[0].id == all[1].id || all[0].arguments != all[1].arguments {
		t.Errorf("%+v", all)
	}
}

func TestFixedAnswerAfterTheResult(t *testing.T) {
	body := conversation(`"tools":[` + weather + `],"messages":[{"role":"user","content":"?"},{"role":"tool","tool_call_id":"call_1","content":"rain"}]`)
	all, _ := both(t, newMock(Options{Answer: "It rains."}), body, 1)
	if all[0].content != "It rains." {
		t.Errorf("%+v", all[0])
	}
}
