package leanhttp

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // net/http's transport tells of every byte it has not asked for
	goleak.VerifyTestMain(m)
}

// client is a Transport that counts its connections.
type client struct {
	Transport
	dials, open atomic.Int64
}

func newClient(t *testing.T) *client {
	c := &client{Transport: Transport{MaxIdlePerHost: 256, IdleTimeout: time.Minute}}
	c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c.dials.Add(1)
		c.open.Add(1)
		return &counted{TCPConn: nc.(*net.TCPConn), t: t, c: c}, nil
	}
	t.Cleanup(func() {
		c.CloseIdleConnections()
		eventually(t, "every connection is closed", func() bool { return c.open.Load() == 0 })
	})
	return c
}

type counted struct {
	*net.TCPConn
	t      *testing.T
	c      *client
	closed atomic.Bool
}

func (c *counted) Close() error {
	err := c.TCPConn.Close()
	if c.closed.Swap(true) {
		c.t.Error("closed twice")
	} else {
		c.c.open.Add(-1)
	}
	return err
}

// kept returns the number of idle connections.
func (t *Transport) kept() (n int) {
	t.idle.mu.Lock()
	defer t.idle.mu.Unlock()
	for _, list := range t.idle.idle {
		n += len(list)
	}
	return n
}

// answer is a response that has been read.
type answer struct {
	status          int
	header, trailer http.Header
	body            string
}

// do makes a call and reads the answer to its end.
func do(rt http.RoundTripper, req *http.Request) (answer, error) {
	res, err := rt.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, res.Trailer, string(b)}, err
}

// fails makes a call that must not be answered.
func fails(t *testing.T, rt http.RoundTripper, req *http.Request) error {
	t.Helper()
	res, err := rt.RoundTrip(req)
	if err == nil {
		_ = res.Body.Close()
		t.Error("no error, but ", res.Status)
	}
	return err
}

func request(ctx context.Context, method, url, body string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	return req
}

// get wants an answer of 200 with that body.
func get(t *testing.T, rt http.RoundTripper, url, want string) {
	t.Helper()
	a, err := do(rt, request(t.Context(), "GET", url, ""))
	if err != nil || a.status != 200 || a.body != want {
		t.Fatalf("%d %q: %v, want %q", a.status, a.body, err, want)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) { //nolint:forbidigo // polls, with a deadline
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

const fresh = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfresh"
