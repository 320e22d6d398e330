package openaihttp

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
)

// upstream is a real server that keeps the last request.
type upstream struct {
	*httptest.Server
	open    atomic.Int64 // connections
	request *http.Request
	body    string
	answer  http.HandlerFunc
}

func serve(t *testing.T, answer http.HandlerFunc) *upstream {
	u := &upstream{answer: answer}
	u.Server = httptest.NewUnstartedServer(u)
	u.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			u.open.Add(1)
		case http.StateClosed, http.StateHijacked:
			u.open.Add(-1)
		}
	}
	u.Start()
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	u.request, u.body = r, string(b)
	u.answer(w, r)
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }

// open makes a provider with a transport of its own.
func open(t *testing.T, o Options) *Provider {
	t.Helper()
	if o.Transport == nil {
		transport := &http.Transport{DisableCompression: true}
		t.Cleanup(transport.CloseIdleConnections)
		o.Transport, o.CloseIdle = transport, transport.CloseIdleConnections
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func parse(t *testing.T, ep openai.Endpoint, body string) *openai.Request {
	t.Helper()
	r, e := openai.ParseRequest(ep, []byte(body))
	if e != nil {
		t.Fatal(e)
	}
	return r
}

const (
	plain    = `{"model":"x","messages":[{"role":"user","content":"hi"}]}`
	streamed = `{"model":"x","messages":[{"role":"user","content":"hi"}],"stream":true}`
)

// post makes one call, reads the answer and returns its status.
func post(t *testing.T, p *Provider, c provider.Call) int {
	t.Helper()
	res, err := p.Do(t.Context(), &c)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	return res.Status
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) { //nolint:forbidigo // polls, with a deadline
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}
