package agentruntime

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strings"

	"github.com/universal-ai-gateway/magicproxy/openai"
)

// conversation is what the model is shown: the operator's text, every message of
// the client in order and byte for byte (contract A3), and what the run has added.
// What changes from turn to turn is put into the client's last user message, so
// that all before it stays the same for providers that cache (contract A4).
type conversation struct {
	static []byte // our system message, nil for none

	// The client's messages, between the brackets, cut where changing text goes:
	// within a text, or behind the last of several parts.
	before, after []byte
	place         place

	tail []byte // what the run has added, each message after a comma
}

// place says what stands at the cut.
type place uint8

const (
	placeNone  place = iota // there is no user message: it gets one of its own
	placeText               // the end of a text
	placeParts              // the end of a list of parts
	placeEmpty              // that of an empty list
)

// message is what of a client's message decides where it belongs.
type message struct {
	Role     string
	Content  json.RawMessage
	Calls    []messageCall `json:"tool_calls"`
	CallID   string        `json:"tool_call_id"`
	Name     string
	Function *function `json:"function_call"` // as it was before tools
}

type messageCall struct {
	ID       string
	Function function
	Custom   struct{ Name, Input string }
}

type function struct {
	Name      string
	Arguments json.RawMessage // a text that holds JSON, or the JSON
}

// tag is the call as a model that writes tags would write it.
func (f function) tag() string {
	args := contentText(f.Arguments)
	if args == "" {
		args = string(f.Arguments)
	}
	if !json.Valid([]byte(args)) {
		args = "{}"
	}
	return actionTag(f.Name, args)
}

func (c messageCall) tag() string {
	if c.Custom.Name != "" {
		return actionTag(c.Custom.Name, string(openai.AppendString(nil, c.Custom.Input)))
	}
	return c.Function.tag()
}

// newConversation reads the client's messages. For a model that writes tags the
// calls and results of the client's tools become tags, too.
func newConversation(static, messages []byte, tags bool) *conversation {
	c := &conversation{static: static}
	last, n := -1, 0 // the client's last user message that text can be added to
	for m := range openai.Elements(messages) {
		if _, where := insertion(m); where != placeNone {
			last = n
		}
		n++
	}
	if tags {
		messages = withTags(messages)
	}
	from := bytes.IndexByte(messages, '[') + 1
	c.before = bytes.TrimSpace(messages[from:bytes.LastIndexByte(messages, ']')])
	n = 0
	for m := range openai.Elements(messages) {
		if n == last {
			var cut int
			cut, c.place = insertion(m)
			// Elements are slices of messages: what capacity is left tells where.
			cut += cap(c.before) - cap(m)
			c.before, c.after = c.before[:cut], c.before[cut:]
			break
		}
		n++
	}
	return c
}

// insertion returns where text can be added to a user message.
func insertion(m []byte) (int, place) {
	from, to, ok := openai.Member(m, "role")
	if !ok || string(m[from:to]) != `"user"` {
		return 0, placeNone
	}
	from, to, ok = openai.Member(m, "content")
	if !ok {
		return 0, placeNone
	}
	switch content := m[from:to]; content[0] {
	case '"':
		return to - 1, placeText
	case '[':
		if len(bytes.TrimSpace(content[1:len(content)-1])) == 0 {
			return to - 1, placeEmpty
		}
		return to - 1, placeParts
	}
	return 0, placeNone
}

// appendJSON appends the messages array. dynamic is the text that changes, empty
// for none; last is one more message of the user's side, if not empty.
func (c *conversation) appendJSON(dst []byte, dynamic, last string) []byte {
	dst = append(dst, '[')
	if c.static != nil {
		dst = append(dst, c.static...)
		dst = append(dst, ',')
	}
	dst = append(dst, c.before...)
	if dynamic != "" {
		dst = c.insert(dst, dynamic)
	}
	dst = append(dst, c.after...)
	if dynamic != "" && c.place == placeNone {
		dst = appendText(append(dst, ','), "user", dynamic)
	}
	dst = append(dst, c.tail...)
	if last != "" {
		dst = appendText(append(dst, ','), "user", last)
	}
	return append(dst, ']')
}

