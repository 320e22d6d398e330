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
// It does no TLS, no proxies, no HTTP/2, no redirects, no compression.
//
//	t := &leanhttp.Transport{Dial: (&net.Dialer{}).DialContext}
//	res, err := t.RoundTrip(req)
package leanhttp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
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
	errScheme         = errors.New("leanhttp: only http URLs")
	errInterim        = errors.New("leanhttp: too many interim responses")
)

const (
	defaultMaxHeader = 256 << 10
	maxInterim       = 5
	refusalWait      = time.Second
)

// RoundTrip implements http.RoundTripper. The request's context ends the call at
// any time, also while the body is read; the error is then its cause. The body
// must be closed; once it has been read to its end the connection serves again.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "http" {
		closeBody(req)
		return nil, errScheme
	}
	c, err := t.conn(req.Context(), address(req))
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
	if res.Body == http.NoBody {
		c.finish(!res.Close)
		return res, nil
	}
	res.Body = &body{c: c, from: res.Body, keep: !res.Close}
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
func (t *Transport) conn(ctx context.Context, addr string) (*conn, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if c := t.idle.take(addr); c != nil {
		return c, nil
	}
	nc, err := t.Dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: nc, t: t, addr: addr}, nil
}

func address(req *http.Request) string {
	if req.URL.Port() != "" {
		return req.URL.Host
	}
	return net.JoinHostPort(req.URL.Hostname(), "80")
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// conn is a connection in use by one call, or idle.
type conn struct {
	net.Conn
	t    *Transport
	addr string

	br   *bufio.Reader // while in use
	left int64         // of the header that may still come; negative: no limit

	ctx    context.Context
	unhook func() bool // stops the watch; false when it has struck

	since time.Time // idle since
}

// The buffers are borrowed: writers while a request is written, readers until the
// end of the answer.
var (
	writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 4<<10) }}
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 2<<10) }}
)

// past ends every read and write.
var past = time.Unix(1, 0)

// watch ends the call's reads and writes with its context.
func (c *conn) watch(ctx context.Context) {
	c.ctx = ctx
	c.unhook = context.AfterFunc(ctx, func() { _ = c.SetDeadline(past) }) // fails only when it is closed already
}

// because returns the context's cause if that is what ended the call.
func (c *conn) because(err error) error {
	if cause := context.Cause(c.ctx); cause != nil {
		return cause
	}
	return err
}

// exchange writes the request and waits for the answer.
func (c *conn) exchange(req *http.Request, maxHeader int64) (*http.Response, error) {
	bw := writers.Get().(*bufio.Writer)
	bw.Reset(c.Conn)
	err := req.Write(bw) // closes the request's body
	if err == nil {
		err = bw.Flush()
	}
	bw.Reset(nil)
	writers.Put(bw)
	if err == nil {
		return c.response(req, maxHeader)
	}
	// A server that refuses a large body may answer and close without reading it
	// all. That answer says more than the failed write.
	if e := c.SetReadDeadline(time.Now().Add(refusalWait)); e != nil || c.ctx.Err() != nil {
		return nil, err
	}
	res, e := c.response(req, maxHeader)
	if e != nil {
		return nil, err
	}
	res.Close = true
	return res, nil
}

// response reads the answer's header.
func (c *conn) response(req *http.Request, maxHeader int64) (*http.Response, error) {
	c.br = readers.Get().(*bufio.Reader)
	c.br.Reset(c)
	c.left = maxHeader
	for range maxInterim {
		res, err := http.ReadResponse(c.br, req)
		switch {
		case err != nil && c.left == 0:
			return nil, ErrHeaderTooLarge
		case err != nil:
			return nil, err
		case res.StatusCode >= 200:
			c.left = -1
			return res, nil
		case res.StatusCode == http.StatusSwitchingProtocols:
			return nil, fmt.Errorf("leanhttp: %s, unasked", res.Status)
		}
	}
	return nil, errInterim
}

// Read bounds the header.
func (c *conn) Read(p []byte) (int, error) {
	switch {
	case c.left < 0:
		return c.Conn.Read(p)
	case c.left == 0:
		return 0, io.EOF
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// finish ends a call whose answer has been read to its end.
func (c *conn) finish(keep bool) {
	keep = keep && c.br.Buffered() == 0 // what comes unasked belongs to nobody
	c.release()
	if !c.unhook() || !keep {
		_ = c.Close()
		return
	}
	c.ctx, c.unhook = nil, nil
	c.t.idle.put(c)
}

// abandon ends a call in the middle.
func (c *conn) abandon() {
	c.release()
	c.unhook()
	_ = c.Close()
}

func (c *conn) release() {
	if c.br != nil {
		c.br.Reset(nil)
		readers.Put(c.br)
		c.br = nil
	}
}

// body is an answer's body. It belongs to one goroutine.
type body struct {
	c    *conn // nil once the call has ended
	from io.Reader
	keep bool
	err  error // of reads after the end
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.c == nil {
		return 0, b.err
	}
	n, err := b.from.Read(p)
	switch {
	case err == nil:
	case err == io.EOF:
		b.c.finish(b.keep)
		b.c, b.from, b.err = nil, nil, io.EOF
	default:
		err = b.c.because(err)
	}
	return n, err
}

// Close implements io.Closer. A body that has not been read to its end takes its
// connection with it.
func (b *body) Close() error {
	if b.c != nil {
		b.c.abandon()
		b.c, b.from, b.err = nil, nil, http.ErrBodyReadAfterClose
	}
	return nil
}
