// Package openaihttp reaches upstreams that speak OpenAI's protocol over HTTP:
// OpenAI itself and the many that are compatible with it.
//
// It sends what the client sent, with the model's id replaced and the edits of
// its Options, and nothing else of the client's: no header, no query, no host
// (security X1, X4). Redirects are answers, not followed: they would carry the
// key to wherever the upstream points.
//
//	p, err := openaihttp.New(openaihttp.Options{BaseURL: "https://api.openai.com/v1", Transport: http.DefaultTransport})
//	res, err := p.Do(ctx, &provider.Call{Request: req, Model: "gpt-4o-mini", Secret: key})
package openaihttp

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"

	"golang.org/x/net/http/httpguts"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
)

// Options say where an upstream is and what it wants to be told.
type Options struct {
	// BaseURL ends before /chat/completions, usually in /v1.
	BaseURL string

	// Transport makes the round trips. It must neither decompress nor follow
	// redirects. CloseIdle, if set, closes its idle connections.
	Transport http.RoundTripper
	CloseIdle func()

	// IsDial, if set, recognises a transport's own way of saying that there was
	// no connection.
	IsDial func(error) bool

	// Header is added to every request; it replaces what the provider would send
	// under the same name, Authorization too.
	Header http.Header

	// Drop and Rename edit top-level fields of the request.
	Drop   []string
	Rename []openai.Rename

	// NoUsage keeps the gateway from asking for the usage of streams.
	NoUsage bool
}

// Provider implements provider.Provider.
type Provider struct {
	o      Options
	urls   []*url.URL // by endpoint
	closed atomic.Bool
}

// New checks o. It dials nothing.
func New(o Options) (*Provider, error) {
	base, err := ParseBaseURL(o.BaseURL)
	if err != nil {
		return nil, err
	}
	h := make(http.Header, len(o.Header))
	for name, values := range o.Header {
		if !httpguts.ValidHeaderFieldName(name) {
			return nil, fmt.Errorf("header %q: not a header's name", name)
		}
		switch http.CanonicalHeaderKey(name) {
		case "Content-Length", "Transfer-Encoding", "Connection", "Host", "Accept-Encoding",
			"Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Upgrade":
			return nil, fmt.Errorf("header %s: belongs to the connection, not to the configuration", name)
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return nil, fmt.Errorf("header %s: control characters in the value", name)
			}
			h.Add(name, v)
		}
	}
	o.Header = h
	p := &Provider{o: o}
	if base.Path == "" {
		base.Path = "/" // JoinPath would make a relative path
	}
	for _, ep := range openai.Endpoints() {
		p.urls = append(p.urls, base.JoinPath(ep.Path()))
	}
	return p, nil
}

// ParseBaseURL checks an upstream's address. The errors repeat no more of it than
// the host: anything else may be a misplaced key.
func ParseBaseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New("base_url: not a URL")
	case u.User != nil:
		return nil, errors.New("base_url: must not hold credentials; use key")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("base_url: must begin with http:// or https://")
	case u.Host == "":
		return nil, errors.New("base_url: no host")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("base_url of %s: a query or fragment has no place here", u.Host)
	}
	for _, ep := range openai.Endpoints() {
		if strings.HasSuffix(strings.TrimSuffix(u.Path, "/"), ep.Path()) {
			return nil, fmt.Errorf("base_url of %s: ends before %s", u.Host, ep.Path())
		}
	}
	return u, nil
}

// Header values shared by all requests; net/http only reads them.
var (
	typeJSON   = []string{"application/json"}
	typeStream = []string{"text/event-stream"}
	agent      = []string{"ai-gateway"}
)

