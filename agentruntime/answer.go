package agentruntime

import (
	"strings"

	"github.com/universal-ai-gateway/magicproxy/openai"
)

// answer puts what drivers find into the order a client may see (contract S3):
// reasoning first, then content, never interleaved. It belongs to its run.
type answer struct {
	yield func(Event, error) bool
	gone  bool   // the consumer wants no more
	leave func() // ends what is under way, for nobody waits for it

	hide, markdown bool

	begun bool            // content has been given
	given bool            // content of the model call under way has been given
	due   bool            // a blank line parts the next content from that before
	lead  bool            // at the beginning of a text, whose blank lines do not count
	blank strings.Builder // white space there
	stops string          // unused bytes of the last event that may begin a stop sequence
	stop  []string
	ended bool // a stop sequence has occurred

	thought  bool // reasoning has been given
	quote    bool // markdown: within a line of the quotation
	thinking bool // within a text of reasoning
	gap      bool // a blank line parts the next reasoning from that before
}

func (a *answer) emit(e Event) {
	if !a.gone && !a.yield(e, nil) {
		a.gone = true
		a.leave()
	}
}

// turn begins a model call, or another try of one: what a broken one had held back
// is none of the answer.
func (a *answer) turn() {
	a.given, a.lead, a.stops = false, true, ""
	a.blank.Reset()
	a.due = a.begun
	a.part()
}

// part ends a text of reasoning: the next one stands apart from it.
func (a *answer) part() {
	a.gap = a.gap || a.thinking
	a.thinking = false
}

// reason gives a piece of reasoning. Once content has begun it is for the records
// only.
func (a *answer) reason(text string) {
	if text == "" {
		return
	}
	if !a.thinking {
		if text = strings.TrimLeft(text, "\n"); text == "" {
			return
		}
		a.thinking = true
	}
	a.think(text)
}

func (a *answer) think(text string) {
	if a.gap {
		a.gap = false
		text = "\n\n" + text
	}
	switch {
	case a.begun || a.hide:
		a.emit(Event{Kind: Reasoning, Text: text, Hidden: true})
	case a.markdown:
		a.thought = true
		a.emit(Event{Kind: Content, Text: a.quoted(text)})
	default:
		a.thought = true
		a.emit(Event{Kind: Reasoning, Text: text})
	}
}

// quoted makes every line of text one of a quotation.
func (a *answer) quoted(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !a.quote {
			b.WriteString("> ")
		}
		b.WriteString(line)
		a.quote = !strings.HasSuffix(line, "\n")
	}
	return b.String()
}

// title gives the heading of a text of reasoning.
func (a *answer) title(text string) {
	a.part()
	if text = strings.TrimSpace(text); text != "" {
		a.think("**" + text + "**")
		a.gap = true
	}
}

// notice says what is going on to whoever waits.
func (a *answer) notice(text string) {
	if a.begun || a.hide {
		a.emit(Event{Kind: Notice, Text: text})
		return
	}
	a.part()
	a.reason(text)
	a.part()
}

// content gives a piece of the answer's text, as far as no stop sequence ends it
// (contract A13).
func (a *answer) content(text string) {
	if a.ended || text == "" {
		return
	}
	if a.lead {
		a.blank.WriteString(text)
		if strings.TrimSpace(text) == "" {
			return
		}
		text = strings.TrimLeft(a.blank.String(), "\r\n")
		a.lead = false
	}
	if len(a.stop) > 0 {
		text = a.cut(a.stops + text)
	}
	a.give(text)
}

func (a *answer) give(text string) {
	if text == "" {
		return
	}
	if a.due { // not the model's: no stop sequence is looked for in it
		a.due = false
		text = "\n\n" + text
	}
	if !a.begun && a.markdown && a.thought {
		text = "\n" + text
		if a.quote {
			text = "\n" + text
		}
	}
	a.begun, a.given = true, true
	a.emit(Event{Kind: Content, Text: text})
}

// cut returns what of text may be given: up to a stop sequence, or to where one
// may begin.
func (a *answer) cut(text string) string {
	a.stops = ""
	at := -1
	for _, s := range a.stop {
		if i := strings.Index(text, s); i >= 0 && (at < 0 || i < at) {
			at = i
		}
	}
	if at >= 0 {
		a.ended = true
		return text[:at]
	}
	keep := 0
	for _, s := range a.stop {
		for n := min(len(s)-1, len(text)); n > keep; n-- {
			if strings.HasSuffix(text, s[:n]) {
				keep = n
				break
			}
		}
	}
	a.stops = text[len(text)-keep:]
	return text[:len(text)-keep]
}

// settle ends a model call: what was held back because more might have followed is
// given.
func (a *answer) settle() {
	text := a.stops
	a.stops = ""
	if !a.ended {
		a.give(text)
	}
}

func (a *answer) call(c openai.ToolCall) { a.emit(Event{Kind: ToolCall, Call: c}) }
