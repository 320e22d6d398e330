package openai

import "strconv"

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
	dst = AppendString(dst, c.ID)
	dst = append(dst, `,"object":"chat.completion","created":`...)
	dst = strconv.AppendInt(dst, c.Created, 10)
	dst = append(dst, `,"model":`...)
	dst = AppendString(dst, c.Model)
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
		dst = AppendString(dst, m.FinishReason)
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
		dst = AppendString(dst, m.Content)
	}
	dst = append(dst, `,"refusal":null`...)
	if m.Reasoning != "" {
		dst = append(dst, `,"reasoning_content":`...)
		dst = AppendString(dst, m.Reasoning)
	}
	for i, t := range m.ToolCalls {
		if i == 0 {
			dst = append(dst, `,"tool_calls":[`...)
		} else {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"id":`...)
		dst = AppendString(dst, t.ID)
		dst = append(dst, `,"type":"function","function":{"name":`...)
		dst = AppendString(dst, t.Name)
		dst = append(dst, `,"arguments":`...)
		dst = AppendString(dst, t.Arguments)
		dst = append(dst, "}}"...)
	}
	if len(m.ToolCalls) > 0 {
		dst = append(dst, ']')
	}
	return append(dst, '}')
}
