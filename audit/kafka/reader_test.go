package kafka

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// Several fetches, each of which ends within a batch of the brokers.
//
// contract: U1
func TestReadMuch(t *testing.T) {
	o := topic(t, broker(t), 1)
	s := sender(t, o)
	const n = 12_000 // 12 MiB
	for part := range slices.Chunk(numbered(n, 1024, "k"), 700) {
		ship(t, s, part)
	}
	got := all(t, o)
	if len(got) != n {
		t.Errorf("%d records have become %d", n, len(got))
	}
	inOrder(t, got, n, "k")
}

func TestReadFrom(t *testing.T) {
	o := topic(t, broker(t), 2)
	s := sender(t, o)
	ship(t, s, numbered(5, 10, "a", "b"))
	count := func(what Reading) (n int, total int64, cut bool) {
		what.Begin = func(events int64, c bool) { total, cut = events, c }
		for _, err := range Read(t.Context(), o, what) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n, total, cut
	}
	if n, total, cut := count(Reading{FromStart: true}); n != 10 || total != 10 || cut {
		t.Errorf("from the start: %d events of %d, cut %v", n, total, cut)
	}
	if n, total, cut := count(Reading{}); n != 0 || total != 0 || !cut {
		t.Errorf("from now on: %d events of %d, cut %v", n, total, cut)
	}
	for _, err := range Read(t.Context(), o, Reading{FromStart: true}) {
		if err != nil {
			t.Error(err)
		}
		break // and nothing stays behind
	}
}

func TestTotal(t *testing.T) {
	r := &reader{what: Reading{FromStart: true}}
	if n, cut := r.total([]span{{0, 5}, {0, 0}}); n != 5 || cut {
		t.Errorf("%d, cut %v", n, cut)
	}
	if n, cut := r.total([]span{{0, 5}, {3, 7}}); n != 9 || !cut {
		t.Errorf("of what has been deleted in part: %d, cut %v", n, cut)
	}
}

func TestReadFollows(t *testing.T) {
	o := topic(t, broker(t), 1)
	s := sender(t, o)
	batch := numbered(3, 10, "k")
	ship(t, s, batch[:1])
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	n := 0
	for v, err := range Read(ctx, o, Reading{FromStart: true, Follow: true}) {
		if n == 3 {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("ends with %v", err)
			}
			n++
			continue
		}
		if err != nil || !bytes.Equal(v, batch[n].Value) {
			t.Fatalf("%q, %v", v, err)
		}
		if n++; n == 3 {
			cancel()
		} else {
			ship(t, s, batch[n:n+1])
		}
	}
	if n != 4 {
		t.Errorf("%d steps", n)
	}
}

func TestReadGivesUp(t *testing.T) {
	o := Options{Brokers: []string{"127.0.0.1:1"}}
	c, transport, err := o.client()
	if err != nil {
		t.Fatal(err)
	}
	defer transport.CloseIdleConnections()
	r := &reader{client: c, o: o, what: Reading{FromStart: true}, out: make(chan piece, 1), patience: 300 * time.Millisecond}
	r.run(t.Context())
	if p := <-r.out; p.err == nil || !strings.HasPrefix(p.err.Error(), "kafka: ") || !strings.Contains(p.err.Error(), "127.0.0.1:1") {
		t.Errorf("says %v", p.err)
	}
	for _, err := range Read(t.Context(), Options{}, Reading{}) {
		if err == nil || err.Error() != "kafka: no broker" {
			t.Errorf("says %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	for _, err := range Read(ctx, o, Reading{Follow: true}) {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("says %v", err)
		}
	}
}
