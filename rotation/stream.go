package rotation

import (
	"bytes"
	"errors"
	"io"
	"math/bits"
	"time"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
)

// Bounds on what is held back before the first content (contract S5), and on
// what a stream may carry at all (security X10).
const (
	maxHeldEvents = 64
	maxHeldBytes  = 256 << 10
	maxEvents     = 1 << 20
	maxBytes      = 512 << 20
)

// drainTime is how long a finished stream's upstream gets to end the response,
// so that the connection can be used again.
const drainTime = 50 * time.Millisecond

// Stream is an answer that has begun. It belongs to one goroutine.
//
//	for {
//		ev, err := s.Next()
//		if err == io.EOF {
//			break // the answer is whole
//		}
//		…
//	}
type Stream struct {
	attempt *attempt
	reader  *openai.EventReader

	ev      Event
	pending bool // ev is the first content event, and Next has not handed it out

	events, bytes int
	usage         []byte

	// What has been seen: choices that occurred and those that finished.
	choices, finishes uint64
	done, closed      bool
	rest              [64]byte // what comes after [DONE]
	err               error
}

// Event is one event of a stream. Its slices are valid until a call of Next that
// has to read (see Buffered).
type Event struct {
	// Raw is the event's bytes, comments before it included; of the first event
	// also the start-up events held back before it.
	Raw []byte

	// Data is the event's data, empty for a comment.
	Data []byte
	Info openai.ChunkInfo

	// Done marks the [DONE] that ends a stream.
	Done bool
}

// Target says who answers.
func (s *Stream) Target() *Target { return s.attempt.target }

// UsageChunk returns the chunk that carries the usage, if the client asked for
// one and the upstream has sent it: it leaves once, and last (contract S2), so
// Next does not show it. It stays the stream's.
func (s *Stream) UsageChunk() []byte { return s.usage }

// begin opens the stream and reads up to the first content.
func (s *Stream) begin() *provider.Error {
	a := s.attempt
	if err := a.open(); err != nil {
		return s.fail(err)
	}
	if mt := a.mediaType(); mt != "" && mt != eventStream {
		return s.fail(s.unstreamed())
	}
	s.reader = openai.NewEventReader(a)
	var held []byte // start-up events
	for n := 1; ; {
		if err := s.read(); err != nil { // not io.EOF: what allows that has ended this loop before
			return s.fail(err.(*provider.Error)) //nolint:errorlint // read makes no other
		}
		ev := &s.ev
		// An answer without content is an answer.
		begun := ev.Info.Content || ev.Done || ev.Info.Finishes != 0 || n >= maxHeldEvents || len(held) >= maxHeldBytes
		if len(ev.Data) == 0 && !begun {
			// A comment is no sign of anything, however many there are. When they
			// take too much room they go: clients get keep-alives of ours.
			if len(held) < maxHeldBytes/2 {
				held = append(held, ev.Raw...)
			}
			continue
		}
		if ev.Info.UsageOnly && !begun {
			continue // see UsageChunk
		}
		n++
		if len(held) > 0 || !begun {
			held = append(held, ev.Raw...)
			ev.Raw = held
		}
		if begun {
			s.pending = true
			a.content()
			return nil
		}
	}
}

// unstreamed reads the JSON that came where a stream was asked for: with luck it
// says why.
func (s *Stream) unstreamed() *provider.Error {
	a := s.attempt
	body, err := io.ReadAll(io.LimitReader(a, maxErrorBody))
	if err != nil {
		return provider.AsError(a.ctx, err)
	}
	if info, err := openai.ScanAnswer(body); err == nil && info.Error != nil {
		return a.event(info.Error)
	}
	return &provider.Error{Kind: provider.KindBroken, Status: a.res.Status, Message: "upstream answered a stream request without a stream"}
}

// Next returns the next event, which stays the stream's. The error is io.EOF at
// the end of a whole answer and a *provider.Error otherwise; it stays.
func (s *Stream) Next() (*Event, error) {
	if s.pending {
		s.pending = false
		return &s.ev, nil
	}
	if s.err != nil {
		return nil, s.err
	}
	if err := s.read(); err != nil {
		if err != io.EOF {
			_ = s.fail(err.(*provider.Error)) //nolint:errorlint // read makes no other
		}
		return nil, err
	}
	return &s.ev, nil
}

