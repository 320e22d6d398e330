package mcp

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const rpcJSON, stream = "application/json", "text/event-stream"

func event1(data string) string { return "data: " + data + "\n\n" }

// large answers with a good result of 64 MiB, and counts what it could write.
func large(kind, before, after string, wrote *atomic.Int64) act {
	return func(w http.ResponseWriter, _ *http.Request, a ask) {
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, strings.ReplaceAll(before, "%s", string(a.ID)))
		chunk := bytes.Repeat([]byte("x"), 64<<10)
		for range 1024 {
			n, err := w.Write(chunk)
			wrote.Add(int64(n))
			if err != nil {
				return
			}
		}
		_, _ = io.WriteString(w, after)
	}
}

func hangs(w http.ResponseWriter, r *http.Request, _ ask) { <-r.Context().Done() }

// drips sends a good answer a byte at a time, and never the end.
func drips(kind string) act {
	return func(w http.ResponseWriter, r *http.Request, a ask) {
		w.Header().Set("Content-Type", kind)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		_, _ = io.WriteString(w, `data: {"jsonrpc":"2.0","id":`)
		for {
			select {
			case <-r.Context().Done():
				return
			case <-tick.C:
				_, _ = io.WriteString(w, " ")
				w.(http.Flusher).Flush()
			}
		}
	}
}

