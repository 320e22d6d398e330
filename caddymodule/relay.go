package caddymodule

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
	"github.com/universal-ai-gateway/magicproxy/rotation"
)

// relay answers with a plain model's stream.
func (x *exchange) relay(ctx context.Context, call rotation.Call) {
	metrics.streams.Inc()
	defer metrics.streams.Dec()
	x.stream = x.newStream()
	// The request is not looked at again: a stream must not keep its body.
	endpoint := call.Request.Endpoint
	addDone := endpoint.EndsWithDone()
	s, err := x.h.app.caller.Stream(ctx, call)
	if err != nil {
		x.failCall(err)
		return
	}
	defer s.Close()
	x.stream.SetHeader(HeaderTarget, headerText(s.Target().String()))
	x.status = http.StatusOK
	var source eventSource = s
	var head heading
	if x.overhears() {
		source = &overheard{s, x, endpoint, &head}
	}
	err = relayEvents(counted{x.stream, &x.sent}, source, addDone)
	e, ok := errors.AsType[*provider.Error](err)
	switch {
	case err == nil:
		x.keepSaid(&openai.Completion{
			ID:      cmp.Or(head.ID, "chatcmpl-"+strings.TrimPrefix(x.id, "req_")),
			Created: cmp.Or(head.Created, time.Now().Unix()),
			Model:   cmp.Or(head.Model, s.Target().Model),
		})
	case errors.Is(err, errClientLeft):
		x.left = true
	case !ok:
		x.fail(openai.Internal())
	case e.Kind == provider.KindCanceled:
		x.left = true
	default:
		x.cause = e
		x.fail(rotation.Broken(e))
	}
}

var errClientLeft = errors.New("the client has left")

// eventSource is what relayEvents needs of a rotation.Stream, which says what its
// methods promise.
type eventSource interface {
	Next() (*rotation.Event, error)
	Buffered() bool
	UsageChunk() []byte
}

// relayEvents passes an upstream's events on, bytes as they came (contract S1):
// what one read brought leaves in one write, from the buffer it was read into.
// The usage goes before the end (S2). The error is errClientLeft, or the
// stream's.
func relayEvents(w io.Writer, s eventSource, addDone bool) error {
	var out []byte // events that stand side by side in the stream's buffer
	write := func() error {
		if len(out) == 0 {
			return nil
		}
		if _, err := w.Write(out); err != nil {
			return errClientLeft
		}
		out = nil
		return nil
	}
	// finish puts the end behind what is waiting, and the usage between.
	finish := func(end []byte) error {
		if usage := s.UsageChunk(); len(usage) > 0 {
			out = slices.Concat(out, usage, end)
		} else {
			out = slices.Concat(out, end)
		}
		return write()
	}
	for {
		ev, err := s.Next()
		switch {
		case err == io.EOF && addDone:
			return finish([]byte(openai.Done))
		case err == io.EOF:
			return finish(nil)
		case err != nil:
			if e := write(); e != nil {
				return e
			}
			return err
		case ev.Done:
			return finish(ev.Raw)
		case adjacent(out, ev.Raw):
			out = out[:len(out)+len(ev.Raw)]
		case len(ev.Raw) > 0:
			if err := write(); err != nil {
				return err
			}
			out = ev.Raw
		}
		if !s.Buffered() {
			if err := write(); err != nil {
				return err
			}
		}
	}
}

// adjacent reports whether b begins in memory where a ends, in room that a may
// grow into.
func adjacent(a, b []byte) bool {
	return len(a) > 0 && len(b) > 0 && cap(a) >= len(a)+len(b) && &a[:len(a)+1][len(a)] == &b[0]
}
