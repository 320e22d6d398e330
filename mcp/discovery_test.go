package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func tool(name, description, schema string) string {
	return fmt.Sprintf(`{"name":%s,"description":%s,"inputSchema":%s}`, quoted(name), quoted(description), schema)
}

func list(more string, tools ...string) string {
	return `{"tools":[` + strings.Join(tools, ",") + `]` + more + `}`
}

const anyObject = `{"type":"object"}`

// contract: M5
func TestPages(t *testing.T) {
	long := strings.Repeat("é", maxDescription)
	for name, c := range map[string]struct {
		list func(cursor *string) string
		want string
		cut  bool
	}{
		"one": {func(*string) string { return list("", tool("b", "", anyObject), tool("a", "", anyObject)) }, "a b", false},
		"two": {func(c *string) string {
			if c == nil {
				return list(`,"nextCursor":"p2"`, tool("a", "", anyObject))
			}
			return list(`,"nextCursor":null`, tool("on "+*c, "", anyObject))
		}, "a on p2", false},
		"an empty cursor": {func(c *string) string {
			if c == nil {
				return list(`,"nextCursor":""`, tool("a", "", anyObject))
			}
			return list("", tool("on ["+*c+"]", "", anyObject))
		}, "a on []", false},
		"circles":           {func(c *string) string { return list(`,"nextCursor":""`, tool("a", "", anyObject)) }, "a", false},
		"endless":           {endlessPages(1), "", true},
		"endless and large": {endlessPages(50), "", true},
		"one huge page": {func(*string) string {
			var all []string
			for i := range 5000 {
				all = append(all, tool(fmt.Sprintf("t%04d", i), "", anyObject))
			}
			return list("", all...)
		}, "", true},
		"none":   {func(*string) string { return list("") }, "", false},
		"double": {func(*string) string { return list("", tool("a", "1", anyObject), tool("a", "2", anyObject)) }, "a", false},
		"odd tools": {func(*string) string {
			return list("", "null", "7", `{"name":""}`, `{"name":7}`, `{"name":"bare"}`, `{"name":"odd","inputSchema":[1]}`, tool("long", long, anyObject))
		}, "bare long odd", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRaw()
			r.list = c.list
			s := open(t, Options{URL: serve(t, r).URL})
			o := s.Offer(t.Context())
			st := s.Status()
			if o.Down != "" || st.Cut != c.cut {
				t.Fatalf("down %q, cut %v", o.Down, st.Cut)
			}
			if c.cut {
				if n := len(o.Tools); n == 0 || n > maxTools || r.lists.Load() > maxPages {
					t.Errorf("%d tools of %d pages", n, r.lists.Load())
				}
				return
			}
			if got := names(o); got != c.want {
				t.Errorf("offers %q, want %q", got, c.want)
			}
			for _, tool := range o.Tools {
				if !json.Valid(tool.Schema) || tool.Schema[0] != '{' || len(tool.Description) > maxDescription || tool.Server != "test" {
					t.Errorf("%+v", tool)
				}
			}
		})
	}
}

func endlessPages(size int) func(*string) string {
	return func(c *string) string {
		n := 0
		if c != nil {
			_, _ = fmt.Sscan(*c, &n)
		}
		var all []string
		for i := range size {
			all = append(all, tool(fmt.Sprintf("t%d", n*size+i), "", anyObject))
		}
		return list(fmt.Sprintf(`,"nextCursor":"%d"`, n+1), all...)
	}
}

// The SDK's own cache of the newer era gets in the way of neither pages nor refreshing.
//
// contract: M5
func TestModernLists(t *testing.T) {
	r := newRaw()
	r.modern = true
	var round atomic.Int64
	r.list = func(c *string) string {
		if c == nil {
			return list(`,"nextCursor":"","ttlMs":3600000,"cacheScope":"public","resultType":"complete"`, tool("a", "", anyObject))
		}
		return list(`,"ttlMs":3600000,"cacheScope":"public","resultType":"complete"`, tool(fmt.Sprint("b", round.Load()), "", anyObject))
	}
	s := open(t, Options{URL: serve(t, r).URL})
	if got := names(s.Offer(t.Context())); got != "a b0" {
		t.Fatalf("offers %q (%+v)", got, s.Status())
	}
	if got := s.Status().Version; got != modernVersion {
		t.Fatalf("speaks %s", got)
	}
	round.Store(1)
	s.Refresh()
	eventually(t, "the new list", func() bool { return names(s.Offer(t.Context())) == "a b1" })
}