// Buffered reports whether Next returns without reading.
func (s *Stream) Buffered() bool {
	return s.pending || s.done || s.err != nil || s.reader.Buffered()
}

// read reads one event into ev and checks it. A stream is whole when it ends with
// [DONE] or when every choice has finished; anything else looks like success and
// is not (contract S4).
func (s *Stream) read() error {
	s.err = s.next()
	return s.err
}

func (s *Stream) next() error {
	if s.done {
		return io.EOF
	}
	a := s.attempt
	raw, err := s.reader.Next()
	finished := s.finished()
	switch {
	case err == io.EOF && finished:
		return io.EOF
	case err == io.EOF:
		return s.broken("upstream's stream ended before its answer did", io.ErrUnexpectedEOF)
	case errors.Is(err, openai.ErrLineTooLong), errors.Is(err, openai.ErrEventTooLong):
		return s.broken("upstream sent more at once than is taken", err)
	case err != nil:
		e := provider.AsError(a.ctx, err)
		if finished && errors.Is(e.Err, provider.ErrIdleTimeout) {
			return io.EOF // the answer is whole, the upstream forgot to say so
		}
		return e
	}
	s.events++
	s.bytes += len(raw.Raw)
	if s.events > maxEvents || s.bytes > maxBytes {
		return s.broken("upstream's stream has no end", nil)
	}
	ev := &s.ev
	*ev = Event{Raw: raw.Raw, Data: raw.Data}
	data := bytes.TrimSpace(raw.Data)
	failed := string(raw.Type) == "error"
	switch {
	case openai.IsDone(data) && !failed:
		s.done, ev.Done = true, true
		if raw.Partial || !bytes.Equal(raw.Data, data) {
			ev.Raw = []byte(openai.Done) // as every client reads it
		}
		return nil
	case raw.Partial && finished:
		return io.EOF
	case raw.Partial:
		return s.broken("upstream's stream ended within an event", io.ErrUnexpectedEOF)
	case failed && (len(data) == 0 || openai.IsDone(data)):
		return a.event(nil)
	case len(data) == 0:
		if bytes.Contains(raw.Raw, []byte("data")) {
			ev.Raw = nil // no comment: clients would take it for an event, and it is none
		}
		return nil
	}
	if ev.Info, err = openai.ScanChunk(a.run.endpoint, data); err != nil {
		return s.broken("upstream sent an event that is not JSON", err)
	}
	if ev.Info.Error != nil {
		return a.event(ev.Info.Error)
	}
	if failed {
		return a.event(data)
	}
	s.choices |= ev.Info.Choices
	s.finishes |= ev.Info.Finishes
	if ev.Info.HasUsage {
		a.count(ev.Info.Usage)
	}
	if ev.Info.UsageOnly {
		if a.run.usage {
			s.usage = append(s.usage[:0], ev.Raw...)
		}
		ev.Raw = nil
	}
	return nil
}

// finished reports whether every choice that was asked for has ended. Of those
// beyond the 63rd the bits are shared.
func (s *Stream) finished() bool {
	return s.choices == s.finishes && bits.OnesCount64(s.finishes) >= min(s.attempt.run.choices, 64)
}

func (s *Stream) broken(message string, err error) *provider.Error {
	return &provider.Error{Kind: provider.KindBroken, Status: s.attempt.res.Status, Message: message, Err: err}
}

func (s *Stream) fail(err *provider.Error) *provider.Error {
	s.err = err
	s.attempt.end(err)
	return err
}

// Close ends the call. Of a finished stream it reads the end of the response, if
// that comes at once; any other is cut off, upstream included. Closing it again
// does nothing.
func (s *Stream) Close() {
	if s.closed {
		return
	}
	s.closed = true
	s.pending = false // it stands in the buffer given back below
	if s.err == nil && !s.done {
		_ = s.fail(&provider.Error{Kind: provider.KindCanceled, Message: "canceled"})
	}
	if s.reader != nil {
		if s.done {
			s.drain()
		}
		s.reader.Release()
	}
	s.attempt.close()
}

func (s *Stream) drain() {
	a := s.attempt
	a.ending.Store(max(int64(time.Since(a.start)), 1))
	a.timer.Reset(drainTime)
	for range 8 {
		if _, err := a.res.Body.Read(s.rest[:]); err != nil {
			return
		}
	}
}
