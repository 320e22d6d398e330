package openai

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// client is a ResponseWriter that notes in which order it is used. It has no
// lock of its own: the race detector is to see what the StreamWriter forgets.
type client struct {
	header http.Header
	calls  []string
	gone   error // what writes return
	stuck  error // what flushes return
}

func newClient() *client { return &client{header: http.Header{}} }

func (c *client) Header() http.Header { return c.header }

func (c *client) WriteHeader(status int) {
	c.calls = append(c.calls, http.StatusText(status)+" "+c.header.Get("Content-Type"))
}

func (c *client) Write(p []byte) (int, error) {
	c.calls = append(c.calls, string(p))
	return len(p), c.gone
}

func (c *client) FlushError() error {
	c.calls = append(c.calls, "flush")
	return c.stuck
}

func (c *client) expect(t *testing.T, want ...string) {
	t.Helper()
	if got, want := strings.Join(c.calls, "|"), strings.Join(want, "|"); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	c.calls = nil
}

const committing = "OK text/event-stream"

// contract: S7, S8
func TestFirstWriteCommits(t *testing.T) {
	c := newClient()
	s := NewStreamWriter(c, 0)
	defer s.Close()
	if s.Committed() || len(c.calls) > 0 {
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

// contract: S7
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient()
		s := NewStreamWriter(c, 10*time.Second)
		at := func(d time.Duration) { time.Sleep(d); synctest.Wait() }

		at(9999 * time.Millisecond)
		c.expect(t)
		at(time.Millisecond)
		c.expect(t, committing, ": keep-alive\n\n", "flush")
		if !s.Committed() {
			t.Error("a keep-alive commits")
		}
		at(10 * time.Second)
		c.expect(t, ": keep-alive\n\n", "flush")

		at(4 * time.Second)
		_, _ = s.Write([]byte("data: a\n\n"))
		c.expect(t, "data: a\n\n", "flush")
		at(9999 * time.Millisecond)
		c.expect(t) // the silence began with the write
		at(time.Millisecond)
		c.expect(t, ": keep-alive\n\n", "flush")

		for range 30 {
			at(9 * time.Second)
			_, _ = s.Write([]byte("x"))
		}
		if got := strings.Join(c.calls, ""); strings.Contains(got, "keep-alive") {
			t.Errorf("a keep-alive without silence: %q", got)
		}
		c.calls = nil

		s.Close()
		at(time.Hour)
		c.expect(t)
	})
}

// contract: S7
func TestNoKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, quiet := range []time.Duration{0, -1} {
			c := newClient()
			s := NewStreamWriter(c, quiet)
			time.Sleep(time.Hour)
			synctest.Wait()
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
		s := NewStreamWriter(w, time.Hour)
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
		s := NewStreamWriter(c, 0)
		_, _ = s.Write([]byte("data: a\n\n"))
		s.Fail(e)
		c.expect(t, committing, "data: a\n\n", "flush", event, "flush")
	})
	t.Run("after a keep-alive", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newClient()
			s := NewStreamWriter(c, time.Second)
			time.Sleep(time.Second)
			synctest.Wait()
			s.Fail(e)
			c.expect(t, committing, ": keep-alive\n\n", "flush", event, "flush")
			time.Sleep(time.Hour)
			synctest.Wait()
			c.expect(t)
		})
	})
	t.Run("is the end", func(t *testing.T) {
		c := newClient()
		s := NewStreamWriter(c, 0)
		_, _ = s.Write([]byte("data: a\n\n"))
		s.Fail(e)
		c.calls = nil
		s.Fail(e)
		if n, err := s.Write([]byte(Done)); n != 0 || err == nil {
			t.Error(n, err)
		}
		c.expect(t)
	})
	t.Run("not after Close", func(t *testing.T) {
		c := newClient()
		s := NewStreamWriter(c, 0)
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
				s := NewStreamWriter(c, time.Second)
				defer s.Close()
				time.Sleep(time.Second) // a keep-alive is the first to see it
				synctest.Wait()
				c.calls = nil
				if n, err := s.Write([]byte("data: a\n\n")); n != 0 || err != gone {
					t.Error(n, err)
				}
				s.Fail(Internal())
				time.Sleep(time.Hour)
				c.expect(t)
			})
		})
	}
}

// Keep-alives fall between writes, and none comes after Close: the client's own
// calls are not locked, so the race detector sees any that overlap.
//
// contract: S7
func TestCloseWhileKeepAlivesAreDue(t *testing.T) {
	for range 200 {
		c := newClient()
		s := NewStreamWriter(c, time.Nanosecond)
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 3 {
				_, _ = s.Write([]byte("data: a\n\n"))
			}
			s.Close()
		})
		wg.Wait()
		before := len(c.calls)
		s.Close()
		if _, err := s.Write(nil); err == nil {
			t.Fatal("a write after Close")
		}
		if len(c.calls) != before {
			t.Fatal("something was written after Close")
		}
	}
}

// Over a real connection the client has each event as soon as it is written.
//
// contract: S8
func TestEventsArriveAtOnce(t *testing.T) {
	next := make(chan struct{}, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s := NewStreamWriter(w, time.Hour)
		defer s.Close()
		for range next {
			_, _ = s.Write([]byte("data: a\n\n"))
		}
		s.Fail(BadGateway("broken"))
	}))
	defer srv.Close()
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
