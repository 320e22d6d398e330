package audit

import "strconv"

// members appends the members of a payload, one after the other.
type members struct {
	b   []byte
	n   int
	cut bool // a text is not whole
}

func (m *members) name(name string) {
	sep := byte(',')
	if m.n == 0 {
		sep = '{'
	}
	m.n++
	m.b = append(m.b, sep, '"')
	m.b = append(m.b, name...)
	m.b = append(m.b, '"', ':')
}

// text appends a text; optional ones are left out if they are empty.
func (m *members) text(name, s string, limit int) {
	m.name(name)
	var cut bool
	m.b, cut = appendText(m.b, s, limit)
	m.cut = m.cut || cut
}

func (m *members) optional(name, s string, limit int) {
	if s != "" {
		m.text(name, s, limit)
	}
}

func (m *members) int(name string, n int64) {
	m.name(name)
	m.b = strconv.AppendInt(m.b, n, 10)
}

func (m *members) positive(name string, n int64) {
	if n != 0 {
		m.int(name, n)
	}
}

func (m *members) bool(name string, v bool) {
	m.name(name)
	m.b = strconv.AppendBool(m.b, v)
}

func (m *members) flag(name string, v bool) {
	if v {
		m.bool(name, v)
	}
}

func (m *members) seconds(name string, s float64) {
	m.name(name)
	m.b = appendSeconds(m.b, s)
}

func (m *members) end() []byte {
	m.flag("truncated", m.cut)
	return append(m.b, '}')
}

// Type implements Payload.
func (Request) Type() Type { return TypeRequest }

// AppendJSON implements Payload. A body that is no JSON, or too much, is the text
// "body_text" instead of "body".
func (p Request) AppendJSON(dst []byte) []byte {
	m := members{b: dst}
	m.text("endpoint", p.Endpoint, maxName)
	m.bool("stream", p.Stream)
	m.int("bytes", int64(p.Bytes))
	if len(p.Body) == 0 {
		return m.end()
	}
	before := m
	m.name("body")
	var ok bool
	if m.b, ok = appendRaw(m.b, p.Body, maxText); ok {
		return m.end()
	}
	m = before
	m.name("body_text")
	m.b, m.cut = appendText(m.b, p.Body, maxText)
	return m.end()
}

// Type implements Payload.
func (LLMCall) Type() Type { return TypeLLMCall }

// AppendJSON implements Payload.
func (p LLMCall) AppendJSON(dst []byte) []byte {
	m := members{b: dst}
	m.text("outcome", p.Outcome, maxName)
	m.positive("status", int64(p.Status))
	m.optional("key", p.Key, maxName)
	m.flag("own_key", p.Own)
	m.seconds("seconds", p.Seconds)
	if p.First > 0 {
		m.seconds("first_content_seconds", p.First)
	}
	m.positive("prompt_tokens", p.Prompt)
	m.positive("completion_tokens", p.Completion)
	m.optional("error", p.Error, maxNote)
	return m.end()
}

// Type implements Payload.
func (ToolCall) Type() Type { return TypeToolCall }

// AppendJSON implements Payload. Arguments that are no JSON, or too much, are a string.
func (p ToolCall) AppendJSON(dst []byte) []byte {
	m := members{b: dst}
	m.text("id", p.ID, maxName)
	m.text("server", p.Server, maxName)
	m.text("tool", p.Tool, maxName)
	m.int("bytes", int64(p.Bytes))
	if p.Arguments == "" {
		return m.end()
	}
	m.name("arguments")
	var ok bool
	if m.b, ok = appendRaw(m.b, p.Arguments, maxText); !ok {
		var cut bool
		m.b, cut = appendText(m.b, p.Arguments, maxText)
		m.cut = m.cut || cut
	}
	return m.end()
}

// Type implements Payload.
func (ToolResult) Type() Type { return TypeToolResult }

// AppendJSON implements Payload.
func (p ToolResult) AppendJSON(dst []byte) []byte {
	m := members{b: dst}
	m.text("id", p.ID, maxName)
	m.text("server", p.Server, maxName)
	m.text("tool", p.Tool, maxName)
	m.text("outcome", p.Outcome, maxName)
	m.seconds("seconds", p.Seconds)
	m.int("bytes", int64(p.Bytes))
	m.optional("text", p.Text, maxText)
	return m.end()
}

