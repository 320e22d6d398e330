package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/universal-ai-gateway/magicproxy/audit"
	"github.com/universal-ai-gateway/magicproxy/audit/kafka"
	"github.com/universal-ai-gateway/magicproxy/audit/verify"
	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// record is an event as a gateway sends it.
func record(request string, seq int, kind, payload string) audit.Record {
	return audit.Record{Key: []byte(request), Value: fmt.Appendf(nil,
		`{"event_id":"%032x","time":"2026-11-25T08:47:25.898477Z","request_id":%q,"event_seq":%d,"event_type":%q,"payload":%s}`, len(request)<<32|seq, request, seq, kind, payload)}
}

// lines takes what a watch writes, and hands out what it has.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// What comes while it watches is told, and what is wrong with it at the end.
func TestWatch(t *testing.T) {
	brokers := backendtest.Shared(t, "kafka")
	o := kafka.Options{Brokers: strings.Split(brokers, ","), Topic: backendtest.KafkaTopic(t, brokers, 3)}
	sender, err := kafka.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sender.Close() }()
	send := func(batch ...audit.Record) {
		t.Helper()
		deadline := time.Now().Add(30 * time.Second)
		for len(batch) > 0 { // a new topic has no leaders for a moment
			var again []audit.Record
			for i, err := range sender.Send(t.Context(), batch) {
				if err != nil {
					again = append(again, batch[i])
				}
			}
			if batch = again; time.Now().After(deadline) {
				t.Fatal("the events were not taken")
			}
		}
	}
	const request, answer = `{"endpoint":"chat","stream":true,"bytes":9}`, `{"status":200,"seconds":0.1,"bytes":5}`
	send(record("req_before", 1, "request", request)) // and its end comes later

	for _, tt := range []struct {
		name  string
		seen  uint64
		wrong string
		batch []audit.Record
	}{
		{"all there", 4, "", []audit.Record{
			record("req_before", 2, "answer", answer), record("req_aa", 1, "request", request), record("req_aa", 2, "answer", answer), record("req_aa", 2, "answer", answer),
		}},
		{"a gap", 2, "req_bbb", []audit.Record{record("req_bbb", 1, "request", request), record("req_bbb", 3, "answer", answer)}},
		{"against the schema", 1, "schema", []audit.Record{record("req_cccc", 1, "answer", `{"state":"unknown"}`)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			check, err := verify.NewChecker(verify.Options{Partial: true})
			if err != nil {
				t.Fatal(err)
			}
			out := new(lines)
			m := &watch{check: check, out: out, asJSON: true, start: time.Now()}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			ended := make(chan error, 1)
			go func() { ended <- m.follow(ctx, o, false, 20*time.Millisecond) }()
			last := func() (s verify.Summary) {
				text := strings.TrimSpace(out.String())
				if text != "" {
					if err := json.Unmarshal([]byte(text[strings.LastIndexByte(text, '\n')+1:]), &s); err != nil {
						t.Fatal(err)
					}
				}
				return s
			}
			wait(t, "it reads", func() bool { return out.String() != "" })
			send(tt.batch...)
			wait(t, "all have come", func() bool { return last().Events == tt.seen })
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			err = m.end()
			if s := last(); tt.wrong == "" && (err != nil || !s.OK || s.Joined != 1 || s.Doubles != 1) {
				t.Errorf("%v: %+v", err, s)
			}
			if tt.wrong != "" && (!errors.Is(err, verify.ErrNotWhole) || !strings.Contains(out.String(), tt.wrong)) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

func wait(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("after 20s it is still not so that %s", what)
		}
	}
}
