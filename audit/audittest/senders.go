// Package audittest says whether a sender of audit events fulfils its contract. Each
// sender's tests run all of it.
//
//	func TestSender(t *testing.T) {
//		audittest.Senders(t, func(t *testing.T) (audit.Sender, func() []string) { return newSender(t) })
//	}
package audittest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/audit"
)

// Open makes a sender to a place of its own, and what reads that place: the values that
// have arrived so far, those of one key in their order. It cleans up with t.Cleanup, and
// closes the sender.
type Open func(t *testing.T) (s audit.Sender, arrived func() []string)

// Senders runs the scenarios of an audit.Sender whose backend is there.
func Senders(t *testing.T, open Open) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s audit.Sender, arrived func() []string)
	}{
		{"nothing to send", nothing},
		{"all arrives, each key in its order", inOrder},
		{"nothing of a batch is kept", unshared},
		{"its context has ended", ended},
		{"one that is too large stops nobody", tooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, arrived := open(t)
			c.run(t, s, arrived)
		})
	}
}

// ctx bounds a call that should not take long.
func ctx(t *testing.T) context.Context {
	t.Helper()
	c, stop := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(stop)
	return c
}

// record makes the n-th event of a key.
func record(key string, n int, more string) audit.Record {
	return audit.Record{
		Key: []byte(key), Value: fmt.Appendf(nil, `{"request_id":%q,"event_seq":%d%s}`, key, n, more),
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
}

// send sends until all of a batch has arrived or is rejected, as the journal does.
func send(t *testing.T, s audit.Sender, batch []audit.Record) (rejected int) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); len(batch) > 0; {
		results := s.Send(ctx(t), batch)
		if results == nil {
			return rejected
		}
		if len(results) != len(batch) {
			t.Fatalf("%d results for %d records", len(results), len(batch))
		}
		var again []audit.Record
		for i, err := range results {
			switch {
			case err == nil:
			case errors.Is(err, audit.ErrRejected):
				rejected++
			default:
				again = append(again, batch[i])
			}
		}
		if batch = again; time.Now().After(end) {
			t.Fatalf("%d records are not taken: %v", len(batch), errors.Join(results...))
		}
	}
	return rejected
}

func nothing(t *testing.T, s audit.Sender, arrived func() []string) {
	if results := s.Send(ctx(t), nil); results != nil {
		t.Errorf("%v", results)
	}
	if got := arrived(); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

// contract: U1, U2
func inOrder(t *testing.T, s audit.Sender, arrived func() []string) {
	const keys, each, batches = 7, 40, 3
	want := 0
	for b := range batches {
		var batch []audit.Record
		for n := range each {
			for k := range keys {
				batch = append(batch, record(fmt.Sprintf("key-%d", k), b*each+n+1, ""))
			}
		}
		want += len(batch)
		if n := send(t, s, batch); n > 0 {
			t.Errorf("%d are rejected", n)
		}
	}
	got := arrived()
	if len(got) < want {
		t.Fatalf("%d of %d have arrived", len(got), want)
	}
	for k := range keys {
		key, last := fmt.Sprintf("key-%d", k), 0
		for _, v := range got {
			if !strings.Contains(v, `"`+key+`"`) {
				continue
			}
			n := 0
			_, rest, _ := strings.Cut(v, `"event_seq":`)
			if _, err := fmt.Sscanf(rest, "%d", &n); err != nil {
				t.Fatalf("%q: %v", v, err)
			}
			if n > last+1 {
				t.Fatalf("%s: %d comes behind %d", key, n, last)
			}
			last = max(last, n) // once more is allowed
		}
		if last != each*batches {
			t.Errorf("%s ends with %d", key, last)
		}
	}
}

func unshared(t *testing.T, s audit.Sender, arrived func() []string) {
	r := record("key", 1, "")
	want := string(r.Value)
	send(t, s, []audit.Record{r})
	copy(r.Value, bytes.Repeat([]byte("x"), len(r.Value)))
	copy(r.Key, "xxx")
	if got := arrived(); len(got) == 0 || !slices.Contains(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func ended(t *testing.T, s audit.Sender, _ func() []string) {
	c, stop := context.WithCancel(t.Context())
	stop()
	from := time.Now()
	results := s.Send(c, []audit.Record{record("key", 1, ""), record("key", 2, "")})
	if took := time.Since(from); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	for _, err := range results {
		if errors.Is(err, audit.ErrRejected) {
			t.Errorf("rejected for good: %v", err)
		}
	}
	if n := send(t, s, []audit.Record{record("key", 1, ""), record("key", 2, "")}); n > 0 { // and it works on
		t.Errorf("%d are rejected", n)
	}
}

func tooLarge(t *testing.T, s audit.Sender, arrived func() []string) {
	large := record("key", 2, `,"text":"`+strings.Repeat("x", 8<<20)+`"`)
	rejected := send(t, s, []audit.Record{record("key", 1, ""), large, record("key", 3, ""), record("other", 1, "")})
	got := arrived()
	if n := len(got); n+rejected < 4 || rejected > 1 {
		t.Errorf("%d have arrived, %d are rejected", n, rejected)
	}
	for _, r := range []audit.Record{record("key", 1, ""), record("key", 3, ""), record("other", 1, "")} {
		if !slices.Contains(got, string(r.Value)) {
			t.Errorf("%s is missing", r.Value)
		}
	}
}
