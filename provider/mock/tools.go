package mock

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/universal-ai-gateway/magicproxy/openai"
)

// call is the one tool call of an answer.
type call struct{ name, arguments string }

// id differs between choices and between requests.
func (c *call) id(seed uint64, choice int) string {
	return id("call_", mix(seed^uint64(choice)+1)) //nolint:gosec // not negative
}

type tool struct {
	Type     string `json:"type"`
	Function struct {
		Name       string          `json:"name"`
		Parameters json.RawMessage `json:"parameters"`
	} `json:"function"`
}

// toolTurn decides between calling a tool and answering. A conversation that has
// a tool's result since the last user message gets an answer; result is what the
// tool said, so that the answer can show that it arrived.
func toolTurn(r *openai.Request) (c *call, result string, e *openai.Error) {
	raw := r.Field("tools")
	if raw == nil {
		return nil, "", nil
	}
	var offered []tool
	if err := json.Unmarshal(raw, &offered); err != nil {
		return nil, "", openai.InvalidRequest("tools", "Invalid 'tools': expected objects with a type and a function.")
	}
	choice := r.Field("tool_choice")
	if string(choice) == `"none"` || len(offered) == 0 {
		return nil, "", nil
	}
	if result, answered := toolResult(r.Field("messages")); answered {
		return nil, result, nil
	}
	want := chosen(choice)
	for _, t := range offered {
		if t.Type == "function" && (want == "" || t.Function.Name == want) {
			return &call{t.Function.Name, string(appendObject(nil, t.Function.Parameters))}, "", nil
		}
	}
	if want != "" {
		return nil, "", openai.InvalidRequest("tool_choice", "Invalid 'tool_choice': there is no function '%s' in 'tools'.", openai.Cut(want, 64))
	}
	return nil, "", nil
}

// chosen returns the name in a tool_choice, "" when it leaves the choice to us.
func chosen(choice []byte) string {
	if len(choice) == 0 || choice[0] != '{' {
		return ""
	}
	var t tool
	if json.Unmarshal(choice, &t) != nil || t.Type != "function" {
		return ""
	}
	return t.Function.Name
}

// message is what turns are decided by.
type message struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
}

func messagesOf(raw []byte) (list []message) {
	if json.Unmarshal(raw, &list) != nil {
		return nil
	}
	return list
}

// toolResult returns the text of the last tool message behind the last user
// message.
func toolResult(messages []byte) (text string, found bool) {
	for _, m := range slices.Backward(messagesOf(messages)) {
		switch m.Role {
		case "tool":
			return textOf(m.Content, " "), true
		case "user":
			return "", false
		}
	}
	return "", false
}

// textOf returns the text of a message's content: a string, or a list of parts
// that it joins.
func textOf(content json.RawMessage, separator string) string {
	var s string
	if json.Unmarshal(content, &s) == nil {
		return s
	}
	var parts []struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(content, &parts) != nil {
		return ""
	}
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = p.Text
	}
	return strings.Join(texts, separator)
}
