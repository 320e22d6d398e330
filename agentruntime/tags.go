package agentruntime

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"unicode"

	"github.com/universal-ai-gateway/magicproxy/agentruntime/tag"
	"github.com/universal-ai-gateway/magicproxy/agentruntime/toolcall"
	"github.com/universal-ai-gateway/magicproxy/openai"
)

// tags drives a model that writes tags: thoughts and drafts are reasoning, actions
// are calls, and only the final answer is content.
type tags struct {
	run    *Run
	parser tag.Parser
	text   strings.Builder // for the history: what counts, without what follows it
	acted  int             // where in it the last action ends
	wrote  int

	loose  strings.Builder // text outside of tags
	body   strings.Builder // that of the action or draft that is open
	space  strings.Builder // white space at the end of the final answer so far
	plain  bool            // the format asked for has begun, and not with a tag
	acts   []string        // bodies of actions
	phases int             // begun in this turn
	worked bool            // there were thoughts or drafts
	answer bool            // a final answer has begun, and counts
	early  bool            // one has begun that does not count yet
	over   bool            // nothing of what follows is wanted
	behind int             // bytes since the final answer has ended
	done   bool            // it has
	found  bool            // there is text in it
}

// Interface guards
var (
	_ driver   = (*tags)(nil)
	_ tag.Sink = (*tags)(nil)
)

func (t *tags) begin() {
	run := t.run
	*t = tags{run: run}
	t.parser.Reset(tag.All)
}

func (t *tags) size() int    { return t.wrote }
func (t *tags) said() string { return t.text.String() }

// patience is how much may follow an answer. A model that has answered ends, and
// then its usage comes; one that goes on is cut off.
const patience = 1 << 10

func (t *tags) delta(d *openai.Delta) bool {
	if d.Whole && t.wrote > 0 {
		return false // it says once more what the deltas have said
	}
	if len(d.Reasoning) > 0 {
		t.wrote += len(d.Reasoning)
		t.run.out.reason(string(d.Reasoning))
	}
	text := d.Content
	if len(text) == 0 {
		text = d.Refusal
	}
	if len(text) > 0 {
		t.wrote += len(text)

		if t.run.shaping && !t.plain && !t.worked && !t.answer {
			// JSON may have anything in its strings, also our tags.
			begin := bytes.TrimLeftFunc(text, unicode.IsSpace)
			t.plain = t.space.Len() == 0 && len(begin) > 0 && begin[0] != '<'
			t.worked = len(begin) > 0
		}
		if t.plain {
			t.shaped(text)
		} else {
			t.parser.Feed(text, t)
		}
	}
	if t.done {
		t.behind += len(text)
	}
	return t.over || t.run.out.ended || t.behind > patience
}

// Open implements tag.Sink.
func (t *tags) Open(n tag.Name, title []byte) {
	if t.done && n != tag.Think || n == tag.Observation { // which is not the model's to write (contract A7)
		t.over = true
	}
	if t.over || t.run.shaping {
		return
	}
	t.body.Reset()
	t.write(n, title)
	switch n {
	case tag.Thought, tag.Think, tag.Draft:
		t.loosely()
		t.worked = true
		t.run.out.part()
		name := string(title)
		if n == tag.Draft && name == "" {
			name = "Draft"
		}
		t.run.out.title(name)
		if t.run.phase(name) {
			t.phases++
		}
	case tag.Action:
		t.loosely()
	case tag.FinalAnswer:
		t.loosely()
		t.run.out.part()
		switch {
		case len(t.acts) > 0 && t.run.last == notYet: // contract A5
		case t.run.early(t.phases):
			t.early = true
		default:
			t.answer = true
		}
	}
}

// write adds an opening tag to the history.
func (t *tags) write(n tag.Name, title []byte) {
	t.text.WriteString("<" + n.String())
	if len(title) > 0 {
		t.text.WriteString(` title="` + escaped.Replace(string(title)) + `"`)
	}
	t.text.WriteByte('>')
}

var escaped = strings.NewReplacer("&", "&amp;", `"`, "&quot;")

// Text implements tag.Sink.
func (t *tags) Text(n tag.Name, text []byte) {
	if t.over {
		return
	}
	if n != tag.Action {
		t.text.Write(text)
	}
	switch n {
	case tag.None:
		switch {
		case t.run.shaping:
			t.shaped(text)
		case !t.done:
			t.loose.Write(text)
		}
	case tag.Thought, tag.Think:
		t.run.out.reason(string(text))
	case tag.Draft:
		t.body.Write(text)
		t.run.out.reason(string(text))
	case tag.Action:
		t.body.Write(text)
	case tag.FinalAnswer:
		if t.run.shaping {
			t.shaped(text)
			return
		}
		t.final(string(text))
	}
}

// shaped gives a piece of the answer that is written in the format asked for, without
// the white space around it. The model is told to write no tags, and may do so all the
// same.
func (t *tags) shaped(text []byte) {
	if !t.answer {
		text = bytes.TrimLeftFunc(text, unicode.IsSpace)
	}
	t.answer = t.answer || len(text) > 0
	t.unspaced(string(text))
}

// unspaced gives content without the white space at its end.
func (t *tags) unspaced(text string) {
	cut := strings.TrimRightFunc(text, unicode.IsSpace)
	if cut != "" {
		t.found = true
		t.run.out.content(t.space.String() + cut)
		t.space.Reset()
	}
	t.space.WriteString(text[len(cut):])
}

// final gives a piece of the final answer, without the white space at its end.
func (t *tags) final(text string) {
	if !t.answer {
		if t.early || t.run.req.format != nil {
			t.run.out.reason(text)
		}
		return
	}
	if t.run.req.format != nil {
		t.body.WriteString(text)
		t.run.out.reason(text)
		return
	}
	t.unspaced(text)
}

