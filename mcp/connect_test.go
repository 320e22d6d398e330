package mcp

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// contract: M1
func TestEraIsFoundOnce(t *testing.T) {
	r := newRaw()
	var probes atomic.Int64
	r.any = func(_ http.ResponseWriter, _ *http.Request, a ask) bool {
		if a.Method == "server/discover" {
			probes.Add(1)
		}
		return false
	}
	srv := serve(t, r)
	var st State
	for range 3 { // configurations
		s, err := New(Options{Name: "test", URL: srv.URL}, &st)
		if err != nil {
			t.Fatal(err)
		}
		say(t, s, "x")
		s.Close()
	}
	if n := probes.Load(); n != 1 {
		t.Errorf("probed %d times, want 1", n)
	}
	// The server learns the new era only.
	r.set(func() {
		r.modern = true
		r.any = func(w http.ResponseWriter, _ *http.Request, a ask) bool {
			if a.Method == "initialize" {
				http.Error(w, "no such method", http.StatusBadRequest)
				return true
			}
			return false
		}
	})
	s := openWith(t, Options{URL: srv.URL}, &st)
	say(t, s, "x")
	if got := s.Status().Version; got != modernVersion {
		t.Errorf("speaks %s", got)
	}
}

// A probe that the server leaves unanswered does not keep us from the older era.
//
// contract: M1
func TestProbeUnanswered(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the probe's time")
	}
	r := newRaw()
	r.any = func(_ http.ResponseWriter, q *http.Request, a ask) bool {
		if a.Method == "server/discover" {
			<-q.Context().Done()
			return true
		}
		return false
	}
	s := open(t, Options{URL: serve(t, r).URL})
	say(t, s, "x")
}

// contract: M2, K6
func TestHostileOpening(t *testing.T) {
	for name, c := range map[string]struct {
		act  act
		want Kind
	}{
		"401":       {status(401, "text/plain", ""), KindRefused},
		"400":       {status(400, "text/plain", ""), KindRefused},
		"404":       {status(404, "text/plain", ""), KindRefused},
		"429":       {status(429, "text/plain", ""), KindLimited},
		"500":       {status(500, "text/plain", ""), KindServer},
		"HTML":      {status(200, "text/html", "<html>"), KindProtocol},
		"garbage":   {status(200, rpcJSON, "{"), KindProtocol},
		"version":   {stays(rpcJSON, `{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"1999-01-01","capabilities":{}}}`), KindProtocol},
		"no result": {stays(rpcJSON, `{"jsonrpc":"2.0","id":%s,"result":{}}`), KindProtocol},
		"types":     {stays(rpcJSON, `{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":7,"capabilities":[]}}`), KindProtocol},
		"error":     {stays(rpcJSON, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32600,"message":"no"}}`), KindProtocol},
		"redirect":  {status(302, "text/plain", "", "Location", "/x"), KindRefused},
		"hang":      {hangs, KindTimeout},
		"session": {func(w http.ResponseWriter, q *http.Request, a ask) {
			w.Header().Set("Mcp-Session-Id", strings.Repeat("x", 5000))
			status(200, rpcJSON, "{")(w, q, a)
		}, KindProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRaw()
			r.any = func(w http.ResponseWriter, q *http.Request, a ask) bool {
				if a.Method == "server/discover" || a.Method == "initialize" {
					c.act(w, q, a)
					return true
				}
				return false
			}
			s := open(t, Options{URL: serve(t, r).URL, Timeout: 500 * time.Millisecond, Breaker: BreakerPolicy{Failures: 1000}})
			start := time.Now()
			_, err := s.Call(t.Context(), Call{Tool: "echo", Arguments: args("x")})
			if k := kindOf(t, err); k != c.want {
				t.Errorf("got %v, want %v: %v (%v)", k, c.want, err, errors.Unwrap(err))
			}
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("it took %v", took)
			}
			r.set(func() { r.any = nil })
			eventually(t, "it recovers", func() bool {
				_, err := s.Call(t.Context(), Call{Tool: "echo", Arguments: args("x")})
				return err == nil
			})
		})
	}
}
