package openai

import "strconv"

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
		h = AppendString(h, c.ID)
		h = append(h, `,"object":"chat.completion.chunk","created":`...)
		h = strconv.AppendInt(h, c.Created, 10)
		h = append(h, `,"model":`...)
		h = AppendString(h, c.Model)
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
	dst = AppendString(dst, text)
	return append(dst, endDelta...)
}

// AppendReasoning appends a piece of the reasoning that precedes the answer.
func (c *ChunkEncoder) AppendReasoning(dst []byte, text string) []byte {
	dst = c.choice(dst)
	dst = append(dst, `"reasoning_content":`...)
	dst = AppendString(dst, text)
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
		dst = AppendString(dst, id)
		dst = append(dst, `,"type":"function"`...)
	}
	dst = append(dst, `,"function":{`...)
	if name != "" {
		dst = append(dst, `"name":`...)
		dst = AppendString(dst, name)
		dst = append(dst, ',')
	}
	dst = append(dst, `"arguments":`...)
	dst = AppendString(dst, args)
	dst = append(dst, `}}]`...)
	return append(dst, endDelta...)
}

// AppendFinish appends the chunk that ends a choice.
func (c *ChunkEncoder) AppendFinish(dst []byte, reason string) []byte {
	dst = c.choice(dst)
	dst = append(dst, `},"logprobs":null,"finish_reason":`...)
	dst = AppendString(dst, reason)
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
