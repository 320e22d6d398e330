package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// contract: U1
func TestWhatASenderGets(t *testing.T) {
	l := open(t, t.TempDir(), Options{})
	to := &target{}
	l.Use(to)
	l.Trail(Subject{Request: "req_1", Session: "s", TraceParent: "00-a-b-01"}).Record(answer(1))
	l.Trail(Subject{Request: "req_2"}).Record(answer(2))
	flush(t, l)
	if !slices.Equal(to.keys, []string{"s", "req_2"}) || !slices.Equal(to.traces, []string{"00-a-b-01", ""}) {
		t.Errorf("keys %q, traces %q", to.keys, to.traces)
	}
	if e := to.got[0]; e.Seq != 1 || e.Session != "s" || e.Prov != "p" || e.Model != "m" || e.Type != TypeAnswer {
		t.Errorf("%+v", e)
	}
}

// contract: U2
func TestOrderHoldsWhateverFails(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{MaxBytes: 4 << 20})
	to := &target{}
	to.send = func(_ context.Context, call int, batch []Record) []error {
		if len(batch) > batchRecords {
			t.Errorf("a batch of %d", len(batch))
		}
		results := make([]error, len(batch))
		if call%3 == 0 {
			return nil
		}
		// From somewhere on a key fails, as a partition does.
		failed := make(map[string]bool)
		for i, r := range batch {
			key := string(r.Key)
			if (i+call)%17 == 0 {
				failed[key] = true
			}
			if failed[key] {
				results[i] = errDown
			}
		}
		return results
	}
	l.Use(to)
	const requests, each = 30, 200
	var wg sync.WaitGroup
	for r := range requests {
		trail := l.Trail(Subject{Request: fmt.Sprint("req_", r)})
		wg.Go(func() {
			for i := range each {
				trail.Record(answer(i))
			}
		})
	}
	wg.Wait()
	flush(t, l)
	seqs(t, to.events(), requests, each)
	if s := l.Stats(); s.Acked != requests*each || s.Journaled != 0 {
		t.Errorf("%+v", s)
	}
}

// contract: U3
func TestRejectedIsCountedAndStopsNothing(t *testing.T) {
	l := open(t, t.TempDir(), Options{})
	to := &target{send: func(_ context.Context, _ int, batch []Record) []error {
		results := make([]error, len(batch))
		for i, r := range batch {
			if strings.Contains(string(r.Value), `"bytes":13,`) {
				results[i] = fmt.Errorf("too large: %w", ErrRejected)
			}
		}
		return results
	}}
	l.Use(to)
	trail := l.Trail(Subject{Request: "r"})
	for i := range 20 {
		trail.Record(answer(i))
	}
	flush(t, l)
	s := l.Stats()
	checkSum(t, s)
	if s.Acked != 19 || s.DroppedBy[DroppedRejected] != 1 || len(to.events()) != 19 || !s.SenderUp || s.Error != "" {
		t.Errorf("%+v", s)
	}
}

func TestSenderThatBreaksItsContract(t *testing.T) {
	l := open(t, t.TempDir(), Options{})
	var mu sync.Mutex
	calls := 0
	l.Use(sendFunc(func([]Record) []error {
		mu.Lock()
		defer mu.Unlock()
		if calls++; calls == 1 {
			return []error{}
		}
		return nil
	}))
	l.Trail(Subject{Request: "r"}).Record(answer(1))
	flush(t, l)
	if s := l.Stats(); s.Acked != 1 || calls != 2 {
		t.Errorf("%+v after %d calls", s, calls)
	}
}

type sendFunc func([]Record) []error

func (f sendFunc) Send(_ context.Context, batch []Record) []error { return f(batch) }
func (sendFunc) Close() error                                     { return errors.New("can't close") }

