package openaihttp

import (
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func proxyTo(host string) func(*http.Request) (*url.URL, error) {
	return http.ProxyURL(&url.URL{Scheme: "http", Host: host})
}

// A kept connection is closed with its provider.
//
// contract: K8
func TestCloseClosesIdleConnections(t *testing.T) {
	u := serve(t, ok)
	p := open(t, Options{BaseURL: u.URL})
	for range 3 {
		post(t, p, provider.Call{Request: parse(t, openai.Chat, plain), Model: "m"})
	}
	if n := u.open.Load(); n != 1 {
		t.Fatalf("%d connections", n)
	}
	p.Close()
	eventually(t, "the connection is closed", func() bool { return u.open.Load() == 0 })
}

// A call may outlive its configuration: its connection is closed when it ends.
//
// contract: K8
func TestCloseBeforeTheCallEnds(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"whole":      ok,
		"compressed": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", "gzip") },
		"no body":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"broken":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			asked, goOn := make(chan struct{}), make(chan struct{})
			u := serve(t, func(w http.ResponseWriter, r *http.Request) {
				close(asked)
				<-goOn
				answer(w, r)
			})
			p := open(t, Options{BaseURL: u.URL})
			done := make(chan struct{})
			go func() {
				defer close(done)
				res, err := p.Do(t.Context(), &provider.Call{Request: parse(t, openai.Chat, plain), Model: "m"})
				if err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
			}()
			<-asked
			p.Close()
			if n := u.open.Load(); n != 1 {
				t.Errorf("%d connections: the call was cut", n)
			}
			close(goOn)
			<-done
			eventually(t, "the connection is closed", func() bool { return u.open.Load() == 0 })
		})
	}
}

// A call that begins after Close, as the last model call of an agent may, keeps
// no connection either.
//
// contract: K8
func TestCloseBeforeTheCallBegins(t *testing.T) {
	u := serve(t, ok)
	p := open(t, Options{BaseURL: u.URL})
	p.Close()
	post(t, p, provider.Call{Request: parse(t, openai.Chat, plain), Model: "m"})
	eventually(t, "the connection is closed", func() bool { return u.open.Load() == 0 })
}

func TestCloseWithoutCloseIdle(t *testing.T) {
	open(t, Options{BaseURL: "http://localhost", Transport: roundTripper(nil)}).Close()
}
