package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// canned is a server in process whose calls of the tool fuzz get the bytes given.
type canned struct {
	kind   string
	body   []byte
	status int
}

func (c *canned) RoundTrip(r *http.Request) (*http.Response, error) {
	body := []byte{}
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	var a ask
	_ = json.Unmarshal(body, &a)
	resp := func(status int, kind string, body []byte) *http.Response {
		return &http.Response{
			StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: -1,
			Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(bytes.NewReader(body)),
		}
	}
	good := func(result string) *http.Response {
		return resp(200, rpcJSON, []byte(`{"jsonrpc":"2.0","id":`+string(a.ID)+`,"result":`+result+`}`))
	}
	switch {
	case a.Method == "initialize":
		return good(`{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"x","version":"1"}}`), nil
	case a.Method == "tools/list":
		return good(list("", tool("fuzz", "", anyObject), tool("echo", "", anyObject))), nil
	case a.Params.Name == "echo":
		return good(said("fine")), nil
	case a.Params.Name == "fuzz", r.Method == http.MethodGet:
		return resp(c.status, c.kind, bytes.ReplaceAll(c.body, []byte("%s"), a.ID)), nil
	case a.Method == "server/discover":
		return resp(404, "text/plain", nil), nil
	}
	return resp(202, "", nil), nil
}

// contract: M2, K6
func FuzzAnswer(f *testing.F) {
	const good = `{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"x"}]}}`
	for _, body := range []string{
		good, good[:30], event1(good), "id: 1\nretry: 1\n\n" + event1(good), "event: message\n" + event1(good), `[` + good + `]`,
		`{"jsonrpc":"2.0","id":%s,"error":{"code":-32022,"message":"x","data":{"supported":["x"]}}}`,
		event1(`{"jsonrpc":"2.0","id":1.5,"method":"ping"}`) + event1(good), event1(`{"jsonrpc":"2.0","id":"\ud800","method":"roots/list","params":[]}`),
		event1(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%s}}`) + event1(good),
		`{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"resource","resource":{"blob":"%%"}}],"isError":1}}`,
		`{"JSONRPC":"2.0","ID":%s,"Result":{"content":[]}}`, "\ufeff" + good, "data:", ":\n\n\n", "", "null", "[]", strings.Repeat("[", 5000),
	} {
		f.Add(uint8(0), uint8(200), []byte(body))
		f.Add(uint8(1), uint8(200), []byte(body))
		f.Add(uint8(0), uint8(144), []byte(body))
	}
	f.Fuzz(func(t *testing.T, kind, code uint8, body []byte) {
		c := &canned{kind: []string{rpcJSON, stream, "text/html"}[kind%3], status: 200, body: body}
		if code != 200 {
			c.status = 300 + int(code)
		}
		s, err := New(Options{Name: "test", URL: "http://tools.test", Transport: c, Breaker: BreakerPolicy{Failures: 1000}}, new(State))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		res, err := s.Call(ctx, Call{Tool: "fuzz", Progress: func(text string) {
			if len(text) > maxNotice || !utf8.ValidString(text) {
				t.Errorf("progress %q", text)
			}
		}})
		switch {
		case err != nil:
			if k := kindOf(t, err); k == KindDial || k == KindOpen {
				t.Errorf("got %v", err)
			}
			if msg := err.Error(); len(msg) > 1000 || !utf8.ValidString(msg) {
				t.Errorf("the error is %q", msg)
			}
		case c.status != 200 || kind%3 == 2:
			t.Errorf("status %d as %s went well: %+v", c.status, c.kind, res)
		case !utf8.ValidString(res.Text) || len(res.Text) > DefaultLimit:
			t.Errorf("the text is %q", res.Text)
		case !plausible(body):
			t.Errorf("%q went well: %+v", body, res)
		}
		if res, err := s.Call(ctx, Call{Tool: "echo"}); err != nil || res.Text != "fine" {
			t.Fatalf("a good call after it: %+v, %v", res, err)
		}
	})
}

// plausible reports whether there can be a good answer in body at all.
func plausible(body []byte) bool {
	lower := bytes.ToLower(body)
	return bytes.Contains(lower, []byte("2.0")) && (bytes.Contains(lower, []byte("content")) || bytes.Contains(lower, []byte(`\u`)) || bytes.Contains(lower, []byte("resulttype")))
}
