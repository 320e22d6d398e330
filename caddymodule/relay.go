package caddymodule

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
	"github.com/universal-ai-gateway/magicproxy/rotation"
)

// relay answers with a plain model's stream.
func (x *exchange) relay(ctx context.Context, call rotation.Call) {
	metrics.streams.Inc()
	defer metrics.streams.Dec()
	x.stream = openai.NewStreamWriter(x.w, time.Duration(x.h.KeepAlive))
	s, err := x.h.app.caller.Stream(ctx, call)
	if err != nil {
		x.failCall(err)
		return
	}
	defer s.Close()
	x.stream.SetHeader(HeaderTarget, s.Target().String())
	err = relayEvents(x.stream, s, call.Request)
	var e *provider.Error
	switch {
	case err == nil:
	case errors.Is(err, errClientLeft):
		x.left = true
	case !errors.As(err, &e):
		x.fail(openai.Internal())
	case e.Kind == provider.KindCanceled:
		x.left = true
	default:
		x.cause = e
		x.fail(rotation.Broken(e))
	}
}

var errClientLeft = errors.New("the client has left")

// eventSource is what relayEvents needs of a rotation.Stream.
type eventSource interface {
	Next() (rotation.Event, error)
	Buffered() bool
	Done() bool
}

var relayBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// relayEvents passes an upstream's events on, bytes as they came (contract S1):
// what one read brought leaves in one write. The usage chunk that only we asked
// for stays with us (S2). The error is errClientLeft, or the stream's.
func relayEvents(w io.Writer, s eventSource, req *openai.Request) error {
	own := relayBuffers.Get().(*[]byte)
	defer relayBuffers.Put(own)
	buf := (*own)[:0]
	defer func() { *own = buf[:0] }()
	for {
		ev, err := s.Next()
		if err != nil {
			if err == io.EOF && !s.Done() && req.Endpoint.EndsWithDone() {
				buf = append(buf, openai.Done...)
			}
			if len(buf) > 0 {
				if _, e := w.Write(buf); e != nil {
					return errClientLeft
				}
			}
			if err == io.EOF {
				return nil
			}
			return err
		}
		if !ev.Info.UsageOnly || req.IncludeUsage {
			buf = append(buf, ev.Raw...)
		}
		if len(buf) == 0 || s.Buffered() && len(buf) < maxWrite {
			continue
		}
		if _, err := w.Write(buf); err != nil {
			return errClientLeft
		}
		if cap(buf) > maxKept {
			buf = make([]byte, 0, 4<<10)
		}
		buf = buf[:0]
	}
}

// maxWrite bounds what is gathered for one write, maxKept the buffers that go
// back to the pool.
const (
	maxWrite = 32 << 10
	maxKept  = 64 << 10
)
