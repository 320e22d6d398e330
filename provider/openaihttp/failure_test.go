package openaihttp

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
)

// listen accepts connections and hands them to do.
func listen(t *testing.T, do func(net.Conn)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			do(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}

func tlsServer(t *testing.T, config *tls.Config) *httptest.Server {
	s := httptest.NewUnstartedServer(http.HandlerFunc(ok))
	s.TLS = config
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// contract: F2
func TestFailuresAreTold(t *testing.T) {
	nobody := listen(t, func(net.Conn) {})
	unknown := tlsServer(t, nil)
	clientCert := tlsServer(t, &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12})
	old := tlsServer(t, &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12})
	trusting := func(s *httptest.Server, change func(*tls.Config)) *http.Transport {
		c := s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		if change != nil {
			change(c)
		}
		return &http.Transport{TLSClientConfig: c, DisableCompression: true}
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	silent := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })

	const unsafe, none = "no secure connection", "no connection"
	for name, tt := range map[string]struct {
		base      string
		transport *http.Transport
		kind      provider.Kind
		message   string
	}{
		"refused":             {"http://" + closed.Addr().String(), nil, provider.KindDial, none},
		"no such port":        {"http://127.0.0.1:99999", nil, provider.KindDial, none},
		"no such host":        {"http://gateway.invalid", nil, provider.KindDial, none},
		"closed at once":      {"http://" + nobody, nil, provider.KindBroken, "closed the connection"},
		"not HTTP":            {"http://" + listen(t, func(c net.Conn) { _, _ = c.Write([]byte("SSH-2.0-x\r\n")) }), nil, provider.KindBroken, "closed the connection"},
		"unknown authority":   {unknown.URL, nil, provider.KindDial, unsafe},
		"wrong host":          {strings.Replace(unknown.URL, "127.0.0.1", "localhost", 1), trusting(unknown, func(c *tls.Config) { c.ServerName = "other.example" }), provider.KindDial, unsafe},
		"plain behind https":  {"https://" + listen(t, func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }), nil, provider.KindDial, unsafe},
		"wants a certificate": {clientCert.URL, trusting(clientCert, nil), provider.KindDial, unsafe},
		"other version":       {old.URL, trusting(old, func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }), provider.KindDial, unsafe},
		"proxy down":          {"http://example.com", &http.Transport{Proxy: proxyTo(closed.Addr().String())}, provider.KindDial, none},
		"no header in time":   {silent.URL, &http.Transport{ResponseHeaderTimeout: 20 * time.Millisecond}, provider.KindTimeout, "in time"},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{BaseURL: tt.base}
			if tt.transport != nil {
				t.Cleanup(tt.transport.CloseIdleConnections)
				o.Transport = tt.transport
			}
			_, err := open(t, o).Do(t.Context(), &provider.Call{Request: parse(t, openai.Chat, plain), Model: "m", Secret: "canary-key"})
			var e *provider.Error
			if !errors.As(err, &e) || e.Kind != tt.kind || !strings.Contains(e.Message, tt.message) || e.Err == nil {
				t.Fatalf("%#v: %v", err, errors.Unwrap(err))
			}
			if strings.Contains(e.Err.Error(), "canary") {
				t.Errorf("leaked: %v", e.Err)
			}
		})
	}
}

// security: X10
func TestHeaderIsBounded(t *testing.T) {
	u := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Long", strings.Repeat("x", 1<<20)) })
	transport := &http.Transport{MaxResponseHeaderBytes: 64 << 10}
	t.Cleanup(transport.CloseIdleConnections)
	_, err := open(t, Options{BaseURL: u.URL, Transport: transport}).Do(t.Context(), &provider.Call{Request: parse(t, openai.Chat, plain), Model: "m"})
	var e *provider.Error
	if !errors.As(err, &e) || e.Kind != provider.KindBroken {
		t.Error(err)
	}
}

// A transport may know better what a dial is.
func TestIsDial(t *testing.T) {
	own := errors.New("own")
	fails := roundTripper(func(*http.Request) (*http.Response, error) { return nil, own })
	p := open(t, Options{BaseURL: "http://localhost", Transport: fails, IsDial: func(err error) bool { return err == own }})
	_, err := p.Do(t.Context(), &provider.Call{Request: parse(t, openai.Chat, plain), Model: "m"})
	var e *provider.Error
	if !errors.As(err, &e) || e.Kind != provider.KindDial || !errors.Is(err, own) {
		t.Error(err)
	}
}

// contract: S9
func TestCancelEndsTheCall(t *testing.T) {
	gone := make(chan struct{})
	asked := make(chan struct{})
	u := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
		close(gone)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	_, err := open(t, Options{BaseURL: u.URL}).Do(ctx, &provider.Call{Request: parse(t, openai.Chat, plain), Model: "m"})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-gone
}
