package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// contract: U1
func TestSequenceIsTheOrderOfTheJournal(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{})
	const requests, each, callers = 2, 20000, 8
	// More threads than processors: between any two steps another may come.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4 * callers))
	var wg sync.WaitGroup
	for r := range requests {
		trail := l.Trail(Subject{Request: fmt.Sprintf("req_%02d", r), User: "u"})
		for range callers {
			wg.Go(func() {
				for i := range each / callers {
					trail.Record(answer(i))
				}
			})
		}
	}
	wg.Wait()
	flush(t, l)
	all := readAll(t, dir)
	seqs(t, all, requests, each)
	if s := l.Stats(); s.Journaled != requests*each || s.Dropped != 0 || s.Queued != 0 {
		t.Errorf("%+v", s)
	}
}

func TestEventsOutsideRequests(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{})
	l.Record(Subject{Request: "not this", Agent: "a"}, Event{Payload: BreakerState{Server: "s", State: "open"}})
	l.Record(Subject{}, Event{Provider: "p", Payload: KeyState{Key: "k", State: "cooling"}})
	flush(t, l)
	all := readAll(t, dir)
	seqs(t, all, 1, 2)
	if id := all[0].Request; !strings.HasPrefix(id, "proc_") || len(id) < 20 || all[0].Agent != "a" || all[1].Type != TypeKeyState {
		t.Errorf("%+v", all)
	}
}

func TestAuditOff(t *testing.T) {
	var l *Log
	trail := l.Trail(Subject{Request: "r"})
	if trail != nil {
		t.Error("a trail that leads nowhere")
	}
	trail.Record(answer(1))
	l.Record(Subject{}, answer(1))
	l.Use(nil)
	if err := errors.Join(l.Flush(t.Context()), l.Close(t.Context())); err != nil || l.Stats().Produced != 0 {
		t.Error(err)
	}
	l = open(t, t.TempDir(), Options{})
	l.Trail(Subject{}).Record(Event{})
	if n := l.Stats().Produced; n != 0 {
		t.Errorf("%d events without a payload", n)
	}
}

func TestDirectoryIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes")
	}
	dir := filepath.Join(t.TempDir(), "a", "b")
	l := open(t, dir, Options{})
	l.Use(&target{})
	l.Trail(Subject{Request: "r"}).Record(answer(1))
	flush(t, l)
	eventually(t, "the offset is saved", func() bool { _, err := os.Stat(filepath.Join(dir, offsetName)); return err == nil })
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 3 {
		t.Fatalf("%v %v", entries, err)
	}
	for _, e := range entries {
		if fi, err := e.Info(); err == nil && fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: %s", e.Name(), fi.Mode())
		}
	}
	if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v %v", fi.Mode(), err)
	}
}

func TestDirectoryHasOneOwner(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{})
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "in use by another process") || !strings.Contains(err.Error(), dir) {
		t.Fatalf("opened twice: %v", err)
	}
	if err := l.Close(within(t)); err != nil {
		t.Fatal(err)
	}
	shut(open(t, dir, Options{}))
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, Options{}); err == nil {
		t.Error("a file is no directory")
	}
}