// fault: K3
func TestSenderIsDownForAWhile(t *testing.T) {
	core, logs := observer.New(zapcore.InfoLevel)
	l := open(t, t.TempDir(), Options{Logger: zap.New(core)})
	if l.Stats().SenderUp {
		t.Error("no sender is up")
	}
	up := make(chan struct{})
	to := &target{send: whileDown(up)}
	l.Use(to)
	if !l.Stats().SenderUp {
		t.Error("a sender is down that has not been tried")
	}
	trail := l.Trail(Subject{Request: "r"})
	before := time.Now()
	trail.Record(answer(0))
	after := time.Now()
	for i := range 999 {
		trail.Record(answer(i))
	}
	eventually(t, "three tries", func() bool { return to.is(func(s *target) bool { return s.calls >= 3 }) })
	least := time.Since(after)
	s := l.Stats()
	checkSum(t, s)
	if s.SenderUp || s.Error != errDown.Error() || s.Journaled != 1000 || s.Lag < least || s.Lag > time.Since(before)+time.Millisecond {
		t.Errorf("%+v", s)
	}
	close(up)
	flush(t, l)
	if s := l.Stats(); !s.SenderUp || s.Error != "" || s.Lag != 0 || s.Acked != 1000 {
		t.Errorf("%+v", s)
	}
	seqs(t, to.events(), 1, 1000)
	for _, said := range []string{"audit events can't be sent; they wait in the journal", "audit events are being sent again"} {
		eventually(t, said, func() bool { return logs.FilterMessage(said).Len() == 1 })
	}
}

// contract: U3
func TestSenderIsReplaced(t *testing.T) {
	l := open(t, t.TempDir(), Options{})
	trail := l.Trail(Subject{Request: "r"})
	record := func(n int) {
		for i := range n {
			trail.Record(answer(i))
		}
	}
	record(100) // without one
	flush(t, l)
	first, second, third := &target{}, &target{}, &target{send: whileDown(nil)}
	l.Use(first)
	record(100)
	flush(t, l)
	l.Use(nil)
	record(100)
	flush(t, l)
	eventually(t, "the first is closed", func() bool { return first.is(func(s *target) bool { return s.closed }) })
	if s := l.Stats(); s.Acked != 200 || s.Journaled != 100 || s.SenderUp {
		t.Errorf("%+v", s)
	}
	l.Use(third)
	eventually(t, "a try", func() bool { return third.is(func(s *target) bool { return s.calls > 0 }) })
	l.Use(second)
	record(100)
	flush(t, l)
	eventually(t, "the third is closed", func() bool { return third.is(func(s *target) bool { return s.closed }) })
	if a, b, c := len(first.events()), len(second.events()), len(third.events()); a != 200 || b != 200 || c != 0 {
		t.Errorf("%d, %d and %d", a, b, c)
	}
	seqs(t, append(first.events(), second.events()...), 1, 400)
	unused := &target{}
	l.Use(unused)
	if err := l.Close(within(t)); err != nil {
		t.Fatal(err)
	}
	late := &target{}
	l.Use(late)
	for _, s := range []*target{unused, second, late} {
		if !s.is(func(s *target) bool { return s.closed }) {
			t.Error("one is not closed")
		}
	}
}

// TestReplacedSenderThatHangs: what is under way gets a moment, and then no more.
func TestReplacedSenderThatHangs(t *testing.T) {
	l := open(t, t.TempDir(), Options{})
	inside := make(chan struct{}, 1)
	hung := &target{send: func(ctx context.Context, _ int, batch []Record) []error {
		signal(inside)
		<-ctx.Done()
		return allFail(batch, ctx.Err())
	}}
	l.Use(hung)
	l.Trail(Subject{Request: "r"}).Record(answer(1))
	<-inside
	to := &target{}
	l.Use(to)
	flush(t, l)
	if len(to.events()) != 1 || !hung.is(func(s *target) bool { return s.closed }) {
		t.Errorf("%+v", l.Stats())
	}
	if s := l.Stats(); s.Error != "" || !s.SenderUp {
		t.Errorf("%+v", s)
	}
}

