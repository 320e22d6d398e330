package leanhttp

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

func bytesOf(n int) *bytes.Reader { return bytes.NewReader(bytes.Repeat([]byte("x"), n)) }

// Bytes that nobody has asked for are never taken for the next call's answer,
// whether they come with what was asked for or after it.
//
// security: X10
func TestUnaskedBytes(t *testing.T) {
	const evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	for name, tt := range map[string]struct{ method, first string }{
		"Content-Length": {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
		"empty":          {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		"chunked":        {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
		"trailer":        {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n"},
		"both":           {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		"204":            {"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 42\r\n\r\n"},
		"304":            {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 42\r\n\r\n"},
		"HEAD":           {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n"},
		"below 100":      {"GET", "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n"},
		"large":          {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + strings.Repeat("x", 9000)},
	} {
		for _, after := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " after", false: " with"}[after], func(t *testing.T) {
				read, sent := make(chan struct{}), make(chan struct{})
				var begun atomic.Bool
				url := listen(t, func(c net.Conn) {
					if begun.Swap(true) {
						each(fresh)(c)
						return
					}
					br := bufio.NewReader(c)
					_ = ask(br)
					if after {
						_, _ = io.WriteString(c, tt.first)
						<-read
						_, _ = io.WriteString(c, evil)
					} else {
						_, _ = io.WriteString(c, tt.first+evil)
					}
					close(sent)
					_, _ = io.Copy(io.Discard, br)
				})
				c := newClient(t)
				if _, err := do(c, request(t.Context(), tt.method, url, "")); err != nil {
					t.Fatal(err)
				}
				close(read)
				<-sent
				eventually(t, "it has come", func() bool {
					idle := c.idle.idle[strings.TrimPrefix(url, "http://")]
					return len(idle) == 0 || !alive(idle[0].Conn)
				})
				get(t, c, url, "fresh")
			})
		}
	}
}

// An answer that breaks off is an error, each time it is read, and its connection
// is gone.
//
// security: X10
func TestBrokenOff(t *testing.T) {
	for name, raw := range map[string]string{
		"Content-Length":      "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
		"nothing of it":       "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
		"chunk":               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nshort",
		"chunk's length":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n1",
		"chunks without last": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t)
			res, err := c.RoundTrip(request(t.Context(), "GET", listen(t, once(raw)), ""))
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if b, err := io.ReadAll(res.Body); err != io.ErrUnexpectedEOF {
					t.Errorf("%q, %v", b, err)
				}
			}
			if c.open.Load() != 0 || c.kept() != 0 {
				t.Errorf("%d connections are open, %d kept", c.open.Load(), c.kept())
			}
			_ = res.Body.Close()
		})
	}
}

// security: X10
func TestHeaderIsBounded(t *testing.T) {
	head := "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Long: " + strings.Repeat("x", 5000) + "\r\n\r\n"
	url := listen(t, each(head+"fresh"))
	for limit, want := range map[int]error{
		len(head): nil, len(head) + 1: nil, len(head) - 1: ErrHeaderTooLarge, 1: ErrHeaderTooLarge, 2048: ErrHeaderTooLarge, 0: nil,
	} {
		c := newClient(t)
		c.MaxHeader = int64(limit)
		a, err := do(c, request(t.Context(), "GET", url, ""))
		if err != want || err == nil && a.body != "fresh" {
			t.Errorf("%d of %d: %q, %v", limit, len(head), a.body, err)
		}
	}
}

// Headers without an end end at the bound.
//
// security: X10
func TestEndlessHeader(t *testing.T) {
	for name, parts := range map[string][2]string{
		"line":    {"HTTP/1.1 200 ", "OK "},
		"field":   {"HTTP/1.1 200 OK\r\nX: ", "y"},
		"fields":  {"HTTP/1.1 200 OK\r\n", "X: y\r\n"},
		"folded":  {"HTTP/1.1 200 OK\r\nX: y\r\n", " z\r\n"},
		"interim": {"", "HTTP/1.1 100 Continue\r\n\r\n"},
		"hints":   {"", "HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			done := make(chan struct{})
			url := listen(t, func(c net.Conn) {
				defer close(done)
				_ = ask(bufio.NewReader(c))
				_, err := io.WriteString(c, parts[0])
				for more := strings.Repeat(parts[1], 1000); err == nil; n += len(more) {
					_, err = io.WriteString(c, more)
				}
			})
			c := newClient(t)
			if _, err := do(c, request(t.Context(), "GET", url, "")); err != ErrHeaderTooLarge {
				t.Error(err)
			}
			<-done
			if n < defaultMaxHeader/2 {
				t.Errorf("gave up after %d bytes", n)
			}
		})
	}
}

// Nobody has asked to speak something else.
func TestSwitchingProtocols(t *testing.T) {
	c := newClient(t)
	_, err := do(c, request(t.Context(), "GET", listen(t, each("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")), ""))
	if err == nil || !strings.Contains(err.Error(), "101") || c.kept() != 0 {
		t.Error(err, c.kept())
	}
}

// A status that means nothing is told, and its connection not trusted further.
func TestStatusBelow100(t *testing.T) {
	c := newClient(t)
	a, err := do(c, request(t.Context(), "GET", listen(t, each("HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n")), ""))
	if a.status != 99 || err != nil || c.kept() != 0 {
		t.Error(a.status, err, c.kept())
	}
}
