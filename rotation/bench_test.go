package rotation

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/provider"
)

// instant answers from memory.
type instant struct {
	header http.Header
	body   string
}

func (i *instant) Do(context.Context, *provider.Call) (*provider.Response, error) {
	return &provider.Response{Status: 200, Header: i.header, Body: io.NopCloser(bytes.NewReader([]byte(i.body)))}, nil
}

func benchTarget(contentType, body string) *Target {
	p := bound("p", "k0", "k1", "k2", "k3")
	p.Client = &instant{http.Header{"Content-Type": {contentType}}, body}
	p.FirstTimeout, p.IdleTimeout, p.Timeout = time.Minute, time.Minute, 10*time.Minute
	return NewTarget(p, "m")
}

func BenchmarkCallerDo(b *testing.B) {
	call := Call{Route: Route{Chain: direct(benchTarget("application/json", wholeAnswer))}, Request: request(b, false)}
	c := new(Caller)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Do(b.Context(), call); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCallerStream(b *testing.B) {
	call := Call{Route: Route{Chain: direct(benchTarget("text/event-stream", wholeStream))}, Request: request(b, true)}
	c := new(Caller)
	b.ReportAllocs()
	for b.Loop() {
		s, err := c.Stream(b.Context(), call)
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = s.Next()
		}
		s.Close()
	}
}
