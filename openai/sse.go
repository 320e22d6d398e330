package openai

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

// Caps on what an upstream can make us hold (security X10).
const (
	MaxLine  = 1 << 20
	MaxEvent = 4 << 20
)

// Errors of an EventReader besides those of the reader below it.
var (
	ErrLineTooLong  = errors.New("event stream: a line is longer than 1 MiB")
	ErrEventTooLong = errors.New("event stream: an event is longer than 4 MiB")
)

// Event is one server-sent event. Its slices are valid until the next call of
// Next that has to read.
type Event struct {
	// Raw is the event as received, with the comments before it and the blank
	// line that ends it.
	Raw []byte

	// Type is the value of the event field, Data the data lines joined by \n. An
	// event without data is a comment or a stray blank line.
	Type, Data []byte

	// Partial says that the stream ended before the event's blank line.
	Partial bool
}

// EventReader splits a byte stream into server-sent events without copying
// them. LF, CRLF and a lone CR end a line, as the standard says, so a client
// never sees an event that we did not. It belongs to one goroutine.
type EventReader struct {
	src io.Reader
	buf []byte
	own *[]byte // buf as it came from the pool

	// start is where the pending event begins, line where its current line does,
	// look how far the search for that line's end has come, end what is filled.
	start, line, look, end int

	ready  bool // ev is complete and Next has not handed it out
	begun  bool // the byte order mark has been dealt with
	filled bool // the last read has used all the room there was
	err    error

	// The pending event, as offsets from start: the buffer may move.
	typ, data  span
	lines      int // data lines so far
	joined     []byte
	joinedUsed bool
}

type span struct{ from, to int }

// A buffer begins small, since most streams bring an event at a time and there
// may be thousands of them open. One that a read has filled is doubled before the
// next, up to busyBuffer; beyond that only an event that needs it makes it grow.
const (
	readBuffer = 1 << 10
	busyBuffer = 16 << 10
)

var readBuffers = sync.Pool{New: func() any { b := make([]byte, readBuffer); return &b }}

// NewEventReader returns a reader of src's events. Release it when done.
func NewEventReader(src io.Reader) *EventReader {
	own := readBuffers.Get().(*[]byte)
	return &EventReader{src: src, own: own, buf: *own}
}

// Release gives the buffer back. No slice of an event may be used afterwards.
func (er *EventReader) Release() {
	if er.own == nil {
		return
	}
	readBuffers.Put(er.own)
	er.own, er.buf, er.joined = nil, nil, nil
	er.start, er.line, er.look, er.end, er.ready, er.err = 0, 0, 0, 0, false, io.ErrClosedPipe
}

// Next returns the next event. At a clean end the error is io.EOF; an event cut
// off by the end comes first, marked Partial.
func (er *EventReader) Next() (Event, error) {
	for !er.ready {
		if er.advance() {
			break
		}
		if er.err == nil {
			er.fill()
			continue
		}
		if er.err == io.EOF && er.start < er.end {
			return er.rest(), nil
		}
		return Event{}, er.err
	}
	ev := er.take(er.line)
	return ev, nil
}

// Buffered reports whether Next can return an event without reading. As long as
// it does, the Raws of successive events stand side by side in memory.
func (er *EventReader) Buffered() bool { return er.ready || er.advance() }

// take hands the pending event out; end is where it ends.
func (er *EventReader) take(end int) Event {
	b := er.buf[er.start:end]
	ev := Event{Raw: b, Type: b[er.typ.from:er.typ.to], Data: b[er.data.from:er.data.to]}
	if er.joinedUsed {
		ev.Data, er.joined = er.joined, nil // ev keeps it while there are more
	}
	er.start = end
	er.typ, er.data, er.lines, er.joinedUsed, er.ready = span{}, span{}, 0, false, false
	return ev
}

// rest makes an event of what stands before the end of the stream.
func (er *EventReader) rest() Event {
	if er.line < er.end {
		er.field(er.line, er.end)
	}
	ev := er.take(er.end)
	er.line, er.look = er.end, er.end
	ev.Partial = true
	return ev
}

// advance goes over the buffered lines to the end of the pending event.
func (er *EventReader) advance() bool {
	if !er.begun && !er.skipMark() {
		return false
	}
	for {
		from, to, ok := er.nextLine()
		if !ok {
			return false
		}
		if from == to {
			er.ready = true
			return true
		}
		er.field(from, to)
	}
}

