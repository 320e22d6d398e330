package mcp

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// contract: M3
func TestLostSession(t *testing.T) {
	cases := map[string]struct {
		refuse act
		want   Kind // kinds: the call goes well
	}{
		"404":           {status(404, "text/plain", "session not found"), kinds},
		"404 error":     {status(404, rpcJSON, `{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}`), kinds},
		"400 session":   {status(400, rpcJSON, `{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: No valid session ID provided"}}`), kinds},
		"400 otherwise": {status(400, "text/plain", "no"), KindRefused},
		"500":           {status(500, "text/plain", "session store is down"), KindServer},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRaw()
			var run atomic.Int64
			r.acts["count"] = func(w http.ResponseWriter, q *http.Request, a ask) {
				run.Add(1)
				answer(w, a, said("counted"))
			}
			r.any = func(w http.ResponseWriter, q *http.Request, a ask) bool {
				if a.Method != "tools/call" || r.valid.Load() {
					return false
				}
				c.refuse(w, q, a)
				return true
			}
			s := open(t, Options{URL: serve(t, r).URL})
			s.Offer(t.Context())
			r.valid.Store(false) // the server has started anew
			res, err := s.Call(t.Context(), Call{Tool: "count"})
			if c.want != kinds {
				if k := kindOf(t, err); k != c.want || run.Load() != 0 {
					t.Errorf("got %v, ran %d times", err, run.Load())
				}
				return
			}
			if err != nil || res.Text != "counted" || run.Load() != 1 {
				t.Fatalf("got %+v, %v, ran %d times", res, err, run.Load())
			}
			if n := r.sessions.Load(); n != 2 {
				t.Errorf("opened %d sessions, want 2", n)
			}
		})
	}
}

// A server that knows no session it has given out is not asked for ever.
//
// contract: M3
func TestSessionLostAgain(t *testing.T) {
	r := newRaw()
	var calls atomic.Int64
	r.any = func(w http.ResponseWriter, q *http.Request, a ask) bool {
		if a.Method != "tools/call" {
			return false
		}
		calls.Add(1)
		http.Error(w, "session not found", http.StatusNotFound)
		return true
	}
	s := open(t, Options{URL: serve(t, r).URL})
	s.Offer(t.Context())
	_, err := s.Call(t.Context(), Call{Tool: "echo"})
	if k := kindOf(t, err); k != KindRefused || calls.Load() != 2 {
		t.Errorf("got %v after %d calls", err, calls.Load())
	}
}

// A stream that ends before its answer is picked up where it was left.
//
// contract: M1
func TestStreamIsPickedUp(t *testing.T) {
	r := newRaw()
	var id, last string
	r.acts["poll"] = func(w http.ResponseWriter, _ *http.Request, a ask) {
		id = string(a.ID)
		sends(w, stream, "id: one\nretry: 10\ndata:\n\n")
	}
	r.any = func(w http.ResponseWriter, q *http.Request, _ ask) bool {
		if q.Method != http.MethodGet {
			return false
		}
		if last = q.Header.Get("Last-Event-Id"); last == "one" {
			sends(w, stream, "id: two\nretry: 10\ndata:\n\n")
			return true
		}
		sends(w, stream, event1(`{"jsonrpc":"2.0","id":`+id+`,"result":`+said("at last")+`}`))
		return true
	}
	s := open(t, Options{URL: serve(t, r).URL})
	s.Offer(t.Context())
	res, err := s.Call(t.Context(), Call{Tool: "poll"})
	if err != nil || res.Text != "at last" || last != "two" {
		t.Errorf("got %+v, %v after %q", res, err, last)
	}
}

// Many calls that lose a session at once open one new one.
//
// contract: M3
func TestLostSessionOfMany(t *testing.T) {
	r := newRaw()
	r.any = func(w http.ResponseWriter, q *http.Request, a ask) bool {
		if a.Method == "tools/call" && q.Header.Get("Mcp-Session-Id") == "s1" {
			http.Error(w, "session not found", http.StatusNotFound)
			return true
		}
		return false
	}
	s := open(t, Options{URL: serve(t, r).URL})
	s.Offer(t.Context())
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := s.Call(t.Context(), Call{Tool: "echo", Arguments: args("x")}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := r.sessions.Load(); n != 2 {
		t.Errorf("opened %d sessions, want 2", n)
	}
}

// contract: M3
func TestRepeats(t *testing.T) {
	for name, c := range map[string]struct {
		idempotent []string
		act        act
		want       int64
	}{
		"broken off":             {nil, func(http.ResponseWriter, *http.Request, ask) { panic(http.ErrAbortHandler) }, 1},
		"broken off, idempotent": {[]string{"b*"}, func(http.ResponseWriter, *http.Request, ask) { panic(http.ErrAbortHandler) }, 2},
		"500":                    {nil, status(500, "text/plain", ""), 1},
		"500, idempotent":        {[]string{"bad"}, status(500, "text/plain", ""), 2},
		"401, idempotent":        {[]string{"*"}, status(401, "text/plain", ""), 1},
		"hang, idempotent":       {[]string{"*"}, hangs, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRaw()
			r.acts["bad"] = c.act
			s := open(t, Options{URL: serve(t, r).URL, Idempotent: c.idempotent, Timeout: 300 * time.Millisecond, Breaker: BreakerPolicy{Failures: 100}})
			s.Offer(t.Context())
			if _, err := s.Call(t.Context(), Call{Tool: "bad"}); err == nil {
				t.Fatal("it went well")
			}
			if n := r.calls.Load(); n != c.want {
				t.Errorf("called %d times, want %d", n, c.want)
			}
		})
	}
}

// contract: M4
func TestDialRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	s := open(t, Options{URL: "http://" + addr})
	_, err = s.Call(t.Context(), Call{Tool: "echo"})
	if k := kindOf(t, err); k != KindDial {
		t.Fatalf("got %v", err)
	}
	_, err = s.Call(t.Context(), Call{Tool: "echo"})
	if k := kindOf(t, err); k != KindOpen {
		t.Errorf("then got %v", err)
	}
	if o := s.Offer(t.Context()); o.Down == "" || len(o.Tools) != 0 {
		t.Errorf("offers %+v", o)
	}
}

// contract: S9
func TestCallerLeaves(t *testing.T) {
	r := newRaw()
	gone := make(chan struct{})
	r.acts["hang"] = func(_ http.ResponseWriter, q *http.Request, _ ask) {
		<-q.Context().Done()
		close(gone)
	}
	s := open(t, Options{URL: serve(t, r).URL, Breaker: BreakerPolicy{Failures: 1}})
	s.Offer(t.Context())
	beside(t, r, s, func() {
		ctx, cancel := context.WithCancel(t.Context())
		calls := r.calls.Load()
		time.AfterFunc(0, func() {
			eventually(t, "the call is under way", func() bool { return r.calls.Load() > calls })
			cancel()
		})
		_, err := s.Call(ctx, Call{Tool: "hang"})
		if k := kindOf(t, err); k != KindCanceled {
			t.Errorf("got %v", err)
		}
		select {
		case <-gone:
		case <-time.After(5 * time.Second):
			t.Error("the server never heard of it")
		}
	})
	if got := s.Status().Breaker; got.State != "closed" || got.Failures != 0 {
		t.Errorf("the breaker is %+v", got)
	}
}
