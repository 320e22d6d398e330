package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestSplit(t *testing.T) {
	refused := &refusal{503, true, "busy"}
	good, no, err := split([]event{{took: 3}, {took: 2, err: refused}, {took: 1}, {took: 4, err: refused}})
	if err != nil || len(good) != 2 || good[0] != 1 || len(no) != 2 || no[0] != 2 {
		t.Errorf("%v %v %v", good, no, err)
	}
	for _, bad := range []error{errTruncated, &refusal{503, false, "busy"}, &refusal{500, true, "broken"}} {
		if _, _, err := split([]event{{err: bad}}); !errors.Is(err, bad) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// Whatever becomes of requests, they leave when they were meant to, and each is told.
func TestSoakLoop(t *testing.T) {
	n := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n++; n%2 == 0 { // one connection: one after the other
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		newUpstream(timing{}).ServeHTTP(w, r)
	}))
	defer srv.Close()
	p := newPool(strings.TrimPrefix(srv.URL, "http://"), "t", 1, 2)
	defer p.close()
	all := soakLoop(t.Context(), p, 100, 200*time.Millisecond)
	good, refused, err := split(all)
	if err != nil || len(good) != 10 || len(refused) != 10 {
		t.Fatalf("%d answered, %d refused, %v", len(good), len(refused), err)
	}
	for i, e := range all {
		if want := time.Duration(i) * 10 * time.Millisecond; e.at != want || e.late < 0 {
			t.Errorf("request %d: %+v", i, e)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if all := soakLoop(ctx, p, 100, time.Second); len(all) > 1 {
		t.Errorf("%d were sent after the end", len(all))
	}
}
