package openai

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// client is a ResponseWriter that notes how it is used.
type client struct {
	header http.Header
	gone   error // what writes return
	stuck  error // what flushes return

	// used has no lock, so that the race detector sees calls that the
	// StreamWriter lets overlap.
	used bool

	mu    sync.Mutex // between the calls and the test
	calls []string
}

func newClient() *client { return &client{header: http.Header{}} }

func (c *client) note(call string) {
	c.used = true
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, call)
}

func (c *client) Header() http.Header { return c.header }

func (c *client) WriteHeader(status int) {
	c.note(http.StatusText(status) + " " + c.header.Get("Content-Type"))
}

func (c *client) Write(p []byte) (int, error) {
	c.note(string(p))
	return len(p), c.gone
}

func (c *client) FlushError() error {
	c.note("flush")
	return c.stuck
}

// take returns the calls since the last take.
func (c *client) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { c.calls = nil }()
	return strings.Join(c.calls, "|")
}

func (c *client) expect(t *testing.T, want ...string) {
	t.Helper()
	if got, want := c.take(), strings.Join(want, "|"); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// pass lets the bubble's time pass.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // in a synctest bubble, where it costs no time
	synctest.Wait()
}

const committing = "OK text/event-stream"

// contract: S7, S8
func TestFirstWriteCommits(t *testing.T) {
	c := newClient()
	s := NewStreamWriter(c, 0, 0, 1)
	defer s.Close()
	if s.Committed() || c.take() != "" {
		t.Fatal("committed before anything was written")
	}
	if n, err := s.Write([]byte("data: a\n\n")); n != 9 || err != nil {
		t.Fatal(n, err)
	}
	if !s.Committed() {
		t.Error("not committed")
	}
	for name, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"} {
		if got := c.header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	c.expect(t, committing, "data: a\n\n", "flush")
	_, _ = s.Write([]byte("data: b\n\ndata: c\n\n"))
	c.expect(t, "data: b\n\ndata: c\n\n", "flush") // once each, whatever it holds
}

// contract: S8
func TestHeadersLeaveWithTheCommit(t *testing.T) {
	c := newClient()
	s := NewStreamWriter(c, 0, 0, 1)
	defer s.Close()
	s.SetHeader("X-AI-Gateway-Target", "a")
	_, _ = s.Write([]byte("data: a\n\n"))
	s.SetHeader("X-AI-Gateway-Target", "b")
	if got := c.header.Get("X-AI-Gateway-Target"); got != "a" {
		t.Errorf("got %q", got)
	}
}

// contract: S7
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient()
		s := NewStreamWriter(c, 10*time.Second, 0, 1)

		pass(9999 * time.Millisecond)
		c.expect(t)
		pass(time.Millisecond)
		c.expect(t, committing, ": keep-alive\n\n", "flush")
		if !s.Committed() {
			t.Error("a keep-alive commits")
		}
		pass(10 * time.Second)
		c.expect(t, ": keep-alive\n\n", "flush")

		pass(4 * time.Second)
		_, _ = s.Write([]byte("data: a\n\n"))
		c.expect(t, "data: a\n\n", "flush")
		pass(9999 * time.Millisecond)
		c.expect(t) // the silence began with the write
		pass(time.Millisecond)
		c.expect(t, ": keep-alive\n\n", "flush")

		for range 30 {
			pass(9 * time.Second)
			_, _ = s.Write([]byte("x"))
		}
		if got := c.take(); strings.Contains(got, "keep-alive") {
			t.Errorf("a keep-alive without silence: %q", got)
		}

		s.Close()
		pass(time.Hour)
		c.expect(t)
	})
}

// contract: S7
func TestNoKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, quiet := range []time.Duration{0, -1} {
			c := newClient()
			s := NewStreamWriter(c, quiet, 0, 1)
			pass(time.Hour)
			c.expect(t)
			s.Close()
		}
	})
}

