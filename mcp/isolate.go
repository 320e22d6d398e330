package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// isolate stands between the SDK and a server over HTTP (contract M2). The SDK
// closes its session, and with it fails all calls under way, on an answer it can't
// read. So it gets to see good answers only, written anew: whatever else comes is
// the end of that one exchange. It also sends our headers, follows no redirect, and
// bounds all that a server sends.
type isolate struct {
	base    http.RoundTripper
	header  http.Header
	life    context.Context //nolint:containedctx // a session's life is that of all its requests
	scrub   scrubber
	changed func()        // the server's tools have changed
	probe   time.Duration // bounds server/discover
	modern  atomic.Bool   // no session ids: 404 says that the era has changed

	// Of a server that may ask for something.
	roots     []string
	calls     calls        // of the session
	answering atomic.Int64 // its requests beside answers
}

const (
	sessionHeader = "Mcp-Session-Id"
	versionHeader = "Mcp-Protocol-Version"
	noticeTimeout = 10 * time.Second // for messages that nobody waits for
	maxErrorBody  = 64 << 10
)

// RoundTrip implements http.RoundTripper. An error it returns fails one exchange: the
// SDK takes it as a request that was rejected.
func (t *isolate) RoundTrip(req *http.Request) (*http.Response, error) {
	switch req.Method {
	case http.MethodPost:
		return t.post(req)
	case http.MethodGet:
		return t.pickUp(req)
	default:
		return t.bye(req)
	}
}

// post sends a message.
func (t *isolate) post(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	req.Body.Close()
	if err != nil {
		return nil, err
	}
	var m message
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, err
	}
	if !m.request() { // a notification or an answer of ours
		return t.tell(req, body)
	}
	id := string(m.ID)
	if m.Method == methodListen {
		return eventStream(req, &listening{t: t, req: req, body: body}), nil
	}
	x := exchangeOf(req.Context())
	x.begin(id, m.Method)
	if m.Method == methodList && x != nil {
		if x.canned != nil {
			answer := append(append([]byte(`{"jsonrpc":"2.0","id":`+id+`,"result":`), x.canned...), '}')
			return synthetic(req, http.Header{"Content-Type": {"application/json"}}, answer), nil
		}
		if body, err = withCursor(m, x.cursor); err != nil {
			return nil, err
		}
	}
	ctx, cancel := t.context(req)
	if m.Method == methodDiscover {
		// A server of the older era may leave it unanswered.
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, t.probe)
		cancel = both(stop, cancel)
	}
	resp, f := t.send(ctx, req, body, x)
	if f != nil {
		cancel()
		x.fail(f)
		if f.code == 0 {
			return nil, f
		}
		// A JSON-RPC error under another status than 200 is still one: the SDK reads
		// some of them.
		return synthetic(req, http.Header{"Content-Type": {"application/json"}}, faultMessage(id, f)), nil
	}
	return t.answer(req, resp, id, m.Method, x, cancel)
}

func both(a, b func()) func() {
	return func() { a(); b() }
}

// context returns req's, which also ends with the session.
func (t *isolate) context(req *http.Request) (context.Context, func()) {
	ctx, cancel := context.WithCancel(req.Context())
	stop := context.AfterFunc(t.life, cancel)
	return ctx, func() { stop(); cancel() }
}

// send sends body with our headers and returns an answer of status 2xx that is not
// compressed.
func (t *isolate) send(ctx context.Context, req *http.Request, body []byte, x *exchange) (*http.Response, *fault) {
	var asked, got atomic.Bool
	out := req.Clone(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { got.Store(true); x.leave() },
	}))
	if body != nil {
		out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	}
	for name, values := range t.header {
		if name == "Host" {
			out.Host = values[0]
			continue
		}
		out.Header[name] = values
	}
	// Said aloud, it also keeps a transport from decompressing on its own.
	out.Header.Set("Accept-Encoding", "identity")
	resp, err := t.base.RoundTrip(out)
	if err != nil {
		f := faultOf(err, asked.Load() && !got.Load())
		if !f.unsent {
			x.leave()
		}
		return nil, f
	}
	x.leave()
	if resp.StatusCode/100 != 2 {
		f := t.refusal(resp, out.Header.Get(sessionHeader) != "")
		resp.Body.Close()
		return nil, f
	}
	if e := resp.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		resp.Body.Close()
		return nil, garbage("answered compressed without being asked to")
	}
	return resp, nil
}

