package mcp

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// rawSSE is a tool server of 2024-11-05 made by hand.
type rawSSE struct {
	raw      *raw
	endpoint string
	opened   atomic.Int64

	mu  sync.Mutex
	out chan string // of the stream that is open
}

func (s *rawSSE) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/":
		http.Error(w, "no", http.StatusMethodNotAllowed)
	case r.Method == http.MethodGet:
		s.opened.Add(1)
		out := make(chan string, 100)
		s.mu.Lock()
		s.out = out
		s.mu.Unlock()
		sends(w, stream, "event: endpoint\ndata: "+s.endpoint+"\n\n")
		for {
			select {
			case m := <-out:
				if m == "" {
					return
				}
				sends(w, stream, m)
			case <-r.Context().Done():
				return
			}
		}
	case r.Method == http.MethodPost:
		s.post(w, r)
	}
}

func (s *rawSSE) post(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var a ask
	_ = json.Unmarshal(body, &a)
	s.mu.Lock()
	out := s.out
	s.mu.Unlock()
	switch name := a.Params.Name; {
	case name == "401":
		http.Error(w, "no", http.StatusUnauthorized)
		return
	case name == "lost" && s.opened.Load() == 1:
		http.Error(w, "session not found", http.StatusNotFound)
		return
	case name == "garbage":
		out <- event1(`{"jsonrpc":"2.0","id":` + string(a.ID) + `,"result":{`)
	case name == "oversize":
		out <- "data: " + `{"jsonrpc":"2.0","id":` + string(a.ID) + `,"result":{"content":[{"type":"text","text":"` + strings.Repeat("x", 2*maxMessage) + `"}]}}` + "\n\n"
	case name == "end":
		out <- ""
	case name == "hang":
	default:
		rec := &recorder{header: make(http.Header)}
		s.raw.ServeHTTP(rec, cloneWith(r, body))
		if strings.Contains(rec.header.Get("Content-Type"), "json") {
			out <- event1(rec.body.String())
		}
	}
	w.WriteHeader(http.StatusAccepted)
}

type recorder struct {
	header http.Header
	body   strings.Builder
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(int)             {}
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

func cloneWith(r *http.Request, body []byte) *http.Request {
	c := r.Clone(r.Context())
	c.Body = io.NopCloser(strings.NewReader(string(body)))
	return c
}

func newRawSSE() *rawSSE {
	s := &rawSSE{raw: newRaw(), endpoint: "/post?session=1"}
	for _, name := range []string{"401", "lost", "garbage", "oversize", "end", "hang"} {
		s.raw.acts[name] = echo
	}
	return s
}

// contract: M1, M2, K6
func TestSSEIsolation(t *testing.T) {
	for name, want := range map[string]Kind{"401": KindRefused, "garbage": KindProtocol, "oversize": KindProtocol, "hang": KindTimeout} {
		t.Run(name, func(t *testing.T) {
			r := newRawSSE()
			s := open(t, Options{URL: serve(t, r).URL, Timeout: 2 * time.Second})
			if o := s.Offer(t.Context()); o.Down != "" || s.Status().Transport != "sse" {
				t.Fatalf("offers %+v over %s", o, s.Status().Transport)
			}
			beside(t, r.raw, s, func() {
				timeout := 20 * time.Second
				if want == KindTimeout {
					timeout = 200 * time.Millisecond
				}
				ctx, cancel := contextWith(t, timeout)
				defer cancel()
				_, err := s.Call(ctx, Call{Tool: name})
				if k := kindOf(t, err); k != want {
					t.Errorf("got %v (%v), want %v", err, errors.Unwrap(err), want)
				}
			})
		})
	}
}

// contract: M3
func TestSSESession(t *testing.T) {
	r := newRawSSE()
	s := open(t, Options{URL: serve(t, r).URL, Timeout: 5 * time.Second})
	say(t, s, "x")
	if _, err := s.Call(t.Context(), Call{Tool: "lost"}); err != nil {
		t.Errorf("a lost session: %v", err)
	}
	if n := r.opened.Load(); n != 2 {
		t.Errorf("opened %d streams", n)
	}
	_, err := s.Call(t.Context(), Call{Tool: "end"})
	if k := kindOf(t, err); k != KindProtocol {
		t.Errorf("a stream that ends: %v", err)
	}
	say(t, s, "again")
}

// Our headers go to no other host.
//
// contract: X4
func TestSSEEndpoint(t *testing.T) {
	var hits atomic.Int64
	other := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	r := newRawSSE()
	r.endpoint = other.URL + "/post"
	s := open(t, Options{URL: serve(t, r).URL, Header: http.Header{"Authorization": {"Bearer configured-token"}}})
	_, err := s.Call(t.Context(), Call{Tool: "echo"})
	if err == nil || hits.Load() != 0 {
		t.Errorf("got %v, the other host was asked %d times", err, hits.Load())
	}
}