func TestOffsetIsSavedWhileShipping(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{})
	l.Use(&target{})
	trail := l.Trail(Subject{Request: "r"})
	for i := range 3 {
		trail.Record(answer(i))
		eventually(t, "the offset is saved", func() bool { return loadPosition(dir).line == uint64(i)+2 })
	}
}

// contract: U3
func TestShippedSegmentsAreRemoved(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{MaxBytes: 256 << 10})
	l.Use(&target{})
	trail := l.Trail(Subject{Request: "r"})
	for i := range 3000 {
		trail.Record(answer(i))
		if i%100 == 0 {
			flush(t, l)
		}
	}
	flush(t, l)
	eventually(t, "only the last is left", func() bool {
		all, err := listSegments(dir)
		return err == nil && len(all) == 1
	})
	s := l.Stats()
	checkSum(t, s)
	if s.Acked != 3000 || s.DiskBytes > 64<<10 || s.DiskBytes != sizeOf(t, dir) {
		t.Errorf("%+v", s)
	}
}

// contract: U3
func TestAdoption(t *testing.T) {
	const each = 500
	leave := func(t *testing.T, dir string, acked int) {
		t.Helper()
		l := open(t, dir, Options{MaxBytes: 256 << 10})
		up := make(chan struct{})
		to := &target{send: func(_ context.Context, _ int, batch []Record) []error {
			results := make([]error, len(batch))
			for i := range batch {
				if acked == 0 {
					results[i] = errDown
					continue
				}
				acked--
			}
			return results
		}}
		l.Use(to)
		trail := l.Trail(Subject{Request: "old"})
		for i := range each {
			trail.Record(answer(i))
		}
		eventually(t, "all is written", func() bool { s := l.Stats(); return s.Queued == 0 && !s.SenderUp })
		close(up)
		abandon(t, l)
	}
	tests := map[string]struct {
		acked   int
		spoil   func(t *testing.T, dir, last string)
		adopted uint64
		corrupt uint64
		first   uint64
		extra   int // found beyond what the names tell
	}{
		"as it is":            {adopted: each, first: 1},
		"half of it shipped":  {acked: each / 2, adopted: each / 2, first: each/2 + 1},
		"without an offset":   {acked: 20, spoil: remove(offsetName), adopted: each, first: 1},
		"with a bad offset":   {acked: 20, spoil: overwrite(offsetName, "{"), adopted: each, first: 1},
		"with a wrong offset": {spoil: overwrite(offsetName, `{"segment":1,"offset":99999999,"line":3}`), adopted: each, first: 1},
		"an offset far away":  {spoil: overwrite(offsetName, `{"segment":9999,"offset":0,"line":9999}`)},
		"with a torn tail": {first: 1, adopted: each - 1, spoil: func(t *testing.T, _, last string) {
			b := content(t, last)
			rewrite(t, last, b[:len(b)-10])
		}},
		"with a corrupt line": {first: 2, adopted: each, corrupt: 1, spoil: func(t *testing.T, dir, _ string) {
			path := filepath.Join(dir, segmentName(1))
			b := content(t, path)
			b[30] ^= 1
			rewrite(t, path, b)
		}},
		"with a corrupt end": {first: 1, adopted: each, corrupt: 1, spoil: func(t *testing.T, _, last string) {
			b := content(t, last)
			b[len(b)-10] ^= 1
			rewrite(t, last, b)
		}},
		"with garbage": {first: 1, adopted: each + 2, corrupt: 2, spoil: func(t *testing.T, _, last string) {
			rewrite(t, last, append(content(t, last), strings.Repeat("x", 3*blockSize)+"\n\nhalf a li"...))
		}},
		"with a line too many": {first: 1, adopted: each, extra: 1, spoil: func(t *testing.T, dir, _ string) {
			path := filepath.Join(dir, segmentName(1))
			rewrite(t, path, append(content(t, path), segmentOf("extra")...))
		}},
		"with an empty segment": {first: 1, adopted: each, spoil: func(t *testing.T, dir, _ string) {
			rewrite(t, filepath.Join(dir, segmentName(each+1)), nil)
		}},
		"with a foreign file": {first: 1, adopted: each, spoil: func(t *testing.T, dir, _ string) {
			rewrite(t, filepath.Join(dir, "audit-notes.txt"), []byte("x"))
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			leave(t, dir, tt.acked)
			if tt.spoil != nil {
				all, err := listSegments(dir)
				if err != nil || len(all) < 2 {
					t.Fatalf("%v %v", all, err)
				}
				tt.spoil(t, dir, filepath.Join(dir, segmentName(all[len(all)-1])))
			}
			l := open(t, dir, Options{})
			if s := l.Stats(); s.Adopted != tt.adopted || s.AdoptedLeft != tt.adopted || s.Produced != 0 {
				t.Fatalf("%+v", s)
			}
			l.Trail(Subject{Request: "new"}).Record(answer(1))
			to := &target{}
			l.Use(to)
			flush(t, l)
			s := l.Stats()
			checkSum(t, s)
			if s.Acked != 1 || s.Corrupt != tt.corrupt || s.AdoptedLeft != 0 || s.AdoptedLost != tt.corrupt {
				t.Errorf("%+v", s)
			}
			got := to.events()
			if len(got) != int(tt.adopted-tt.corrupt)+tt.extra+1 {
				t.Fatalf("%d shipped", len(got))
			}
			if tt.adopted > 0 && got[0].Seq != tt.first {
				t.Errorf("the first has number %d", got[0].Seq)
			}
			if last := got[len(got)-1]; last.Request != "new" {
				t.Errorf("the last is of %s", last.Request)
			}
			if err := l.Close(within(t)); err != nil {
				t.Fatal(err)
			}
			if s := open(t, dir, Options{}).Stats(); s.Adopted != 0 {
				t.Errorf("%d adopted again", s.Adopted)
			}
		})
	}
}

