package leanhttp

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A server that refuses a request before it has read all of it is heard.
func TestEarlyRefusal(t *testing.T) {
	const refusal = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\n\r\ntoo large"
	asked := func(c net.Conn) {
		for br := bufio.NewReader(c); ; {
			if line, err := br.ReadString('\n'); err != nil || line == "\r\n" {
				return
			}
		}
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	}))
	t.Cleanup(s.Close)
	for name, url := range map[string]string{
		"net/http": s.URL,
		"raw": listen(t, func(c net.Conn) {
			asked(c)
			_, _ = io.WriteString(c, refusal)
		}),
		"raw, closing": listen(t, func(c net.Conn) {
			asked(c)
			_, _ = io.WriteString(c, strings.Replace(refusal, "Content-Length: 9", "Connection: close", 1))
		}),
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t)
			for kind, body := range map[string]io.Reader{"in memory": bytesOf(10 << 20), "read": io.MultiReader(bytesOf(10 << 20))} {
				req, _ := http.NewRequestWithContext(t.Context(), "POST", url, body)
				req.ContentLength = 10 << 20
				a, err := do(c, req)
				if err != nil || a.status != http.StatusRequestEntityTooLarge || strings.TrimSpace(a.body) != "too large" {
					t.Errorf("%s: %d %q: %v", kind, a.status, a.body, err)
				}
				if n := c.kept(); n != 0 {
					t.Errorf("%s: the connection is kept", kind)
				}
			}
		})
	}
}

// A request whose body fails is the caller's trouble: no answer is waited for.
func TestBodyFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := errors.New("own")
		for name, body := range map[string]io.Reader{
			"error":      io.MultiReader(io.LimitReader(zeros{}, 10_000), failing{own}),
			"error soon": failing{own},
			"too short":  io.LimitReader(zeros{}, 10),
		} {
			tr := pipes(t)
			req, _ := http.NewRequestWithContext(t.Context(), "POST", example, body)
			req.ContentLength = 20_000
			start := time.Now()
			err := fails(t, tr, req)
			if err == nil || time.Since(start) != 0 || tr.kept() != 0 {
				t.Errorf("%s: %v after %s, %d are kept", name, err, time.Since(start), tr.kept())
			}
		}
	})
}

// A server that answers nothing but takes nothing either is not waited for long.
func TestRefusalWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &Transport{Dial: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() { _, _ = bufio.NewReader(theirs).ReadByte() }()
			return &deaf{Conn: ours}, nil
		}}
		start := time.Now()
		err := fails(t, tr, request(t.Context(), "POST", example, "{}"))
		if err != errDeaf || time.Since(start) != refusalWait {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

var errDeaf = errors.New("deaf")

// deaf fails every write.
type deaf struct{ net.Conn }

func (*deaf) Write([]byte) (int, error) { return 0, errDeaf }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
