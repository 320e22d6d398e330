package leanhttp

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// conn is a connection in use by one call, or idle.
type conn struct {
	net.Conn
	t    *Transport
	addr string

	br   *bufio.Reader // while in use
	left int64         // of the header that may still come; negative: no limit
	cut  bool          // a write has failed

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

// watch ends the call's reads and writes with its context. Closing does, for good,
// what a deadline could not: connections that keep deadlines of their own, as
// Caddy's do, would put it off with their next read.
func (c *conn) watch(ctx context.Context) {
	c.ctx = ctx
	c.unhook = context.AfterFunc(ctx, func() { _ = c.Close() })
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
	bw.Reset(c)
	err := req.Write(bw) // closes the request's body
	if err == nil {
		err = bw.Flush()
	}
	bw.Reset(nil)
	writers.Put(bw)
	switch {
	case err == nil:
		return c.response(req, maxHeader)
	case !c.cut: // the request's own fault: the server still waits for the rest
		return nil, err
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

// response reads the answer's header, past what is said in the interim.
func (c *conn) response(req *http.Request, maxHeader int64) (*http.Response, error) {
	c.br = readers.Get().(*bufio.Reader)
	c.br.Reset(c)
	c.left = maxHeader // of all of them together
	for {
		res, err := http.ReadResponse(c.br, req)
		switch {
		case err != nil && c.left == 0:
			return nil, ErrHeaderTooLarge
		case err != nil:
			return nil, err
		case res.StatusCode == http.StatusSwitchingProtocols:
			return nil, fmt.Errorf("leanhttp: %s, unasked", res.Status)
		case res.StatusCode/100 != 1:
			c.left = -1
			return res, nil
		}
	}
}

// Read bounds the header.
func (c *conn) Read(p []byte) (int, error) {
	switch {
	case c.ctx.Err() != nil: // closed, or about to be: Caddy's connections would log an error
		return 0, net.ErrClosed
	case c.left < 0:
		return c.Conn.Read(p)
	case c.left == 0:
		return 0, io.EOF
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// Write notes failures.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.cut = err != nil
	return n, err
}

// ReadFrom sends what does not fit into the buffer of a write. A body in memory
// goes from where it is.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	if l, ok := r.(*io.LimitedReader); ok {
		if b, ok := l.R.(*bytes.Reader); ok && int64(b.Len()) <= l.N {
			n, err := b.WriteTo(c)
			l.N -= n
			return n, err
		}
	}
	return io.Copy(struct{ io.Writer }{c}, r)
}

// finish ends a call whose answer has been read to its end.
func (c *conn) finish(keep bool) {
	keep = keep && c.br.Buffered() == 0 // what comes unasked belongs to nobody
	c.release()
	switch {
	case !c.unhook(): // closed with its context
	case !keep:
		_ = c.Close()
	default:
		c.ctx, c.unhook = nil, nil
		c.t.idle.put(c)
	}
}

// abandon ends a call in the middle.
func (c *conn) abandon() {
	c.release()
	if c.unhook() {
		_ = c.Close()
	}
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

// Read implements io.Reader. The first error is the last: net/http's body would
// follow a premature end with a proper one.
func (b *body) Read(p []byte) (int, error) {
	if b.c == nil {
		return 0, b.err
	}
	n, err := b.from.Read(p)
	switch err {
	case nil:
	case io.EOF:
		b.c.finish(b.keep)
		b.end(err)
	default:
		err = b.c.because(err)
		b.c.abandon()
		b.end(err)
	}
	return n, err
}

// Close implements io.Closer. A body that has not been read to its end takes its
// connection with it.
func (b *body) Close() error {
	if b.c != nil {
		b.c.abandon()
		b.end(http.ErrBodyReadAfterClose)
	}
	return nil
}

func (b *body) end(err error) { b.c, b.from, b.err = nil, nil, err }
