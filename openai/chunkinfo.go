package openai

import (
	"strconv"
)

// ChunkInfo is what the gateway needs to know of one event of a stream.
type ChunkInfo struct {
	// Content says that a user could see or act on something in it.
	Content bool

	// Choices and Finishes have bit i set when choice i occurs, or ends, in the
	// event. Choices beyond 63 share the last bit.
	Choices, Finishes uint64

	Usage    Usage
	HasUsage bool

	// UsageOnly marks the chunk without choices that only carries usage.
	UsageOnly bool

	// Error is the error object the event carries, raw; nil for none.
	Error []byte
}

// ScanChunk reads the data of one event without decoding or allocating. The
// error says that it is not one JSON object.
func ScanChunk(ep Endpoint, data []byte) (ChunkInfo, error) {
	var info ChunkInfo
	s := scanner{b: data}
	if ep == Responses {
		info.scanResponse(&s)
	} else {
		info.scanChoices(&s)
	}
	s.end()
	return info, s.err()
}

func (c *ChunkInfo) scanChoices(s *scanner) {
	empty := false
	s.enterObject()
	for n := 0; ; {
		key, ok := s.nextMember(&n)
		if !ok {
			break
		}
		switch string(key) {
		case "choices":
			empty = c.scanChoiceList(s) == 0
		case "usage":
			c.Usage, c.HasUsage = scanUsage(s)
		case "error":
			if v := s.value(); !vacant(v) {
				c.Error = v
			}
		default:
			s.skip()
		}
	}
	c.UsageOnly = empty && c.HasUsage
}

func (c *ChunkInfo) scanChoiceList(s *scanner) (count int) {
	if s.peek() != '[' {
		s.skip()
		return 0
	}
	s.enterArray()
	for s.nextElement(&count) {
		if s.peek() != '{' {
			s.skip()
			continue
		}
		index, finished := 0, false
		s.enterObject()
		for n := 0; ; {
			key, ok := s.nextMember(&n)
			if !ok {
				break
			}
			switch string(key) {
			case "index":
				index, _ = strconv.Atoi(string(s.value()))
			case "finish_reason":
				finished = !vacant(s.value())
			case "text":
				c.Content = !vacant(s.value()) || c.Content
			case "delta":
				c.scanDelta(s)
			default:
				s.skip()
			}
		}
		bit := uint64(1) << min(max(index, 0), 63)
		c.Choices |= bit
		if finished {
			c.Finishes |= bit
		}
	}
	return count
}

// scanDelta looks for content: anything but the role that is not vacant, so
// that a field nobody has thought of yet counts too.
func (c *ChunkInfo) scanDelta(s *scanner) {
	if s.peek() != '{' {
		s.skip()
		return
	}
	s.enterObject()
	for n := 0; ; {
		key, ok := s.nextMember(&n)
		if !ok {
			return
		}
		role := string(key) == "role"
		if v := s.value(); !role && !vacant(v) {
			c.Content = true
		}
	}
}

// scanResponse reads an event of /v1/responses: its type says what it is.
func (c *ChunkInfo) scanResponse(s *scanner) {
	var kind, failure []byte
	c.Choices = 1
	s.enterObject()
	for n := 0; ; {
		key, ok := s.nextMember(&n)
		if !ok {
			break
		}
		switch string(key) {
		case "type":
			kind = s.value()
		case "delta":
			c.Content = !vacant(s.value()) || c.Content
		case "error":
			if v := s.value(); !vacant(v) {
				failure = v
			}
		case "response":
			if e := c.scanResponseObject(s); e != nil {
				failure = e
			}
		default:
			s.skip()
		}
	}
	switch string(kind) {
	case `"response.completed"`, `"response.incomplete"`:
		c.Finishes = 1
	case `"response.failed"`, `"error"`:
		c.Error = failure
		if failure == nil {
			c.Error = s.b
		}
	case "": // an error object as the other endpoints have it
		c.Error = failure
	}
}

func (c *ChunkInfo) scanResponseObject(s *scanner) (failure []byte) {
	if s.peek() != '{' {
		s.skip()
		return nil
	}
	s.enterObject()
	for n := 0; ; {
		key, ok := s.nextMember(&n)
		if !ok {
			return failure
		}
		switch string(key) {
		case "usage":
			c.Usage, c.HasUsage = scanUsage(s)
		case "error":
			if v := s.value(); !vacant(v) {
				failure = v
			}
		default:
			s.skip()
		}
	}
}

// vacant reports whether a value carries nothing.
func vacant(v []byte) bool {
	switch len(v) {
	case 0:
		return true
	case 2:
		return string(v) == `""` || string(v) == "[]" || string(v) == "{}"
	}
	return string(v) == "null"
}

// scanUsage reads a usage object of any endpoint; false when it is null or no
// object.
func scanUsage(s *scanner) (u Usage, ok bool) {
	if s.peek() != '{' {
		s.skip()
		return u, false
	}
	s.enterObject()
	for n := 0; ; {
		key, more := s.nextMember(&n)
		if !more {
			break
		}
		switch string(key) {
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

func detail(s *scanner, name string) (v int64) {
	if s.peek() != '{' {
		s.skip()
		return 0
	}
	s.enterObject()
	for n := 0; ; {
		key, ok := s.nextMember(&n)
		if !ok {
			return v
		}
		hit := string(key) == name
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

// Answer is what the gateway needs to know of an answer without stream.
type Answer struct {
	Usage    Usage
	HasUsage bool

	// Error is the top-level error object, raw; nil for none.
	Error []byte
}

// ScanAnswer reads the body of an answer without stream. The error says that it
// is not one JSON object: truncated, HTML, anything.
func ScanAnswer(body []byte) (Answer, error) {
	var a Answer
	s := scanner{b: body}
	s.enterObject()
	for n := 0; ; {
		key, ok := s.nextMember(&n)
		if !ok {
			break
		}
		switch string(key) {
		case "usage":
			a.Usage, a.HasUsage = scanUsage(&s)
		case "error":
			if v := s.value(); !vacant(v) {
				a.Error = v
			}
		default:
			s.skip()
		}
	}
	s.end()
	return a, s.err()
}
