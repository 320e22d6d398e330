package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// actAs makes the test's own program a process that records, to be killed.
const actAs = "AUDIT_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(actAs); dir != "" {
		recordUntilKilled(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// patience is how long tests wait for what has to happen.
const patience = 20 * time.Second

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits for what has to become true.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !is(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
		<-tick.C
	}
}

// open opens a journal that is closed when the test ends.
func open(t testing.TB, dir string, o Options) *Log {
	t.Helper()
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(l) })
	return l
}

// shut closes without waiting for anybody to take the events.
func shut(l *Log) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = l.Close(ctx)
}

// abandon leaves a journal as a process does that dies: nothing is flushed or saved.
// What has been handed to the system is on the disk.
func abandon(t testing.TB, l *Log) {
	t.Helper()
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	close(l.quit)
	l.writing.Wait()
	l.stop()
	l.shipping.Wait()
	close(l.synced)
	l.syncing.Wait()
	if err := l.lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	l.closing.Do(func() { close(l.done) })
}

func flush(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
}

// event is what the tests look at.
type event struct {
	ID      string          `json:"event_id"`
	Time    string          `json:"time"`
	Request string          `json:"request_id"`
	Session string          `json:"session_id"`
	Seq     uint64          `json:"event_seq"`
	Type    Type            `json:"event_type"`
	User    string          `json:"user_id"`
	Agent   string          `json:"agent"`
	Prov    string          `json:"provider"`
	Model   string          `json:"model"`
	Payload json.RawMessage `json:"payload"`
	Trace   string          `json:"traceparent"`
}

func decode(t testing.TB, value []byte) event {
	t.Helper()
	var e event
	if err := json.Unmarshal(value, &e); err != nil {
		t.Fatalf("%v in %.200q", err, value)
	}
	return e
}

// readAll returns the events on the disk; anything wrong there fails the test.
func readAll(t testing.TB, dir string) []event {
	t.Helper()
	var all []event
	for line, err := range Read(within(t), dir, ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, decode(t, line.Value))
	}
	return all
}

// checkSum checks that what was produced is accounted for (contract U3).
func checkSum(t testing.TB, s Stats) {
	t.Helper()
	if s.Produced != s.Acked+s.Journaled+s.Queued+s.Dropped {
		t.Errorf("%d produced, but %d acked + %d journaled + %d queued + %d dropped", s.Produced, s.Acked, s.Journaled, s.Queued, s.Dropped)
	}
	var sum uint64
	for _, n := range s.DroppedBy {
		sum += n
	}
	if sum != s.Dropped {
		t.Errorf("%d dropped, but %v", s.Dropped, s.DroppedBy)
	}
}

func answer(i int) Event {
	return Event{Provider: "p", Model: "m", Payload: Answer{Status: 200, Bytes: i, Content: fmt.Sprint("answer ", i)}}
}

// target is a Sender that keeps what it gets.
type target struct {
	mu     sync.Mutex
	got    []event
	keys   []string
	traces []string
	calls  int
	closed bool

	// send decides before anything is taken. Its results are Send's.
	send func(ctx context.Context, call int, batch []Record) []error
}

var errDown = errors.New("the broker is down")

func (s *target) Send(ctx context.Context, batch []Record) []error {
	s.mu.Lock()
	s.calls++
	call, send := s.calls, s.send
	s.mu.Unlock()
	var results []error
	if send != nil {
		results = send(ctx, call, batch)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		panic("used after Close")
	}
	for i, r := range batch {
		if len(results) > 0 && results[i] != nil {
			continue
		}
		var e event
		if err := json.Unmarshal(r.Value, &e); err != nil {
			panic(err)
		}
		s.got = append(s.got, e)
		s.keys = append(s.keys, string(r.Key))
		s.traces = append(s.traces, r.TraceParent)
	}
	return results
}

func (s *target) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		panic("closed twice")
	}
	s.closed = true
	return nil
}

func (s *target) events() []event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]event(nil), s.got...)
}

func (s *target) is(f func(s *target) bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return f(s)
}

// allFail is the result of a Send that has shipped nothing.
func allFail(batch []Record, err error) []error {
	results := make([]error, len(batch))
	for i := range results {
		results[i] = err
	}
	return results
}

// whileDown fails until up is closed.
func whileDown(up <-chan struct{}) func(context.Context, int, []Record) []error {
	return func(_ context.Context, _ int, batch []Record) []error {
		select {
		case <-up:
			return nil
		default:
			return allFail(batch, errDown)
		}
	}
}

// seqs checks that every request's events are there from 1 to n, each once, in order.
func seqs(t testing.TB, all []event, requests, n int) {
	t.Helper()
	last := make(map[string]uint64)
	ids := make(map[string]bool, len(all))
	for _, e := range all {
		if e.Seq != last[e.Request]+1 {
			t.Fatalf("%s: event %d comes after %d", e.Request, e.Seq, last[e.Request])
		}
		last[e.Request] = e.Seq
		if ids[e.ID] {
			t.Fatalf("the event id %s twice", e.ID)
		}
		ids[e.ID] = true
	}
	if len(last) != requests {
		t.Errorf("events of %d requests, want %d", len(last), requests)
	}
	for id, got := range last {
		if got != uint64(n) {
			t.Errorf("%s: %d events, want %d", id, got, n)
		}
	}
}