// Type implements Payload.
func (Chunk) Type() Type { return TypeChunk }

// AppendJSON implements Payload.
func (p Chunk) AppendJSON(dst []byte) []byte {
	m := members{b: dst}
	m.text("kind", p.Kind, maxName)
	m.int("bytes", int64(p.Bytes))
	m.optional("text", p.Text, maxText)
	m.flag("hidden", p.Hidden)
	return m.end()
}

// Type implements Payload.
func (Answer) Type() Type { return TypeAnswer }

// AppendJSON implements Payload. Of content and reasoning that are too long together
// each keeps at least a half of the room, if it needs it.
func (p Answer) AppendJSON(dst []byte) []byte {
	m := members{b: dst}
	m.optional("finish_reason", p.Finish, maxName)
	m.int("status", int64(p.Status))
	m.optional("target", p.Target, maxName)
	m.flag("cached", p.Cached)
	m.seconds("seconds", p.Seconds)
	m.int("bytes", int64(p.Bytes))
	from := len(m.b)
	m.optional("content", p.Content, maxText-min(maxText/2, maxRise*len(p.Reasoning)))
	m.optional("reasoning", p.Reasoning, maxText-min(maxText/2, len(m.b)-from))
	return m.end()
}

// Type implements Payload.
func (Usage) Type() Type { return TypeUsage }

// AppendJSON implements Payload.
func (p Usage) AppendJSON(dst []byte) []byte {
	m := members{b: dst}
	m.int("prompt_tokens", p.Prompt)
	m.int("completion_tokens", p.Completion)
	m.int("total_tokens", p.Total)
	m.int("attempts", int64(p.Attempts))
	m.positive("turns", int64(p.Turns))
	m.positive("tool_calls", int64(p.ToolCalls))
	return m.end()
}

// Type implements Payload.
func (Error) Type() Type { return TypeError }

// AppendJSON implements Payload.
func (p Error) AppendJSON(dst []byte) []byte {
	m := members{b: dst}
	m.int("status", int64(p.Status))
	m.text("class", p.Class, maxName)
	m.optional("code", p.Code, maxName)
	m.optional("message", p.Message, maxNote)
	m.seconds("seconds", p.Seconds)
	m.positive("unrecorded", p.Unrecorded)
	return m.end()
}

// Type implements Payload.
func (SessionStart) Type() Type { return TypeSessionStart }

// AppendJSON implements Payload.
func (p SessionStart) AppendJSON(dst []byte) []byte {
	m := members{b: dst}
	m.bool("new", p.New)
	return m.end()
}

// Type implements Payload.
func (SessionEnd) Type() Type { return TypeSessionEnd }

// AppendJSON implements Payload.
func (p SessionEnd) AppendJSON(dst []byte) []byte {
	m := members{b: dst}
	m.int("phase", int64(p.Phase))
	m.int("steps", int64(p.Steps))
	return m.end()
}

// Type implements Payload.
func (KeyState) Type() Type { return TypeKeyState }

// AppendJSON implements Payload.
func (p KeyState) AppendJSON(dst []byte) []byte {
	m := members{b: dst}
	m.text("key", p.Key, maxName)
	m.text("state", p.State, maxName)
	m.optional("cause", p.Cause, maxNote)
	m.optional("until", p.Until, maxName)
	return m.end()
}

// Type implements Payload.
func (BreakerState) Type() Type { return TypeBreakerState }

// AppendJSON implements Payload.
func (p BreakerState) AppendJSON(dst []byte) []byte {
	m := members{b: dst}
	m.text("server", p.Server, maxName)
	m.text("state", p.State, maxName)
	m.optional("cause", p.Cause, maxNote)
	return m.end()
}

// Interface guards
var (
	_ Payload = Request{}
	_ Payload = LLMCall{}
	_ Payload = ToolCall{}
	_ Payload = ToolResult{}
	_ Payload = Chunk{}
	_ Payload = Answer{}
	_ Payload = Usage{}
	_ Payload = Error{}
	_ Payload = SessionStart{}
	_ Payload = SessionEnd{}
	_ Payload = KeyState{}
	_ Payload = BreakerState{}
)
