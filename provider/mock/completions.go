package mock

import "github.com/universal-ai-gateway/magicproxy/openai"

// completion speaks /v1/completions, whose events and documents have one shape.
type completion struct{ *answer }

func (c *completion) open(dst []byte) []byte {
	dst = append(dst, `{"id":`...)
	dst = openai.AppendString(dst, id("cmpl-", c.seed))
	dst = append(dst, `,"object":"text_completion","created":`...)
	dst = appendInt(dst, c.created)
	dst = append(dst, `,"model":`...)
	dst = openai.AppendString(dst, c.model)
	return append(dst, `,"choices":[`...)
}

func appendChoice(dst []byte, index int, text, finish string) []byte {
	dst = append(dst, `{"text":`...)
	dst = openai.AppendString(dst, text)
	dst = append(dst, `,"index":`...)
	dst = appendInt(dst, index)
	dst = append(dst, `,"logprobs":null,"finish_reason":`...)
	if finish == "" {
		dst = append(dst, "null"...)
	} else {
		dst = openai.AppendString(dst, finish)
	}
	return append(dst, '}')
}

func (c *completion) step(dst []byte, k int) []byte {
	if k == 0 { // nothing opens such a stream
		return dst
	}
	text, finish := "", ""
	if k > c.tokens {
		finish = c.finish
	}
	for i := range c.choices {
		if k <= c.tokens {
			text = c.token(i, k-1)
		}
		dst = append(dst, "data: "...)
		dst = c.open(dst)
		dst = appendChoice(dst, i, text, finish)
		dst = append(dst, "]}\n\n"...)
	}
	if k <= c.tokens {
		return dst
	}
	if c.askUsage {
		dst = append(dst, "data: "...)
		dst = c.open(dst)
		dst = c.appendUsage(dst)
		dst = append(dst, "\n\n"...)
	}
	return append(dst, openai.Done...)
}

func (c *completion) document(dst []byte) []byte {
	dst = c.open(dst)
	for i := range c.choices {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendChoice(dst, i, c.content(i), c.finish)
	}
	return c.appendUsage(dst)
}

// appendUsage ends the choices and the object.
func (c *completion) appendUsage(dst []byte) []byte {
	u := c.usage()
	dst = append(dst, `],"usage":{"prompt_tokens":`...)
	dst = appendInt(dst, u.Prompt)
	dst = append(dst, `,"completion_tokens":`...)
	dst = appendInt(dst, u.Completion)
	dst = append(dst, `,"total_tokens":`...)
	dst = appendInt(dst, u.Total)
	return append(dst, "}}"...)
}
