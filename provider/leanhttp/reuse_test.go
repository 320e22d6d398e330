package leanhttp

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// One connection serves a hundred calls, whatever the shape of their answers.
func TestConnectionsAreReused(t *testing.T) {
	for name, handle := range map[string]http.HandlerFunc{
		"Content-Length": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) },
		"large":          func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 100_000)) },
		"empty":          func(http.ResponseWriter, *http.Request) {},
		"204":            func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"304":            func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) },
		"interim": func(w http.ResponseWriter, _ *http.Request) {
			for range 7 {
				w.WriteHeader(http.StatusEarlyHints)
			}
			_, _ = w.Write([]byte("{}"))
		},
		"chunked": func(w http.ResponseWriter, _ *http.Request) {
			for range 3 {
				_, _ = w.Write([]byte("data: {}\n\n"))
				_ = http.NewResponseController(w).Flush()
			}
		},
		"trailer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			_, _ = w.Write([]byte("{}"))
			w.Header().Set("X-Sum", "1")
		},
	} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			t.Run(name+" "+method, func(t *testing.T) {
				s := httptest.NewServer(handle)
				t.Cleanup(s.Close)
				c := newClient(t)
				for range 100 {
					a, err := do(c, request(t.Context(), method, s.URL, "{}"))
					if err != nil {
						t.Fatal(err)
					}
					if name == "trailer" && method == "POST" && a.trailer.Get("X-Sum") != "1" {
						t.Fatalf("trailer %v", a.trailer)
					}
				}
				if n := c.dials.Load(); n != 1 {
					t.Errorf("%d connections", n)
				}
			})
		}
	}
}

// No answer of one call is ever another's.
func TestConcurrentUse(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = w.Write(b)
	}))
	t.Cleanup(s.Close)
	c := newClient(t)
	c.MaxIdlePerHost = 50
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			for j := range 10 {
				body := strings.Repeat(fmt.Sprint(i, " ", j, "\n"), 1+500*(j%3))
				a, err := do(c, request(t.Context(), "POST", s.URL, body))
				if err != nil || a.body != body {
					t.Errorf("%d bytes of %d: %v", len(a.body), len(body), err)
				}
				if i%50 == 0 {
					c.CloseIdleConnections()
				}
			}
		})
	}
	wg.Wait()
	if n := c.kept(); n > 50 {
		t.Errorf("%d connections are kept", n)
	}
}

// A connection that the server has closed meanwhile fails no call.
func TestServerClosedIdleConnection(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("fresh")) }))
	t.Cleanup(s.Close)
	c := newClient(t)
	for range 20 {
		get(t, c, s.URL, "fresh")
		idle := c.idle.idle[s.Listener.Addr().String()][0]
		s.CloseClientConnections()
		eventually(t, "it is seen", func() bool { return !alive(idle.Conn) })
	}
	if n := c.dials.Load(); n != 20 {
		t.Errorf("%d connections", n)
	}
}

// Servers that close after their answer are believed, in every way to say so.
func TestServerCloses(t *testing.T) {
	for name, raw := range map[string]string{
		"Connection: close":      "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nfresh",
		"chunked":                "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfresh\r\n0\r\n\r\n",
		"HTTP/1.0":               "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nfresh",
		"to the end":             "HTTP/1.1 200 OK\r\n\r\nfresh",
		"HTTP/1.0, to the end":   "HTTP/1.0 200 OK\r\n\r\nfresh",
		"HTTP/1.0, keep-alive":   "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nfresh",
		"HTTP/0.9 in disguise":   "HTTP/0.9 200 OK\r\nContent-Length: 5\r\n\r\nfresh",
		"without a word":         fresh,
		"interim, then the same": "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n" + fresh,
	} {
		t.Run(name, func(t *testing.T) {
			url := listen(t, once(raw))
			c := newClient(t)
			for range 5 {
				get(t, c, url, "fresh")
				eventually(t, "the end is seen", func() bool {
					idle := c.idle.idle[strings.TrimPrefix(url, "http://")]
					return len(idle) == 0 || !alive(idle[0].Conn)
				})
			}
			if n := c.dials.Load(); n != 5 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// Who asks for a close need not trust the server to do it.
func TestRequestClose(t *testing.T) {
	url := listen(t, each(fresh))
	c := newClient(t)
	for range 3 {
		req := request(t.Context(), "GET", url, "")
		req.Close = true
		if a, err := do(c, req); err != nil || a.body != "fresh" || c.open.Load() != 0 {
			t.Fatalf("%q: %v; %d connections are open", a.body, err, c.open.Load())
		}
	}
}

// A body that is closed before its end takes the connection with it.
func TestCloseBeforeTheEnd(t *testing.T) {
	gone := make(chan error, 1)
	url := listen(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		_ = ask(br)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
		_, err := br.ReadByte()
		gone <- err
	})
	for name, read := range map[string]int{"nothing read": 0, "some read": 1} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t)
			res, err := c.RoundTrip(request(t.Context(), "GET", url, ""))
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.ReadFull(res.Body, make([]byte, read)); n != read || err != nil {
				t.Error(n, err)
			}
			for range 2 {
				if err := res.Body.Close(); err != nil {
					t.Error(err)
				}
			}
			if n, err := res.Body.Read(make([]byte, 1)); n != 0 || err != http.ErrBodyReadAfterClose {
				t.Error(n, err)
			}
			if <-gone == nil {
				t.Error("the server was sent something")
			}
		})
	}
}

func TestReadAfterTheEnd(t *testing.T) {
	url := listen(t, each(fresh))
	c := newClient(t)
	res, err := c.RoundTrip(request(t.Context(), "GET", url, ""))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	for range 3 {
		if n, err := res.Body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Error(n, err)
		}
		get(t, c, url, "fresh") // not disturbed by who had the connection before
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := c.dials.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}