// answer reads the answer to a request.
func (t *isolate) answer(req *http.Request, resp *http.Response, id, method string, x *exchange, cancel func()) (*http.Response, error) {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	header := make(http.Header)
	if s := resp.Header.Get(sessionHeader); method == methodInitialize && goodSession(s) {
		header.Set(sessionHeader, s)
	}
	s := &screen{t: t, req: req, x: x, id: id, method: method, body: resp.Body, cancel: cancel}
	switch kind {
	case "application/json":
		defer cancel()
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxMessage+1))
		switch {
		case err != nil && req.Context().Err() != nil:
			return nil, err
		case err != nil:
			f := faultOf(err, false)
			f.text = "cut its answer off"
			return nil, s.fail(f)
		case len(body) > maxMessage:
			return nil, s.fail(tooLarge())
		}
		s.read(body)
		if !s.over {
			_ = s.fail(garbage("answered without an answer"))
		}
		header.Set("Content-Type", "application/json")
		return synthetic(req, header, s.answer), nil
	case "text/event-stream":
		s.events = newEvents(io.LimitReader(resp.Body, maxStream))
		r := eventStream(req, s)
		if v := header.Get(sessionHeader); v != "" {
			r.Header.Set(sessionHeader, v)
		}
		return r, nil
	}
	cancel()
	resp.Body.Close()
	return nil, s.fail(garbage("answered with neither JSON nor an event stream"))
}

// goodSession reports whether s can be sent back as a header.
func goodSession(s string) bool {
	return s != "" && len(s) <= 1024 && strings.IndexFunc(s, func(r rune) bool { return r < 0x21 || r > 0x7e }) < 0
}

// tell sends what has no answer.
func (t *isolate) tell(req *http.Request, body []byte) (*http.Response, error) {
	ctx, cancel := t.context(req)
	defer cancel()
	ctx, stop := context.WithTimeout(ctx, noticeTimeout)
	defer stop()
	resp, f := t.send(ctx, req, body, nil)
	if f != nil {
		return nil, f
	}
	resp.Body.Close()
	return synthetic(req, make(http.Header), nil), nil
}

// reply answers a question that the answer to req has brought.
func (t *isolate) reply(req *http.Request, calls []*asking, m message) {
	t.back(req, reply(calls, &m))
}

// back sends what answers the server in the session of req, also when that has ended.
// If it does not arrive, the call ends by its time.
func (t *isolate) back(req *http.Request, body []byte) {
	out := req.Clone(t.life)
	out.Method = http.MethodPost
	out.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
	for _, name := range []string{sessionHeader, versionHeader} {
		if v := req.Header.Get(name); v != "" {
			out.Header.Set(name, v)
		}
	}
	if resp, err := t.tell(out, body); err == nil {
		resp.Body.Close()
	}
}

// pickUp asks for the rest of a stream that has ended before its answer.
func (t *isolate) pickUp(req *http.Request) (*http.Response, error) {
	x := exchangeOf(req.Context())
	id, method := x.current()
	s := &screen{t: t, req: req, x: x, id: id, method: method}
	ctx, cancel := t.context(req)
	if !x.resume() {
		cancel()
		_ = s.fail(garbage("never finishes its answer"))
		return eventStream(req, s), nil
	}
	resp, f := t.send(ctx, req, nil, x)
	if f == nil && !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		resp.Body.Close()
		f = garbage("cut its answer off")
	}
	if f != nil {
		cancel()
		_ = s.fail(f)
		return eventStream(req, s), nil
	}
	s.body, s.cancel, s.events = resp.Body, cancel, newEvents(io.LimitReader(resp.Body, maxStream))
	return eventStream(req, s), nil
}

// bye ends a session. Whether the server hears of it matters to nobody else.
func (t *isolate) bye(req *http.Request) (*http.Response, error) {
	ctx, cancel := t.context(req)
	defer cancel()
	if resp, f := t.send(ctx, req, nil, nil); f == nil {
		resp.Body.Close()
	}
	return synthetic(req, make(http.Header), nil), nil
}

// synthetic is an answer of our own, 202 without a body.
func synthetic(req *http.Request, header http.Header, body []byte) *http.Response {
	status := http.StatusOK
	if body == nil {
		status = http.StatusAccepted
	}
	return &http.Response{
		Status: strconv.Itoa(status) + " " + http.StatusText(status), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: req,
	}
}

func eventStream(req *http.Request, body io.ReadCloser) *http.Response {
	resp := synthetic(req, http.Header{"Content-Type": {"text/event-stream"}}, []byte{})
	resp.Body, resp.ContentLength = body, -1
	return resp
}
