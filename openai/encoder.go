package openai

import "strconv"

// Usage counts the tokens of an answer, as OpenAI's usage object does.
type Usage struct {
	Prompt, Completion, Total int64

	// Cached is the part of Prompt read from the provider's cache, Reasoning the
	// part of Completion spent on reasoning.
	Cached, Reasoning int64
}

func (u Usage) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"prompt_tokens":`...)
	dst = strconv.AppendInt(dst, u.Prompt, 10)
	dst = append(dst, `,"completion_tokens":`...)
	dst = strconv.AppendInt(dst, u.Completion, 10)
	dst = append(dst, `,"total_tokens":`...)
	dst = strconv.AppendInt(dst, u.Total, 10)
	dst = append(dst, `,"prompt_tokens_details":{"cached_tokens":`...)
	dst = strconv.AppendInt(dst, u.Cached, 10)
	dst = append(dst, `},"completion_tokens_details":{"reasoning_tokens":`...)
	dst = strconv.AppendInt(dst, u.Reasoning, 10)
	return append(dst, "}}"...)
}

// ChunkEncoder appends the events of one chat.completion.chunk stream: one id,
// one created, one model throughout (contract S1). Every method appends one
// whole event and allocates only when dst has no room. The zero Index speaks for
// the first choice; set it to speak for another.
type ChunkEncoder struct {
	ID      string
	Created int64 // Unix seconds
	Model   string
	Index   int

	head []byte // the part all chunks share
}

func (c *ChunkEncoder) open(dst []byte) []byte {
	if c.head == nil {
		h := append([]byte(nil), `data: {"id":`...)
		h = appendString(h, c.ID)
		h = append(h, `,"object":"chat.completion.chunk","created":`...)
		h = strconv.AppendInt(h, c.Created, 10)
		h = append(h, `,"model":`...)
		h = appendString(h, c.Model)
		h = append(h, `,"choices":[`...)
		c.head = h
	}
	return append(dst, c.head...)
}

func (c *ChunkEncoder) choice(dst []byte) []byte {
	dst = c.open(dst)
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, int64(c.Index), 10)
	return append(dst, `,"delta":{`...)
}

const endDelta = `},"logprobs":null,"finish_reason":null}]}` + "\n\n"

// AppendRole appends the opening delta of the assistant's message.
func (c *ChunkEncoder) AppendRole(dst []byte) []byte {
	dst = c.choice(dst)
	dst = append(dst, `"role":"assistant","content":""`...)
	return append(dst, endDelta...)
}

// AppendContent appends a piece of the answer.
func (c *ChunkEncoder) AppendContent(dst []byte, text string) []byte {
	dst = c.choice(dst)
	dst = append(dst, `"content":`...)
	dst = appendString(dst, text)
	return append(dst, endDelta...)
}

// AppendReasoning appends a piece of the reasoning that precedes the answer.
func (c *ChunkEncoder) AppendReasoning(dst []byte, text string) []byte {
	dst = c.choice(dst)
	dst = append(dst, `"reasoning_content":`...)
	dst = appendString(dst, text)
	return append(dst, endDelta...)
}

// AppendToolCall appends a whole tool call or a delta of one: an empty id and
// name are left out, as in every delta after the first.
func (c *ChunkEncoder) AppendToolCall(dst []byte, call int, id, name, args string) []byte {
	dst = c.choice(dst)
	dst = append(dst, `"tool_calls":[{"index":`...)
	dst = strconv.AppendInt(dst, int64(call), 10)
	if id != "" {
		dst = append(dst, `,"id":`...)
		dst = appendString(dst, id)
		dst = append(dst, `,"type":"function"`...)
	}
	dst = append(dst, `,"function":{`...)
	if name != "" {
		dst = append(dst, `"name":`...)
		dst = appendString(dst, name)
		dst = append(dst, ',')
	}
	dst = append(dst, `"arguments":`...)
	dst = appendString(dst, args)
	dst = append(dst, `}}]`...)
	return append(dst, endDelta...)
}

// AppendFinish appends the chunk that ends a choice.
func (c *ChunkEncoder) AppendFinish(dst []byte, reason string) []byte {
	dst = c.choice(dst)
	dst = append(dst, `},"logprobs":null,"finish_reason":`...)
	dst = appendString(dst, reason)
	return append(dst, "}]}\n\n"...)
}

// AppendUsage appends the chunk without choices that carries the usage
// (contract S2).
func (c *ChunkEncoder) AppendUsage(dst []byte, u Usage) []byte {
	dst = c.open(dst)
	dst = append(dst, `],"usage":`...)
	dst = u.appendJSON(dst)
	return append(dst, "}\n\n"...)
}

// Done is the event that ends a good stream.
const Done = "data: [DONE]\n\n"

// ToolCall is one function call of an answer; Arguments is JSON text.
type ToolCall struct{ ID, Name, Arguments string }

// Message is one choice of a Completion.
type Message struct {
	Content, Reasoning string
	ToolCalls          []ToolCall
	FinishReason       string
}

// Completion is a whole chat answer for a request without stream (contract
// S10).
type Completion struct {
	ID      string
	Created int64 // Unix seconds
	Model   string
	Choices []Message
	Usage   Usage
}

// AppendJSON appends the chat.completion object.
func (c *Completion) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendString(dst, c.ID)
	dst = append(dst, `,"object":"chat.completion","created":`...)
	dst = strconv.AppendInt(dst, c.Created, 10)
	dst = append(dst, `,"model":`...)
	dst = appendString(dst, c.Model)
	dst = append(dst, `,"choices":[`...)
	for i, m := range c.Choices {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"index":`...)
		dst = strconv.AppendInt(dst, int64(i), 10)
		dst = append(dst, `,"message":`...)
		dst = m.appendJSON(dst)
		dst = append(dst, `,"logprobs":null,"finish_reason":`...)
		dst = appendString(dst, m.FinishReason)
		dst = append(dst, '}')
	}
	dst = append(dst, `],"usage":`...)
	dst = c.Usage.appendJSON(dst)
	return append(dst, '}')
}

func (m *Message) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"role":"assistant","content":`...)
	if m.Content == "" && len(m.ToolCalls) > 0 {
		dst = append(dst, "null"...)
	} else {
		dst = appendString(dst, m.Content)
	}
	dst = append(dst, `,"refusal":null`...)
	if m.Reasoning != "" {
		dst = append(dst, `,"reasoning_content":`...)
		dst = appendString(dst, m.Reasoning)
	}
	for i, t := range m.ToolCalls {
		if i == 0 {
			dst = append(dst, `,"tool_calls":[`...)
		} else {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"id":`...)
		dst = appendString(dst, t.ID)
		dst = append(dst, `,"type":"function","function":{"name":`...)
		dst = appendString(dst, t.Name)
		dst = append(dst, `,"arguments":`...)
		dst = appendString(dst, t.Arguments)
		dst = append(dst, "}}"...)
	}
	if len(m.ToolCalls) > 0 {
		dst = append(dst, ']')
	}
	return append(dst, '}')
}
