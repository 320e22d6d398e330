package agentruntime

import (
	"bytes"
	"errors"
	"strings"

	"github.com/universal-ai-gateway/magicproxy/agentruntime/tag"
	"github.com/universal-ai-gateway/magicproxy/agentruntime/toolcall"
	"github.com/universal-ai-gateway/magicproxy/openai"
)

// functions drives a model that calls functions. Its content is the answer's, also
// beside a call (contract A5); what it writes as text although it means a call is
// held back and read as one (contract A8).
type functions struct {
	run    *Run
	calls  openai.CallAssembler
	parser tag.Parser
	text   strings.Builder // the content, without thinking
	wrote  int
	fault  error // of the calls' deltas

	// Content that may be a call is held back.
	given  int  // how much of text is not
	first  bool // nothing but blanks has been seen
	within bool // within a line that begins none
	line   int  // where in text that line begins
	ticks  int  // backticks of the line in what was given
	open   bool // it is one, or looks like it to the end
	blank  bool // it is white space
}

// Interface guards
var (
	_ driver   = (*functions)(nil)
	_ tag.Sink = (*functions)(nil)
)

func (f *functions) begin() {
	f.calls.Reset()
	f.parser.Reset(tag.Of(tag.Think))
	f.text.Reset()
	f.wrote, f.fault = 0, nil
	f.given, f.first, f.within, f.open, f.blank = 0, true, false, false, true
	f.line, f.ticks = 0, 0
}

func (f *functions) size() int    { return f.wrote }
func (f *functions) said() string { return f.text.String()[:f.given] }

func (f *functions) delta(d *openai.Delta) bool {
	if d.Whole && f.wrote > 0 {
		return false // it says once more what the deltas have said
	}
	if len(d.Reasoning) > 0 {
		f.wrote += len(d.Reasoning)
		f.run.out.reason(string(d.Reasoning))
	}
	for i := range d.Calls {
		f.wrote += len(d.Calls[i].Arguments)
		if err := f.calls.Add(d.Calls[i]); err != nil {
			f.fault = err
			return true
		}
	}
	text := d.Content
	if len(text) == 0 {
		text = d.Refusal // an answer, too
	}
	if len(text) > 0 {
		f.wrote += len(text)
		f.parser.Feed(text, f)
	}
	return f.run.out.ended
}

// Open implements tag.Sink.
func (f *functions) Open(tag.Name, []byte) { f.run.out.part() }

// Close implements tag.Sink.
func (f *functions) Close(tag.Name) { f.run.out.part() }

// Text implements tag.Sink.
func (f *functions) Text(n tag.Name, text []byte) {
	if n == tag.Think {
		f.run.out.reason(string(text))
		return
	}
	f.text.Write(text)
	if f.run.box.none() {
		f.given = f.text.Len()
		f.run.out.content(string(text))
		return
	}
	if f.blank && len(bytes.TrimSpace(text)) == 0 {
		return // there is nothing new in more of it
	}
	f.run.out.content(f.hold())
	f.blank = !f.within && strings.TrimSpace(f.text.String()[f.given:]) == ""
}

// hold returns what of the content is surely none of a call: what is new in it, and
// what was held back. The beginning of a line can begin one, and the end of a
// sentence.
func (f *functions) hold() string {
	if f.open {
		return ""
	}
	all := f.text.String()
	start := f.given
	from := start
	for from < len(all) {
		if !f.within {
			f.line, f.ticks = from, 0
			begins := toolcall.BeginsLine
			if f.first {
				begins = toolcall.Begins
			}
			if v := begins(all[from:]); v != toolcall.No {
				f.open = v == toolcall.Yes
				break
			}
		}
		end := len(all)
		n := strings.IndexByte(all[from:], '\n')
		if n >= 0 {
			end = from + n
		}
		if at := toolcall.Midline(all[f.line:end], from-f.line, f.ticks); at >= 0 {
			f.give(all[from : f.line+at])
			from = f.line + at
			f.within, f.open = true, toolcall.BeginsLine(all[from:]) == toolcall.Yes
			break
		}
		f.give(all[from:end])
		from, f.within = end, n < 0
		if n >= 0 {
			from++
		}
	}
	f.given = from
	return all[start:from]
}

// give notes what of a line is given.
func (f *functions) give(text string) {
	f.first = f.first && strings.TrimSpace(text) == ""
	f.ticks += strings.Count(text, "`")
}

func (f *functions) end(finish string) *turn {
	f.parser.End(f)
	t := &turn{finish: finish, text: f.text.String()}
	if f.fault != nil {
		t.fault = f.fault.Error()
		return t
	}
	raw := f.calls.Calls()
	held := t.text[f.given:]
	if len(raw) == 0 && held != "" {
		calls, prose, rung, err := toolcall.Text(t.text, f.run.box.known)
		err = complete(t, rung, err)
		switch {
		case err == nil:
		case f.run.last != notYet: // it is the text there is
			err = nil
		case f.run.req.format != nil && !f.run.box.mentioned(t.text, `"`):
			err = nil // JSON was asked for, and this calls nothing
		case finish == finishLength && !f.run.box.mentioned(t.text, ""):
			err = nil // what was cut off is an answer
		}
		switch {
		case errors.Is(err, toolcall.ErrUnknown):
			t.calls = append(t.calls, f.run.unread(newCallID(), "", t.text, err))
			return t
		case err != nil:
			t.fault = err.Error()
			return t
		case len(calls) > 0:
			f.run.recovered(rung)
			t.text = strings.TrimSpace(prose)
			f.run.found(t, calls)
			return t
		}
	}
	f.run.out.content(held)
	for _, c := range raw {
		f.run.native(t, c)
	}
	t.answer = len(raw) == 0 && strings.TrimSpace(t.text) != ""
	return t
}

func (f *functions) record(t *turn, results []string) {
	f.run.talk.call(t.text, t.calls)
	for i := range t.calls {
		f.run.talk.result(t.calls[i].id, results[i])
	}
}

func (f *functions) correct(t *turn) {
	if t.text != "" {
		f.run.talk.say("assistant", t.text)
	}
	f.run.talk.say("user", unreadable(t.fault))
}

func (f *functions) more() string     { return "" }
func (f *functions) reminder() string { return "" }

// unreadable tells a model that its call could not be read.
func unreadable(why string) string {
	return "Your tool call could not be read: " + openai.Cut(why, 512) + ". Nothing was run. Call the tool again, as a complete call, or answer without it."
}
