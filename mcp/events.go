package mcp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// Bounds of what a server may send.
const (
	maxMessage  = 8 << 20  // one message
	maxStream   = 64 << 20 // the stream of one answer
	maxEvents   = 20_000   // its events
	maxRequests = 16       // the server's own requests in it
	maxResumes  = 5        // how often one is picked up again
	maxEventID  = 1 << 10
	maxHead     = 1 << 10 // what is kept of a message that is too large
)

var errTooLarge = errors.New("too large")

// event is one of a server-sent event stream.
type event struct {
	name, id, retry string
	data            []byte
}

// events reads such a stream. Whatever comes, it keeps no more than maxMessage.
type events struct {
	r *bufio.Reader
}

func newEvents(r io.Reader) *events { return &events{bufio.NewReaderSize(r, 4<<10)} }

// next returns the next event with anything in it. One that the end of the stream
// cuts off is returned, with io.EOF after it; of one that is too large the beginning,
// with errTooLarge.
func (e *events) next() (event, error) {
	var ev event
	size, some := 0, false
	for {
		line, err := e.line(maxMessage - size)
		size += len(line)
		if err != nil && !errors.Is(err, io.EOF) {
			ev.data = append(ev.data, line...)
			ev.data = ev.data[:min(len(ev.data), maxHead)]
			return ev, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			if some {
				return ev, nil
			}
			if err != nil {
				return event{}, err
			}
			size = 0
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "event":
			ev.name, some = string(value), true
		case "id":
			if len(value) <= maxEventID && !bytes.ContainsRune(value, 0) {
				ev.id, some = strings.TrimSpace(string(value)), true
			}
		case "retry":
			ev.retry = string(value)
		case "data":
			if ev.data != nil {
				ev.data = append(ev.data, '\n')
			}
			ev.data, some = append(ev.data, value...), true
		}
	}
}

// skip leaves out what is left of an event that was too large.
func (e *events) skip() error {
	start := false
	for {
		part, err := e.r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if start && len(bytes.TrimRight(part, "\r\n")) == 0 {
			return nil
		}
		start = err == nil
	}
}

func (e *events) line(limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := e.r.ReadSlice('\n')
		if len(line)+len(part) > limit {
			return append(line, part...), errTooLarge
		}
		if err == nil && line == nil {
			return part, nil // valid until the next read, which is enough
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}
