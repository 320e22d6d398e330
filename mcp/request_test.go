package mcp

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/mcp/mcptest"
)

func TestRealRequests(t *testing.T) {
	for name, c := range map[string]struct {
		open   func(t *testing.T) Options
		prompt string
	}{
		"streamable":           {func(t *testing.T) Options { return Options{URL: mcptest.Everything(t, mcptest.HTTP).URL} }, "simple-prompt"},
		"SSE":                  {func(t *testing.T) Options { return Options{URL: mcptest.Everything(t, mcptest.SSE).URL} }, "simple-prompt"},
		"stdio":                {func(t *testing.T) Options { return Options{Command: mcptest.StdioCommand(t, "everything")} }, "simple-prompt"},
		"go everything-server": {func(t *testing.T) Options { return Options{URL: mcptest.GoServer(t, "everything-server").URL} }, "test_simple_prompt"},
		"go stdio":             {func(t *testing.T) Options { return Options{Command: mcptest.StdioCommand(t, "go-everything")} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, c.open(t))
			var list struct {
				Resources []struct{ URI string }
				Templates []json.RawMessage `json:"resourceTemplates"`
				Prompts   []struct{ Name string }
				Contents  []struct{ URI, Text, Blob string }
				Messages  []json.RawMessage
			}
			ask := func(method, params string) {
				t.Helper()
				got, err := s.Request(t.Context(), method, json.RawMessage(params))
				if err == nil {
					err = json.Unmarshal(got, &list)
				}
				if err != nil {
					t.Errorf("%s: %v, %s", method, err, got)
				}
			}
			ask("resources/list", "")
			ask("resources/templates/list", "{}")
			ask("prompts/list", "null")
			if len(list.Resources) == 0 || len(list.Templates) == 0 || len(list.Prompts) == 0 {
				t.Fatalf("got %+v", list)
			}
			ask("resources/read", `{"uri":`+string(quoted(list.Resources[0].URI))+`}`)
			prompt := `{"name":` + string(quoted(c.prompt)) + `}`
			if c.prompt == "" {
				prompt = `{"name":"greet","arguments":{"name":"Ada"}}`
			}
			ask("prompts/get", prompt)
			if len(list.Contents) != 1 || list.Contents[0].URI != list.Resources[0].URI || len(list.Messages) == 0 {
				t.Errorf("got %+v", list)
			}
			if _, err := s.Request(t.Context(), "resources/read", json.RawMessage(`{"uri":"test://no/such/thing"}`)); kindOf(t, err) != KindRejected {
				t.Errorf("of what is not there: %v", err)
			}
		})
	}
}

// answers has r answer a method of Request.
func (s *raw) answers(method string, do act) {
	s.any = func(w http.ResponseWriter, r *http.Request, a ask) bool {
		if a.Method != method {
			return false
		}
		do(w, r, a)
		return true
	}
}

func TestRequest(t *testing.T) {
	r := newRaw()
	r.modern = true
	var asked atomic.Int64
	r.answers("resources/read", func(w http.ResponseWriter, q *http.Request, a ask) {
		asked.Add(1)
		if q.Header.Get("Mcp-Method") != "resources/read" || q.Header.Get("Mcp-Name") != "a://b" {
			t.Errorf("has the headers %v", q.Header)
		}
		answer(w, a, `{"ttlMs":100000,"cacheScope":"private","contents":[{"uri":"a://b","text":"canary\u002d0123456789 \u00e9"}],"big":12345678901234567890}`)
	})
	s := open(t, Options{URL: serve(t, r).URL, Secrets: []string{"canary-0123456789"}})
	for range 2 { // the SDK has kept nothing
		got, err := s.Request(t.Context(), "resources/read", json.RawMessage(`{"uri":"a://b"}`))
		const want = `{"big":12345678901234567890,"cacheScope":"private","contents":[{"text":"[redacted] é","uri":"a://b"}],"ttlMs":100000}`
		if err != nil || string(got) != want {
			t.Errorf("got %s, %v", got, err)
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("asked %d times, want 2", n)
	}
	for method, params := range map[string]string{
		"tools/call": "{}", "": "{}", "ping": "{}", "resources/subscribe": "{}", strings.Repeat("x", 1000): "{}",
		"resources/list": "[]", "resources/read": `{"uri":7}`, "prompts/list": `{`, "prompts/get": `"x"`,
	} {
		_, err := s.Request(t.Context(), method, json.RawMessage(params))
		if k := kindOf(t, err); k != KindRejected || len(err.Error()) > 200 {
			t.Errorf("%.40s %s: got %v", method, params, err)
		}
	}
}

// contract: M2
func TestHostileResults(t *testing.T) {
	const good = `{"jsonrpc":"2.0","id":%s,"result":{"contents":[]}}`
	for name, c := range map[string]struct {
		act  act
		want Kind
	}{
		"401":            {status(401, "text/plain", "no"), KindRefused},
		"500":            {status(500, "text/plain", "no"), KindServer},
		"HTML":           {status(200, "text/html", "<html>"), KindProtocol},
		"truncated":      {stays(rpcJSON, good[:len(good)-4]), KindProtocol},
		"wrong id":       {stays(rpcJSON, strings.Replace(good, "%s", "77", 1)), KindProtocol},
		"a list":         {stays(rpcJSON, `{"jsonrpc":"2.0","id":%s,"result":[]}`), KindProtocol},
		"deep":           {stays(rpcJSON, `{"jsonrpc":"2.0","id":%s,"result":`+strings.Repeat(`{"a":`, 5000)+"1"+strings.Repeat("}", 5001)), KindProtocol},
		"error":          {stays(rpcJSON, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32002,"message":"no such resource"}}`), KindRejected},
		"unknown tool":   {stays(rpcJSON, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32602,"message":"unknown tool"}}`), KindRejected},
		"input required": {stays(rpcJSON, `{"jsonrpc":"2.0","id":%s,"result":{"resultType":"input_required","requestState":"s"}}`), KindRejected},
		"hang":           {hangs, KindCanceled},
		"stream":         {stays(stream, event1(good[:30])), KindProtocol},
		"odd":            {stays(rpcJSON, `{"jsonrpc":"2.0","id":%s,"result":{"contents":7,"_meta":[]}}`), kinds},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRaw()
			r.answers("resources/read", c.act)
			s := open(t, Options{URL: serve(t, r).URL})
			eventually(t, "its tools are known", func() bool { return len(s.Offer(t.Context()).Tools) == 2 })
			beside(t, r, s, func() {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				got, err := s.Request(ctx, "resources/read", json.RawMessage(`{"uri":"a://b"}`))
				if c.want == kinds {
					if err != nil || string(got) != `{"_meta":[],"contents":7}` {
						t.Errorf("got %s, %v", got, err)
					}
					return
				}
				if err == nil {
					t.Fatalf("got %s", got)
				}
				if k := kindOf(t, err); k != c.want {
					t.Errorf("got %v, want %v: %v", k, c.want, err)
				}
			})
		})
	}
}

// contract: M4
func TestRequestBreaker(t *testing.T) {
	gone := serve(t, http.NotFoundHandler())
	gone.Close()
	s := open(t, Options{URL: gone.URL})
	for _, want := range []Kind{KindDial, KindOpen} {
		if _, err := s.Request(t.Context(), "resources/list", nil); kindOf(t, err) != want {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}
