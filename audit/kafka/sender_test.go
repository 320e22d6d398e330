package kafka

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/universal-ai-gateway/magicproxy/audit"
)

// contract: U1
func TestRecordsArrive(t *testing.T) {
	o := topic(t, broker(t), 3)
	s := sender(t, o)
	keys := []string{"s_1", "s_2", "s_3", "s_4", "r_5", "r_6", "r_7"}
	const n = 300
	batch := numbered(n, 200, keys...)
	for part := range slices.Chunk(batch, 500) {
		if gone := ship(t, s, part); gone != nil {
			t.Fatalf("rejected are %v", gone)
		}
	}
	got := all(t, o)
	if len(got) != len(batch) {
		t.Errorf("%d records have become %d", len(batch), len(got))
	}
	inOrder(t, got, n, keys...)
}

// contract: U1
func TestKeyAndHeaders(t *testing.T) {
	o := topic(t, broker(t), 1)
	s := sender(t, o)
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	ship(t, s, []audit.Record{
		{Key: []byte("s_1"), Value: []byte(`{"event_id":"e1","time":"t","event_type":"usage","payload":{"event_type":"x"}}`), TraceParent: parent},
		{Key: []byte("r_1"), Value: []byte(`{"event_id":"e2"}`)},
		{Value: []byte(`{}`)},
	})
	res, err := s.client.Fetch(t.Context(), &kafkago.FetchRequest{Topic: o.Topic, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct{ key, headers string }{
		{"s_1", "event_id=e1 event_type=usage traceparent=" + parent},
		{"r_1", "event_id=e2"},
		{"", ""},
	} {
		r, err := res.Records.ReadRecord()
		if err != nil {
			t.Fatal(err)
		}
		var key []byte
		if r.Key != nil {
			if key, err = kafkago.ReadAll(r.Key); err != nil {
				t.Fatal(err)
			}
		}
		var headers []string
		for _, h := range r.Headers {
			headers = append(headers, h.Key+"="+string(h.Value))
		}
		if got := strings.Join(headers, " "); string(key) != want.key || got != want.headers {
			t.Errorf("key %q, headers %s; want %q, %s", key, got, want.key, want.headers)
		}
	}
}

// A topic that is made later is found.
//
// fault: K3
func TestTopicIsMissing(t *testing.T) {
	b := broker(t)
	o := Options{Brokers: []string{b}, Topic: "test_later_" + strings.ToLower(rand.Text())}
	s := sender(t, o)
	batch := numbered(3, 10, "k")
	for _, err := range s.Send(t.Context(), batch) {
		if err == nil || errors.Is(err, audit.ErrRejected) || !strings.Contains(err.Error(), "know no topic "+o.Topic) {
			t.Fatalf("result is %v", err)
		}
	}
	create(t, b, o.Topic)
	ship(t, s, batch)
	inOrder(t, all(t, o), 3, "k")
}

// What a topic never takes is told apart, and holds nothing up.
//
// contract: U3
func TestTooLarge(t *testing.T) {
	o := create(t, broker(t), "test_small_"+strings.ToLower(rand.Text()), kafkago.ConfigEntry{ConfigName: "max.message.bytes", ConfigValue: "10000"})
	s := sender(t, o)
	batch := numbered(60, 1000, "k")
	large := audit.Record{Key: []byte("k"), Value: bytes.Repeat([]byte("y"), 20_000)}
	batch = slices.Insert(batch, 31, large)
	var results []error
	for deadline := time.Now().Add(20 * time.Second); ; pause(t) { // brokers hear of a topic one after the other
		results = s.Send(t.Context(), batch)
		if len(results) == 0 || results[0] == nil || time.Now().After(deadline) {
			break
		}
	}
	if len(results) != len(batch) {
		t.Fatalf("%d results of %d", len(results), len(batch))
	}
	for i, err := range results {
		if want := i == 31; errors.Is(err, audit.ErrRejected) != want || (err != nil) != want {
			t.Errorf("result %d is %v", i, err)
		}
	}
	inOrder(t, all(t, o), 60, "k")
	if s.max > 10_000 {
		t.Errorf("writes have up to %d bytes still", s.max)
	}
	s.then = s.then.Add(-2 * relearn)
	if set, _ := s.cut(batch, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}); len(set) != 13 {
		t.Errorf("a minute later %d records go into a write", len(set))
	}
}

// The second of several writes to a partition fails: what is behind it waits for it.
//
// contract: U2
func TestOrderAfterPartialFailure(t *testing.T) {
	o := topic(t, broker(t), 1)
	s := sender(t, o)
	const n, size = 40, 100_000 // five writes
	var writes atomic.Int32
	dial := s.transport.Dial
	s.transport.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &broken{Conn: c, failed: func(p []byte) bool { return len(p) > 10_000 && writes.Add(1) == 20 }}, nil
	}
	batch := numbered(n, size, "k")
	results := s.Send(t.Context(), batch)
	first := slices.IndexFunc(results, func(err error) bool { return err != nil })
	if first <= 0 {
		t.Fatalf("the first of %d records that was not taken is %d", n, first)
	}
	for i, err := range results[first:] {
		if err == nil {
			t.Fatalf("%d was not taken, %d was", first, first+i)
		}
	}
	ship(t, s, batch[first:])
	inOrder(t, all(t, o), n, "k")
}

// broken is a connection that one write cuts.
type broken struct {
	net.Conn
	failed func([]byte) bool
}

func (c *broken) Write(p []byte) (int, error) {
	if c.failed(p) {
		c.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

// A broker that does not say anything holds nobody beyond the end of the context.
func TestSendIsGivenUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := sender(t, Options{Brokers: []string{l.Addr().String()}})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	done := make(chan []error, 1)
	go func() { done <- s.Send(ctx, numbered(1, 10, "k")) }()
	select {
	case results := <-done:
		if results[0] == nil || errors.Is(results[0], audit.ErrRejected) {
			t.Errorf("result is %v", results[0])
		}
	case <-time.After(5 * time.Second):
		t.Fatal("still sending")
	}
}

// Who gives a batch up may use its bytes again.
func TestNothingIsReadAfterTheEnd(t *testing.T) {
	batch := numbered(2, 10, "k")
	r := &records{batch: batch, set: []int{0, 1}}
	rec, err := r.ReadRecord()
	if err != nil {
		t.Fatal(err)
	}
	r.end()
	var b bytes.Buffer
	if n, err := rec.Value.(*field).WriteTo(&b); n != 0 || err != errEnded {
		t.Errorf("wrote %d bytes, %v", n, err)
	}
	if n, err := rec.Key.Read(make([]byte, 9)); n != 0 || err != errEnded {
		t.Errorf("read %d bytes, %v", n, err)
	}
	if _, err := r.ReadRecord(); err != errEnded {
		t.Errorf("the next record: %v", err)
	}
}

func TestClosed(t *testing.T) {
	s, err := New(Options{Brokers: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if results := s.Send(t.Context(), numbered(1, 1, "k")); results[0] == nil {
		t.Error("a closed sender sends")
	}
}
