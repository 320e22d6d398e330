package leanhttp

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
)

// listen serves connections, each in a goroutine, and returns the URL.
func listen(t *testing.T, serve func(net.Conn)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var all []net.Conn
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			all = append(all, c)
			mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range all {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return "http://" + l.Addr().String()
}

// each answers every request of a connection with the same bytes, without closing.
func each(raw string) func(net.Conn) {
	return func(c net.Conn) {
		for br := bufio.NewReader(c); ask(br) == nil; {
			if _, err := io.WriteString(c, raw); err != nil {
				return
			}
		}
	}
}

// once answers one request and closes.
func once(raw string) func(net.Conn) {
	return func(c net.Conn) {
		if ask(bufio.NewReader(c)) == nil {
			_, _ = io.WriteString(c, raw)
		}
	}
}

// ask reads a request.
func ask(br *bufio.Reader) error {
	req, err := http.ReadRequest(br)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, req.Body)
	return err
}
