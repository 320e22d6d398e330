package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/universal-ai-gateway/magicproxy/audit"
	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
)

func broker(t testing.TB) string {
	t.Helper()
	return backendtest.Shared(t, "kafka")
}

// topic makes a topic of the test's own, and returns options for it.
func topic(t testing.TB, broker string, partitions int) Options {
	t.Helper()
	return Options{Brokers: []string{broker}, Topic: backendtest.KafkaTopic(t, broker, partitions)}
}

// create makes a topic that needs something special, until the test ends.
func create(t testing.TB, broker, name string, config ...kafkago.ConfigEntry) Options {
	t.Helper()
	o := Options{Brokers: []string{broker}, Topic: name}
	c, tr, err := o.client()
	if err != nil {
		t.Fatal(err)
	}
	defer tr.CloseIdleConnections()
	res, err := c.CreateTopics(t.Context(), &kafkago.CreateTopicsRequest{Topics: []kafkago.TopicConfig{{
		Topic: name, NumPartitions: 1, ReplicationFactor: -1, ConfigEntries: config,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Errors[name]; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c, tr, _ := o.client()
		defer tr.CloseIdleConnections()
		_, err := c.DeleteTopics(context.Background(), &kafkago.DeleteTopicsRequest{Topics: []string{name}})
		if err != nil {
			t.Error(err)
		}
	})
	return o
}

func sender(t testing.TB, o Options) *Sender {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() }) //nolint:errcheck // closing what is given up
	return s
}

// ship sends until all of a batch is taken or rejected, as the journal's worker does,
// and returns the rejected.
func ship(t testing.TB, s *Sender, batch []audit.Record) (gone []int) {
	t.Helper()
	left := make([]int, len(batch))
	for i := range left {
		left[i] = i
	}
	for deadline := time.Now().Add(60 * time.Second); len(left) > 0; {
		part := make([]audit.Record, len(left))
		for i, at := range left {
			part[i] = batch[at]
		}
		var again []int
		var last error
		results := s.Send(t.Context(), part)
		for i, err := range results {
			switch {
			case err == nil:
			case errors.Is(err, audit.ErrRejected):
				gone = append(gone, left[i])
			default:
				again, last = append(again, left[i]), err
			}
		}
		if left = again; last != nil {
			if time.Now().After(deadline) {
				t.Fatal(last)
			}
			pause(t)
		}
	}
	return gone
}

func pause(t testing.TB) {
	t.Helper()
	select {
	case <-t.Context().Done():
	case <-time.After(20 * time.Millisecond):
	}
}

// all reads a topic from its start to its end.
func all(t testing.TB, o Options) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var got []string
	for v, err := range Read(ctx, o, Reading{FromStart: true}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(v))
	}
	return got
}

// numbered makes n records of a key each, all of some bytes; their values begin with
// the key and the number.
func numbered(n, size int, keys ...string) []audit.Record {
	var batch []audit.Record
	for i := range n {
		for _, k := range keys {
			v := fmt.Sprintf("%s %06d ", k, i)
			v += strings.Repeat("x", max(size-len(v), 0))
			batch = append(batch, audit.Record{Key: []byte(k), Value: []byte(v)})
		}
	}
	return batch
}

// inOrder checks that of each key all numbers are there and in order, doubles aside.
func inOrder(t testing.TB, got []string, n int, keys ...string) {
	t.Helper()
	next := make(map[string]int)
	for _, v := range got {
		var k string
		var i int
		if _, err := fmt.Sscanf(v, "%s %d", &k, &i); err != nil {
			t.Fatalf("%.40q: %v", v, err)
		}
		switch {
		case i > next[k]:
			t.Fatalf("%s: %d comes before %d", k, i, next[k])
		case i == next[k]:
			next[k]++
		}
	}
	for _, k := range keys {
		if next[k] != n {
			t.Errorf("%s: %d of %d have arrived", k, next[k], n)
		}
	}
}
