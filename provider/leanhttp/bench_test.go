package leanhttp

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// transports are what is compared.
func transports(b *testing.B, run func(*testing.B, http.RoundTripper)) {
	std := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 1024, ReadBufferSize: 2 << 10, WriteBufferSize: 3 << 10}
	lean := &Transport{Dial: new(net.Dialer).DialContext, MaxIdlePerHost: 1024}
	b.Cleanup(std.CloseIdleConnections)
	b.Cleanup(lean.CloseIdleConnections)
	b.Run("lean", func(b *testing.B) { run(b, lean) })
	b.Run("net", func(b *testing.B) { run(b, std) })
}

func exchange(b *testing.B, rt http.RoundTripper, url string, payload []byte) {
	req, _ := http.NewRequestWithContext(b.Context(), "POST", url, bytes.NewReader(payload))
	res, err := rt.RoundTrip(req)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkRoundTrip is a request and a short answer. The server is raw, so that
// what is measured is mostly the client.
func BenchmarkRoundTrip(b *testing.B) {
	for name, size := range map[string]int{"small": 500, "large": 20_000} {
		payload := bytes.Repeat([]byte("x"), size)
		b.Run(name, func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = l.Close() })
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						defer c.Close()
						each(fresh)(c)
					}()
				}
			}()
			transports(b, func(b *testing.B, rt http.RoundTripper) {
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						exchange(b, rt, "http://"+l.Addr().String(), payload)
					}
				})
			})
		})
	}
}

// BenchmarkStream is an event stream of 100 flushed pieces.
func BenchmarkStream(b *testing.B) {
	event := []byte("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word\"}}]}\n\n")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 100 {
			_, _ = w.Write(event)
			_ = http.NewResponseController(w).Flush()
		}
	}))
	b.Cleanup(s.Close)
	transports(b, func(b *testing.B, rt http.RoundTripper) {
		b.ReportAllocs()
		for b.Loop() {
			exchange(b, rt, s.URL, []byte("{}"))
		}
	})
}