func (c *conversation) insert(dst []byte, text string) []byte {
	switch c.place {
	case placeText:
		at := len(dst)
		dst = openai.AppendString(dst, "\n\n"+text)
		// Within a text the quotes are there already.
		copy(dst[at:], dst[at+1:])
		return dst[:len(dst)-2]
	case placeParts:
		dst = append(dst, ',')
		fallthrough
	case placeEmpty:
		dst = openai.AppendString(append(dst, `{"type":"text","text":`...), text)
		return append(dst, '}')
	}
	return dst
}

func appendText(dst []byte, role, text string) []byte {
	dst = append(dst, `{"role":"`...)
	dst = append(dst, role...)
	dst = append(dst, `","content":`...)
	dst = openai.AppendString(dst, text)
	return append(dst, '}')
}

// say adds a message of plain text.
func (c *conversation) say(role, text string) { c.tail = appendText(append(c.tail, ','), role, text) }

// call adds a message of the assistant that calls functions.
func (c *conversation) call(text string, calls []toolCall) {
	b := c.tail
	b = append(b, `,{"role":"assistant","content":`...)
	if text == "" {
		b = append(b, "null"...)
	} else {
		b = openai.AppendString(b, text)
	}
	b = append(b, `,"tool_calls":[`...)
	for i := range calls {
		if i > 0 {
			b = append(b, ',')
		}
		b = openai.AppendString(append(b, `{"id":`...), calls[i].id)
		b = openai.AppendString(append(b, `,"type":"function","function":{"name":`...), calls[i].shown())
		b = openai.AppendString(append(b, `,"arguments":`...), calls[i].args)
		b = append(b, "}}"...)
	}
	b = append(b, "]}"...)
	c.tail = b
}

// result adds the result of a function.
func (c *conversation) result(id, text string) {
	b := openai.AppendString(append(c.tail, `,{"role":"tool","tool_call_id":`...), id)
	b = openai.AppendString(append(b, `,"content":`...), text)
	b = append(b, '}')
	c.tail = b
}

// withTags returns messages in which calls and results of functions are written
// as tags. The others stay as they are.
func withTags(messages []byte) []byte {
	if !bytes.Contains(messages, []byte(`"tool`)) && !bytes.Contains(messages, []byte(`"function`)) {
		return messages
	}
	out := []byte{'['}
	names := make(map[string]string) // by the call's id
	for raw := range openai.Elements(messages) {
		if len(out) > 1 {
			out = append(out, ',')
		}
		var m message
		_ = json.Unmarshal(raw, &m) // what is no message of this shape stays as it is
		switch {
		case m.Role == "assistant" && (len(m.Calls) > 0 || m.Function != nil):
			texts := []string{contentText(m.Content)}
			for _, call := range m.Calls {
				names[call.ID] = cmp.Or(call.Function.Name, call.Custom.Name)
				texts = append(texts, call.tag())
			}
			if m.Function != nil {
				texts = append(texts, m.Function.tag())
			}
			out = appendText(out, "assistant", strings.TrimPrefix(strings.Join(texts, "\n"), "\n"))
		case m.Role == "function":
			out = appendText(out, "user", observationTag(m.Name, neutral(contentText(m.Content))))
		case m.Role == "tool":
			out = appendText(out, "user", observationTag(names[m.CallID], neutral(contentText(m.Content))))
		default:
			out = append(out, raw...)
		}
	}
	return append(out, ']')
}

// contentText returns the text of a message's content: a text, or parts.
func contentText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var parts []struct{ Text string }
	if json.Unmarshal(raw, &parts) != nil {
		return ""
	}
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = p.Text
	}
	return strings.Join(texts, "\n")
}
