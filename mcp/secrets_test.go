package mcp

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// contract: M6, X4
func TestHeaders(t *testing.T) {
	r := newRaw()
	s := open(t, Options{URL: serve(t, r).URL, Header: http.Header{"authorization": {"Bearer configured-token"}, "X-Team": {"a", "b"}}})
	s.Offer(t.Context())
	say(t, s, "x")
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.headers {
		if h.Get("Authorization") != "Bearer configured-token" || len(h["X-Team"]) != 2 || h.Get("Accept-Encoding") != "identity" {
			t.Errorf("sent %v", h)
		}
	}
	if len(r.headers) < 4 {
		t.Errorf("%d requests", len(r.headers))
	}
}

// contract: X4
func TestRedirectCarriesNoHeaders(t *testing.T) {
	var hits atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer other.Close()
	r := newRaw()
	r.acts["bad"] = status(307, "text/plain", "", "Location", other.URL)
	s := open(t, Options{URL: serve(t, r).URL, Header: http.Header{"Authorization": {"Bearer configured-token"}}})
	s.Offer(t.Context())
	_, err := s.Call(t.Context(), Call{Tool: "bad"})
	if k := kindOf(t, err); k != KindRefused || hits.Load() != 0 {
		t.Errorf("got %v, the other host was asked %d times", err, hits.Load())
	}
}

// contract: X5
func TestErrorsHaveNoSecrets(t *testing.T) {
	const key = "canary-0123456789"
	r := newRaw()
	r.acts["bad"] = func(w http.ResponseWriter, q *http.Request, a ask) {
		sends(w, rpcJSON, `{"jsonrpc":"2.0","id":`+string(a.ID)+`,"error":{"code":-32000,"message":"\u001b[31mno access for `+q.Header.Get("Authorization")+"\\n"+strings.Repeat("x", 5000)+`"}}`)
	}
	r.acts["tell"] = func(w http.ResponseWriter, q *http.Request, a ask) { answer(w, a, said(q.Header.Get("Authorization"))) }
	srv := serve(t, r)
	s := open(t, Options{URL: srv.URL, Header: http.Header{"Authorization": {"Bearer " + key}}})
	s.Offer(t.Context())
	_, err := s.Call(t.Context(), Call{Tool: "bad"})
	if err == nil || strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), "[redacted]") || strings.ContainsAny(err.Error(), "\x1b\n") || len(err.Error()) > 500 {
		t.Errorf("got %v", err)
	}
	res, err := s.Call(t.Context(), Call{Tool: "tell"})
	if err != nil || res.Text != "[redacted]" {
		t.Errorf("got %+v, %v", res, err)
	}
	hurried := open(t, Options{URL: srv.URL, Timeout: 50 * time.Millisecond})
	r.set(func() { r.acts["hang"] = hangs })
	_, err = hurried.Call(t.Context(), Call{Tool: "hang"})
	if k := kindOf(t, err); k != KindTimeout || strings.Contains(errors.Unwrap(err).Error(), "127.0.0.1") {
		t.Errorf("got %v (%v)", err, errors.Unwrap(err))
	}
	srv.CloseClientConnections()
	srv.Close()
	_, err = s.Call(t.Context(), Call{Tool: "tell"})
	if err == nil || strings.Contains(errors.Unwrap(err).Error(), srv.URL) {
		t.Errorf("got %v", errors.Unwrap(err))
	}
}
