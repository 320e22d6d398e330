package mock

import "github.com/universal-ai-gateway/magicproxy/openai"

// chat speaks /v1/chat/completions.
type chat struct {
	*answer
	enc openai.ChunkEncoder
}

func newChat(a *answer) *chat {
	return &chat{answer: a, enc: openai.ChunkEncoder{ID: id("chatcmpl-", a.seed), Created: a.created, Model: a.model}}
}

func (c *chat) step(dst []byte, k int) []byte {
	for c.enc.Index = range c.choices {
		switch {
		case k == 0:
			dst = c.enc.AppendRole(dst)
		case k > c.tokens:
			dst = c.enc.AppendFinish(dst, c.finish)
		case k <= c.reasoning:
			dst = c.enc.AppendReasoning(dst, c.thought(c.enc.Index, k-1))
		default:
			dst = c.appendContent(dst, k-1-c.reasoning)
		}
	}
	if k <= c.tokens {
		return dst
	}
	if c.askUsage {
		dst = c.enc.AppendUsage(dst, c.usage())
	}
	return append(dst, openai.Done...)
}

func (c *chat) appendContent(dst []byte, k int) []byte {
	switch {
	case c.call == nil:
		return c.enc.AppendContent(dst, c.token(c.enc.Index, k))
	case k == 0:
		return c.enc.AppendToolCall(dst, 0, c.call.id(c.seed, c.enc.Index), c.call.name, "")
	}
	return c.enc.AppendToolCall(dst, 0, "", "", c.pieces[k])
}

func (c *chat) document(dst []byte) []byte {
	d := openai.Completion{
		ID: c.enc.ID, Created: c.created, Model: c.model, Usage: c.usage(),
		Choices: make([]openai.Message, c.choices),
	}
	for i := range d.Choices {
		m := openai.Message{Reasoning: c.thoughts(i), FinishReason: c.finish}
		switch content := c.content(i); {
		case c.call == nil:
			m.Content = content
		case c.tokens > c.reasoning: // the limit has left at least the name
			m.ToolCalls = []openai.ToolCall{{ID: c.call.id(c.seed, i), Name: c.call.name, Arguments: content}}
		}
		d.Choices[i] = m
	}
	return d.AppendJSON(dst)
}
