package caddymodule

import (
	"errors"
	"net/http"
	"time"
)

// patience is a response whose client has a time for every piece of it. end must be
// called: a connection must not keep the deadline for its next answer, and HTTP/2 ends a
// stream whose deadline passes although nothing is written.
type patience struct {
	http.ResponseWriter
	time    time.Duration // 0 or less: for ever
	control *http.ResponseController
}

// pieceOfAnswer is what a client has its time for: a slow one gets a large answer, too.
const pieceOfAnswer = 64 << 10

// Write implements http.ResponseWriter.
func (p *patience) Write(b []byte) (n int, err error) {
	for len(b) > 0 && err == nil {
		piece := b[:min(len(b), pieceOfAnswer)]
		b = b[len(piece):]
		p.begin()
		var m int
		m, err = p.ResponseWriter.Write(piece)
		n += m
	}
	return n, err
}

func (p *patience) begin() {
	if p.time <= 0 {
		return
	}
	if p.control == nil {
		p.control = http.NewResponseController(p.ResponseWriter)
	}
	if p.control.SetWriteDeadline(time.Now().Add(p.time)) != nil { // a writer that has none
		p.time, p.control = 0, nil
	}
}

// end sends what is still buffered, as long as there is a deadline for it, and takes that
// back. The error says that the client has gone.
func (p *patience) end() error {
	if p.control == nil {
		return nil
	}
	if err := p.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	_ = p.control.SetWriteDeadline(time.Time{})
	return nil
}
