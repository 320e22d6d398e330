package openai

import "strconv"

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
	empty := true
	s.enterObject()
	for n := 0; ; {
		key, ok := s.nextMember(&n)
		if !ok {
			break
		}
		switch string(plainKey(key)) {
		case "choices":
			empty = c.scanChoiceList(s) == 0
		case "usage":
			c.Usage, c.HasUsage = scanUsage(s)
		case "error":
			c.Error = s.valueOr(c.Error)
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
		if !s.enterIfObject() {
			continue
		}
		index, finished := 0, false
		for n := 0; ; {
			key, ok := s.nextMember(&n)
			if !ok {
				break
			}
			switch string(plainKey(key)) {
			case "index":
				index, _ = strconv.Atoi(string(s.value()))
			case "finish_reason":
				finished = !vacant(s.value())
			case "text":
				c.Content = !vacant(s.value()) || c.Content
			case "delta", "message": // some servers send the message whole
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
	if !s.enterIfObject() {
		return
	}
	for n := 0; ; {
		key, ok := s.nextMember(&n)
		if !ok {
			return
		}
		role := string(plainKey(key)) == "role"
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
		switch string(plainKey(key)) {
		case "type":
			kind = s.value()
		case "delta":
			c.Content = !vacant(s.value()) || c.Content
		case "error":
			failure = s.valueOr(failure)
		case "response":
			if !s.enterIfObject() {
				continue
			}
			a := scanAnswer(s)
			c.Usage, c.HasUsage = a.Usage, a.HasUsage
			if a.Error != nil {
				failure = a.Error
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
	s := scanner{b: body}
	s.enterObject()
	a := scanAnswer(&s)
	s.end()
	return a, s.err()
}

// scanAnswer reads the members of the object that s has entered: an answer, or
// the response in an event of /v1/responses.
func scanAnswer(s *scanner) (a Answer) {
	for n := 0; ; {
		key, ok := s.nextMember(&n)
		if !ok {
			return a
		}
		switch string(plainKey(key)) {
		case "usage":
			a.Usage, a.HasUsage = scanUsage(s)
		case "error":
			a.Error = s.valueOr(a.Error)
		default:
			s.skip()
		}
	}
}