func content(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func rewrite(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func overwrite(name, text string) func(*testing.T, string, string) {
	return func(t *testing.T, dir, _ string) { rewrite(t, filepath.Join(dir, name), []byte(text)) }
}

func remove(name string) func(*testing.T, string, string) {
	return func(t *testing.T, dir, _ string) {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// contract: U3
func TestLineThatIsSpoiltOnTheDisk(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{})
	trail := l.Trail(Subject{Request: "r"})
	for i := range 10 {
		trail.Record(answer(i))
	}
	flush(t, l)
	path := filepath.Join(dir, segmentName(1))
	b := content(t, path)
	b[len(b)/2] ^= 1
	rewrite(t, path, b)
	to := &target{}
	l.Use(to)
	flush(t, l)
	s := l.Stats()
	checkSum(t, s)
	if s.Acked != 9 || s.DroppedBy[DroppedUnreadable] != 1 || s.Corrupt != 1 || len(to.events()) != 9 {
		t.Errorf("%+v", s)
	}
}

// contract: U3
func TestSegmentsThatVanish(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{MaxBytes: 256 << 10})
	trail := l.Trail(Subject{Request: "r"})
	for range 40 {
		for i := range 20 {
			trail.Record(answer(i))
		}
		flush(t, l)
	}
	all, err := listSegments(dir)
	if err != nil || len(all) < 3 {
		t.Fatalf("%v %v", all, err)
	}
	if err := os.Remove(filepath.Join(dir, segmentName(all[1]))); err != nil {
		t.Fatal(err)
	}
	to := &target{}
	l.Use(to)
	flush(t, l)
	s := l.Stats()
	checkSum(t, s)
	if gone := all[2] - all[1]; s.DroppedBy[DroppedUnreadable] != gone || s.Acked != 800-gone || uint64(len(to.events())) != s.Acked {
		t.Errorf("%d lines removed: %+v", gone, s)
	}
}
