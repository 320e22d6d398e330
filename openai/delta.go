package openai

import (
	"bytes"
	"strconv"
)

// Delta is what one chunk adds to the answer of a chat, to the choice with index
// 0. Reuse one for a whole stream: its buffers are kept, so that a chunk of text
// allocates nothing. What Scan has set is valid until the next Scan.
type Delta struct {
	Content, Reasoning, Refusal []byte // decoded text

	Calls []CallDelta

	// Finish is the finish_reason, "" as long as there is none.
	Finish string

	// Whole says that the choice has a message where a delta should be, as some
	// servers send it that have the answer at once. It adds nothing to deltas that
	// came before: it is all of them.
	Whole bool

	// Other says that there is more than text and calls: audio, annotations, references,
	// signatures of reasoning.
	Other bool

	text []byte // the arguments of all calls
}

// Scan reads one chat.completion.chunk. Whatever has an unexpected type counts as
// absent. The error says that it is not one JSON object.
func (d *Delta) Scan(data []byte) error {
	d.Content, d.Reasoning, d.Refusal = d.Content[:0], d.Reasoning[:0], d.Refusal[:0]
	d.Calls, d.text = d.Calls[:0], d.text[:0]
	d.Finish, d.Whole, d.Other = "", false, false
	s := scanner{b: data}
	s.enterObject()
	for n := 0; ; {
		key, ok := s.nextMember(&n)
		if !ok {
			break
		}
		switch string(plainKey(key)) {
		case "choices":
		case "citations", "search_results", "images", "related_questions", "videos": // of models that search
			d.scanOther(&s)
			continue
		default:
			s.skip()
			continue
		}
		if s.peek() != '[' {
			s.skip()
			continue
		}
		s.enterArray()
		for n := 0; s.nextElement(&n); {
			d.scanChoice(&s)
		}
	}
	s.end()
	return s.err()
}

// mark is how far a Delta has come.
type mark struct {
	content, reasoning, refusal, calls, text int
	finish                                   string
	whole, other                             bool
}

func (d *Delta) mark() mark {
	return mark{len(d.Content), len(d.Reasoning), len(d.Refusal), len(d.Calls), len(d.text), d.Finish, d.Whole, d.Other}
}

// grew reports whether the answer has become more since m.
func (d *Delta) grew(m mark) bool {
	return len(d.Content) > m.content || len(d.Reasoning) > m.reasoning || len(d.Refusal) > m.refusal || len(d.Calls) > m.calls
}

// rewind forgets what came after m.
func (d *Delta) rewind(m mark) {
	d.Content, d.Reasoning, d.Refusal = d.Content[:m.content], d.Reasoning[:m.reasoning], d.Refusal[:m.refusal]
	d.Calls, d.text = d.Calls[:m.calls], d.text[:m.text]
	d.Finish, d.Whole, d.Other = m.finish, m.whole, m.other
}

// scanChoice reads a choice, and forgets it when it turns out not to be the
// first: the index may come last.
func (d *Delta) scanChoice(s *scanner) {
	if !s.enterIfObject() {
		return
	}
	from := d.mark()
	first := true
	for n := 0; ; {
		key, ok := s.nextMember(&n)
		if !ok {
			break
		}
		switch k := plainKey(key); string(k) {
		case "index":
			first = number(s.value()) <= 0
		case "finish_reason":
			if v := s.value(); len(v) > 2 && v[0] == '"' {
				d.Finish = finishReason(v[1 : len(v)-1])
			}
		case "delta", "message":
			// Where both are given, the first that brings something counts.
			if d.grew(from) {
				s.skip()
				continue
			}
			d.scanMessage(s)
			d.Whole = string(k) == "message" && d.grew(from)
		case "logprobs":
			d.scanOther(s)
		default:
			s.skip()
		}
	}
	if !first {
		d.rewind(from)
	}
}

func (d *Delta) scanMessage(s *scanner) {
	if !s.enterIfObject() {
		return
	}
	// A server that renames its field sends the text under both names for a while.
	reasoned := false
	for n := 0; ; {
		key, ok := s.nextMember(&n)
		if !ok {
			return
		}
		switch string(plainKey(key)) {
		case "content":
			d.scanContent(s)
		case "reasoning_content", "reasoning", "reasoning_text":
			if reasoned {
				s.skip()
				continue
			}
			size := len(d.Reasoning)
			d.Reasoning = appendText(d.Reasoning, s)
			reasoned = len(d.Reasoning) > size
		case "refusal":
			d.Refusal = appendText(d.Refusal, s)
		case "tool_calls":
			d.scanCalls(s)
		case "function_call":
			d.scanCall(s)
		case "role", "name":
			s.skip()
		default:
			d.scanOther(s)
		}
	}
}

// scanOther reads a value that is neither text nor a call.
func (d *Delta) scanOther(s *scanner) {
	v := s.value()
	if len(v) == 0 {
		return
	}
	switch v[0] {
	case 'n', 'f': // null, false
	case '"', '[', '{':
		d.Other = d.Other || len(bytes.TrimSpace(v[1:len(v)-1])) > 0
	default:
		d.Other = true
	}
}

// scanContent reads a text, or parts of it: Mistral's models that reason answer
// in parts, and keep their reasoning in parts of parts.
func (d *Delta) scanContent(s *scanner) {
	switch s.peek() {
	case '[':
		s.enterArray()
		for n := 0; s.nextElement(&n); {
			d.scanPart(s, false)
		}
	case '{':
		d.scanPart(s, false)
	default:
		d.Content = appendText(d.Content, s)
	}
}

// scanPart reads a part of the content. thinking says that it is part of the
// reasoning.
func (d *Delta) scanPart(s *scanner, thinking bool) {
	to := &d.Content
	if thinking {
		to = &d.Reasoning
	}
	if s.peek() != '{' {
		*to = appendText(*to, s)
		return
	}
	s.enterObject()
	for n := 0; ; {
		key, ok := s.nextMember(&n)
		if !ok {
			return
		}
		switch string(plainKey(key)) {
		case "text":
			*to = appendText(*to, s)
		case "thinking":
			if s.peek() != '[' {
				d.Reasoning = appendText(d.Reasoning, s)
				continue
			}
			s.enterArray()
			for n := 0; s.nextElement(&n); {
				d.scanPart(s, true)
			}
		case "type", "closed":
			s.skip()
		default:
			d.scanOther(s)
		}
	}
}

// appendText appends the next value if it is a string.
func appendText(dst []byte, s *scanner) []byte {
	if v := s.value(); len(v) > 2 && v[0] == '"' {
		return AppendUnquoted(dst, v[1:len(v)-1])
	}
	return dst
}

// number reads an index, -1 for what is none.
func number(v []byte) int {
	if n, err := strconv.Atoi(string(v)); err == nil && n >= 0 {
		return n
	}
	return -1
}

// finishReason spares the usual values their allocation.
func finishReason(quoted []byte) string {
	switch string(quoted) {
	case "stop":
		return "stop"
	case "length":
		return "length"
	case "tool_calls":
		return "tool_calls"
	case "function_call":
		return "function_call"
	case "content_filter":
		return "content_filter"
	}
	return unquote(quoted)
}
