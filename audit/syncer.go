package audit

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"
)

// syncEvery is how long what was written may be in the system's memory only.
const syncEvery = 200 * time.Millisecond

// errRemoved is the disk's error after somebody has removed what was written.
var errRemoved = errors.New("a segment of the audit journal has been removed")

// sync is the syncer. It is apart from the writer because fsync may take long.
func (l *Log) sync() {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-l.dirty:
		case <-l.synced:
			l.syncAll()
			l.closeAll()
			return
		}
		pause.Reset(syncEvery)
		select {
		case <-pause.C:
		case <-l.now:
		case <-l.synced:
		}
		l.syncAll()
	}
}

// syncAll puts what has been written on the disk, and closes what is complete.
func (l *Log) syncAll() {
	l.mu.Lock()
	all := slices.Clone(l.segments)
	l.mu.Unlock()
	for _, s := range all {
		l.mu.Lock()
		f, size, fresh := s.f, s.size, s.fresh
		due := f != nil && (size > s.synced || fresh || s.sealed)
		l.mu.Unlock()
		if !due {
			continue
		}
		err := f.Sync()
		if fresh && err == nil {
			syncDir(l.dir)
		}
		l.hasSynced(s, size, err, isThere(s.path, f))
	}
}

func (l *Log) hasSynced(s *segment, size int64, err error, there bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.moved()
	switch {
	case s.gone:
		return
	case !there: // writing to it works, and keeps nothing
		l.discard(s, DroppedWriteFailed)
		l.diskErr = errRemoved
		signal(l.wake)
		return
	case err != nil: // trying again says nothing about what was lost
		l.syncErrs++
		l.syncErr, l.diskErr = err, err
	}
	s.synced, s.fresh = size, false
	if s.sealed && size == s.size {
		_ = s.f.Close()
		s.f = nil
	}
}

// isThere reports whether f is what path names.
func isThere(path string, f file) bool {
	open, err := f.Stat()
	if err != nil {
		return true
	}
	named, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	return err != nil || os.SameFile(open, named)
}

// syncDir puts a directory's entries on the disk, where the system knows how to.
func syncDir(dir string) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	defer d.Close()
	_ = d.Sync()
}

func (l *Log) closeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segments {
		if s.f != nil {
			_ = s.f.Close()
			s.f = nil
		}
	}
}
