// Package leanhttp makes HTTP/1.1 round trips over plain connections without a
// goroutine of its own.
//
// net/http's Transport gives every connection two goroutines and a pair of
// buffers for as long as it lives; thousands of open event streams pay for that
// with a third of their memory, and every request with four changes of
// goroutine. Here the caller's goroutine writes the request and reads the answer
// itself. Requests are written and responses parsed by net/http all the same;
// what is ours is the pool of connections and the end of a call.
//
// It does no TLS, no proxies, no HTTP/2, no upgrades, no redirects, no compression,
// and it reads no answer before the request is written: a server that answers
// early is heard when it has taken the request or closed the connection. Of
// httptrace's hooks only those of writing are called.
//
//	t := &leanhttp.Transport{Dial: (&net.Dialer{}).DialContext}
//	res, err := t.RoundTrip(req)
package leanhttp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Transport implements http.RoundTripper for http URLs. It is safe for concurrent
// use. Its fields must not change once it is used.
type Transport struct {
	// Dial opens connections, as net.Dialer's DialContext does.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// MaxIdlePerHost bounds the connections kept for further use, per address; 0
	// keeps none. IdleTimeout is how long they are kept, 0 for no limit.
	MaxIdlePerHost int
	IdleTimeout    time.Duration

	// MaxHeader bounds the header of a response in bytes; 0 means 256 KiB.
	MaxHeader int64

	idle pool
}

// Errors of RoundTrip, beside those of dialling, writing and reading.
var (
	ErrHeaderTooLarge = errors.New("leanhttp: the response's header is too large")
	errURL            = errors.New("leanhttp: only http URLs with a host")
	errMethod         = errors.New("leanhttp: not a method")
)

const (
	defaultMaxHeader = 256 << 10
	refusalWait      = time.Second
)

// RoundTrip implements http.RoundTripper. The request's context ends the call at
// any time, also while the body is read; the error is then its cause. The body
// must be closed; once it has been read to its end the connection serves again.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	c, err := t.conn(req)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	c.watch(req.Context())
	res, err := c.exchange(req, t.maxHeader())
	if err != nil {
		c.abandon()
		return nil, c.because(err)
	}
	keep := !res.Close && !req.Close && res.StatusCode >= 200
	if res.Body == http.NoBody {
		c.finish(keep)
		return res, nil
	}
	res.Body = &body{c: c, from: res.Body, keep: keep}
	return res, nil
}

// CloseIdleConnections closes the connections that nobody uses now.
func (t *Transport) CloseIdleConnections() { t.idle.close() }

func (t *Transport) maxHeader() int64 {
	if t.MaxHeader > 0 {
		return t.MaxHeader
	}
	return defaultMaxHeader
}

// conn takes an idle connection, or dials.
func (t *Transport) conn(req *http.Request) (*conn, error) {
	if err := check(req); err != nil {
		return nil, err
	}
	addr, err := address(req.URL)
	if err != nil {
		return nil, err
	}
	ctx := req.Context()
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	if c := t.idle.take(addr); c != nil {
		return c, nil
	}
	nc, err := t.Dial(ctx, "tcp", addr)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, err
	}
	return &conn{Conn: nc, t: t, addr: addr}, nil
}

// check refuses what net/http's Transport refuses and Request.Write would send, or
// leave out in silence. Errors do not repeat values: they may be keys.
func check(req *http.Request) error {
	if req.URL == nil || req.URL.Scheme != "http" || req.URL.Host == "" {
		return errURL
	}
	if req.Method != "" && !httpguts.ValidHeaderFieldName(req.Method) { // both are tokens
		return errMethod
	}
	for _, h := range [...]http.Header{req.Header, req.Trailer} {
		for name, values := range h {
			if !httpguts.ValidHeaderFieldName(name) {
				return fmt.Errorf("leanhttp: header %q: not a header's name", name)
			}
			for _, v := range values {
				if !httpguts.ValidHeaderFieldValue(v) {
					return fmt.Errorf("leanhttp: header %s: control characters in the value", name)
				}
			}
		}
	}
	return nil
}

func address(u *url.URL) (string, error) {
	if u.Port() != "" {
		return httpguts.PunycodeHostPort(u.Host)
	}
	host, err := httpguts.PunycodeHostPort(u.Hostname())
	return net.JoinHostPort(host, "80"), err
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}
