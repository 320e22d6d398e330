package mock

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// script writes one answer. Step 0 opens a stream, step k carries the k-th token
// of every choice, the step after the last token ends it.
type script interface {
	// step appends the events of one step; steps come in order, each once.
	step(dst []byte, k int) []byte
}

// speaker can also put its answer into one document, for a request without
// stream.
type speaker interface {
	script
	document(dst []byte) []byte
}

// pace says when each step is due. Times are absolute, so that delays do not add
// up to more than they should.
type pace struct {
	start      time.Time
	delay      time.Duration
	tokens     int
	cuts       bool
	cut        int // the last step before an abrupt end, if it cuts
	stall      time.Duration
	stallAfter int
}

// last returns the final step.
func (p *pace) last() int {
	if p.cuts {
		return p.cut
	}
	return p.tokens + 1
}

// end returns what a reader gets after the final step.
func (p *pace) end() error {
	if p.cuts {
		return io.ErrUnexpectedEOF
	}
	return io.EOF
}

// due returns the time of step k. The end needs no time of its own: it is due
// with the last token, or after the stall behind it.
func (p *pace) due(k int) time.Time {
	d := time.Duration(min(k, p.tokens)) * p.delay
	if k > p.stallAfter {
		d += p.stall
	}
	return p.start.Add(d)
}

// waitUntil returns when t has come, or ctx's cause when it ends before.
func waitUntil(ctx context.Context, t time.Time) error {
	d := time.Until(t)
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stream is the body of a streamed answer. Read belongs to one goroutine, Close
// may come from another and ends a Read that waits.
type stream struct {
	ctx    context.Context
	script script
	pace   pace

	next int    // the next step
	buf  []byte // encoded, reused
	rest []byte // the part of buf nobody has read
	end  error  // what follows rest

	mu     sync.Mutex // guards closed and arming the timer
	timer  *time.Timer
	closed bool
}

// The first buffers: a stream that waits for each token never needs more than a
// few chunks at once, one that does not wait fills what it is given.
const (
	waitingBuffer = 1 << 10
	readyBuffer   = 4 << 10
)

func newStream(ctx context.Context, s script, p pace) *stream {
	return &stream{ctx: ctx, script: s, pace: p}
}

// Read returns what is due, all of it as far as p has room, and waits when
// nothing is.
func (s *stream) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	if len(p) == 0 {
		return 0, nil
	}
	for len(s.rest) == 0 { // a step may be silent
		if s.end != nil {
			return 0, s.end
		}
		if err := s.wait(s.pace.due(s.next)); err != nil {
			return 0, err
		}
		s.encode(len(p))
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// encode appends the next step and those behind it that are due too, until there
// are enough bytes.
func (s *stream) encode(enough int) {
	if s.buf == nil {
		size := waitingBuffer
		if s.pace.delay == 0 { // the last chunk goes beyond what is enough
			size = min(enough, readyBuffer) + waitingBuffer
		}
		s.buf = make([]byte, 0, size)
	}
	now := time.Now()
	b := s.buf[:0]
	for first := true; first || s.end == nil && len(b) < enough && !s.pace.due(s.next).After(now); first = false {
		b = s.script.step(b, s.next)
		if s.next == s.pace.last() {
			s.end = s.pace.end()
		}
		s.next++
	}
	s.buf, s.rest = b, b
}

func (s *stream) wait(t time.Time) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return http.ErrBodyReadAfterClose
	}
	d := time.Until(t)
	if d <= 0 {
		s.mu.Unlock()
		return nil
	}
	if s.timer == nil {
		s.timer = time.NewTimer(d)
	} else {
		s.timer.Reset(d)
	}
	s.mu.Unlock()
	select {
	case <-s.timer.C:
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return http.ErrBodyReadAfterClose
	}
	return nil
}

// Close implements io.Closer.
func (s *stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.timer != nil {
		s.timer.Reset(0) // wakes a Read
	}
	return nil
}

// document is a body that is there as a whole.
type document struct {
	ctx  context.Context
	rest []byte
	end  error // what follows rest
}

// Read implements io.Reader.
func (d *document) Read(p []byte) (int, error) {
	switch {
	case d.ctx.Err() != nil:
		return 0, context.Cause(d.ctx)
	case len(p) == 0:
		return 0, nil
	case len(d.rest) == 0:
		return 0, d.end
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

// Close implements io.Closer.
func (d *document) Close() error { return nil }
