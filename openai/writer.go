package openai

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// keepAlive is the comment that fills a silence (contract S7).
const keepAlive = ": keep-alive\n\n"

// StreamWriter owns one client's event stream: from its making to its Close
// nobody else writes to the response. Its methods belong to one goroutine; the
// keep-alives come from a timer of its own, so a stream needs no goroutine.
type StreamWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	quiet   time.Duration
	patient time.Duration // with a client that takes nothing
	alone   bool          // a deadline that passes between two writes ends the stream, too

	mu        sync.Mutex
	timer     *time.Timer
	last      time.Time // of the last write
	cut       time.Time // when a write that is under way fails, zero if never
	committed bool
	ended     bool
	err       error
}

// NewStreamWriter takes w over. After every silence of quiet a comment is sent,
// the first of which commits the 200. A client that takes nothing for as long as patient,
// or up to a second less, has gone. 0 or less means never, of both. major is the
// request's version of HTTP.
func NewStreamWriter(w http.ResponseWriter, quiet, patient time.Duration, major int) *StreamWriter {
	s := &StreamWriter{w: w, control: http.NewResponseController(w), quiet: quiet, patient: patient, alone: major != 1}
	if quiet > 0 {
		s.mu.Lock() // the first tick may come before timer is set
		defer s.mu.Unlock()
		s.last = time.Now()
		s.timer = time.AfterFunc(quiet, s.tick)
	}
	return s
}

// tick sends a keep-alive if the silence has lasted, and arms the timer for the
// time that is left otherwise: a write then costs no timer operation.
func (s *StreamWriter) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.err != nil {
		return
	}
	// A panic in somebody's ResponseWriter must not end the process (security
	// X14); here nobody else would recover it.
	defer func() {
		if v := recover(); v != nil {
			s.err = fmt.Errorf("writing a keep-alive: panic of type %T", v)
		}
	}()
	left := s.quiet - time.Since(s.last)
	if left <= 0 {
		s.write([]byte(keepAlive))
		left = s.quiet
	}
	s.timer.Reset(left)
}

// Committed reports whether the 200 has been sent.
func (s *StreamWriter) Committed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.committed
}

// SetHeader sets a header that leaves with the commit; after that it is too
// late, and nothing happens.
func (s *StreamWriter) SetHeader(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.committed {
		s.w.Header().Set(name, value)
	}
}

// Write sends whole events: one write, one flush. The first one commits, and
// leaves together with the header. The error says that the client has gone.
func (s *StreamWriter) Write(events []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return 0, http.ErrBodyNotAllowed
	}
	s.write(events)
	if s.err != nil {
		return 0, s.err
	}
	return len(events), nil
}

func (s *StreamWriter) write(events []byte) {
	if s.err != nil {
		return
	}
	if !s.committed {
		s.committed = true
		h := s.w.Header()
		h.Set("Content-Type", "text/event-stream")
		// no-transform keeps compressing middlewares from buffering events; the
		// second header does the same for nginx in front of us.
		h.Set("Cache-Control", "no-cache, no-transform")
		h.Set("X-Accel-Buffering", "no")
		s.w.WriteHeader(http.StatusOK)
	}
	for len(events) > 0 && s.err == nil {
		piece := events[:min(len(events), maxPiece)]
		events = events[len(piece):]
		if s.timer != nil || s.patient > 0 {
			s.last = time.Now()
			s.limit()
		}
		_, s.err = s.w.Write(piece)
	}
	if s.err != nil {
		return
	}
	// A writer that cannot flush is no client that has left.
	if err := s.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.err = err
		return
	}
	if s.alone {
		s.unlimit()
	}
}

// maxPiece is what a client has its time for: a slow one gets a large answer, too.
const maxPiece = 64 << 10

// limit sees to it that a write that begins now ends. The connection's deadline is moved
// once a second, not with every write.
func (s *StreamWriter) limit() {
	if s.patient <= 0 || s.cut.Sub(s.last) > s.patient-min(time.Second, s.patient/2) {
		return
	}
	s.cut = s.last.Add(s.patient)
	if s.control.SetWriteDeadline(s.cut) != nil { // a writer that has none
		s.patient = 0
	}
}

// unlimit takes the deadline back.
func (s *StreamWriter) unlimit() {
	if !s.cut.IsZero() && s.err == nil {
		_ = s.control.SetWriteDeadline(time.Time{})
		s.cut = time.Time{}
	}
}

// Fail ends the stream visibly (contract S4): with a status as long as nothing
// has been sent, with an error event after that.
func (s *StreamWriter) Fail(e *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	if !s.committed {
		s.committed = true
		e.WriteTo(s.w)
		return
	}
	s.write(e.AppendEvent(nil))
}

// Close gives the response back. Once it has returned nothing is written any
// more, a keep-alive that was about to be included.
func (s *StreamWriter) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.unlimit() // the connection's next answer has its own time
}