// contract: U3
func TestNothingIsUncounted(t *testing.T) {
	tests := map[string]struct {
		o    Options
		send func(context.Context, int, []Record) []error
	}{
		"file":                    {o: Options{}},
		"file that rolls over":    {o: Options{MaxBytes: 256 << 10}},
		"sender":                  {send: func(context.Context, int, []Record) []error { return nil }},
		"sender that is down":     {o: Options{MaxBytes: 1 << 20}, send: whileDown(nil)},
		"a queue that overflows":  {o: Options{QueueBytes: 4 << 10}, send: func(context.Context, int, []Record) []error { return nil }},
		"a disk that often fails": {o: Options{create: oftenFails(7)}, send: func(context.Context, int, []Record) []error { return nil }},
		"sender that often fails": {o: Options{MaxBytes: 4 << 20}, send: func(_ context.Context, call int, batch []Record) []error {
			results := make([]error, len(batch))
			for i := range results {
				switch (i + call) % 5 {
				case 0:
					results[i] = errDown
				case 1:
					results[i] = fmt.Errorf("too large: %w", ErrRejected)
				}
			}
			return results
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, dir, tt.o)
			if tt.send != nil {
				l.Use(&target{send: tt.send})
			}
			const callers, each = 4, 3000
			var wg sync.WaitGroup
			for c := range callers {
				trail := l.Trail(Subject{Request: fmt.Sprint(c)})
				wg.Go(func() {
					for i := range each {
						trail.Record(answer(i))
					}
				})
			}
			stop := make(chan struct{})
			looked := make(chan int)
			go func() {
				n := 0
				for ; ; n++ {
					select {
					case <-stop:
						looked <- n
						return
					default:
						checkSum(t, l.Stats())
					}
				}
			}()
			wg.Wait()
			close(stop)
			if n := <-looked; n == 0 {
				t.Error("nobody has looked")
			}
			eventually(t, "the queue is empty", func() bool { return l.Stats().Queued == 0 })
			s := l.Stats()
			checkSum(t, s)
			if s.Produced != callers*each {
				t.Errorf("%d produced", s.Produced)
			}
			shut(l)
			l.Trail(Subject{Request: "late"}).Record(answer(1))
			s = l.Stats()
			checkSum(t, s)
			if s.DroppedBy[DroppedClosed] != 1 {
				t.Errorf("after Close: %v", s.DroppedBy)
			}
			lines := uint64(0)
			for _, err := range Read(within(t), dir, ReadOptions{}) {
				if err != nil {
					t.Error(err)
				}
				lines++
			}
			if s.Acked == 0 && lines != s.Journaled {
				t.Errorf("%d lines on disk, %d journaled", lines, s.Journaled)
			}
		})
	}
}

// contract: U2
func TestRecordWaitsForNoDisk(t *testing.T) {
	block := make(chan struct{})
	l := open(t, t.TempDir(), Options{QueueBytes: 16 << 10, create: func(path string) (file, error) {
		f, err := createFile(path)
		return &oddFile{file: f, write: func([]byte, int64) error { <-block; return nil }}, err
	}})
	done := make(chan struct{})
	go func() {
		defer close(done)
		trail := l.Trail(Subject{Request: "r"})
		for i := range 1000 {
			trail.Record(answer(i))
		}
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("waits for the disk")
	}
	s := l.Stats()
	checkSum(t, s)
	if s.DroppedBy[DroppedQueueFull] == 0 || s.Queued == 0 || s.Queued+s.Dropped != 1000 {
		t.Errorf("%+v", s)
	}
	close(block)
	flush(t, l)
	if now := l.Stats(); now.Journaled != s.Queued {
		t.Errorf("%d were in the queue, %d on disk", s.Queued, now.Journaled)
	}
}

func TestFlush(t *testing.T) {
	t.Run("is on disk", func(t *testing.T) {
		synced := make(chan int, 1000)
		l := open(t, t.TempDir(), Options{create: func(path string) (file, error) {
			f, err := createFile(path)
			return &oddFile{file: f, sync: func() error { synced <- 1; return nil }}, err
		}})
		flush(t, l) // nothing
		for i := range 3 {
			l.Trail(Subject{Request: "r"}).Record(answer(i))
			flush(t, l)
			select {
			case <-synced:
			default:
				t.Fatal("not synced")
			}
			if n := l.Stats().Journaled; n != uint64(i)+1 {
				t.Fatalf("%d journaled", n)
			}
		}
	})
	t.Run("is acked", func(t *testing.T) {
		l := open(t, t.TempDir(), Options{})
		s := &target{}
		l.Use(s)
		for i := range 3 {
			l.Trail(Subject{Request: fmt.Sprint(i)}).Record(answer(i))
			flush(t, l)
			if st := l.Stats(); st.Acked != uint64(i)+1 || len(s.events()) != i+1 || st.Lag != 0 {
				t.Fatalf("%+v", st)
			}
		}
	})
	t.Run("under load", func(t *testing.T) {
		l := open(t, t.TempDir(), Options{MaxBytes: 4 << 20})
		l.Use(&target{})
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					l.Trail(Subject{Request: "load"}).Record(answer(i))
				}
			}
		})
		flush(t, l)
		close(stop)
		wg.Wait()
	})
	t.Run("ends with the context", func(t *testing.T) {
		l := open(t, t.TempDir(), Options{})
		l.Use(&target{send: whileDown(nil)})
		l.Trail(Subject{Request: "r"}).Record(answer(1))
		cause := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, cause)
		defer cancel()
		if err := l.Flush(ctx); !errors.Is(err, cause) {
			t.Errorf("%v", err)
		}
	})
	t.Run("says that it could not be synced", func(t *testing.T) {
		errSync := errors.New("no sync")
		l := open(t, t.TempDir(), Options{create: func(path string) (file, error) {
			f, err := createFile(path)
			return &oddFile{file: f, sync: func() error { return errSync }}, err
		}})
		l.Trail(Subject{Request: "r"}).Record(answer(1))
		if err := l.Flush(within(t)); !errors.Is(err, errSync) {
			t.Errorf("%v", err)
		}
	})
	t.Run("after Close", func(t *testing.T) {
		l := open(t, t.TempDir(), Options{})
		l.Use(&target{send: whileDown(nil)})
		l.Trail(Subject{Request: "r"}).Record(answer(1))
		shut(l)
		if err := l.Flush(within(t)); err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("%v", err)
		}
	})
}