// skipMark drops a byte order mark at the very start.
func (er *EventReader) skipMark() bool {
	mark := []byte("\xEF\xBB\xBF")
	head := er.buf[:er.end]
	if len(head) < len(mark) && bytes.HasPrefix(mark, head) && er.err == nil {
		return false
	}
	if bytes.HasPrefix(head, mark) {
		er.start, er.line, er.look = len(mark), len(mark), len(mark)
	}
	er.begun = true
	return true
}

// nextLine finds the end of the current line and goes to the one after it.
func (er *EventReader) nextLine() (from, to int, ok bool) {
	rest := er.buf[er.look:er.end]
	at := lineEnd(rest)
	if at < 0 {
		er.look = er.end
		if er.end-er.line > MaxLine {
			er.err = ErrLineTooLong
		}
		return 0, 0, false
	}
	width := 1
	if rest[at] == '\r' {
		// A CR that is the last byte so far may be half of a CRLF.
		if at+1 == len(rest) && er.err == nil {
			er.look += at
			return 0, 0, false
		}
		if at+1 < len(rest) && rest[at+1] == '\n' {
			width = 2
		}
	}
	from, to = er.line, er.look+at
	if to-from > MaxLine {
		er.err = ErrLineTooLong
		return 0, 0, false
	}
	er.line = to + width
	er.look = er.line
	return from, to, true
}

// lineEnd returns where the first LF or CR in b is, -1 for none. It goes window
// by window: a search for LF that ran past every CR would take quadratic time
// over lines that end in CR.
func lineEnd(b []byte) int {
	const window = 1 << 10
	for from := 0; from < len(b); from += window {
		w := b[from:min(from+window, len(b))]
		at := bytes.IndexByte(w, '\n')
		if at >= 0 {
			w = w[:at]
		}
		if cr := bytes.IndexByte(w, '\r'); cr >= 0 {
			at = cr
		}
		if at >= 0 {
			return from + at
		}
	}
	return -1
}

// field takes the line buf[from:to] into the pending event.
func (er *EventReader) field(from, to int) {
	line := er.buf[from:to]
	switch {
	case bytes.HasPrefix(line, []byte("data")):
		v, ok := fieldValue(line, len("data"))
		if !ok {
			return
		}
		er.lines++
		if er.lines == 1 {
			er.data = span{from + v - er.start, to - er.start}
			return
		}
		if !er.joinedUsed {
			er.joinedUsed = true
			er.joined = append(er.joined[:0], er.buf[er.start+er.data.from:er.start+er.data.to]...)
		}
		er.joined = append(er.joined, '\n')
		er.joined = append(er.joined, line[v:]...)
	case bytes.HasPrefix(line, []byte("event")):
		if v, ok := fieldValue(line, len("event")); ok {
			er.typ = span{from + v - er.start, to - er.start}
		}
	}
}

// fieldValue returns where a line's value begins; name is the field's length. A
// line without a colon is a field with an empty value.
func fieldValue(line []byte, name int) (at int, ok bool) {
	if len(line) == name {
		return name, true
	}
	if line[name] != ':' {
		return 0, false
	}
	at = name + 1
	if at < len(line) && line[at] == ' ' {
		at++
	}
	return at, true
}

// fill reads once, after making room.
func (er *EventReader) fill() {
	if er.start > 0 {
		n := copy(er.buf, er.buf[er.start:er.end])
		er.line -= er.start
		er.look -= er.start
		er.start, er.end = 0, n
	}
	if er.end == len(er.buf) || er.filled && len(er.buf) < busyBuffer {
		if len(er.buf) >= MaxEvent {
			er.err = ErrEventTooLong
			return
		}
		grown := make([]byte, 2*len(er.buf))
		copy(grown, er.buf)
		er.buf = grown
	}
	const patience = 100 // empty reads in a row, as bufio has it
	for range patience {
		n, err := er.src.Read(er.buf[er.end:])
		er.end += n
		er.filled = er.end == len(er.buf)
		if err != nil {
			er.err = err
			return
		}
		if n > 0 {
			return
		}
	}
	er.err = io.ErrNoProgress
}

// IsDone reports whether an event's data is the [DONE] that ends a stream.
func IsDone(data []byte) bool { return string(bytes.TrimSpace(data)) == "[DONE]" }
