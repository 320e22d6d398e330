package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

const (
	requestTimeout = 30 * time.Second
	maxAnswer      = 1 << 20
)

// client is one keep-alive connection to a target. It reads no more of HTTP/1.1 than our servers use, so that its cost does not
// drown what is measured. Not safe for concurrent use; send and receive alternate.
type client struct {
	addr string
	nc   net.Conn
	br   *bufio.Reader
	body []byte // of the last answer, reused
}

func newClient(addr string) *client {
	return &client{addr: addr, br: bufio.NewReaderSize(nil, 4<<10)}
}

func (c *client) close() {
	if c.nc != nil {
		_ = c.nc.Close() // nothing left to lose
		c.nc = nil
	}
}

// do sends one request and checks the whole answer. After an error the connection is closed; the next call dials again.
func (c *client) do(req []byte, check func([]byte) error) error {
	if err := c.send(req); err != nil {
		return err
	}
	return c.receive(check)
}

func (c *client) send(req []byte) error {
	if c.nc == nil {
		nc, err := net.DialTimeout("tcp", c.addr, 5*time.Second)
		if err != nil {
			return err
		}
		c.nc = nc
		c.br.Reset(nc)
	}
	if err := c.nc.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		c.close()
		return err
	}
	if _, err := c.nc.Write(req); err != nil {
		c.close()
		return err
	}
	return nil
}

func (c *client) receive(check func([]byte) error) error {
	hd, err := readHead(c.br)
	if err != nil {
		c.close()
		return err
	}
	b := bodyReader{br: c.br, chunked: hd.chunked, left: hd.length}
	c.body, err = b.appendTo(c.body[:0])
	if err != nil || hd.close {
		c.close()
	}
	switch {
	case hd.status != 200:
		return &refusal{hd.status, hd.retryAfter, string(c.body[:min(300, len(c.body))])}
	case err != nil:
		return fmt.Errorf("%w: body of %d bytes: %w", errTruncated, len(c.body), err)
	}
	return check(c.body)
}

// head is what the load generator needs of a response header.
type head struct {
	status  int
	length  int64
	chunked bool
	close   bool

	retryAfter bool
}

// refusal is an answer that is none.
type refusal struct {
	status     int
	retryAfter bool
	body       string
}

func (r *refusal) Error() string { return fmt.Sprintf("status %d: %s", r.status, r.body) }

var errNoLength = errors.New("response has neither Content-Length nor chunked coding")

func readHead(br *bufio.Reader) (head, error) {
	var hd head
	line, err := readLine(br)
	if err != nil {
		return hd, fmt.Errorf("reading the status line: %w", err)
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return hd, fmt.Errorf("not an HTTP/1.1 status line: %.60q", line)
	}
	if hd.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return hd, fmt.Errorf("not a status: %.60q", line)
	}
	hd.length = -1
	for {
		if line, err = readLine(br); err != nil {
			return hd, fmt.Errorf("reading the response header: %w", err)
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if hd.length, err = strconv.ParseInt(string(value), 10, 64); err != nil || hd.length < 0 {
				return hd, fmt.Errorf("bad Content-Length %q", value)
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			hd.chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("Retry-After")):
			hd.retryAfter = len(value) > 0
		case bytes.EqualFold(name, []byte("Connection")):
			hd.close = bytes.EqualFold(value, []byte("close"))
		}
	}
	if !hd.chunked && hd.length < 0 {
		return hd, errNoLength
	}
	return hd, nil
}

// readLine returns a line without its end, valid until the next read.
func readLine(br *bufio.Reader) ([]byte, error) {
	line, err := br.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

// bodyReader reads one response body, either coding, and leaves the connection at the next response.
type bodyReader struct {
	br      *bufio.Reader
	chunked bool
	left    int64 // of the body, or of the current chunk
	begun   bool  // chunked: a chunk has been read
	done    bool
}

// Read implements io.Reader: io.EOF only after the whole body, io.ErrUnexpectedEOF when the connection ends before.
func (b *bodyReader) Read(p []byte) (int, error) {
	if b.chunked && !b.done && (b.left == 0 || !b.begun) {
		if err := b.nextChunk(); err != nil {
			return 0, err
		}
	}
	if b.done || b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.br.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (b *bodyReader) nextChunk() error {
	if b.begun { // the line end that closes the chunk before
		if line, err := readLine(b.br); err != nil || len(line) != 0 {
			return unexpected(err, "chunk without its line end")
		}
	}
	b.begun = true
	line, err := readLine(b.br)
	if err != nil {
		return unexpected(err, "")
	}
	size, _, _ := bytes.Cut(line, []byte(";"))
	if b.left, err = strconv.ParseInt(string(bytes.TrimSpace(size)), 16, 64); err != nil || b.left < 0 {
		return fmt.Errorf("bad chunk size %.40q", line)
	}
	if b.left > 0 {
		return nil
	}
	for { // trailers, then the empty line
		if line, err = readLine(b.br); err != nil {
			return unexpected(err, "")
		}
		if len(line) == 0 {
			b.done = true
			return nil
		}
	}
}

func unexpected(err error, what string) error {
	switch err {
	case nil:
		return errors.New(what)
	case io.EOF:
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendTo appends the rest of the body to dst.
func (b *bodyReader) appendTo(dst []byte) ([]byte, error) {
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := b.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case err == io.EOF:
			return dst, nil
		case err != nil:
			return dst, err
		case len(dst) > maxAnswer:
			return dst, fmt.Errorf("answer above %d bytes", maxAnswer)
		}
	}
}
