package mcp

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// raw is a tool server made by hand, so that it can do what no library would.
type raw struct {
	modern bool         // speaks 2026-07-28 only
	keep   func([]byte) // gets each request, may be nil

	mu   sync.Mutex
	acts map[string]act                                     // of its tools, by name
	list func(cursor *string) string                        // the result of tools/list; nil for acts
	any  func(http.ResponseWriter, *http.Request, ask) bool // goes first; reports whether it has answered

	sessions atomic.Int64
	lists    atomic.Int64
	calls    atomic.Int64
	valid    atomic.Bool // the current session
	release  chan struct{}
	headers  []http.Header // of all requests
}

// act answers the call with the id.
type act func(w http.ResponseWriter, r *http.Request, a ask)

// ask is a request.
type ask struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Name      string          `json:"name"`
		Cursor    *string         `json:"cursor"`
		Arguments json.RawMessage `json:"arguments"`
		Meta      struct {
			Token any `json:"progressToken"`
		} `json:"_meta"`
	} `json:"params"`
}

func newRaw() *raw {
	r := &raw{acts: map[string]act{}, release: make(chan struct{})}
	r.acts["echo"] = echo
	r.acts["slow"] = func(w http.ResponseWriter, q *http.Request, a ask) {
		select {
		case <-r.release:
			echo(w, q, a)
		case <-q.Context().Done():
		}
	}
	return r
}

func (s *raw) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var a ask
	_ = json.Unmarshal(body, &a)
	if s.keep != nil {
		s.keep(body)
	}
	s.mu.Lock()
	s.headers = append(s.headers, r.Header.Clone())
	first, do, list, modern := s.any, s.acts[a.Params.Name], s.list, s.modern
	s.mu.Unlock()
	if first != nil && first(w, r, a) {
		return
	}
	switch a.Method {
	case "server/discover":
		if !modern {
			http.Error(w, "no such thing", http.StatusNotFound)
			return
		}
		answer(w, a, `{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"public"}`)
	case "initialize":
		s.valid.Store(true)
		w.Header().Set("Mcp-Session-Id", fmt.Sprint("s", s.sessions.Add(1)))
		answer(w, a, `{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"raw","version":"1"}}`)
	case "tools/list":
		s.lists.Add(1)
		if list != nil {
			answer(w, a, list(a.Params.Cursor))
			return
		}
		answer(w, a, s.all())
	case "tools/call":
		s.calls.Add(1)
		if do == nil {
			sends(w, "application/json", fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32602,"message":"Unknown tool: %s"}}`, a.ID, a.Params.Name))
			return
		}
		do(w, r, a)
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

// all is a list of all tools.
func (s *raw) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for name := range s.acts {
		list = append(list, fmt.Sprintf(`{"name":%q,"description":"d","inputSchema":{"type":"object"}}`, name))
	}
	slices.Sort(list)
	return `{"tools":[` + strings.Join(list, ",") + `]}`
}

func (s *raw) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func answer(w http.ResponseWriter, a ask, result string) {
	sends(w, "application/json", fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, a.ID, result))
}

func sends(w http.ResponseWriter, kind, body string) {
	w.Header().Set("Content-Type", kind)
	_, _ = io.WriteString(w, body)
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}

func said(text string) string {
	return fmt.Sprintf(`{"content":[{"type":"text","text":%q}]}`, text)
}

// echo says the argument text again.
func echo(w http.ResponseWriter, _ *http.Request, a ask) {
	var in struct {
		Text string `json:"text"`
	}
	_ = json.Unmarshal(a.Params.Arguments, &in)
	answer(w, a, said(in.Text))
}

// status answers with a status, a body and header pairs.
func status(code int, kind, body string, header ...string) act {
	return func(w http.ResponseWriter, _ *http.Request, _ ask) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// stays answers with a body in which %s is the id of the call.
func stays(kind, body string) act {
	return func(w http.ResponseWriter, _ *http.Request, a ask) {
		sends(w, kind, strings.ReplaceAll(body, "%s", string(a.ID)))
	}
}

// beside runs do while a good call is under way on the same session, which must
// survive it, and makes another one after it.
func beside(t *testing.T, r *raw, s *Server, do func()) {
	t.Helper()
	before := r.sessions.Load()
	type outcome struct {
		res *Result
		err error
	}
	ch := make(chan outcome, 1)
	calls := r.calls.Load()
	go func() {
		res, err := s.Call(t.Context(), Call{Tool: "slow", Arguments: args("slow")})
		ch <- outcome{res, err}
	}()
	eventually(t, "the good call is under way", func() bool { return r.calls.Load() > calls })
	do()
	close(r.release)
	select {
	case got := <-ch:
		if got.err != nil || got.res.Text != "slow" {
			t.Errorf("a good call beside it: %+v, %v", got.res, got.err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("a good call beside it never ended")
	}
	say(t, s, "after it")
	if now := r.sessions.Load(); now != before && before != 0 {
		t.Errorf("%d sessions were opened meanwhile", now-before)
	}
}