// contract: M2, K6, X10
func TestHostileAnswers(t *testing.T) {
	var wrote, wroteStream atomic.Int64
	const good = `{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"x"}]}}`
	cases := map[string]struct {
		act  act
		want Kind
	}{
		"401":              {status(401, "text/plain", "no"), KindRefused},
		"403":              {status(403, "text/html", "<html>no"), KindRefused},
		"413":              {status(413, "text/plain", "too large"), KindRefused},
		"400":              {status(400, "text/plain", "bad"), KindRefused},
		"400 error object": {status(400, rpcJSON, `{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"bad"}}`), KindRejected},
		"429":              {status(429, "text/plain", "later"), KindLimited},
		"429 error object": {status(429, rpcJSON, `{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"bad"}}`), KindLimited},
		"500":              {status(500, "text/plain", "oops"), KindServer},
		"503":              {status(503, rpcJSON, `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"bad"}}`), KindServer},
		"redirect":         {status(307, "text/plain", "", "Location", "http://127.0.0.1:1/"), KindRefused},
		"permanent":        {status(308, "text/plain", "", "Location", "/elsewhere"), KindRefused},
		"not modified":     {status(304, "text/plain", ""), KindRefused},
		"no content":       {status(204, rpcJSON, ""), KindProtocol},
		"accepted":         {status(202, rpcJSON, ""), KindProtocol},
		"HTML":             {status(200, "text/html", "<html>hello</html>"), KindProtocol},
		"HTML as JSON":     {status(200, rpcJSON, "<html>hello</html>"), KindProtocol},
		"no type":          {status(200, "", "{}"), KindProtocol},
		"empty":            {status(200, rpcJSON, ""), KindProtocol},
		"truncated":        {stays(rpcJSON, good[:len(good)-9]), KindProtocol},
		"trailing":         {stays(rpcJSON, good+"{}"), KindProtocol},
		"wrong id":         {stays(rpcJSON, strings.Replace(good, "%s", "77", 1)), KindProtocol},
		"id as string":     {stays(rpcJSON, strings.Replace(good, "%s", `"%s"`, 1)), KindProtocol},
		"null id":          {stays(rpcJSON, strings.Replace(good, "%s", "null", 1)), KindProtocol},
		"null id error":    {stays(rpcJSON, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse"}}`), KindProtocol},
		"object id":        {stays(rpcJSON, strings.Replace(good, "%s", "{}", 1)), KindProtocol},
		"no version":       {stays(rpcJSON, strings.Replace(good, `"jsonrpc":"2.0",`, "", 1)), KindProtocol},
		"result null":      {stays(rpcJSON, `{"jsonrpc":"2.0","id":%s,"result":null}`), KindProtocol},
		"result a list":    {stays(rpcJSON, `{"jsonrpc":"2.0","id":%s,"result":[]}`), KindProtocol},
		"result empty":     {stays(rpcJSON, `{"jsonrpc":"2.0","id":%s,"result":{}}`), KindProtocol},
		"content a string": {stays(rpcJSON, `{"jsonrpc":"2.0","id":%s,"result":{"content":"x"}}`), KindProtocol},
		"error a string":   {stays(rpcJSON, `{"jsonrpc":"2.0","id":%s,"error":"x"}`), KindProtocol},
		"error":            {stays(rpcJSON, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32602,"message":"bad arguments"}}`), KindRejected},
		"closing error":    {stays(rpcJSON, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32004,"message":"server is closing"}}`), KindRejected},
		"a request":        {stays(rpcJSON, `{"jsonrpc":"2.0","id":%s,"method":"sampling/createMessage","params":{}}`), KindProtocol},
		"a notification":   {stays(rpcJSON, `{"jsonrpc":"2.0","method":"notifications/progress"}`), KindProtocol},
		"empty batch":      {stays(rpcJSON, `[]`), KindProtocol},
		"batch of garbage": {stays(rpcJSON, `[1,2]`), KindProtocol},
		"deep":             {stays(rpcJSON, `{"jsonrpc":"2.0","id":%s,"result":`+strings.Repeat(`{"a":`, 20000)+"1"+strings.Repeat("}", 20001)), KindProtocol},
		"NULs":             {stays(rpcJSON, strings.Repeat("\x00", 1000)), KindProtocol},
		"compressed":       {compressed(good), KindProtocol},
		"says compressed": {func(w http.ResponseWriter, _ *http.Request, a ask) {
			w.Header().Set("Content-Encoding", "gzip")
			answer(w, a, said("x"))
		}, KindProtocol},
		"unknown encoding": {status(200, rpcJSON, "xxxx", "Content-Encoding", "zstd"), KindProtocol},
		"64 MiB":           {large(rpcJSON, `{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"`, `"}]}}`, &wrote), KindProtocol},
		"64 MiB stream":    {large(stream, `data: {"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"`, "\"}]}}\n\n", &wroteStream), KindProtocol},
		"dropped":          {func(http.ResponseWriter, *http.Request, ask) { panic(http.ErrAbortHandler) }, KindProtocol},
		"dropped half-way": {func(w http.ResponseWriter, _ *http.Request, _ ask) {
			sends(w, rpcJSON, `{"json`)
			panic(http.ErrAbortHandler)
		}, KindProtocol},
		"hang":        {hangs, KindTimeout},
		"drip":        {drips(rpcJSON), KindTimeout},
		"drip stream": {drips(stream), KindTimeout},
		"stream cut off": {func(w http.ResponseWriter, _ *http.Request, _ ask) {
			sends(w, stream, ": hello\n\n")
			panic(http.ErrAbortHandler)
		}, KindProtocol},
		"stream ended":      {stays(stream, ": hello\n\n"), KindProtocol},
		"stream empty":      {stays(stream, ""), KindProtocol},
		"stream of garbage": {stays(stream, "data: {nothing\n\n"), KindProtocol},
		"stream no colon":   {stays(stream, "nonsense\n\n"), KindProtocol},
		"stream wrong id":   {stays(stream, event1(strings.Replace(good, "%s", "77", 1))), KindProtocol},
		"stream error":      {stays(stream, event1(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32603,"message":"broken"}}`)), KindRejected},
		"stream half event": {stays(stream, event1(good[:40])), KindProtocol},
		"stream resumed":    {stays(stream, "id: 1\nretry: 1\ndata:\n\n"), KindProtocol},
		"endless events":    {endless(`{"jsonrpc":"2.0","method":"notifications/message","params":{}}`), KindProtocol},
		"endless requests":  {endless(`{"jsonrpc":"2.0","id":"s%d","method":"sampling/createMessage","params":{}}`), KindProtocol},
		"input required":    {stays(rpcJSON, `{"jsonrpc":"2.0","id":%s,"result":{"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create","params":{}}}}}`), kinds},
		"session header":    {status(200, rpcJSON, "", "Mcp-Session-Id", "another"), KindProtocol},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRaw()
			r.acts["bad"] = c.act
			srv := serve(t, r)
			s := open(t, Options{URL: srv.URL, Timeout: 20 * time.Second, Breaker: BreakerPolicy{Failures: 100}})
			if o := s.Offer(t.Context()); len(o.Tools) != 3 {
				t.Fatalf("offers %s (%s)", names(o), o.Down)
			}
			beside(t, r, s, func() {
				// The good call has the same time, so this one has less.
				ctx, cancel := context.WithTimeoutCause(t.Context(), 500*time.Millisecond, errTimeout)
				defer cancel()
				if c.want != KindTimeout {
					ctx = t.Context()
				}
				start := time.Now()
				res, err := s.Call(ctx, Call{Tool: "bad", Arguments: args("x")})
				if c.want == kinds {
					if err != nil || !res.Failed {
						t.Errorf("got %+v, %v", res, err)
					}
					return
				}
				if err == nil {
					t.Fatalf("it went well: %+v", res)
				}
				if k := kindOf(t, err); k != c.want {
					t.Errorf("got %v, want %v: %v (%v)", k, c.want, err, errors.Unwrap(err))
				}
				if took := time.Since(start); took > 10*time.Second {
					t.Errorf("it took %v", took)
				}
				if len(err.Error()) > 600 {
					t.Errorf("the error has %d bytes", len(err.Error()))
				}
			})
		})
	}
	for _, n := range []*atomic.Int64{&wrote, &wroteStream} {
		if got := n.Load(); got > 32<<20 {
			t.Errorf("%d MiB were read", got>>20)
		}
	}
}

func compressed(good string) act {
	return func(w http.ResponseWriter, r *http.Request, a ask) {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = io.WriteString(z, strings.ReplaceAll(good, "%s", string(a.ID)))
		_ = z.Close()
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("X-Asked", r.Header.Get("Accept-Encoding"))
		sends(w, rpcJSON, b.String())
	}
}

func endless(message string) act {
	return func(w http.ResponseWriter, r *http.Request, _ ask) {
		w.Header().Set("Content-Type", stream)
		for i := 0; r.Context().Err() == nil; i++ {
			if _, err := io.WriteString(w, event1(strings.ReplaceAll(message, "%d", fmt.Sprint(i)))); err != nil {
				return
			}
		}
	}
}
