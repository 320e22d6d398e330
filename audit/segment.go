package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The journal is a row of segments. Each is a file named after the number of its first
// line; lines are numbered from 1 over all lives of the directory.

const (
	segmentPrefix = "audit-"
	segmentSuffix = ".jsonl"
	segmentDigits = 16

	minSegment = 16 << 20
	maxSegment = 64 << 20
)

// segmentSize is how large segments get: large enough to be few, small enough that a
// full journal does not lose much at once.
func segmentSize(maxBytes int64) int64 {
	return min(max(min(maxBytes/16, maxSegment), minSegment), max(maxBytes/4, 1))
}

func segmentName(first uint64) string {
	return fmt.Sprintf("%s%0*d%s", segmentPrefix, segmentDigits, first, segmentSuffix)
}

// segmentFirst undoes segmentName.
func segmentFirst(name string) (first uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok {
		return 0, false
	}
	if digits, ok = strings.CutPrefix(digits, segmentPrefix); !ok || len(digits) < segmentDigits {
		return 0, false
	}
	first, err := strconv.ParseUint(digits, 10, 64)
	return first, err == nil && segmentName(first) == name
}

// listSegments returns the numbers of a directory's segments, in order.
func listSegments(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []uint64
	for _, e := range entries {
		if first, ok := segmentFirst(e.Name()); ok && e.Type().IsRegular() {
			all = append(all, first)
		}
	}
	slices.Sort(all)
	return all, nil
}

// file is what a segment is written to.
type file interface {
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
	Stat() (fs.FileInfo, error)
}

func createFile(path string) (file, error) {
	// What has this name holds no line that counts.
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
}

// segment is one file of the journal. Log.mu guards what may change; only the writer
// writes to f, and only the syncer closes it, but for a segment that is gone.
type segment struct {
	first uint64
	path  string
	own   bool // written in this life

	lines   uint64 // that are whole; of an adopted one before the last as the names tell
	size    int64  // bytes of them; of an adopted one all of the file
	settled uint64 // lines that are acked, dropped or found corrupt
	scanned bool   // its corrupt lines are counted

	f      file // open for writing, nil once it is closed
	synced int64
	fresh  bool // its directory entry is not on disk yet
	sealed bool // nothing will be added
	gone   bool // removed: nothing of it counts any more
}

func (s *segment) end() uint64 { return s.first + s.lines }

func (s *segment) left() uint64 { return s.lines - min(s.settled, s.lines) }

// settle counts lines of s that need no place on disk any more, and reports how many
// of them count: none if s is gone. mu is held.
func (l *Log) settle(s *segment, n uint64) uint64 {
	if s.gone {
		return 0
	}
	n = min(n, s.left())
	s.settled += n
	if s.own {
		l.stats.Journaled -= n
	} else {
		l.stats.AdoptedLeft -= n
	}
	return n
}

// lose counts lines of s that will never be shipped. mu is held.
func (l *Log) lose(s *segment, reason string, n uint64) {
	if n = l.settle(s, n); s.own {
		l.drop(reason, n)
	} else {
		l.stats.AdoptedLost += n
	}
}

// discard takes s out of the journal. What is left in it is dropped for the reason.
// The caller removes the file. mu is held.
func (l *Log) discard(s *segment, reason string) {
	if s.gone {
		return
	}
	l.lose(s, reason, s.left())
	s.gone, s.sealed = true, true
	l.disk -= s.size
	if i := slices.Index(l.segments, s); i >= 0 {
		l.segments = slices.Delete(l.segments, i, i+1)
	}
	if l.active == s {
		l.active = nil
	}
	if s.f != nil {
		_ = s.f.Close()
		s.f = nil
	}
	l.moved()
}

// remove deletes the file of a segment that has been discarded. Where open files can't
// be deleted it is tried again later.
func (l *Log) remove(path string) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.mu.Lock()
		l.trash = append(l.trash, path)
		l.mu.Unlock()
	}
}

// empty deletes what could not be deleted before.
func (l *Log) empty() {
	l.mu.Lock()
	all := l.trash
	l.trash = nil
	l.mu.Unlock()
	for _, path := range all {
		l.remove(path)
	}
}

func (l *Log) segmentPath(first uint64) string { return filepath.Join(l.dir, segmentName(first)) }
