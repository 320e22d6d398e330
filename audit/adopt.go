package audit

import (
	"errors"
	"io"
	"os"

	"go.uber.org/zap"
)

// adopt takes over the segments of an earlier process. The names tell how many lines
// all but the last have; that one is read, because a process that dies leaves its
// traces there.
func (l *Log) adopt() error {
	all, err := listSegments(l.dir)
	if err != nil {
		return err
	}
	l.at = loadPosition(l.dir)
	l.next = max(l.at.line, 1)
	for i, first := range all {
		s := &segment{first: first, path: l.segmentPath(first), sealed: true}
		fi, err := os.Stat(s.path)
		if err != nil {
			return err
		}
		s.size = fi.Size()
		if i+1 < len(all) {
			s.lines = all[i+1] - first
		} else if err := l.scan(s); err != nil {
			return err
		}
		l.next = max(l.next, s.end())
		if first == l.at.segment {
			if l.at.offset > s.size || l.at.line > s.end() { // not of this file
				l.at = position{segment: first, line: first}
			}
			s.settled = l.at.line - first
		}
		if first < l.at.segment || s.left() == 0 {
			l.remove(s.path)
			continue
		}
		if len(l.segments) == 0 {
			l.front = fi.ModTime() // until the courier has read it
		}
		l.segments = append(l.segments, s)
		l.disk += s.size
		l.stats.Adopted += s.left()
	}
	l.stats.AdoptedLeft = l.stats.Adopted
	if n := l.stats.Adopted; n > 0 {
		l.o.Logger.Info("the audit journal of an earlier process goes on", zap.Uint64("events", n), zap.Int64("bytes", l.disk))
	}
	return nil
}

// scan counts the lines of s. A last line without an end does not count: whoever wrote
// it has died over it, and was not told that it is kept.
func (l *Log) scan(s *segment) error {
	f, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := blockReader{f: f, buf: make([]byte, blockSize)}
	s.scanned = true
	for {
		b, err := r.next(s.size)
		switch {
		case errors.Is(err, errLong):
			s.lines++
			l.stats.Corrupt++
			continue
		case errors.Is(err, io.EOF):
			s.size = r.off
			return nil
		case err != nil:
			return err
		}
		for line := range lines(b) {
			s.lines++
			if _, ok := openLine(line); !ok {
				l.stats.Corrupt++
			}
		}
		r.off += int64(len(b))
	}
}
