package mcp

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// What comes on the stream of the server's own ends nothing but that.
//
// contract: M2
func TestHostileBeside(t *testing.T) {
	const pings = 5 * maxRequests
	request := func(id, method string) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"method":%q,"params":{"message":"m"}}`, id, method)
	}
	var many strings.Builder
	for i := range pings {
		many.WriteString(event1(request(fmt.Sprint("p", i), "ping")))
	}
	for name, c := range map[string]struct {
		act  func(w http.ResponseWriter)
		want map[string]string // id of a request, part of our answer
	}{
		"405":      {func(w http.ResponseWriter) { w.WriteHeader(http.StatusMethodNotAllowed) }, nil},
		"401":      {func(w http.ResponseWriter) { w.WriteHeader(http.StatusUnauthorized) }, nil},
		"500":      {func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) }, nil},
		"redirect": {func(w http.ResponseWriter) { w.Header().Set("Location", "/x"); w.WriteHeader(http.StatusFound) }, nil},
		"JSON":     {func(w http.ResponseWriter) { sends(w, rpcJSON, "{}") }, nil},
		"garbage":  {func(w http.ResponseWriter) { sends(w, stream, event1("{")+event1("[]")+event1(request("a", "ping"))) }, map[string]string{"a": `"result":{}`}},
		"answers": {func(w http.ResponseWriter) {
			for id := range 20 {
				sends(w, stream, event1(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":%s}`, id, said("forged"))))
				sends(w, stream, event1(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"error":{"code":-32004,"message":"closing"}}`, id)))
			}
		}, nil},
		"too large": {func(w http.ResponseWriter) {
			sends(w, stream, "data: ")
			for range 3 * maxMessage >> 16 {
				if _, err := io.WriteString(w, strings.Repeat("x", 1<<16)); err != nil {
					return
				}
			}
			sends(w, stream, "\n\n"+event1(request("a", "ping")))
		}, map[string]string{"a": `"result":{}`}},
		"requests": {func(w http.ResponseWriter) {
			sends(w, stream, event1(request("a", "sampling/createMessage"))+event1(request("b", "x/y"))+event1(request("c", "roots/list")))
		}, map[string]string{"a": `"code":-32601`, "b": `"code":-32601`, "c": `"code":-32601`}},
		"a question while nobody calls": {
			func(w http.ResponseWriter) { sends(w, stream, event1(request("a", methodElicit))) },
			map[string]string{"a": `"code":-32601`},
		},
		"many": {func(w http.ResponseWriter) { sends(w, stream, many.String()) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRaw()
			var mu sync.Mutex
			answers := map[string]string{}
			r.keep = func(body []byte) {
				var m message
				if json.Unmarshal(body, &m) == nil && m.ID != nil && m.Method == "" {
					mu.Lock()
					defer mu.Unlock()
					answers[strings.Trim(string(m.ID), `"`)] = string(body)
				}
			}
			r.any = func(w http.ResponseWriter, q *http.Request, _ ask) bool {
				if q.Method != http.MethodGet {
					return false
				}
				if q.Header.Get("Mcp-Session-Id") == "" || q.Header.Get("Mcp-Protocol-Version") != legacyVersion {
					t.Errorf("listens with %v", q.Header)
				}
				c.act(w)
				if w.Header().Get("Content-Type") == stream {
					<-q.Context().Done()
				}
				return true
			}
			a := &asked{answer: `{}`}
			s := open(t, Options{URL: serve(t, r).URL, Input: a.input})
			start := time.Now()
			eventually(t, "its tools are known", func() bool { return len(s.Offer(t.Context()).Tools) == 2 })
			if took := time.Since(start); took > besideWait+3*time.Second {
				t.Errorf("it took %v", took)
			}
			eventually(t, "its requests are answered", func() bool {
				mu.Lock()
				defer mu.Unlock()
				for id, want := range c.want {
					if !strings.Contains(answers[id], want) {
						return false
					}
				}
				return true
			})
			beside(t, r, s, func() {})
			if n := len(a.all()); n > 0 {
				t.Errorf("asked %d times", n)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(answers) > pings {
				t.Errorf("%d answers", len(answers))
			}
		})
	}
}

// One that has ended is opened again, and one that is not there is not; the calls go on
// meanwhile.
func TestBesideAgain(t *testing.T) {
	opened := func(act func(w http.ResponseWriter)) (s *Server, times func() []time.Time) {
		var mu sync.Mutex
		var at []time.Time
		r := newRaw()
		r.any = func(w http.ResponseWriter, q *http.Request, _ ask) bool {
			if q.Method == http.MethodGet {
				mu.Lock()
				at = append(at, time.Now())
				mu.Unlock()
				act(w)
			}
			return q.Method == http.MethodGet
		}
		s = open(t, Options{URL: serve(t, r).URL, Input: new(asked).input})
		say(t, s, "x")
		return s, func() []time.Time {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(at)
		}
	}
	none, noneAt := opened(func(w http.ResponseWriter) { w.WriteHeader(http.StatusMethodNotAllowed) })
	short, shortAt := opened(func(w http.ResponseWriter) { sends(w, stream, ": hello\n\n") })
	eventually(t, "it is opened again", func() bool { return len(shortAt()) > 1 })
	say(t, short, "y")
	say(t, none, "y")
	if at := shortAt(); len(at) != 2 || at[1].Sub(at[0]) < minGap {
		t.Errorf("opened at %v", at)
	}
	if at := noneAt(); len(at) != 1 {
		t.Errorf("what is not there was opened at %v", at)
	}
}

// Where there is nothing to be asked for nobody listens.
func TestNothingBeside(t *testing.T) {
	r := newRaw()
	r.any = func(_ http.ResponseWriter, q *http.Request, _ ask) bool {
		if q.Method == http.MethodGet {
			t.Error("somebody listens")
		}
		return false
	}
	say(t, open(t, Options{URL: serve(t, r).URL}), "x")
}