// contract: S4
func TestFail(t *testing.T) {
	e := BadGateway("broken")
	event := string(e.AppendEvent(nil))
	t.Run("before the commit", func(t *testing.T) {
		w := httptest.NewRecorder()
		s := NewStreamWriter(w, time.Hour, 0, 1)
		s.Fail(e)
		if w.Code != http.StatusBadGateway || w.Header().Get("Content-Type") != "application/json" || w.Body.String() != string(e.AppendJSON(nil)) {
			t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
		}
		if !s.Committed() {
			t.Error("a status has been sent")
		}
	})
	t.Run("after the commit", func(t *testing.T) {
		c := newClient()
		s := NewStreamWriter(c, 0, 0, 1)
		_, _ = s.Write([]byte("data: a\n\n"))
		s.Fail(e)
		c.expect(t, committing, "data: a\n\n", "flush", event, "flush")
	})
	t.Run("after a keep-alive", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newClient()
			s := NewStreamWriter(c, time.Second, 0, 1)
			pass(time.Second)
			s.Fail(e)
			c.expect(t, committing, ": keep-alive\n\n", "flush", event, "flush")
			pass(time.Hour)
			c.expect(t)
		})
	})
	t.Run("is the end", func(t *testing.T) {
		c := newClient()
		s := NewStreamWriter(c, 0, 0, 1)
		_, _ = s.Write([]byte("data: a\n\n"))
		s.Fail(e)
		c.take()
		s.Fail(e)
		if n, err := s.Write([]byte(Done)); n != 0 || err == nil {
			t.Error(n, err)
		}
		c.expect(t)
	})
	t.Run("not after Close", func(t *testing.T) {
		c := newClient()
		s := NewStreamWriter(c, 0, 0, 1)
		s.Close()
		s.Fail(e)
		c.expect(t)
	})
}

// contract: S9
func TestClientLeaves(t *testing.T) {
	gone := errors.New("broken pipe")
	for name, c := range map[string]*client{
		"seen in the write": {header: http.Header{}, gone: gone},
		"seen in the flush": {header: http.Header{}, stuck: gone},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := NewStreamWriter(c, time.Second, 0, 1)
				defer s.Close()
				pass(time.Second) // a keep-alive is the first to see it
				if c.take() == "" {
					t.Error("no keep-alive")
				}
				if n, err := s.Write([]byte("data: a\n\n")); n != 0 || !errors.Is(err, gone) {
					t.Error(n, err)
				}
				s.Fail(Internal())
				pass(time.Hour)
				c.expect(t)
			})
		})
	}
}

// Keep-alives fall between writes, and none comes after Close.
//
// contract: S7
func TestCloseWhileKeepAlivesAreDue(t *testing.T) {
	for range 200 {
		c := newClient()
		s := NewStreamWriter(c, time.Nanosecond, 0, 1)
		for range 3 {
			_, _ = s.Write([]byte("data: a\n\n"))
		}
		s.Close()
		c.take()
		s.Close()
		if _, err := s.Write(nil); err == nil {
			t.Fatal("a write after Close")
		}
		c.expect(t)
		c.used = false // the race detector sees a keep-alive that is still on its way
	}
}

// Over a real connection the client has each event as soon as it is written.
//
// contract: S8
func TestEventsArriveAtOnce(t *testing.T) {
	next := make(chan struct{}, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := NewStreamWriter(w, time.Hour, 0, 1)
		defer s.Close()
		for more := true; more; {
			select {
			case _, more = <-next:
			case <-r.Context().Done():
				return
			}
			if more {
				_, _ = s.Write([]byte("data: a\n\n"))
			}
		}
		s.Fail(BadGateway("broken"))
	}))
	defer srv.Close()
	srv.Client().Timeout = 20 * time.Second // only when an event does not arrive
	next <- struct{}{}
	res, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	er := NewEventReader(res.Body)
	defer er.Release()
	for range 3 {
		ev, err := er.Next()
		if err != nil || string(ev.Data) != "a" {
			t.Fatalf("%q, %v", ev.Data, err)
		}
		next <- struct{}{} // only now there is another
	}
	close(next)
	var last Event
	for ev, err := er.Next(); err != io.EOF; ev, err = er.Next() {
		if err != nil {
			t.Fatal(err)
		}
		last = ev
	}
	if string(last.Type) != "error" {
		t.Errorf("ends with %q", last.Raw)
	}
}

