package tag

import "bytes"

// line knows where text stands: in its line, in a code span, in a code fence. It
// is Markdown as far as it matters to tags. The zero value is the start of a line.
type line struct {
	begun  bool  // something other than blanks stands in this line
	blank  bool  // the last byte is a blank
	indent uint8 // columns of blanks before the first other byte; 4 are many

	run  run // of backticks or tildes that may still grow
	tick bool
	span int // backticks that have opened a code span in this line

	fence  run  // that has opened a code fence
	info   bool // this is the line that opened it
	closed bool // this line closes it, if nothing but blanks follows
}

// run is a number of equal backticks or tildes.
type run struct {
	char  byte
	n     int
	start bool // nothing but three blanks at most came before it in its line
}

// indented is too much before a fence: that is code of the other kind.
const indented = 4

// skip goes on to the next < in b and returns where it is, len(b) for none.
func (l *line) skip(b []byte) int {
	for i := 0; ; {
		n := nextMark(b[i:])
		if n > 0 {
			l.text(b[i : i+n])
			i += n
		}
		if i == len(b) || b[i] == '<' {
			return i
		}
		from := i
		for i < len(b) && b[i] == b[from] {
			i++
		}
		l.ticks(b[from], i-from)
	}
}

// text takes bytes without marks. It looks at their end, and for line feeds only
// if one would end something.
func (l *line) text(b []byte) {
	if l.run.n > 0 {
		l.endRun()
	}
	if l.closed {
		l.closing(b)
	}
	at := len(b)
	for at > 0 && isBlank(b[at-1]) {
		at--
	}
	l.tick, l.blank = false, at < len(b)
	switch {
	case at == 0:
		if !l.begun {
			l.indent = columns(l.indent, b)
		}
	case b[at-1] == '\n':
		l.begun, l.indent = false, columns(0, b[at:])
		l.span, l.info = 0, false
	default:
		l.begun = true
		if (l.span > 0 || l.info) && bytes.IndexByte(b, '\n') >= 0 {
			l.span, l.info = 0, false
		}
	}
}

// closing decides whether the line that b goes on does close the fence.
func (l *line) closing(b []byte) {
	for _, x := range b {
		if isBlank(x) {
			continue
		}
		if x == '\n' {
			l.fence = run{}
		}
		l.closed = false
		return
	}
}

// ticks takes n backticks or tildes, which may go on a run.
func (l *line) ticks(char byte, n int) {
	if l.run.n > 0 && l.run.char == char {
		l.run.n += n
		return
	}
	l.endRun()
	l.closed = false
	l.run = run{char: char, n: n, start: !l.begun && l.indent < indented}
}

// endRun draws the conclusions from a run that is complete.
func (l *line) endRun() {
	r := l.run
	if r.n == 0 {
		return
	}
	l.run = run{}
	l.begun, l.blank, l.tick = true, false, r.char == '`'
	switch {
	case l.fence.n == 0 && r.start && r.n >= 3:
		l.fence, l.info = r, true
	case l.fence.n == 0:
		l.toggle(r)
	case l.info:
		// Backticks in the line of a backtick fence: it was a code span.
		if r.char == '`' && l.fence.char == '`' {
			l.span, l.fence, l.info = l.fence.n, run{}, false
			l.toggle(r)
		}
	case r.start && r.char == l.fence.char && r.n >= l.fence.n:
		l.closed = true
	}
}

// toggle opens a code span, or closes that of as many backticks.
func (l *line) toggle(r run) {
	switch {
	case r.char != '`':
	case l.span == 0:
		l.span = r.n
	case l.span == r.n:
		l.span = 0
	}
}

// prose takes a < that begins no tag.
func (l *line) prose() {
	l.begun, l.blank, l.tick, l.closed = true, false, false, false
}

// code reports whether a tag here would be code: in a fence, or directly after
// the backtick that opens a code span. One that merely comes later in the span is
// none: a stray backtick must not hide the rest of its line.
func (l *line) code() bool {
	l.endRun()
	return l.fence.n > 0 && !l.closed || l.tick && l.span > 0
}

// apart reports whether blanks set what comes next apart from other text in this
// line.
func (l *line) apart() bool { return l.begun && l.blank }

// columns adds those of blanks to an indent, up to indented.
func columns(indent uint8, blanks []byte) uint8 {
	for _, x := range blanks {
		if indent >= indented {
			return indented
		}
		switch x {
		case ' ':
			indent++
		case '\t':
			indent = indented
		}
	}
	return indent
}
