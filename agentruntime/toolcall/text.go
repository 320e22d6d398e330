package toolcall

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// Text reads the calls in what a model wrote as text: its content, or a
// provider's failed_generation. known says whether a name is an offered tool, in
// any spelling the caller accepts.
//
// Without calls and error it is just text. prose is what stands before the calls,
// thinking left out: an answer, or a thought. An error, of type *Error, says
// that a call was meant and can't be read: the model is to be asked again.
//
// A marker of a dialect counts when it begins the text or a line, or follows a
// sentence, and nothing follows the calls but closing markers, or a result that
// the model made up. Only LFM2 writes words behind its calls; they go to prose.
// JSON and Python without a marker count as the whole text only. In a code
// fence or in backticks they are a quote.
func Text(text string, known func(name string) bool) (calls []Call, prose string, rung Rung, err error) {
	if len(text) > MaxSize || !utf8.ValidString(text) {
		return nil, text, 0, nil
	}
	text = strings.ReplaceAll(text, minimaxMark, "")
	start := header(text)
	if n := thinking(text[start:]); n >= 0 {
		start += n
	} else {
		return nil, text, 0, nil
	}
	body := strings.TrimRight(text[start:], " \n\r\t")
	from := skipSpace(body, 0)
	if from == len(body) {
		return nil, "", 0, nil
	}
	t := &scan{s: body, known: known}
	calls, said, rung, err := t.read(from)
	if err != nil {
		var e *Error
		if errors.As(err, &e) && e.Offset >= 0 {
			shifted := *e
			shifted.Offset += start
			err = &shifted
		}
		return nil, body, 0, err
	}
	if len(calls) == 0 {
		return nil, strings.TrimSpace(body), 0, nil
	}
	return once(calls), strings.TrimSpace(said), rung, nil
}

// header returns where the message begins behind the header of the turn, which
// models write once more that their template has given to them:
// <|start_header_id|>assistant<|end_header_id|>, <|im_start|>assistant.
func header(text string) int {
	start := 0
	i := skipSpace(text, 0)
	token, end := special(text, i)
	if token == "begin_of_text" {
		start, i = end, skipSpace(text, end)
		token, end = special(text, i)
	}
	if end == i || !headerTokens[token] {
		return start
	}
	rest, ok := strings.CutPrefix(text[skipSpace(text, end):], "assistant")
	if !ok {
		return start
	}
	i = len(text) - len(rest)
	if token, end := special(text, i); end > i && headerEnds[token] {
		return end
	}
	if rest == "" || rest[0] == '\n' {
		return i
	}
	return start
}

var (
	headerTokens = set("start_header_id", "header_start", "im_start", "start_of_role")
	headerEnds   = set("end_header_id", "header_end", "end_of_role")
)

// thinking returns where the text behind the model's thinking begins, -1 when
// all of it is thinking.
func thinking(text string) int {
	i := skipSpace(text, 0)
	for _, pair := range [][2]string{{"<think>", "</think>"}, {"<thinking>", "</thinking>"}, {"<thought>", "</thought>"}, {"[THINK]", "[/THINK]"}, {"<|START_THINKING|>", "<|END_THINKING|>"}, {"<|channel>", "<channel|>"}, {"<seed:think>", "</seed:think>"}} {
		if strings.HasPrefix(text[i:], pair[0]) {
			n := strings.Index(text[i:], pair[1])
			if n < 0 {
				return -1
			}
			return i + n + len(pair[1])
		}
	}
	// The template has opened it.
	if n := strings.Index(text, "</think>"); n >= 0 {
		if t := (&scan{s: text[:n]}); t.candidate(0) < 0 {
			return n + len("</think>")
		}
	}
	return 0
}

// read finds the calls. said is the prose before them.
func (t *scan) read(from int) (calls []Call, said string, rung Rung, err error) {
	switch c := t.s[from]; {
	case strings.HasPrefix(t.s[from:], "```") && t.marker(from) == noMarker:
		if body, _, ok := fenced(t.s[from:]); ok {
			inner := &scan{s: strings.TrimRight(body, " \n\r\t"), known: t.known}
			if i := skipSpace(body, 0); i < len(inner.s) && (body[i] == '{' || body[i] == '[') {
				calls, rung, err = inner.bare(i)
				return calls, "", max(rung, RungFence), err
			}
		}
	case c == '{', c == '[' && t.marker(from) == noMarker:
		calls, rung, err = t.bare(from)
		return calls, "", rung, err
	}
	calls, said, err = t.marked(from)
	if len(calls) > 0 || err != nil {
		return calls, said, RungDialect, err
	}
	if calls, said, err = t.closedOnly(); len(calls) > 0 || err != nil {
		return calls, said, RungDialect, err
	}
	calls, said, err = t.react()
	if len(calls) > 0 || err != nil {
		return calls, said, RungDialect, err
	}
	calls, err = t.nameFirst(from)
	return calls, "", RungDialect, err
}

