package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// oddFile is a file on a disk with a will of its own.
type oddFile struct {
	file
	write    func(b []byte, at int64) error // an error comes after half of b
	sync     func() error
	truncate func() error
}

func (f *oddFile) WriteAt(b []byte, at int64) (int, error) {
	if f.write != nil {
		if err := f.write(b, at); err != nil {
			n, _ := f.file.WriteAt(b[:len(b)/2], at)
			return n, err
		}
	}
	return f.file.WriteAt(b, at)
}

func (f *oddFile) Sync() error {
	if f.sync != nil {
		return f.sync()
	}
	return f.file.Sync()
}

func (f *oddFile) Truncate(size int64) error {
	if f.truncate != nil {
		if err := f.truncate(); err != nil {
			return err
		}
	}
	return f.file.Truncate(size)
}

// oftenFails is a disk on which every nth write ends half way.
func oftenFails(n int64) func(string) (file, error) {
	var writes atomic.Int64
	return func(path string) (file, error) {
		f, err := createFile(path)
		return &oddFile{file: f, write: func([]byte, int64) error {
			if writes.Add(1)%n == 0 {
				return syscall.ENOSPC
			}
			return nil
		}}, err
	}
}

// fault: K4
func TestWhatTheDiskDoesNotTakeIsCounted(t *testing.T) {
	errIO := errors.New("input/output error")
	tests := map[string]struct {
		write, truncate error
		create          error
	}{
		"no space":               {write: syscall.ENOSPC},
		"an error":               {write: errIO},
		"no way back":            {write: syscall.ENOSPC, truncate: errIO},
		"nothing goes":           {write: errIO, truncate: errIO},
		"no file can be created": {create: syscall.ENOSPC},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var failing atomic.Bool
			dir := t.TempDir()
			core, logs := observer.New(zapcore.InfoLevel)
			l := open(t, dir, Options{MaxBytes: 1 << 20, Logger: zap.New(core), create: func(path string) (file, error) {
				if failing.Load() && tt.create != nil {
					return nil, tt.create
				}
				f, err := createFile(path)
				fail := func(want error) func() error {
					return func() error {
						if failing.Load() {
							return want
						}
						return nil
					}
				}
				return &oddFile{file: f, write: func([]byte, int64) error { return fail(tt.write)() }, truncate: fail(tt.truncate)}, err
			}})
			if tt.create == nil { // fill the first segment in part
				l.Trail(Subject{Request: "before"}).Record(answer(0))
				flush(t, l)
			}
			produced := 0
			for round := range 6 {
				// A file that is open already needs no other.
				failing.Store(tt.create == nil && round%2 == 1 || tt.create != nil && round == 0)
				trail := l.Trail(Subject{Request: fmt.Sprint(round)})
				for i := range 500 {
					trail.Record(answer(i))
					produced++
				}
				flush(t, l)
				if s := l.Stats(); failing.Load() != (s.Error != "") {
					t.Errorf("round %d: %+v", round, s)
				}
			}
			s := l.Stats()
			checkSum(t, s)
			if s.DroppedBy[DroppedWriteFailed] == 0 || s.DroppedBy[DroppedWriteFailed] != s.Dropped {
				t.Errorf("dropped by %v", s.DroppedBy)
			}
			var found, wrong int
			for _, err := range Read(within(t), dir, ReadOptions{}) {
				switch {
				case err == nil:
					found++
				case errors.Is(err, ErrTorn) && tt.truncate != nil:
				default:
					wrong++
				}
			}
			if uint64(found) != s.Journaled || wrong > 0 {
				t.Errorf("%d events are there, %d journaled, %d dropped; %d lines are wrong", found, s.Journaled, s.Dropped, wrong)
			}
			shut(l)
			lost := uint64(0)
			for _, e := range logs.FilterMessage("audit events are lost").All() {
				lost += e.ContextMap()["events"].(uint64)
			}
			if n := logs.FilterMessage("audit events are lost").Len(); lost != s.Dropped || n == 0 || n > 2 {
				t.Errorf("%d of %d lost events logged, in %d lines", lost, s.Dropped, n)
			}
			if next := open(t, dir, Options{}).Stats(); next.Adopted != s.Journaled || next.Corrupt != 0 {
				t.Errorf("adopted: %+v", next)
			}
		})
	}
}

