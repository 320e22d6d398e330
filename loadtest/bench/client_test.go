package main

import (
	"errors"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// answering serves each connection the bytes once, after a request's first read, then closes it.
func answering(t *testing.T, response string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 64<<10)
			_, _ = nc.Read(buf)
			_, _ = nc.Write([]byte(response))
			_ = nc.Close()
		}
	}()
	return ln.Addr().String()
}

func TestClientAgainstUpstream(t *testing.T) {
	srv := httptest.NewServer(newUpstream(timing{pace: 10 * time.Millisecond}))
	t.Cleanup(srv.Close)
	p := newPool(strings.TrimPrefix(srv.URL, "http://"), "t", 1, 2)
	t.Cleanup(p.close)
	c := p.clients[0]
	for range 3 {
		for _, k := range kinds {
			if err := c.do(p.reqs[k], k.check()); err != nil {
				t.Fatalf("%s: %v", k, err)
			}
		}
	}
	nc := c.nc
	if err := c.do(p.reqs[plain], checkPlain); err != nil || c.nc != nc {
		t.Errorf("connection not kept: %v", err)
	}
}

func TestClientSeesBrokenAnswers(t *testing.T) {
	whole := string(wholeStream())
	tests := []struct {
		name, response string
		truncated      bool
	}{
		{"no answer", "", false},
		{"refused", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy", false},
		{"body shorter than Content-Length", "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + whole[:900], true},
		{"no last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + "5\r\ndata:\r\n", true},
		{"chunk cut", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + "ff\r\ndata:", true},
		{"well-formed but half an answer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + "7\r\ndata: 1\r\n0\r\n\r\n", true},
		{"no length", "HTTP/1.1 200 OK\r\n\r\n" + whole, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newClient(answering(t, tt.response))
			defer c.close()
			err := c.do(requestBytes(c.addr, "t", stream, 2), checkStream)
			if err == nil || errors.Is(err, errTruncated) != tt.truncated {
				t.Errorf("err = %v, truncated wanted: %t", err, tt.truncated)
			}
		})
	}
}

func TestClientReadsChunksOfAnySize(t *testing.T) {
	var b strings.Builder
	b.WriteString("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nTRANSFER-ENCODING: chunked\r\n\r\n")
	for _, c := range wholeStream() {
		b.WriteString("1;ext=x\r\n" + string(c) + "\r\n")
	}
	b.WriteString("0\r\nTrailer: x\r\n\r\n")
	c := newClient(answering(t, b.String()))
	defer c.close()
	if err := c.do(requestBytes(c.addr, "t", stream, 2), checkStream); err != nil {
		t.Error(err)
	}
}

func TestPrompts(t *testing.T) {
	for prompt, want := range map[int]int{1: 2_000, 2: 2_000, 30: 30_000, 100: 100_000} {
		if n := len(requestBytes("a:1", "t", plain, prompt)); n < want*9/10 || n > want*12/10 {
			t.Errorf("a prompt of %d KB makes a request of %d bytes", prompt, n)
		}
	}
}

func TestTiming(t *testing.T) {
	srv := httptest.NewServer(newUpstream(timing{delay: 20 * time.Millisecond, between: 5 * time.Millisecond}))
	defer srv.Close()
	p := newPool(strings.TrimPrefix(srv.URL, "http://"), "t", 1, 2)
	defer p.close()
	for k, least := range map[kind]time.Duration{plain: 20 * time.Millisecond, stream: (20 + (contentEvents+2)*5) * time.Millisecond} {
		start := time.Now()
		if err := p.clients[0].do(p.reqs[k], k.check()); err != nil {
			t.Errorf("%s: %v", k, err)
		}
		if took := time.Since(start); took < least {
			t.Errorf("%s took %s, less than %s", k, took, least)
		}
	}
}