// maxCandidates bounds how many markers are tried that turn out to be prose.
const maxCandidates = 8

// marked reads the calls behind the first marker that begins calls.
func (t *scan) marked(from int) (calls []Call, said string, err error) {
	at := t.candidate(0)
	for n := 0; at >= 0 && n < maxCandidates; n++ {
		t.repairs = 0
		calls, more, end, err := t.sequence(at)
		if errors.Is(err, errNotCall) && at > from {
			at = t.candidate(at + 1)
			continue
		}
		if err != nil {
			return nil, "", err
		}
		if len(calls) == 0 {
			// Markers of the turn around an answer.
			return nil, "", nil
		}
		if end < len(t.s) && t.announces(at, end) {
			calls, more, err = t.announced(calls, end)
			return calls, t.s[:at] + "\n\n" + more, err
		}
		if end < len(t.s) {
			if at == from || t.candidate(end) >= 0 {
				return nil, "", fail(ErrTrailing, end, "a call ends the message")
			}
			return nil, "", nil // a quote
		}
		return calls, t.s[:at] + "\n\n" + more, nil
	}
	return nil, "", nil
}

// announces reports whether the text from i on is what LFM2 says to the user about
// the calls that it began at from and has just closed. It is the one family that
// says it behind them, and its sentence begins right at the token.
func (t *scan) announces(from, i int) bool {
	if t.marker(from) != lfmMarker || t.s[i] < 'A' || t.s[i] > 'Z' {
		return false
	}
	token, end := special(t.s, strings.LastIndexByte(t.s[:i], '<'))
	return token == "tool_call_end" && end == i
}

// announced goes over what is said from i on, up to the next calls or the end of
// the turn.
func (t *scan) announced(calls []Call, i int) (all []Call, said string, err error) {
	for n := 0; ; n++ {
		next := strings.Index(t.s[i:], "<|")
		if next < 0 {
			return calls, said + t.s[i:], nil
		}
		said += t.s[i : i+next]
		if i += next; t.marker(i) != lfmMarker || n == maxCandidates {
			return calls, said, nil
		}
		more, _, end, err := t.sequence(i)
		if err != nil {
			return nil, "", err
		}
		calls = append(calls, more...)
		if end == len(t.s) {
			return calls, said, nil
		}
		i = end
	}
}

// closedOnly reads JSON on a line of its own behind which a wrapper is closed that
// was never opened.
func (t *scan) closedOnly() (calls []Call, said string, err error) {
	if !strings.HasSuffix(t.s, ">") {
		return nil, "", nil
	}
	i := t.lineOutside(0, func(line string) bool { return line[0] == '{' })
	if i < 0 {
		return nil, "", nil
	}
	v, err := parse(t.s, i, reader{marks: true})
	if err != nil {
		return nil, "", nil //nolint:nilerr // braces in prose, as far as anybody can tell
	}
	if end := skipSpace(t.s, v.end); closer(t.s, end) == end || closers(t.s, end) < len(t.s) {
		return nil, "", nil
	}
	calls, err = envelope(v.json, t.known, false)
	if errors.Is(err, errNotCall) {
		return nil, "", nil
	}
	return calls, t.s[:i], err
}

// sequence reads calls from a marker on, up to where something else begins.
func (t *scan) sequence(i int) (calls []Call, said string, end int, err error) {
	open := false // a wrapper is
	for {
		i = closers(t.s, i)
		if len(calls) > 0 && i < len(t.s) && (t.s[i] == ',' || t.s[i] == ';') {
			i = skipSpace(t.s, i+1)
		}
		if i >= len(t.s) || len(calls) > 0 && halfCloser(t.s, i) {
			break
		}
		if observation(t.s, i) {
			if len(calls) == 0 {
				return nil, "", 0, errNotCall
			}
			break
		}
		var more []Call
		var next int
		kind := t.marker(i)
		switch {
		case kind == harmonyMarker:
			var words string
			if more, words, next, err = t.harmony(i); next == i && err == nil {
				return calls, said, i, nil
			}
			said = strings.TrimSpace(said + "\n\n" + words)
		case kind != noMarker:
			more, next, err = t.behind(kind, i)
			open = open || more == nil || kind == pythonMarker || kind == mistralMarker
		case open:
			more, next, err = t.inside(i)
		default:
			err = errNotCall
		}
		if len(calls) > 0 && errors.Is(err, errNotCall) {
			return calls, said, i, nil
		}
		if err != nil {
			return nil, "", 0, err
		}
		calls = append(calls, more...)
		i = next
	}
	if len(calls) == 0 && open {
		return nil, "", 0, fail(ErrCut, len(t.s), "nothing follows the marker")
	}
	if i < len(t.s) {
		i = len(t.s)
	}
	return calls, said, i, nil
}
