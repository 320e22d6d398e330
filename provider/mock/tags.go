package mock

import (
	"bytes"
	"strings"

	"github.com/universal-ai-gateway/magicproxy/openai"
)

// tagTurn is a conversation whose system message wants the answer in tags: what
// its latest context offers, and what has been observed since.
type tagTurn struct {
	drafts bool // a DRAFT goes before the answer

	tool, schema string   // the first tool offered, "" for none
	titles       []string // of the thoughts before an answer

	observed    bool
	observation string // its text
}

// The tags that decide something. Prompts may write a tag with attributes, so the
// names are open to the right where that is meant.
const (
	answerTag      = "<FINAL_ANSWER>"
	draftTag       = "<DRAFT>"
	observationTag = "<OBSERVATION"
	observationEnd = "</OBSERVATION"
)

// tagTurnOf returns nil for a conversation that does not ask for tags. One that
// does speaks of the answer's tag in a system or developer message; what users
// say about tags asks for nothing.
func tagTurnOf(messages []byte) *tagTurn {
	// Most conversations end here. JSON may escape the brackets, not the name.
	if !bytes.Contains(messages, []byte(strings.Trim(answerTag, "<>"))) {
		return nil
	}
	t, asked, context := &tagTurn{}, false, false
	for _, m := range messagesOf(messages) {
		text := strings.TrimSpace(textOf(m.Content, "\n"))
		if m.Role == "system" || m.Role == "developer" {
			asked = asked || strings.Contains(text, answerTag)
			t.drafts = t.drafts || strings.Contains(text, draftTag)
			continue
		}
		// A tool may answer with anything, also with a block that looks like ours.
		if m.Role == "user" && !strings.HasPrefix(text, observationTag) {
			if lines := contextOf(text); lines != nil {
				*t, context = tagTurn{drafts: t.drafts}, true
				t.read(lines)
				continue
			}
		}
		if at := strings.LastIndex(text, observationTag); at >= 0 && context {
			t.observed, t.observation = true, inside(text[at:])
		}
	}
	if !asked {
		return nil
	}
	return t
}

// contextOf returns the lines of a text's last context block, nil without one.
func contextOf(text string) (lines []string) {
	from := -1
	all := strings.Split(text, "\n")
	for i, line := range all {
		switch strings.TrimSpace(line) {
		case "<context>":
			if from < 0 {
				from = i + 1
			}
		case "</context>":
			if from >= 0 {
				lines, from = all[from:i:i], -1
			}
		}
	}
	return lines
}

// read takes from a context what decides the turn. The notebook closes it: what
// stands there is the model's own.
func (t *tagTurn) read(lines []string) {
	tools, schema := false, false // the list we are in, the entry whose schema may come
	for _, line := range lines {
		if name, ok := strings.CutPrefix(line, "- "); ok && tools {
			if schema = t.tool == ""; schema {
				name, _, _ = strings.Cut(name, ": ")
				t.tool = strings.TrimSuffix(strings.TrimSpace(name), ":")
			}
			continue
		}
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "arguments:"); ok && schema {
			t.schema, schema = v, false
			continue
		}
		word, rest, _ := strings.Cut(line, ":")
		tools = word == "Tools"
		switch word {
		case "Next phases":
			for title := range strings.SplitSeq(rest, "|") {
				if title = strings.TrimSpace(title); title != "" {
					t.titles = append(t.titles, title)
				}
			}
		case "Notebook":
			return
		}
	}
}

// inside returns the text of the observation that s begins with.
func inside(s string) string {
	_, s, _ = strings.Cut(s, ">")
	s, _, _ = strings.Cut(s, observationEnd)
	return strings.TrimSpace(s)
}

// answerTags says it in tags: a call of the first tool offered, and once
// something has been observed, or when there is no tool, the answer. A format
// shapes what is inside the answer's tag. All choices say the same.
func (p *Provider) answerTags(a *answer, t *tagTurn, f *format) {
	if t.tool != "" && !t.observed {
		b := appendThought(nil, a.seed, 0, "Plan")
		b = append(b, `<ACTION>{"tool_name":`...)
		b = openai.AppendString(b, t.tool)
		b = append(b, `,"arguments":`...)
		b = appendObject(b, []byte(t.schema))
		a.pieces = pieces(string(append(b, "}</ACTION>"...)), p.o.Tokens)
		return
	}
	text := p.o.Answer
	switch {
	case f != nil:
		text = p.object(a, f)
	case text == "" && t.observation != "":
		text = mention(t.observation)
	case text == "":
		text = say(a.seed, p.o.Tokens)
	}
	titles := t.titles
	if len(titles) == 0 {
		titles = []string{"Answer"}
	}
	var b []byte
	for i, title := range titles {
		b = appendThought(b, a.seed, i, title)
	}
	if t.drafts {
		b = append(b, draftTag...)
		b = append(b, say(variant(a.seed, len(titles)), len(sentence))...)
		b = append(b, "</DRAFT>\n"...)
	}
	b = append(b, answerTag...)
	b = append(b, text...)
	whole := string(append(b, "</FINAL_ANSWER>"...))
	if p.o.Answer != "" {
		a.pieces = words(whole)
	} else {
		a.pieces = pieces(whole, p.o.Tokens)
	}
}

// appendThought appends the i-th thought and a new line.
func appendThought(dst []byte, seed uint64, i int, title string) []byte {
	dst = append(dst, `<THOUGHT title="`+title+`">`...)
	dst = append(dst, say(variant(seed, i), len(sentence))...)
	return append(dst, "</THOUGHT>\n"...)
}

// variant returns the seed of the i-th text beside the answer.
func variant(seed uint64, i int) uint64 { return mix(^seed + uint64(i)) } //nolint:gosec // not negative