// unflushable is a ResponseWriter that a middleware has put itself before.
type unflushable struct{ rec *httptest.ResponseRecorder }

func (u unflushable) Header() http.Header         { return u.rec.Header() }
func (u unflushable) Write(p []byte) (int, error) { return u.rec.Write(p) }
func (u unflushable) WriteHeader(status int)      { u.rec.WriteHeader(status) }

func TestWriterWithoutFlush(t *testing.T) {
	rec := httptest.NewRecorder()
	s := NewStreamWriter(unflushable{rec}, 0, 0, 1)
	defer s.Close()
	for range 2 {
		if _, err := s.Write([]byte("data: x\n\n")); err != nil {
			t.Fatal(err)
		}
	}
	if got := rec.Body.String(); got != "data: x\n\ndata: x\n\n" {
		t.Errorf("%q", got)
	}
}

type panicking struct{ unflushable }

func (panicking) Write([]byte) (int, error) { panic("a middleware's bug") }

// A panic on the keep-alive's timer is nobody's request to end.
//
// security: X14
func TestPanicInAKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewStreamWriter(panicking{unflushable{httptest.NewRecorder()}}, time.Second, 0, 1)
		defer s.Close()
		time.Sleep(3 * time.Second) //nolint:forbidigo // synctest's clock
		if _, err := s.Write([]byte("data: x\n\n")); err == nil {
			t.Error("wrote on after the panic")
		}
	})
}

// timed is a client whose connection has a deadline for writes.
type timed struct {
	*client
	deadlines []time.Duration // since it was made; -1 for none any more
	start     time.Time
	stalls    bool // writes wait for the deadline
}

func (c *timed) SetWriteDeadline(at time.Time) error {
	if at.IsZero() {
		c.deadlines = append(c.deadlines, -1)
	} else {
		c.deadlines = append(c.deadlines, at.Sub(c.start))
	}
	return nil
}

func (c *timed) Write(p []byte) (int, error) {
	if c.stalls {
		time.Sleep(c.deadlines[len(c.deadlines)-1] - time.Since(c.start)) //nolint:forbidigo // synctest's clock
		return 0, os.ErrDeadlineExceeded
	}
	return c.client.Write(p)
}

// A client that takes nothing is cut off; the deadline moves once a second only, and is
// gone when the connection may have another request.
//
// fault: K10
func TestWriteDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &timed{client: newClient(), start: time.Now()}
		s := NewStreamWriter(c, 0, 10*time.Second, 1)
		for range 30 {
			pass(100 * time.Millisecond)
			if _, err := s.Write([]byte("data: x\n\n")); err != nil {
				t.Fatal(err)
			}
		}
		if want := []time.Duration{10100 * time.Millisecond, 11100 * time.Millisecond, 12100 * time.Millisecond}; !slices.Equal(c.deadlines, want) {
			t.Errorf("%v, want %v", c.deadlines, want)
		}
		pass(time.Minute) // an upstream may think for as long as it likes
		if _, err := s.Write([]byte("data: x\n\n")); err != nil {
			t.Fatal(err)
		}
		s.Close()
		if c.deadlines[len(c.deadlines)-1] != -1 {
			t.Errorf("%v: the next answer inherits the deadline", c.deadlines)
		}

		c = &timed{client: newClient(), start: time.Now(), stalls: true}
		s = NewStreamWriter(c, 0, 10*time.Second, 1)
		if _, err := s.Write([]byte("data: x\n\n")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if d := time.Since(c.start); d != 10*time.Second {
			t.Errorf("cut off after %s", d)
		}
		s.Close()
	})
}
