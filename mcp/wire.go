package mcp

import (
	"context"
	"encoding/json"
	"io"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// wire is a connection on which the answers to all requests come in one stream: a
// command's output, or HTTP+SSE. As isolate does, it lets through to the SDK only what
// cannot break its session; what can't be told apart from noise is left out, and its
// request ends by its time.
type wire struct {
	iso   *isolate
	send  func(ctx context.Context, id string, data []byte, x *exchange) // reports through fail
	stop  func()                                                         // ends what is below; does not block
	in    chan jsonrpc.Message
	done  chan struct{}
	asked atomic.Int64 // the server's requests that have no answer yet

	mu      sync.Mutex
	over    *fault
	waiting map[string]*waiter
}

// waiter is a request that has no answer yet.
type waiter struct {
	x      *exchange
	method string
}

func newWire(iso *isolate) *wire {
	return &wire{iso: iso, in: make(chan jsonrpc.Message, 16), done: make(chan struct{}), waiting: make(map[string]*waiter)}
}

// SessionID implements sdk.Connection.
func (*wire) SessionID() string { return "" }

// Read implements sdk.Connection.
func (w *wire) Read(ctx context.Context) (jsonrpc.Message, error) {
	select {
	case m := <-w.in:
		return m, nil
	default:
	}
	select {
	case m := <-w.in:
		return m, nil
	case <-w.done:
		return nil, io.EOF
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Write implements sdk.Connection. It fails only when the connection has ended.
func (w *wire) Write(ctx context.Context, msg jsonrpc.Message) error {
	data, err := jsonrpc.EncodeMessage(msg)
	if err != nil {
		return err
	}
	req, _ := msg.(*jsonrpc.Request)
	if req == nil {
		w.asked.Add(-1)
	}
	if req == nil || !req.IsCall() {
		select {
		case <-w.done:
			return io.EOF
		default:
		}
		w.send(ctx, "", data, nil)
		return nil
	}
	raw, err := json.Marshal(req.ID.Raw())
	if err != nil {
		return err
	}
	id, x := string(raw), exchangeOf(ctx)
	x.begin(id, req.Method)
	if req.Method == methodList && x != nil {
		if data, err = withCursor(message{ID: raw, Method: req.Method, Params: req.Params}, x.cursor); err != nil {
			return err
		}
	}
	w.mu.Lock()
	if w.over != nil {
		w.mu.Unlock()
		return io.EOF
	}
	w.waiting[id] = &waiter{x: x, method: req.Method}
	w.mu.Unlock()
	context.AfterFunc(ctx, func() { w.forget(id) })
	if req.Method == methodDiscover {
		// A server of the older era may leave it unanswered.
		t := time.AfterFunc(w.iso.probe, func() {
			w.fail(id, &fault{kind: KindTimeout, text: "did not answer in time"})
		})
		context.AfterFunc(ctx, func() { t.Stop() })
	}
	w.send(ctx, id, data, x)
	return nil
}

// Close implements sdk.Connection.
func (w *wire) Close() error {
	w.end(garbage("ended the connection"))
	return nil
}

// end fails all that wait, for good.
func (w *wire) end(f *fault) {
	w.mu.Lock()
	if w.over != nil {
		w.mu.Unlock()
		return
	}
	w.over = f
	for _, v := range w.waiting {
		v.x.fail(f)
	}
	w.waiting = nil
	w.mu.Unlock()
	close(w.done)
	w.stop()
}

func (w *wire) forget(id string) *waiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.waiting[id]
	delete(w.waiting, id)
	return v
}

// fail ends one request.
func (w *wire) fail(id string, f *fault) {
	if v := w.forget(id); v != nil {
		v.x.fail(f)
		w.push(faultMessage(id, f))
	}
}

// only returns the id of the one request that waits, if it is the only one.
func (w *wire) only() (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var id string
	n := 0
	for k, v := range w.waiting {
		if v.method != methodListen {
			id = k
			n++
		}
	}
	return id, n == 1
}

// read takes what has come in.
func (w *wire) read(data []byte) {
	messages, err := parse(data)
	if err != nil {
		w.broken(data, &fault{kind: KindProtocol, text: "answered with garbage", cause: err})
		return
	}
	for i := range messages {
		w.take(&messages[i])
	}
}

var idPattern = regexp.MustCompile(`"id"\s*:\s*(\d+)`)

// broken takes what can't be read: the end of the request whose answer it looks
// like, or can only be.
func (w *wire) broken(head []byte, f *fault) {
	if m := idPattern.FindSubmatch(head[:min(len(head), maxHead)]); m != nil {
		w.fail(string(m[1]), f)
		return
	}
	if id, ok := w.only(); ok {
		w.fail(id, f)
	}
}

func (w *wire) take(m *message) {
	switch {
	case m.request():
		if w.asked.Add(1) > maxRequests {
			w.asked.Add(-1)
			return
		}
		// It may be any call's: they all have the one stream.
		if calls := w.iso.calls.all(); m.Method == methodElicit && len(calls) > 0 {
			go w.reply(calls, *m)
			return
		}
		w.push(requestMessage(m.ID, m.Method))
	case !m.response():
		w.notice(m)
	case m.ID == nil:
		if id, ok := w.only(); ok && m.Error != nil {
			w.fail(id, garbage("answered without saying what"))
		}
	default:
		w.answer(m)
	}
}

// reply answers a question.
func (w *wire) reply(calls []*asking, m message) {
	defer w.asked.Add(-1)
	w.send(w.iso.life, "", reply(calls, &m), nil)
}

func (w *wire) answer(m *message) {
	id := string(m.ID)
	v := w.forget(id)
	if v == nil {
		return // given up, or forged
	}
	var data []byte
	if m.Error != nil {
		f := w.iso.scrub.rejection(m.Error, v.method)
		v.x.fail(f)
		data = faultMessage(id, f)
	} else {
		var err error
		if data, err = resultMessage(id, v.method, m.Result); err != nil {
			f := &fault{kind: KindProtocol, text: "answered with garbage", cause: err}
			v.x.fail(f)
			data = faultMessage(id, f)
		} else {
			v.x.answered(m.Result)
		}
	}
	w.push(data)
}

func (w *wire) notice(m *message) {
	w.mu.Lock()
	all := make([]*exchange, 0, len(w.waiting))
	for _, v := range w.waiting {
		all = append(all, v.x)
	}
	w.mu.Unlock()
	if m.Method != noticeProgress {
		w.iso.notice(m, nil)
		return
	}
	token, text := w.iso.scrub.progressText(m.Params)
	for _, x := range all {
		x.note(token, text)
	}
}

// push hands a message of our own writing to the SDK.
func (w *wire) push(data []byte) {
	m, err := jsonrpc.DecodeMessage(data)
	if err != nil {
		return
	}
	select {
	case w.in <- m:
	case <-w.done:
	}
}