// Arguments that a tool wants in headers get there, while its list is refreshed too.
//
// contract: M1
func TestModernHeaders(t *testing.T) {
	r := newRaw()
	r.modern = true
	schema := `{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}`
	bad := `{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"no such header"}}}`
	r.list = func(*string) string { return list("", tool("where", "", schema), tool("broken", "", bad)) }
	var wrong atomic.Int64
	r.acts["where"] = func(w http.ResponseWriter, q *http.Request, a ask) {
		if q.Header.Get("Mcp-Param-Region") != "here" || q.Header.Get("Mcp-Name") != "where" {
			wrong.Add(1)
		}
		answer(w, a, said("ok"))
	}
	s := open(t, Options{URL: serve(t, r).URL})
	if got := names(s.Offer(t.Context())); got != "where" {
		t.Fatalf("offers %q", got)
	}
	for i := range 50 {
		if i%10 == 0 {
			s.Refresh()
		}
		if _, err := s.Call(t.Context(), Call{Tool: "where", Arguments: json.RawMessage(`{"region":"here"}`)}); err != nil {
			t.Fatal(err)
		}
	}
	// The next configuration has not listed them itself.
	next := openWith(t, Options{URL: s.o.URL}, s.state)
	if _, err := next.Call(t.Context(), Call{Tool: "where", Arguments: json.RawMessage(`{"region":"here"}`)}); err != nil {
		t.Fatal(err)
	}
	if wrong.Load() > 0 {
		t.Errorf("%d calls without their header", wrong.Load())
	}
}

// contract: M5
func TestFirstOfferWaitsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		s, err := New(Options{Name: "test", URL: "http://docs.test", Transport: slowTransport{hold}}, new(State))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if o := s.Offer(t.Context()); o.Down == "" {
					t.Errorf("offers %+v", o)
				}
			})
		}
		time.Sleep(time.Second) //nolint:forbidigo // the bubble's time is what is meant
		wg.Go(func() { s.Offer(t.Context()) })
		wg.Wait()
		if took := time.Since(start); took != firstWait {
			t.Errorf("the first requests waited for %v, want %v", took, firstWait)
		}
		start = time.Now()
		s.Offer(t.Context())
		if took := time.Since(start); took != 0 {
			t.Errorf("a later one waited for %v", took)
		}
		close(hold)
		s.Close()
		time.Sleep(time.Minute) //nolint:forbidigo // lets all end
		synctest.Wait()
	})
}

// slowTransport fails when it is let.
type slowTransport struct{ hold chan struct{} }

func (s slowTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-s.hold:
	case <-r.Context().Done():
	}
	return nil, context.Canceled
}

// contract: M5
func TestRefresh(t *testing.T) {
	r := newRaw()
	var fails atomic.Bool
	r.any = func(w http.ResponseWriter, _ *http.Request, a ask) bool {
		if a.Method == "tools/list" && fails.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}
		return false
	}
	s := open(t, Options{URL: serve(t, r).URL, Breaker: BreakerPolicy{Failures: 3}})
	if got := names(s.Offer(t.Context())); got != "echo slow" {
		t.Fatalf("offers %q", got)
	}
	more := func(name string) { r.set(func() { r.acts[name] = echo }) }
	has := func(name string) func() bool {
		return func() bool { return strings.Contains(names(s.Offer(t.Context())), name) }
	}

	more("wished")
	if has("wished")() {
		t.Error("a fresh list was asked for again")
	}
	s.Refresh()
	eventually(t, "the new list", has("wished"))

	// The server says so in an answer.
	r.set(func() {
		r.acts["change"] = stays(stream, event1(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)+event1(`{"jsonrpc":"2.0","id":%s,"result":{"content":[]}}`))
	})
	s.Refresh()
	eventually(t, "the new list", has("change"))
	more("noticed")
	if _, err := s.Call(t.Context(), Call{Tool: "change"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the list after list_changed", has("noticed"))

	// It does not know a tool any more.
	r.set(func() { delete(r.acts, "noticed") })
	_, err := s.Call(t.Context(), Call{Tool: "noticed"})
	if k := kindOf(t, err); k != KindUnknown {
		t.Errorf("got %v", err)
	}
	eventually(t, "the list without it", func() bool { return !has("noticed")() })

	// A failure leaves the old list.
	fails.Store(true)
	before := names(s.Offer(t.Context()))
	s.Refresh()
	eventually(t, "it has failed", func() bool { return s.Status().Error != "" })
	if got := names(s.Offer(t.Context())); got != before {
		t.Errorf("offers %q, before %q", got, before)
	}
	if got := s.Status().Breaker.Failures; got != 1 {
		t.Errorf("%d failures count", got)
	}
}
