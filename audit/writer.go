package audit

import (
	"bytes"
	"errors"
	"io/fs"
	"syscall"
	"time"
)

// gather is how long the writer waits for more after the first event. The system must
// have every line within 50 ms (contract U3).
const gather = 5 * time.Millisecond

// errFull is the disk's error while the journal is as large as it may be.
var errFull = errors.New("the audit journal is full")

// write is the writer.
func (l *Log) write() {
	r := newReporter(l)
	defer r.again.Stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		if !l.pending() {
			select {
			case <-l.wake:
			case <-r.again.C:
				r.report(time.Now())
				continue
			case <-l.quit:
				for l.pending() {
					l.writeQueue()
				}
				r.tell(time.Now())
				return
			}
		}
		pause.Reset(gather)
		select {
		case <-pause.C:
		case <-l.hurry:
		case <-l.quit:
		}
		l.writeQueue()
		r.report(time.Now())
	}
}

// pending reports whether there is something to write. If not, the next event wakes
// the writer.
func (l *Log) pending() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.awake = len(l.queue) > 0
	return l.awake
}

// writeQueue writes what is in the queue now.
func (l *Log) writeQueue() {
	l.mu.Lock()
	all := l.queue
	l.queue = nil
	l.mu.Unlock()
	for _, c := range all {
		l.store(c)
		l.mu.Lock()
		l.release(c)
		l.moved()
		l.mu.Unlock()
	}
}

// store writes a chunk. It has left the queue's figures when store returns.
func (l *Log) store(c *chunk) {
	for b := c.b; len(b) > 0; {
		s, f, size, err := l.open()
		if err != nil {
			l.fail(b, DroppedWriteFailed, err)
			return
		}
		part := fit(b, size-s.size)
		if len(part) == 0 && s.size == 0 {
			part = b[:bytes.IndexByte(b, '\n')+1] // too long for any
		}
		if len(part) == 0 {
			l.seal(s)
			continue
		}
		if part = l.room(part); len(part) == 0 {
			l.fail(b, DroppedJournalFull, errFull)
			return
		}
		n, err := f.WriteAt(part, s.size)
		if err == nil {
			l.wrote(s, part, c.first, nil)
			b = b[len(part):]
			continue
		}
		// Whole lines that got through stay; the next one must begin cleanly.
		kept := part[:bytes.LastIndexByte(part[:n], '\n')+1]
		cut := f.Truncate(s.size + int64(len(kept)))
		alive := l.wrote(s, kept, c.first, err)
		b = b[len(kept):]
		if !alive { // removed meanwhile, and its file closed
			continue
		}
		l.fail(b, DroppedWriteFailed, err)
		if cut != nil || !errors.Is(err, syscall.ENOSPC) {
			l.seal(s) // the next file may do better
		}
		return
	}
}

// fit returns as many whole lines of b as there is room for.
func fit(b []byte, room int64) []byte {
	if int64(len(b)) <= room {
		return b
	}
	return b[:bytes.LastIndexByte(b[:max(room, 0)], '\n')+1]
}

func count(b []byte) uint64 { return uint64(bytes.Count(b, []byte{'\n'})) } //nolint:gosec // not negative

// open returns the segment that is written to, its file, and how large it may get.
func (l *Log) open() (s *segment, f file, size int64, err error) {
	l.mu.Lock()
	first := l.next
	size = segmentSize(l.o.MaxBytes)
	if s = l.active; s != nil {
		defer l.mu.Unlock()
		return s, s.f, size, nil
	}
	l.mu.Unlock()
	l.empty()
	s = &segment{first: first, path: l.segmentPath(first), own: true, fresh: true}
	f, err = l.o.create(s.path)
	if errors.Is(err, fs.ErrNotExist) { // the directory is gone, and its lock with it
		if err = l.claim(); err == nil {
			f, err = l.o.create(s.path)
		}
	}
	if err != nil {
		return nil, nil, 0, err
	}
	s.f = f
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active = s
	l.segments = append(l.segments, s)
	return s, f, size, nil
}

// seal ends a segment: the next line goes into another.
func (l *Log) seal(s *segment) {
	l.mu.Lock()
	s.sealed = true
	if l.active == s {
		l.active = nil
	}
	empty := s.lines == 0
	if empty {
		l.discard(s, DroppedWriteFailed)
	}
	l.mu.Unlock()
	if empty {
		l.remove(s.path)
	}
	signal(l.dirty)
	signal(l.news)
}

// room returns as many lines of part as the journal may hold. Without a sender the
// oldest make room.
func (l *Log) room(part []byte) []byte {
	for {
		l.mu.Lock()
		free := l.o.MaxBytes - l.disk
		if int64(len(part)) <= free || l.sender != nil || len(l.segments) == 0 || l.segments[0] == l.active {
			l.mu.Unlock()
			return fit(part, free)
		}
		s := l.segments[0]
		l.discard(s, DroppedExpired)
		l.mu.Unlock()
		l.remove(s.path)
	}
}

// wrote counts lines that are in s now. It reports whether s is still there: if it has
// been removed meanwhile they are lost, and only counted as that.
func (l *Log) wrote(s *segment, part []byte, first time.Time, err error) bool {
	n := count(part)
	l.mu.Lock()
	l.stats.Queued -= n
	if s.gone {
		l.drop(DroppedWriteFailed, n)
	} else {
		if l.backlog() == 0 {
			l.front = first
		}
		l.stats.Journaled += n
		s.lines += n
		l.next += n
		s.size += int64(len(part))
		l.disk += int64(len(part))
	}
	l.diskErr = err
	ship := l.sender != nil
	alive := !s.gone
	l.mu.Unlock()
	signal(l.dirty)
	if ship {
		signal(l.news)
	}
	return alive
}

// fail drops lines.
func (l *Log) fail(b []byte, reason string, err error) {
	n := count(b)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Queued -= n
	l.drop(reason, n)
	l.diskErr = err
}
