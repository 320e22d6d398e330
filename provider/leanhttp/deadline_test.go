package leanhttp

import (
	"bufio"
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// impatient sets a deadline of its own for every read, as Caddy's connections do.
type impatient struct {
	*counted
	patience time.Duration
	reads    *atomic.Int64
}

func (c *impatient) Read(p []byte) (int, error) {
	c.reads.Add(1)
	_ = c.SetReadDeadline(time.Now().Add(c.patience))
	return c.counted.Read(p)
}

// Deadlines that the dialer sets neither put off a cancellation nor outlive a call.
//
// contract: S9
func TestDialersDeadlines(t *testing.T) {
	var reads atomic.Int64
	impatiently := func(c *client, d time.Duration) {
		dial := c.Dial
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &impatient{nc.(*counted), d, &reads}, nil
		}
	}
	t.Run("cancel between reads", func(t *testing.T) {
		url := listen(t, func(c net.Conn) {
			_ = ask(bufio.NewReader(c))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
			_, _ = io.Copy(io.Discard, c)
		})
		c := newClient(t)
		impatiently(c, time.Hour)
		ctx, cancel := context.WithCancelCause(t.Context())
		res, err := c.RoundTrip(request(ctx, "GET", url, ""))
		if err != nil {
			t.Fatal(err)
		}
		cancel(errWhy)
		eventually(t, "the connection is closed", func() bool { return c.open.Load() == 0 })
		before := reads.Load()
		if _, err := res.Body.Read(make([]byte, 1)); err != errWhy || reads.Load() != before {
			t.Error(err, reads.Load()-before)
		}
		_ = res.Body.Close()
	})
	t.Run("idle for longer", func(t *testing.T) {
		url := listen(t, each(fresh))
		c := newClient(t)
		impatiently(c, 50*time.Millisecond)
		get(t, c, url, "fresh")
		time.Sleep(100 * time.Millisecond) //nolint:forbidigo // for the deadline to pass
		get(t, c, url, "fresh")
		if n := c.dials.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}
