package leanhttp

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

var errWhy = errors.New("why")

// The context ends a call at any point, the error is its cause, and nothing of
// the call remains: see newClient.
//
// contract: S9
func TestCancel(t *testing.T) {
	ctx := func(t *testing.T) (context.Context, func()) {
		ctx, cancel := context.WithCancelCause(t.Context())
		return ctx, func() { cancel(errWhy) }
	}
	t.Run("before it begins", func(t *testing.T) {
		c := newClient(t)
		ctx, cancel := ctx(t)
		cancel()
		if err := fails(t, c, request(ctx, "GET", "http://127.0.0.1:1", "")); err != errWhy || c.dials.Load() != 0 {
			t.Error(err, c.dials.Load())
		}
	})
	t.Run("while dialling", func(t *testing.T) {
		c := newClient(t)
		ctx, cancel := ctx(t)
		c.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			cancel()
			<-ctx.Done()
			return nil, &net.OpError{Op: "dial", Err: ctx.Err()}
		}
		if err := fails(t, c, request(ctx, "GET", example, "")); err != errWhy {
			t.Error(err)
		}
	})
	t.Run("when a connection is there", func(t *testing.T) {
		url := listen(t, each(fresh))
		c := newClient(t)
		ctx, cancel := ctx(t)
		dial := c.Dial
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			defer cancel()
			return dial(ctx, network, addr)
		}
		if err := fails(t, c, request(ctx, "GET", url, "")); err != errWhy {
			t.Error(err)
		}
	})
	t.Run("while a large body is written", func(t *testing.T) {
		url := listen(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1))
			<-t.Context().Done() // and takes no more
		})
		c := newClient(t)
		ctx, cancel := ctx(t)
		first := make(chan struct{})
		pr, pw := io.Pipe()
		go func() {
			_, _ = pw.Write(make([]byte, 1))
			close(first)
			_, _ = io.Copy(pw, zeros{}) // without an end: it is the server who stalls
		}()
		req, _ := http.NewRequestWithContext(ctx, "POST", url, pr)
		req.ContentLength = 1 << 40
		go func() {
			<-first
			cancel()
		}()
		if err := fails(t, c, req); err != errWhy {
			t.Error(err)
		}
	})
	for name, piece := range map[string]string{
		"before the header":   "",
		"amid the header":     "HTTP/1.1 200 OK\r\nX-Head",
		"after interim ones":  "HTTP/1.1 102 Processing\r\n\r\n",
		"before the body":     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
		"amid the body":       "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfre",
		"amid an endless one": "HTTP/1.1 200 OK\r\n\r\nfre",
		"amid a chunk":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfre",
		"between chunks":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfre\r\n",
		"amid the trailer":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfre\r\n0\r\nX-",
	} {
		t.Run(name, func(t *testing.T) {
			asked, gone := make(chan struct{}), make(chan struct{})
			url := listen(t, func(c net.Conn) {
				br := bufio.NewReader(c)
				_ = ask(br)
				_, _ = io.WriteString(c, piece)
				close(asked)
				_, _ = br.ReadByte()
				close(gone)
			})
			c := newClient(t)
			ctx, cancel := ctx(t)
			go func() {
				<-asked
				cancel()
			}()
			res, err := c.RoundTrip(request(ctx, "GET", url, ""))
			if err == nil {
				_, err = io.Copy(io.Discard, res.Body)
				for range 2 { // of the first error too
					if n, again := res.Body.Read(make([]byte, 1)); n != 0 || again != err {
						t.Error(n, again)
					}
				}
				<-gone // before Close
				_ = res.Body.Close()
			}
			if err != errWhy {
				t.Error(err)
			}
			<-gone
		})
	}
}

// A timeout's cause is told as well, and one without is what net/http tells.
func TestTimeout(t *testing.T) {
	url := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	c := newClient(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	err := fails(t, c, request(ctx, "GET", url, ""))
	var late net.Error
	if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &late) || !late.Timeout() {
		t.Error(err)
	}
}

// A context that ends after its call, or just then, does nothing to the next one.
//
// contract: S9
func TestCancelAtTheEnd(t *testing.T) {
	url := listen(t, each(fresh))
	for name, cancelled := range map[string]func(func(), io.Reader) error{
		"after": func(cancel func(), body io.Reader) error {
			_, err := io.Copy(io.Discard, body)
			cancel()
			return err
		},
		"at the same time": func(cancel func(), body io.Reader) error {
			done := make(chan struct{})
			go func() {
				cancel()
				close(done)
			}()
			_, err := io.Copy(io.Discard, body)
			<-done
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t)
			const calls = 2000
			for range calls {
				ctx, cancel := context.WithCancelCause(t.Context())
				res, err := c.RoundTrip(request(ctx, "GET", url, ""))
				if err != nil {
					t.Fatal(err)
				}
				if err := cancelled(func() { cancel(errWhy) }, res.Body); err != nil && err != errWhy {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				get(t, c, url, "fresh")
			}
			if n := c.dials.Load(); name == "after" && n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}