func TestWhatIsWrittenIsSynced(t *testing.T) {
	synced := make(chan struct{}, 1)
	l := open(t, t.TempDir(), Options{create: func(path string) (file, error) {
		f, err := createFile(path)
		return &oddFile{file: f, sync: func() error { signal(synced); return nil }}, err
	}})
	l.Trail(Subject{Request: "r"}).Record(answer(1))
	select {
	case <-synced:
	case <-time.After(patience):
		t.Fatal("not synced")
	}
}

// fault: K7
func TestClose(t *testing.T) {
	t.Run("ships all", func(t *testing.T) {
		dir := t.TempDir()
		l := open(t, dir, Options{})
		s := &target{}
		l.Use(s)
		trail := l.Trail(Subject{Request: "r"})
		for i := range 5000 {
			trail.Record(answer(i))
		}
		if err := l.Close(within(t)); err != nil {
			t.Fatal(err)
		}
		seqs(t, s.events(), 1, 5000)
		if !s.is(func(s *target) bool { return s.closed }) {
			t.Error("the sender is not closed")
		}
		if all := readAll(t, dir); len(all) != 0 {
			t.Errorf("%d events are still there", len(all))
		}
		if s := open(t, dir, Options{}).Stats(); s.Adopted != 0 {
			t.Errorf("%d adopted", s.Adopted)
		}
	})
	t.Run("keeps what can't be shipped", func(t *testing.T) {
		dir := t.TempDir()
		l := open(t, dir, Options{})
		l.Use(&target{send: whileDown(nil)})
		trail := l.Trail(Subject{Request: "r"})
		for i := range 5000 {
			trail.Record(answer(i))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := l.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if again := l.Close(t.Context()); !errors.Is(again, context.DeadlineExceeded) {
			t.Errorf("the second time: %v", again)
		}
		seqs(t, readAll(t, dir), 1, 5000)
	})
	t.Run("writes the queue though it has no time", func(t *testing.T) {
		for range 50 { // the writer may see the end first
			dir := t.TempDir()
			l := open(t, dir, Options{})
			l.Trail(Subject{Request: "r"}).Record(answer(1))
			shut(l)
			seqs(t, readAll(t, dir), 1, 1)
		}
	})
	t.Run("without events", func(t *testing.T) {
		dir := t.TempDir()
		if err := open(t, dir, Options{}).Close(within(t)); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 || entries[0].Name() != lockName {
			t.Errorf("%v %v", entries, err)
		}
	})
}

func TestNumbersGoOn(t *testing.T) {
	for _, ship := range []bool{true, false} {
		t.Run(fmt.Sprintf("sender=%v", ship), func(t *testing.T) {
			dir := t.TempDir()
			var firsts []uint64
			for range 3 {
				l := open(t, dir, Options{})
				if ship {
					l.Use(&target{})
				}
				trail := l.Trail(Subject{Request: "r"})
				for i := range 10 {
					trail.Record(answer(i))
				}
				flush(t, l)
				l.mu.Lock()
				firsts = append(firsts, l.active.first)
				l.mu.Unlock()
				if err := l.Close(within(t)); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(firsts, []uint64{1, 11, 21}) {
				t.Errorf("segments begin with %v", firsts)
			}
		})
	}
}

func TestStatsAsJSON(t *testing.T) {
	b, err := json.Marshal(open(t, t.TempDir(), Options{}).Stats())
	if want := `{"produced":0,"queued":0,"journaled":0,"acked":0,"dropped":0,"adopted":0,"adopted_left":0,"adopted_lost":0,"corrupt":0,"disk_bytes":0,"lag_ns":0,"sender_up":false}`; err != nil || string(b) != want {
		t.Errorf("%s %v", b, err)
	}
}
