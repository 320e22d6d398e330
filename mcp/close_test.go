package mcp

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A reload ends idle sessions at once, and those in use after their last call.
func TestClose(t *testing.T) {
	r := newRaw()
	var ended atomic.Int64
	r.any = func(_ http.ResponseWriter, q *http.Request, _ ask) bool {
		if q.Method == http.MethodDelete {
			ended.Add(1)
		}
		return false
	}
	url := serve(t, r).URL
	idle, err := New(Options{Name: "test", URL: url}, new(State))
	if err != nil {
		t.Fatal(err)
	}
	idle.Offer(t.Context())
	idle.Close()
	idle.Close()
	eventually(t, "the session has ended", func() bool { return ended.Load() == 1 })

	used, err := New(Options{Name: "test", URL: url}, new(State))
	if err != nil {
		t.Fatal(err)
	}
	used.Offer(t.Context())
	type outcome struct {
		res *Result
		err error
	}
	ch := make(chan outcome)
	go func() {
		res, err := used.Call(t.Context(), Call{Tool: "slow", Arguments: args("slow")})
		ch <- outcome{res, err}
	}()
	eventually(t, "the call is under way", func() bool { return r.calls.Load() == 1 })
	used.Close()
	say(t, used, "beside it, the session is there")
	if n := ended.Load(); n != 1 {
		t.Errorf("%d sessions have ended", n)
	}
	close(r.release)
	if got := <-ch; got.err != nil || got.res.Text != "slow" {
		t.Errorf("got %+v", got)
	}
	eventually(t, "the session has ended", func() bool { return ended.Load() == 2 })

	// A run of the old configuration goes on.
	say(t, used, "late")
	eventually(t, "its session has ended", func() bool { return ended.Load() == 3 })
}

// Closing waits for nothing, even while connecting to what says nothing.
func TestCloseWhileConnecting(t *testing.T) {
	r := newRaw()
	r.any = func(_ http.ResponseWriter, q *http.Request, _ ask) bool {
		<-q.Context().Done()
		return true
	}
	s, err := New(Options{Name: "test", URL: serve(t, r).URL}, new(State))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ch := make(chan error)
	go func() {
		_, err := s.Call(ctx, Call{Tool: "echo"})
		ch <- err
	}()
	eventually(t, "it connects", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.dialing != nil && s.dialing.waiters == 1 })
	start := time.Now()
	s.Close()
	if took := time.Since(start); took > 100*time.Millisecond {
		t.Errorf("closing took %v", took)
	}
	cancel()
	if k := kindOf(t, <-ch); k != KindCanceled {
		t.Errorf("got %v", k)
	}
	eventually(t, "it has given up", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.dialing == nil })
}

// Nothing is started by making a Server.
func TestNewDoesNothing(t *testing.T) {
	r := newRaw()
	s := open(t, Options{URL: serve(t, r).URL})
	_ = s.Status()
	s.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.headers) != 0 {
		t.Errorf("%d requests", len(r.headers))
	}
}

func TestNewRefuses(t *testing.T) {
	for name, o := range map[string]Options{
		"no name":     {URL: "http://a"},
		"neither":     {Name: "a"},
		"both":        {Name: "a", URL: "http://a", Command: []string{"a"}},
		"no program":  {Name: "a", Command: []string{""}},
		"scheme":      {Name: "a", URL: "ftp://a"},
		"no host":     {Name: "a", URL: "http:///a"},
		"credentials": {Name: "a", URL: "http://u:canary@a"},
		"unreadable":  {Name: "a", URL: "http://canary a"},
		"header":      {Name: "a", URL: "http://a", Header: http.Header{"mcp-session-id": {"canary"}}},
		"no value":    {Name: "a", URL: "http://a", Header: http.Header{"X": nil}},
	} {
		if _, err := New(o, new(State)); err == nil {
			t.Errorf("%s: it was made", name)
		} else if got := err.Error(); len(got) > 120 || strings.Contains(got, "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// contract: M5
func TestModernListens(t *testing.T) {
	r := newRaw()
	r.modern = true
	changed := make(chan struct{})
	var listens atomic.Int64
	r.any = func(w http.ResponseWriter, q *http.Request, a ask) bool {
		switch a.Method {
		case "server/discover":
			answer(w, a, `{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true}},"ttlMs":0,"cacheScope":"public"}`)
			return true
		case "subscriptions/listen":
			listens.Add(1)
			sends(w, stream, event1(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{}}`))
			for {
				select {
				case <-changed:
					sends(w, stream, event1(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{}}`)+event1("{garbage")+"nonsense\n\n")
				case <-q.Context().Done():
					return true
				}
			}
		}
		return false
	}
	s := open(t, Options{URL: serve(t, r).URL})
	if got := names(s.Offer(t.Context())); got != "echo slow" {
		t.Fatalf("offers %q (%+v)", got, s.Status())
	}
	for _, name := range []string{"a", "b"} {
		r.set(func() { r.acts[name] = echo })
		select {
		case changed <- struct{}{}:
		case <-time.After(5 * time.Second):
			t.Fatal("it does not listen")
		}
		eventually(t, "the new list", func() bool { return strings.Contains(names(s.Offer(t.Context())), name+" ") })
		say(t, s, "x")
	}
	if n := listens.Load(); n != 1 {
		t.Errorf("it listens %d times", n)
	}
}
