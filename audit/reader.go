package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"
)

// Line is an event in a journal.
type Line struct {
	// Value is the event, a JSON object without the journal's checksum. It is valid
	// until the iteration goes on.
	Value []byte

	// Position is where the event begins.
	Position Position
}

// Position is a place between two lines of a journal.
type Position struct {
	Segment uint64 // as in the file's name; 0 is the beginning of the journal
	Offset  int64  // in the file
}

// ReadOptions say what Read reads.
type ReadOptions struct {
	// Follow goes on with what is written, until the context ends.
	Follow bool

	// From is where it begins.
	From Position

	// New begins at the end instead. It is for Follow.
	New bool
}

var (
	// ErrCorrupt matches a line that is not what was written.
	ErrCorrupt = errors.New("corrupt line")

	// ErrTorn matches a last line without an end: its writer died over it, or has not
	// finished it. No event is lost that was kept.
	ErrTorn = errors.New("unfinished line")
)

// LineError says which line is wrong.
type LineError struct {
	File   string
	Offset int64
	Err    error // ErrCorrupt or ErrTorn
}

func (e *LineError) Error() string {
	return fmt.Sprintf("%s: %s at offset %d", e.File, e.Err, e.Offset)
}

// Unwrap returns what is wrong.
func (e *LineError) Unwrap() error { return e.Err }

// readPoll is how often it is looked for more.
const readPoll = 100 * time.Millisecond

// Read returns the events in the journal in dir, in order. It takes no lock, so the
// journal may be in use, also by another process: segments that go away meanwhile are
// passed over. After a *LineError the iteration goes on, after any other error it
// ends.
func Read(ctx context.Context, dir string, o ReadOptions) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		r := &reader{ctx: ctx, dir: dir, o: o, yield: yield, at: o.From}
		defer r.close()
		if err := r.run(); err != nil && !errors.Is(err, errStop) {
			yield(Line{}, err)
		}
	}
}

// errStop ends a reader whose caller has enough.
var errStop = errors.New("stop")

// reader is one iteration.
type reader struct {
	ctx   context.Context //nolint:containedctx // of the iteration
	dir   string
	o     ReadOptions
	yield func(Line, error) bool

	at    Position
	f     *os.File // of at.Segment, nil before it is open
	block blockReader
}

func (r *reader) close() {
	if r.f != nil {
		_ = r.f.Close()
		r.f = nil
	}
}

func (r *reader) run() error {
	if r.o.New {
		if err := r.toEnd(); err != nil {
			return err
		}
	}
	for {
		if err := r.whole(); err != nil {
			return err
		}
		// A segment does not grow any more when there is another; what has come
		// before that is read once more.
		next, more, err := r.next()
		switch {
		case err != nil:
			return err
		case more:
			err = r.leave(next)
		case r.o.Follow:
			if r.at.Offset == 0 {
				r.close() // an empty file may be replaced by one of the same name
			}
			err = r.sleep()
		default:
			return r.last()
		}
		if err != nil {
			return err
		}
	}
}

// next returns the segment behind the one that is open.
func (r *reader) next() (first uint64, ok bool, err error) {
	all, err := listSegments(r.dir)
	if err != nil && !(r.o.Follow && errors.Is(err, fs.ErrNotExist)) {
		return 0, false, fmt.Errorf("reading an audit journal: %w", err)
	}
	for _, first := range all {
		if first > r.at.Segment || r.f == nil && first == r.at.Segment {
			return first, true, nil
		}
	}
	return 0, false, nil
}

// leave ends the segment that is open, and opens another.
func (r *reader) leave(next uint64) error {
	if err := r.whole(); err != nil {
		return err
	}
	if err := r.torn(); err != nil {
		return err
	}
	r.close()
	if next != r.at.Segment {
		r.at = Position{Segment: next}
	}
	f, err := os.Open(filepath.Join(r.dir, segmentName(next)))
	switch {
	case errors.Is(err, fs.ErrNotExist): // shipped meanwhile
		r.at = Position{Segment: next + 1}
		return nil
	case err != nil:
		return fmt.Errorf("reading an audit journal: %w", err)
	}
	if r.block.buf == nil {
		r.block.buf = make([]byte, blockSize)
	}
	r.f, r.block.f = f, f
	return nil
}

// whole hands out the whole lines that are there.
func (r *reader) whole() error {
	if r.f == nil {
		return nil
	}
	for {
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		r.block.off = r.at.Offset
		b, err := r.block.next(int64(^uint64(0) >> 1))
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errLong):
			if !r.yield(Line{}, r.wrong(ErrCorrupt)) {
				return errStop
			}
			r.at.Offset = r.block.off
			continue
		case err != nil:
			return fmt.Errorf("reading an audit journal: %w", err)
		}
		for line := range lines(b) {
			at, n := r.at, int64(len(line))
			value, ok := openLine(line)
			var err error
			if !ok {
				err = r.wrong(ErrCorrupt)
			}
			r.at.Offset += n
			if !r.yield(Line{Value: value, Position: at}, err) {
				return errStop
			}
		}
	}
}

func (r *reader) wrong(err error) error {
	return &LineError{File: segmentName(r.at.Segment), Offset: r.at.Offset, Err: err}
}

// torn reports what is behind the last whole line.
func (r *reader) torn() error {
	if r.f == nil {
		return nil
	}
	fi, err := r.f.Stat()
	if err != nil {
		return fmt.Errorf("reading an audit journal: %w", err)
	}
	if fi.Size() > r.at.Offset && !r.yield(Line{}, r.wrong(ErrTorn)) {
		return errStop
	}
	return nil
}

// last ends the iteration. A line that is just being written gets the time for that.
func (r *reader) last() error {
	if r.f == nil {
		return nil
	}
	if fi, err := r.f.Stat(); err == nil && fi.Size() == r.at.Offset {
		return nil
	}
	if err := r.sleep(); err != nil {
		return err
	}
	if err := r.whole(); err != nil {
		return err
	}
	return r.torn()
}

// toEnd moves behind all whole lines.
func (r *reader) toEnd() error {
	all, err := listSegments(r.dir)
	if err != nil || len(all) == 0 {
		return nil // there is nothing: what comes is new
	}
	yield := r.yield
	r.yield = func(Line, error) bool { return true }
	defer func() { r.yield = yield }()
	r.at = Position{Segment: all[len(all)-1]}
	if err := r.leave(r.at.Segment); err != nil {
		return err
	}
	return r.whole()
}

func (r *reader) sleep() error {
	t := time.NewTimer(readPoll)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}
