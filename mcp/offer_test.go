package mcp

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// contract: M4
func TestBreakerLeavesToolsOut(t *testing.T) {
	r := newRaw()
	r.acts["bad"] = status(500, "text/plain", "")
	o := new(observed)
	s := open(t, Options{URL: serve(t, r).URL, Breaker: BreakerPolicy{Failures: 2, Open: 300 * time.Millisecond}, Observer: o})
	s.Offer(t.Context())
	for range 2 {
		_, _ = s.Call(t.Context(), Call{Tool: "bad"})
	}
	if off := s.Offer(t.Context()); off.Down == "" || off.Tools != nil {
		t.Fatalf("offers %+v", off)
	}
	lists := r.lists.Load()
	s.Refresh()
	_, err := s.Call(t.Context(), Call{Tool: "echo"})
	if k := kindOf(t, err); k != KindOpen {
		t.Errorf("got %v", err)
	}
	eventually(t, "they are offered again", func() bool { return s.Offer(t.Context()).Down == "" })
	if r.lists.Load() > lists+1 {
		t.Error("it was listed while open")
	}
	eventually(t, "it has closed", func() bool {
		_, _ = s.Call(t.Context(), Call{Tool: "echo", Arguments: args("x")})
		return s.Status().Breaker.State == "closed"
	})
	if got := strings.Join(o.changes(), " "); got != "closed>open:server_error open>half_open:server_error half_open>closed:server_error" {
		t.Errorf("heard %s", got)
	}
}

// contract: M4
func TestWhatIsNotHeldAgainstAServer(t *testing.T) {
	r := newRaw()
	r.acts["iserror"] = stays(rpcJSON, `{"jsonrpc":"2.0","id":%s,"result":{"content":[],"isError":true}}`)
	r.acts["error"] = stays(rpcJSON, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32602,"message":"no"}}`)
	r.acts["401"] = status(401, "text/plain", "")
	r.acts["429"] = status(429, "text/plain", "")
	s := open(t, Options{URL: serve(t, r).URL, Breaker: BreakerPolicy{Failures: 1}})
	s.Offer(t.Context())
	for _, name := range []string{"iserror", "error", "401", "429"} {
		_, _ = s.Call(t.Context(), Call{Tool: name})
		_, _ = s.Call(t.Context(), Call{Tool: name, Arguments: json.RawMessage(`[]`)})
	}
	if b := s.Status().Breaker; b.State != "closed" || b.Failures != 0 {
		t.Errorf("the breaker is %+v", b)
	}
}

func TestAllowDeny(t *testing.T) {
	r := newRaw()
	r.acts["read_a"], r.acts["read_b"], r.acts["write_a"] = echo, echo, echo
	s := open(t, Options{URL: serve(t, r).URL, Allow: []string{"read_*", "write_*"}, Deny: []string{"*_b"}})
	if got := names(s.Offer(t.Context())); got != "read_a write_a" {
		t.Errorf("offers %q", got)
	}
	for _, name := range []string{"read_b", "echo"} {
		_, err := s.Call(t.Context(), Call{Tool: name})
		if k := kindOf(t, err); k != KindUnknown || r.calls.Load() != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// contract: X8
func TestInvisibleCharacters(t *testing.T) {
	bad := []string{"\u200b", "\u200d", "\u202e", "\u2066", "\u061c", "\ufeff", "\u00ad", "\u2060", "\u180e", "\U000e0041", "\U000e0100", "\ufe0f\ufe0f", "\ufe00", "\u3164", "\x07", "\x1b", "\u0085", "\x7f"}
	good := []string{"a\nb\tc", "ж", "日本", "⚠\ufe0f", "e\u0301"}
	r := newRaw()
	var all []string
	for i, c := range bad {
		all = append(all,
			tool(fmt.Sprintf("name%d%s", i, c), "", anyObject),
			tool(fmt.Sprintf("description%d", i), "a"+c+"b", anyObject),
			tool(fmt.Sprintf("schema%d", i), "", `{"type":"object","properties":{"a":{"description":`+string(quoted("a"+c+"b"))+`}}}`),
			tool(fmt.Sprintf("property%d", i), "", `{"type":"object","properties":{`+string(quoted("a"+c+"b"))+`:{}}}`))
	}
	for i, c := range good {
		all = append(all, tool(fmt.Sprintf("good%d", i), c, anyObject))
	}
	all = append(all, tool("line\nbreak", "", anyObject), tool(strings.Repeat("x", 257), "", anyObject),
		tool("large", "", `{"type":"object","description":"`+strings.Repeat("x", maxSchema)+`"}`),
		tool("deep", "", strings.Repeat(`{"a":`, 300)+"1"+strings.Repeat("}", 300)))
	r.list = func(*string) string { return list("", all...) }
	s := open(t, Options{URL: serve(t, r).URL})
	if got := names(s.Offer(t.Context())); got != "good0 good1 good2 good3 good4" {
		t.Errorf("offers %q", got)
	}
	st := s.Status()
	refused := 0
	for _, tool := range st.Tools {
		if tool.State == "refused" && tool.Reason != "" {
			refused++
		}
		if c := hiddenIn(tool.Name+tool.Description, false); c != "" {
			t.Errorf("the status shows %s of %q", c, tool.Name)
		}
	}
	if refused != 4*len(bad)+4 {
		t.Errorf("%d are refused, want %d", refused, 4*len(bad)+4)
	}
	if _, err := json.Marshal(st); err != nil {
		t.Error(err)
	}
	_, err := s.Call(t.Context(), Call{Tool: "description0"})
	if k := kindOf(t, err); k != KindUnknown || r.calls.Load() != 0 {
		t.Errorf("a refused tool: %v", err)
	}
}

// observed remembers what it hears.
type observed struct {
	NoObserver
	mu       sync.Mutex
	breaker  []string
	changed  []string
	lines    []string
	outcomes []string
}

func (o *observed) Breaker(_, from, to string, cause Kind) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.breaker = append(o.breaker, from+">"+to+":"+cause.String())
}

func (o *observed) Changed(_, tool string, disabled bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.changed = append(o.changed, fmt.Sprint(tool, " ", disabled))
}

func (o *observed) Said(_, line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines = append(o.lines, line)
}

func (o *observed) Called(_, tool, outcome string, _ time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.outcomes = append(o.outcomes, tool+":"+outcome)
}

func (o *observed) changes() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.breaker)
}
