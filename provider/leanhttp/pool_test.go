package leanhttp

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a Transport over pipes; every connection answers with its number.
func pipes(t *testing.T) *Transport {
	n := 0
	tr := &Transport{MaxIdlePerHost: 2}
	tr.Dial = func(context.Context, string, string) (net.Conn, error) {
		n++
		ours, theirs := net.Pipe()
		go each(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", n))(theirs)
		return ours, nil
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

const example = "http://upstream.example/v1"

// hold starts n calls at once and returns their bodies.
func hold(t *testing.T, tr *Transport, n int) (held []io.ReadCloser) {
	for range n {
		res, err := tr.RoundTrip(request(t.Context(), "GET", example, "")) //nolint:bodyclose // its caller does
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, res.Body)
	}
	return held
}

func release(bodies ...io.ReadCloser) {
	for _, b := range bodies {
		_, _ = io.Copy(io.Discard, b)
		_ = b.Close()
	}
}

// The last one used goes first, and no more are kept than allowed.
func TestLastInFirstOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := pipes(t)
		release(hold(t, tr, 3)...) // the third finds no room
		if n := tr.kept(); n != 2 {
			t.Errorf("%d are kept", n)
		}
		for range 3 {
			get(t, tr, example, "2")
		}
		release(hold(t, tr, 1)...)
		both := hold(t, tr, 2)
		release(both[1], both[0])
		get(t, tr, example, "2")
	})
}

func TestKeepNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := pipes(t)
		tr.MaxIdlePerHost = 0
		get(t, tr, example, "1")
		get(t, tr, example, "2")
		if n := tr.kept(); n != 0 {
			t.Errorf("%d are kept", n)
		}
	})
}

// Addresses share no connections.
func TestPoolsAreByAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := pipes(t)
		get(t, tr, example, "1")
		get(t, tr, "http://other.example/v1", "2")
		get(t, tr, "http://upstream.example:80/v1", "1")
		get(t, tr, "http://upstream.example:81/v1", "3")
	})
}

// What is idle for too long is closed, and nothing else.
func TestIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := pipes(t)
		tr.IdleTimeout = time.Minute
		wait := func(d time.Duration, kept int) {
			t.Helper()
			time.Sleep(d) //nolint:forbidigo // the clock is the test's own
			synctest.Wait()
			if n := tr.kept(); n != kept {
				t.Fatalf("%d are kept, want %d", n, kept)
			}
		}
		both := hold(t, tr, 2)
		wait(5*time.Minute, 0) // in use is not idle
		release(both[0])
		wait(30*time.Second, 1)
		release(both[1])
		wait(29*time.Second, 2)
		wait(time.Second, 1)
		wait(29*time.Second, 1)
		wait(time.Second, 0)
		get(t, tr, example, "3")
		wait(59*time.Second, 1)
		get(t, tr, example, "3") // begins anew
		wait(59*time.Second, 1)
		wait(time.Minute, 0)
		if tr.idle.timer != nil {
			t.Error("the timer outlives what it is for")
		}
	})
}

func TestNoIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := pipes(t)
		get(t, tr, example, "1")
		time.Sleep(1000 * time.Hour) //nolint:forbidigo // the clock is the test's own
		get(t, tr, example, "1")
	})
}

// CloseIdleConnections leaves calls alone, and no timer.
//
// contract: K8
func TestCloseIdleConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := pipes(t)
		tr.IdleTimeout = time.Minute
		tr.CloseIdleConnections() // nothing yet
		both := hold(t, tr, 2)
		release(both[0])
		tr.CloseIdleConnections()
		if n := tr.kept(); n != 0 || tr.idle.timer != nil {
			t.Errorf("%d are kept, timer %v", n, tr.idle.timer)
		}
		release(both[1]) // whole, and kept
		get(t, tr, example, "2")
		tr.CloseIdleConnections()
		get(t, tr, example, "3")
	})
}

// A connection without a descriptor is looked at too, within a millisecond.
func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		start := time.Now()
		for range 2 {
			if !alive(ours) {
				t.Error("alive and quiet")
			}
		}
		if d := time.Since(start); d > 2*time.Millisecond {
			t.Error(d)
		}
		go func() { _, _ = theirs.Write([]byte("HTTP/1.1 200 OK\r\n\r\n")) }()
		synctest.Wait()
		if alive(ours) {
			t.Error("something came unasked")
		}
		_ = theirs.Close()
		if alive(ours) {
			t.Error("closed by the other side")
		}
		_ = ours.Close()
		if alive(ours) {
			t.Error("closed")
		}
	})
}
