package audit

import (
	"bytes"
	"errors"
	"io"
	"iter"
)

// blockSize is how much is read at once. No line is as long.
const blockSize = 1 << 20

// errLong says that there was a line too long for an event; it has been skipped.
var errLong = errors.New("a line is longer than an event may be")

// blockReader reads a segment in blocks of whole lines.
type blockReader struct {
	f   io.ReaderAt
	buf []byte
	off int64 // of what is read next; the caller moves it over what it has taken
}

// next returns whole lines, valid until the next call, and io.EOF if there is none up
// to limit.
func (r *blockReader) next(limit int64) ([]byte, error) {
	b, err := r.read(r.off, limit)
	if err != nil {
		return nil, err
	}
	if n := bytes.LastIndexByte(b, '\n'); n >= 0 {
		return b[:n+1], nil
	}
	if len(b) < len(r.buf) {
		return nil, io.EOF
	}
	for off := r.off + int64(len(b)); ; off += int64(len(b)) {
		if b, err = r.read(off, limit); err != nil {
			return nil, err
		}
		if n := bytes.IndexByte(b, '\n'); n >= 0 {
			r.off = off + int64(n) + 1
			return nil, errLong
		}
	}
}

// read returns what is at off, io.EOF if there is nothing before limit.
func (r *blockReader) read(off, limit int64) ([]byte, error) {
	size := min(int64(len(r.buf)), limit-off)
	if size <= 0 {
		return nil, io.EOF
	}
	n, err := r.f.ReadAt(r.buf[:size], off)
	if n > 0 {
		return r.buf[:n], nil
	}
	return nil, err
}

// lines walks over the lines of a block, newlines included.
func lines(b []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			n := bytes.IndexByte(b, '\n') + 1
			if !yield(b[:n:n]) {
				return
			}
			b = b[n:]
		}
	}
}
