package caddymodule

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
	"github.com/universal-ai-gateway/magicproxy/provider/mock"
)

// upstream is a real HTTP server that speaks OpenAI's protocol. What it says by
// default comes from the mock; a test may script it by key and model.
type upstream struct {
	*httptest.Server
	mock *mock.Provider

	mu       sync.Mutex
	script   map[string]http.HandlerFunc // by key, by model, or "" for all
	requests []received
	gone     int // requests whose client left before their end
}

type received struct {
	path, key, model, body string
	header                 http.Header
}

func newUpstream(t *testing.T) *upstream {
	u := unstarted(t)
	u.Start()
	return u
}

func unstarted(t *testing.T) *upstream {
	u := &upstream{script: make(map[string]http.HandlerFunc), mock: mock.New(mock.Options{TokenDelay: time.Millisecond})}
	u.Server = httptest.NewUnstartedServer(u)
	t.Cleanup(func() {
		u.CloseClientConnections()
		u.Close()
	})
	return u
}

// base is the provider's base_url.
func (u *upstream) base() string { return u.URL + "/v1" }

// when scripts an answer for a key or a model, "" for everything.
func (u *upstream) when(who string, answer http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if answer == nil {
		delete(u.script, who)
		return
	}
	u.script[who] = answer
}

// seen returns the requests so far.
func (u *upstream) seen() []received {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]received(nil), u.requests...)
}

func (u *upstream) left() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.gone
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var ep openai.Endpoint
	for _, e := range openai.Endpoints() {
		if r.URL.Path == "/v1"+e.Path() {
			ep = e
		}
	}
	req, e := openai.ParseRequest(ep, body)
	if e != nil {
		e.WriteTo(w)
		return
	}
	in := received{r.URL.Path, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), req.Model, string(body), r.Header.Clone()}
	u.mu.Lock()
	u.requests = append(u.requests, in)
	answer := u.script[in.key]
	if answer == nil {
		answer = u.script[in.model]
	}
	if answer == nil {
		answer = u.script[""]
	}
	u.mu.Unlock()
	defer func() {
		if r.Context().Err() != nil {
			u.mu.Lock()
			u.gone++
			u.mu.Unlock()
		}
	}()
	if answer != nil {
		answer(w, r)
		return
	}
	serveMock(u.mock, req, in.model)(w, r)
}

// serveMock answers over HTTP what a mock says in process.
func serveMock(m *mock.Provider, req *openai.Request, model string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		res, err := m.Do(r.Context(), &provider.Call{Request: req, Model: model})
		if err != nil {
			return
		}
		defer res.Body.Close()
		maps.Copy(w.Header(), res.Header)
		w.WriteHeader(res.Status)
		rc := http.NewResponseController(w)
		buf := make([]byte, 4096)
		for {
			n, err := res.Body.Read(buf)
			if _, e := w.Write(buf[:n]); e != nil {
				return
			}
			_ = rc.Flush()
			if err == io.EOF {
				return
			}
			if err != nil {
				panic(http.ErrAbortHandler)
			}
		}
	}
}

// status answers with an error object.
func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"error":{"message":"upstream says %d","type":"t","param":"p","code":"c"}}`, code)
	}
}

// raw answers with a body of some type, flushed.
func raw(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
		_ = http.NewResponseController(w).Flush()
	}
}

// hang answers never, or, after some events, nothing more.
func hang(events string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if events != "" {
			raw("text/event-stream", events)(w, r)
		}
		<-r.Context().Done()
	}
}

// cut sends some events and then drops the connection.
func cut(events string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		raw("text/event-stream", events)(w, r)
		panic(http.ErrAbortHandler)
	}
}

const (
	roleEvent    = `data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"up","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}` + "\n\n"
	contentEvent = `data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"up","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}` + "\n\n"
	finishEvent  = `data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"up","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	usageEvent   = `data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"up","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}` + "\n\n"
	doneEvent    = "data: [DONE]\n\n"
	goodStream   = roleEvent + contentEvent + finishEvent + usageEvent + doneEvent
	goodAnswer   = `{"id":"x","object":"chat.completion","created":1,"model":"up","choices":[{"index":0,"message":{"role":"assistant","content":"Hello","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}`
)
