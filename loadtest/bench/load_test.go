package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestScheduleIsFixedByRate(t *testing.T) {
	s := schedule{start: time.Unix(100, 0), rate: 500}
	for i, want := range map[int]time.Duration{0: 0, 1: 2 * time.Millisecond, 500: time.Second, 1_000_000: 2000 * time.Second} {
		if got := s.at(i).Sub(s.start); got != want {
			t.Errorf("request %d leaves after %s, want %s", i, got, want)
		}
	}
}

// A server that stalls once must show in every request meant to leave during the stall, though only one of them met it.
func TestOpenLoopCountsRequestsDelayedByAStall(t *testing.T) {
	const stall = 200 * time.Millisecond
	var n atomic.Int64
	up := newUpstream(timing{pace: time.Second})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 10 {
			time.Sleep(stall) //nolint:forbidigo // the stall is what is tested
		}
		up.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	p := newPool(strings.TrimPrefix(srv.URL, "http://"), "t", 1, 2) // one connection: the stall holds up all that follow
	t.Cleanup(p.close)
	r := openLoop(t.Context(), p, plain, 100, 500)
	if err := r.problem(); err != nil {
		t.Fatal(err)
	}
	slow := 0
	for _, d := range r.sorted {
		if d >= stall/4 {
			slow++
		}
	}
	if slow < 50 { // 75 requests were due in the first three quarters of the stall
		t.Errorf("%d of %d latencies show the stall", slow, len(r.sorted))
	}
}

func TestClosedLoopCountsAll(t *testing.T) {
	srv := httptest.NewServer(newUpstream(timing{pace: time.Second}))
	t.Cleanup(srv.Close)
	p := newPool(strings.TrimPrefix(srv.URL, "http://"), "t", 4, 2)
	t.Cleanup(p.close)
	for _, k := range kinds {
		r := closedLoop(t.Context(), p, k, 101, 4)
		if err := r.problem(); err != nil || r.Requests != 101 || len(r.sorted) != 101 {
			t.Errorf("%s: %d requests, %d latencies: %v", k, r.Requests, len(r.sorted), err)
		}
	}
	srv.CloseClientConnections()
	srv.Close()
	if r := closedLoop(t.Context(), p, plain, 10, 4); r.Failed != 10 {
		t.Errorf("server gone: %+v", r.tally)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := openLoop(ctx, p, plain, 10, 500); r.Requests != 0 {
		t.Errorf("given up, yet %d requests", r.Requests)
	}
}

func TestOpenStreamsKeepsThemOpen(t *testing.T) {
	srv := httptest.NewServer(newUpstream(timing{pace: 5 * time.Millisecond}))
	t.Cleanup(srv.Close)
	p := newPool(strings.TrimPrefix(srv.URL, "http://"), "t", 1, 2)
	s, err := openStreams(t.Context(), p, 40)
	defer s.close()
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); s.events.Load() < 200 && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond) //nolint:forbidigo // polls until the deadline
	}
	if alive, events := s.alive.Load(), s.events.Load(); alive != 40 || events < 200 {
		t.Errorf("%d streams open, %d events: %s", alive, events, s.firstErr())
	}
}