// Do implements provider.Provider.
func (p *Provider) Do(ctx context.Context, c *provider.Call) (*provider.Response, error) {
	r := c.Request
	payload := r.Rewrite(openai.Edit{Model: c.Model, AskUsage: c.AskUsage && !p.o.NoUsage, Drop: p.o.Drop, Rename: p.o.Rename})
	h := make(http.Header, 4+len(p.o.Header))
	h["Content-Type"] = typeJSON
	h["User-Agent"] = agent
	h["Accept"] = typeJSON
	if r.Stream {
		h["Accept"] = typeStream
	}
	if c.Secret != "" {
		h["Authorization"] = []string{"Bearer " + c.Secret}
	}
	maps.Copy(h, p.o.Header)
	u := p.urls[r.Endpoint]
	up := newUpload(payload)
	req := (&http.Request{
		Method: http.MethodPost, URL: u, Host: u.Host, Header: h, ContentLength: int64(len(payload)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(&up.reader),
		// Lets the transport send again what a kept connection turned out not to take.
		GetBody: up.again,
	}).WithContext(httptrace.WithClientTrace(ctx, &up.trace))
	res, err := p.o.Transport.RoundTrip(req)
	up.payload = nil
	if err != nil {
		p.closeIdle()
		e := failure(err)
		if p.o.IsDial != nil && p.o.IsDial(err) {
			e.Kind, e.Message = provider.KindDial, noConnection
		}
		return nil, e
	}
	if e := res.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		_ = res.Body.Close()
		p.closeIdle()
		return nil, &provider.Error{Kind: provider.KindBroken, Status: res.StatusCode, Message: "upstream compressed its answer unasked"}
	}
	return &provider.Response{Status: res.StatusCode, Header: res.Header, Body: &body{res.Body, p}}, nil
}

// Close closes idle connections, now and whenever a call still under way ends:
// a provider's last streams may outlive its configuration.
func (p *Provider) Close() {
	p.closed.Store(true)
	p.closeIdle()
}

func (p *Provider) closeIdle() {
	if p.closed.Load() && p.o.CloseIdle != nil {
		p.o.CloseIdle()
	}
}

// upload is a request's body that is let go of once it has been sent: the
// transport keeps the request as long as the response lasts, and a stream may
// last while its request was large. The reader is of a type that net/http knows
// to be in memory, or the header would leave in a write of its own.
type upload struct {
	payload []byte
	reader  bytes.Reader
	trace   httptrace.ClientTrace
}

func newUpload(payload []byte) *upload {
	u := &upload{payload: payload}
	u.reader.Reset(payload)
	// Called where the body has been read, after its end.
	u.trace.WroteRequest = func(info httptrace.WroteRequestInfo) {
		if info.Err == nil {
			u.reader.Reset(nil)
		}
	}
	return u
}

// again implements http.Request.GetBody. The transport calls it before RoundTrip
// returns, and when the reader it had is done with.
func (u *upload) again() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(u.payload)), nil
}

type body struct {
	io.ReadCloser
	p *Provider
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.p.closeIdle()
	return err
}

const noConnection = "no connection to the upstream"

// failure reads a round trip's error. No connection, TLS included, is the
// target's trouble just as much as one that breaks, but worth telling apart.
func failure(err error) *provider.Error {
	e := &provider.Error{Kind: provider.KindBroken, Message: "upstream closed the connection without an answer", Err: err}
	late, ok := errors.AsType[net.Error](err)
	what := ""
	if op, ok := errors.AsType[*net.OpError](err); ok {
		what = op.Op
	}
	switch {
	case what == "dial", what == "proxyconnect", errors.As(err, new(*net.DNSError)):
		e.Kind, e.Message = provider.KindDial, noConnection
	case what == "local error", what == "remote error", // TLS alerts: their type is not exported
		errors.As(err, new(tls.RecordHeaderError)), errors.As(err, new(*tls.CertificateVerificationError)),
		errors.As(err, new(x509.UnknownAuthorityError)), errors.As(err, new(x509.HostnameError)):
		e.Kind, e.Message = provider.KindDial, "no secure connection to the upstream"
	case ok && late.Timeout(): // the transport's own limits, TLS handshake included
		e.Kind, e.Message = provider.KindTimeout, "the upstream did not answer in time"
	}
	return e
}

// Interface guards
var _ provider.Provider = (*Provider)(nil)
