package openai

import "strconv"

// Usage counts the tokens of an answer, as OpenAI's usage object does.
type Usage struct {
	Prompt, Completion, Total int64

	// Cached is the part of Prompt read from the provider's cache, Reasoning the
	// part of Completion spent on reasoning.
	Cached, Reasoning int64
}

// Add adds the tokens of another answer.
func (u *Usage) Add(v Usage) {
	u.Prompt += v.Prompt
	u.Completion += v.Completion
	u.Total += v.Total
	u.Cached += v.Cached
	u.Reasoning += v.Reasoning
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

// scanUsage reads a usage object of any endpoint; false when it is null or no
// object.
func scanUsage(s *scanner) (u Usage, ok bool) {
	if !s.enterIfObject() {
		return u, false
	}
	for n := 0; ; {
		key, more := s.nextMember(&n)
		if !more {
			break
		}
		switch string(plainKey(key)) {
		case "prompt_tokens", "input_tokens":
			u.Prompt = count(s.value())
		case "completion_tokens", "output_tokens":
			u.Completion = count(s.value())
		case "total_tokens":
			u.Total = count(s.value())
		case "prompt_tokens_details", "input_tokens_details":
			u.Cached = detail(s, "cached_tokens")
		case "completion_tokens_details", "output_tokens_details":
			u.Reasoning = detail(s, "reasoning_tokens")
		default:
			s.skip()
		}
	}
	if u.Total == 0 {
		u.Total = u.Prompt + u.Completion
	}
	return u, s.fault == ""
}

// detail reads one number of the details in a usage object.
func detail(s *scanner, name string) (v int64) {
	if !s.enterIfObject() {
		return 0
	}
	for n := 0; ; {
		key, ok := s.nextMember(&n)
		if !ok {
			return v
		}
		hit := string(plainKey(key)) == name
		if x := s.value(); hit {
			v = count(x)
		}
	}
}

// count reads a number of tokens. An upstream's nonsense counts as nothing: it
// must not run a counter backwards.
func count(v []byte) int64 {
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil || n < 0 || n > 1<<40 {
		return 0
	}
	return n
}