// Close implements tag.Sink.
func (t *tags) Close(n tag.Name) {
	if t.over || t.run.shaping {
		return
	}
	if n == tag.Action {
		body := unclosed(t.body.String())
		t.acts = append(t.acts, body)
		t.text.WriteString(body)
	}
	t.text.WriteString("</" + n.String() + ">")
	switch n {
	case tag.Thought:
		t.run.out.part()
	case tag.Think:
		t.loosely() // what came before was thinking that a template has opened
		t.run.out.part()
	case tag.Draft:
		t.run.out.part()
		if text := strings.TrimSpace(t.body.String()); text != "" {
			t.run.draft(text)
		}
	case tag.Action:
		t.acted = t.text.Len()
	case tag.FinalAnswer:
		t.run.out.part()
		t.done = t.answer
	}
}

// next finds where another element begins in an action that was not closed: no
// string of JSON holds a line's end.
var next = regexp.MustCompile(`(?i)\n\s*<(?:thought|action|observation|draft|final_answer)\b`)

// unclosed returns the body of an action without what follows it.
func unclosed(body string) string {
	if at := next.FindStringIndex(body); at != nil {
		return body[:at[0]]
	}
	return body
}

// loosely takes what stands outside of the tags for reasoning, now that tags
// follow.
func (t *tags) loosely() {
	if t.loose.Len() == 0 {
		return
	}
	t.run.out.part()
	t.run.out.reason(t.loose.String())
	t.run.out.part()
	t.loose.Reset()
}

func (t *tags) end(finish string) *turn {
	t.parser.End(t)
	r := t.run
	if text, fenced := unfenced(t.loose.String()); fenced && !t.worked && !t.answer && len(t.acts) == 0 && !r.shaping {
		// The whole message stands in a fence: what is in it is no quotation.
		t.loose.Reset()
		t.text.Reset()
		t.parser.Feed([]byte(text), t)
		t.parser.End(t)
	}
	out := &turn{finish: finish, text: strings.TrimSpace(t.text.String())}
	switch {
	case r.shaping:
		out.answer = t.answer
		return out
	case len(t.acts) > 0:
		out.text = strings.TrimSpace(t.text.String()[:t.acted])
		for _, body := range t.acts {
			r.action(out, body)
		}
		return out
	case t.answer && r.req.format != nil:
		out.draft = strings.TrimSpace(t.body.String())
		if r.req.object && strings.HasPrefix(out.draft, "{") && json.Valid([]byte(out.draft)) {
			r.out.content(out.draft) // it has the format already
			out.answer = true
			return out
		}
		out.shape = true
		r.talk.say("assistant", out.text)
		return out
	case t.answer:
		out.answer = t.found
		return out
	}
	if text := strings.TrimSpace(t.loose.String()); text != "" {
		return t.untagged(out, text)
	}
	out.more = t.worked || t.early
	return out
}

// unfenced returns what stands in a code fence, if there is nothing else in text.
func unfenced(text string) (string, bool) {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "```") || !strings.HasSuffix(text, "\n```") {
		return "", false
	}
	_, text, found := strings.Cut(text, "\n")
	text = strings.TrimSuffix(text, "```")
	return text, found && !strings.Contains(text, "\n```") && strings.HasPrefix(strings.TrimSpace(text), "<")
}

// untagged reads what a model wrote that has forgotten about the tags: a call in
// some other dialect, or its answer.
func (t *tags) untagged(out *turn, text string) *turn {
	r := t.run
	if !r.box.none() && r.last == notYet {
		calls, prose, rung, err := toolcall.Text(text, r.box.known)
		err = complete(out, rung, err)
		switch {
		case errors.Is(err, toolcall.ErrUnknown):
			out.calls = append(out.calls, r.unread("", "", text, err))
			return out
		case err != nil:
			out.fault = err.Error()
			return out
		case len(calls) > 0:
			r.recovered(rung)
			r.out.reason(prose)
			r.found(out, calls)
			return out
		}
	}
	if r.req.format != nil {
		out.shape = true
		r.talk.say("assistant", out.text)
		return out
	}
	r.out.content(text)
	out.answer = true
	return out
}

func (t *tags) record(out *turn, results []string) {
	r := t.run
	if out.text != "" {
		r.talk.say("assistant", out.text)
	}
	if len(results) == 0 {
		return
	}
	texts := make([]string, len(results))
	for i, result := range results {
		texts[i] = observationTag(out.calls[i].label(), result)
	}
	r.talk.say("user", strings.Join(texts, "\n"))
}

func (t *tags) correct(out *turn) {
	t.run.talk.say("assistant", out.text)
	t.run.talk.say("user", observationTag("", unreadable(neutral(out.fault))))
}

func (t *tags) more() string {
	if phases := t.run.phases(); len(phases) > 0 && t.run.notes.Phase < len(phases) {
		return "Go on with the phase " + phases[t.run.notes.Phase].Title + "." + t.reminder()
	}
	return "Go on." + t.reminder()
}

func (t *tags) reminder() string { return " Write the answer as <FINAL_ANSWER>…</FINAL_ANSWER>." }

// early reports whether an answer comes before the pattern allows one. It is said
// once a run: a model that insists gets its way.
func (r *Run) early(phases int) bool {
	p := r.a.Pattern
	if p == nil || phases >= p.AtLeast || r.notes.Phase >= len(p.Phases) || r.last != notYet || r.hurried {
		return false
	}
	r.hurried = true
	return true
}

func equalTitle(a, b string) bool {
	return strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b))
}
