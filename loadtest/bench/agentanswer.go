package main

import (
	"bytes"
	"fmt"
	"strconv"
)

// agentWant is what every answer of an agent has to be.
type agentWant struct {
	name    string
	reasons bool  // reasoning comes before the content
	tokens  int64 // of all model calls, as the usage tells; 0: not known yet
}

var agentWants = []agentWant{{name: "native"}, {name: "react", reasons: true}}

// toolText is the content, as JSON has it: the mock repeats what the tool said, so this shows that the call got there and back.
const toolText = `The tool answered: Simulated result of docs::search for {\"query\":\"mock\"}`

var (
	choicesMember  = []byte(`"choices":[`)
	roleDelta      = []byte(`{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}`)
	reasoningDelta = []byte(`{"index":0,"delta":{"reasoning_content":"`)
	contentDelta   = []byte(`{"index":0,"delta":{"content":"`)
	deltaEnd       = []byte(`"},"logprobs":null,"finish_reason":null}]}`)
	finishDelta    = []byte(`{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}`)
	usageChoices   = []byte(`],"usage":{`)
	tokensMember   = []byte(`"completion_tokens":`)
)

// The parts of an agent's answer, in their order.
const (
	partNone = iota
	partRole
	partReasoning
	partContent
	partFinish
	partUsage
	partDone
)

// check verifies a streamed answer: one message with one role, reasoning before content, the tool's text whole, one finish_reason,
// usage of the run as before, [DONE], a blank line, nothing after.
func (w *agentWant) check(body []byte) error {
	part, open, text := partNone, false, []byte(toolText)
	var head []byte // what all chunks begin with
	for rest := body; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		rest = after
		switch {
		case !whole:
			return fmt.Errorf("%w: ends within a line, in part %d", errTruncated, part)
		case len(line) == 0:
			open = false
			continue
		case line[0] == ':':
			continue
		case bytes.HasPrefix(line, errorField):
			return fmt.Errorf("error event in part %d: %.200s", part, rest)
		case open || !bytes.HasPrefix(line, dataField):
			return fmt.Errorf("unexpected line in part %d: %.120q", part, line)
		}
		open = true
		data := bytes.TrimPrefix(line[len(dataField):], []byte(" "))
		if bytes.Equal(data, doneData) {
			if part != partUsage {
				return fmt.Errorf("%w: [DONE] in part %d", errTruncated, part)
			}
			part = partDone
			continue
		}
		at := bytes.Index(data, choicesMember)
		if at < 0 || head != nil && !bytes.Equal(data[:at], head) {
			return fmt.Errorf("a chunk of another message in part %d: %.160s", part, data)
		}
		head = data[:at]
		next := w.part(part, data[at+len(choicesMember):], &text)
		if next == partNone {
			return fmt.Errorf("%w: unexpected chunk in part %d: %.300s", errTruncated, part, data)
		}
		part = next
	}
	if part != partDone || open {
		return fmt.Errorf("%w: ends in part %d of %d", errTruncated, part, partDone)
	}
	return nil
}

// part returns the part that a chunk is of, partNone if it can't come now. text is what is still missing of the content.
func (w *agentWant) part(now int, choice []byte, text *[]byte) int {
	piece := func(delta []byte) []byte {
		if p, ok := bytes.CutSuffix(choice[len(delta):], deltaEnd); ok {
			return p
		}
		return nil
	}
	switch {
	case bytes.Equal(choice, roleDelta):
		if now == partNone {
			return partRole
		}
	case bytes.HasPrefix(choice, reasoningDelta):
		if w.reasons && now <= partReasoning && now != partNone && len(piece(reasoningDelta)) > 0 {
			return partReasoning
		}
	case bytes.HasPrefix(choice, contentDelta):
		p := piece(contentDelta)
		after, ok := bytes.CutPrefix(*text, p)
		if len(p) > 0 && ok && (now == partContent || now == partReasoning || now == partRole && !w.reasons) {
			*text = after
			return partContent
		}
	case bytes.Equal(choice, finishDelta):
		if now == partContent && len(*text) == 0 {
			return partFinish
		}
	case bytes.HasPrefix(choice, usageChoices) && choice[len(choice)-1] == '}':
		if n := completionTokens(choice); now == partFinish && n > 0 && (w.tokens == 0 || n == w.tokens) {
			return partUsage
		}
	}
	return partNone
}

// completionTokens reads the usage of a run, 0 for none.
func completionTokens(data []byte) int64 {
	_, v, _ := bytes.Cut(data, tokensMember)
	end := bytes.IndexAny(v, ",}")
	if end < 0 {
		return 0
	}
	n, err := strconv.ParseInt(string(v[:end]), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