// fault: K4
func TestDirectoryIsRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	l := open(t, dir, Options{})
	trail := l.Trail(Subject{Request: "r"})
	for range 100 {
		trail.Record(answer(1))
	}
	flush(t, l)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	trail.Record(answer(1)) // goes into a file without a name
	eventually(t, "the loss is noticed", func() bool { return l.Stats().DroppedBy[DroppedWriteFailed] == 101 })
	if s := l.Stats(); s.Error == "" || s.DiskBytes != 0 {
		t.Errorf("%+v", s)
	}
	for range 10 {
		trail.Record(answer(1))
	}
	flush(t, l)
	s := l.Stats()
	checkSum(t, s)
	if s.Journaled != 10 || s.Error != "" || len(readAll(t, dir)) != 10 {
		t.Errorf("%+v", s)
	}
	if _, err := Open(dir, Options{}); err == nil {
		t.Error("the new directory is not locked")
	}
}

func TestFullJournal(t *testing.T) {
	const maxBytes = 256 << 10
	write := func(t *testing.T, l *Log) {
		for r := range 40 {
			trail := l.Trail(Subject{Request: fmt.Sprintf("req_%02d", r)})
			for i := range 100 {
				trail.Record(answer(i))
			}
			eventually(t, "the queue is empty", func() bool { return l.Stats().Queued == 0 })
			if s := l.Stats(); s.DiskBytes > maxBytes {
				t.Fatalf("%d bytes on disk", s.DiskBytes)
			}
		}
	}
	t.Run("without a sender loses its oldest", func(t *testing.T) {
		dir := t.TempDir()
		l := open(t, dir, Options{MaxBytes: maxBytes})
		write(t, l)
		flush(t, l)
		s := l.Stats()
		checkSum(t, s)
		all := readAll(t, dir)
		if uint64(len(all)) != s.Journaled || s.DroppedBy[DroppedExpired] != 4000-s.Journaled {
			t.Errorf("%d of 4000 are there, %+v", len(all), s)
		}
		if e := all[len(all)-1]; e.Request != "req_39" || e.Seq != 100 {
			t.Errorf("the last is %s %d", e.Request, e.Seq)
		}
		if s.DiskBytes < maxBytes/2 || sizeOf(t, dir) != s.DiskBytes {
			t.Errorf("%d bytes on disk, %d counted", sizeOf(t, dir), s.DiskBytes)
		}
	})
	t.Run("with a sender takes nothing new", func(t *testing.T) {
		dir := t.TempDir()
		l := open(t, dir, Options{MaxBytes: maxBytes})
		up := make(chan struct{})
		to := &target{send: whileDown(up)}
		l.Use(to)
		write(t, l)
		s := l.Stats()
		checkSum(t, s)
		all := readAll(t, dir)
		if uint64(len(all)) != s.Journaled || s.DroppedBy[DroppedJournalFull] != 4000-s.Journaled || s.Dropped == 0 {
			t.Errorf("%d of 4000 are there, %+v", len(all), s)
		}
		if e := all[0]; e.Request != "req_00" || e.Seq != 1 {
			t.Errorf("the first is %s %d", e.Request, e.Seq)
		}
		if s.Error == "" || s.SenderUp {
			t.Errorf("%+v", s)
		}
		close(up)
		flush(t, l)
		if got := to.events(); len(got) != len(all) {
			t.Errorf("%d of %d shipped", len(got), len(all))
		}
		l.Trail(Subject{Request: "after"}).Record(answer(1))
		flush(t, l)
		s = l.Stats()
		checkSum(t, s)
		if got := to.events(); got[len(got)-1].Request != "after" || s.Error != "" || !s.SenderUp {
			t.Errorf("%+v", s)
		}
		if s.DiskBytes > maxBytes/4 {
			t.Errorf("%d bytes are still on disk", s.DiskBytes)
		}
	})
	t.Run("of a line larger than a segment", func(t *testing.T) {
		for _, size := range []int{80 << 10, 300 << 10} {
			dir := t.TempDir()
			l := open(t, dir, Options{MaxBytes: maxBytes})
			trail := l.Trail(Subject{Request: "r"})
			for range 10 {
				trail.Record(Event{Payload: Chunk{Text: strings.Repeat("x", size)}})
				trail.Record(answer(1))
			}
			flush(t, l)
			s := l.Stats()
			checkSum(t, s)
			if n := uint64(len(readAll(t, dir))); n != s.Journaled || n == 0 || s.DiskBytes > maxBytes {
				t.Errorf("%d bytes: %d are there, %+v", size, n, s)
			}
		}
	})
	t.Run("of a line larger than all", func(t *testing.T) {
		l := open(t, t.TempDir(), Options{MaxBytes: 16 << 10})
		trail := l.Trail(Subject{Request: "r"})
		trail.Record(Event{Payload: Chunk{Text: strings.Repeat("x", 32<<10)}})
		trail.Record(answer(1))
		flush(t, l)
		s := l.Stats()
		checkSum(t, s)
		if s.DroppedBy[DroppedJournalFull] == 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestBoundChanges: a smaller bound holds from the next event on, whatever is there.
func TestBoundChanges(t *testing.T) {
	for _, ship := range []bool{false, true} {
		t.Run(fmt.Sprintf("sender=%v", ship), func(t *testing.T) {
			const small = 128 << 10
			dir := t.TempDir()
			l := open(t, dir, Options{})
			up := make(chan struct{})
			to := &target{send: whileDown(up)}
			if ship {
				l.Use(to)
			}
			trail := l.Trail(Subject{Request: "r"})
			record := func(n int) {
				for i := range n {
					trail.Record(answer(i))
				}
				eventually(t, "the queue is empty", func() bool { return l.Stats().Queued == 0 })
			}
			record(4000) // much more, in one segment
			if s := l.Stats(); s.DiskBytes < 4*small || s.Dropped > 0 {
				t.Fatalf("%+v", s)
			}
			l.Bound(small)
			record(10)
			s := l.Stats()
			checkSum(t, s)
			if !ship {
				if s.DroppedBy[DroppedExpired] != 4000 || s.Journaled != 10 || s.DiskBytes > small {
					t.Errorf("%+v", s)
				}
			} else if s.DroppedBy[DroppedJournalFull] != 10 || s.Journaled != 4000 {
				t.Errorf("%+v", s)
			}
			close(up)
			flush(t, l)
			eventually(t, "there is room", func() bool { return l.Stats().DiskBytes <= small })
			record(10)
			if n := l.Stats().Dropped; n != s.Dropped {
				t.Errorf("%d dropped, then %d", s.Dropped, n)
			}
			l.Bound(0)
			record(4000)
			if n := l.Stats().Dropped; n != s.Dropped {
				t.Errorf("%d dropped, then %d", s.Dropped, n)
			}
		})
	}
}

// fault: K4
func TestSpoiltFileIsLeft(t *testing.T) {
	files := 0
	l := open(t, t.TempDir(), Options{create: func(path string) (file, error) {
		f, err := createFile(path)
		files++
		writes, spoilt := 0, files == 1
		return &oddFile{file: f, write: func([]byte, int64) error {
			if writes++; spoilt && writes > 1 {
				return errors.New("input/output error")
			}
			return nil
		}}, err
	}})
	trail := l.Trail(Subject{Request: "r"})
	for i := range 4 {
		trail.Record(answer(i))
		flush(t, l)
	}
	if s := l.Stats(); s.Journaled != 3 || s.DroppedBy[DroppedWriteFailed] != 1 || s.Error != "" || files != 2 {
		t.Errorf("%d files, %+v", files, s)
	}
}

// TestFileStaysOpenUntilItIsSynced: a segment can be sealed while an older part of it
// is synced.
func TestFileStaysOpenUntilItIsSynced(t *testing.T) {
	l := open(t, t.TempDir(), Options{})
	l.Trail(Subject{Request: "r"}).Record(answer(1))
	flush(t, l)
	l.mu.Lock()
	s := l.active
	s.sealed, l.active = true, nil
	l.mu.Unlock()
	for _, missing := range []int64{1, 0} {
		l.hasSynced(s, s.size-missing, nil, true)
		l.mu.Lock()
		if isOpen := s.f != nil; isOpen != (missing > 0) {
			t.Errorf("%d bytes missing: open %v", missing, isOpen)
		}
		l.mu.Unlock()
	}
}

func sizeOf(t *testing.T, dir string) (n int64) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, segmentPrefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		n += fi.Size()
	}
	return n
}

func TestSegmentSize(t *testing.T) {
	for maxBytes, want := range map[int64]int64{1: 1, 4 << 20: 1 << 20, 64 << 20: 16 << 20, 512 << 20: 32 << 20, 1 << 30: 64 << 20, 1 << 50: 64 << 20} {
		if got := segmentSize(maxBytes); got != want {
			t.Errorf("of %d: %d, want %d", maxBytes, got, want)
		}
	}
}

func TestSegmentNames(t *testing.T) {
	for _, first := range []uint64{0, 1, 1e15, 1e16, ^uint64(0)} {
		if got, ok := segmentFirst(segmentName(first)); !ok || got != first {
			t.Errorf("%s: %d %v", segmentName(first), got, ok)
		}
	}
	for _, name := range []string{"", "audit-.jsonl", "audit-1.jsonl", "audit-+000000000000001.jsonl", "audit-00000000000000001.jsonl", "audit-0000000000000001.json", "x" + segmentName(1), segmentName(1) + ".gz"} {
		if _, ok := segmentFirst(name); ok {
			t.Errorf("%q passes", name)
		}
	}
}
