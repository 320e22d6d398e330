package mcp

import (
	"errors"
	"io"
	"net/http"
	"strconv"
)

// maxSaid bounds an error message of a server's in bytes.
const maxSaid = 400

// screen lets through what may reach the SDK of one answer: its own rewriting of
// the answer, event ids, requests of the server's. As a body it is an event stream.
// It is used by one goroutine; Close may be called by another.
type screen struct {
	t          *isolate
	req        *http.Request
	x          *exchange
	id, method string
	body       io.ReadCloser
	events     *events
	cancel     func()

	answer   []byte // the message that ends the exchange
	over     bool   // there is one
	out      []byte // to be read
	end      bool   // nothing after that
	ids      bool   // the stream can be picked up again
	count    int
	requests int
}

// read takes a message or a batch of them.
func (s *screen) read(data []byte) {
	messages, err := parse(data)
	if err != nil {
		_ = s.fail(&fault{kind: KindProtocol, text: "answered with garbage", cause: err})
		return
	}
	for i := range messages {
		if s.take(&messages[i]); s.over {
			return
		}
	}
}

func (s *screen) take(m *message) {
	switch {
	case m.request():
		if s.requests++; s.requests > maxRequests {
			return
		}
		if m.Method == methodElicit && s.x != nil && s.x.asking.answers() {
			go s.t.reply(s.req, []*asking{s.x.asking}, *m)
			return
		}
		s.out = appendEvent(s.out, requestMessage(m.ID, m.Method))
	case !m.response():
		s.t.notice(m, s.x)
	case string(m.ID) != s.id:
		_ = s.fail(garbage("answered a request that nobody has made"))
	case m.Error != nil:
		_ = s.fail(s.t.scrub.rejection(m.Error, s.method))
	default:
		answer, err := resultMessage(s.id, s.method, m.Result)
		if err != nil {
			_ = s.fail(&fault{kind: KindProtocol, text: "answered with garbage", cause: err})
			return
		}
		s.x.answered(m.Result)
		s.answer, s.over = answer, true
	}
}

// notice takes a notification. None reaches the SDK: it has no bound for those that
// wait to be handled.
func (t *isolate) notice(m *message, x *exchange) {
	switch m.Method {
	case noticeProgress:
		x.note(t.scrub.progressText(m.Params))
	case noticeChanged:
		t.changed()
	}
}

// rejection is a JSON-RPC error of the server's.
func (s scrubber) rejection(e *rpcError, method string) *fault {
	f := &fault{kind: KindRejected, code: e.Code, text: s.line(e.Message, maxSaid)}
	if f.text == "" {
		f.text = "refused the request with error " + strconv.FormatInt(e.Code, 10)
	}
	if method == methodCall && unknownTool(e.Code, f.text) {
		f.kind = KindUnknown
	}
	if e.Code == codeUnsupported {
		f.cause = e
	}
	return f
}

// fail ends the exchange with an error in the place of an answer, which it returns.
func (s *screen) fail(f *fault) error {
	s.x.fail(f)
	s.answer, s.over = faultMessage(s.id, f), true
	return f
}

// faultMessage tells the SDK of a fault. The exchange has it all; the text is for
// what the SDK itself asks.
func faultMessage(id string, f *fault) []byte {
	if u := f.unsupported(); u != nil {
		if data, err := normal(u.Data); err == nil {
			return errorMessage(id, u.Code, f.text, data)
		}
	}
	// The server's own code stays out: some mean to the SDK that its session is over.
	return errorMessage(id, codeGateway, f.text, nil)
}

// Read implements io.Reader.
func (s *screen) Read(p []byte) (int, error) {
	for len(s.out) == 0 {
		if s.end {
			return 0, io.EOF
		}
		if !s.over {
			s.step()
		}
		if s.over {
			s.out, s.end = appendEvent(s.out, s.answer), true
		}
	}
	n := copy(p, s.out)
	s.out = s.out[n:]
	return n, nil
}

// step reads one event.
func (s *screen) step() {
	s.out = s.out[:0]
	ev, err := s.events.next()
	if err != nil {
		s.broken(err)
		return
	}
	if s.count++; s.count > maxEvents {
		_ = s.fail(garbage("never finishes its answer"))
		return
	}
	if ev.id != "" && s.x != nil {
		s.ids = true
		s.out = append(append(append(s.out, "id: "...), ev.id...), '\n')
		if ms, err := strconv.ParseUint(ev.retry, 10, 32); err == nil {
			s.out = strconv.AppendUint(append(s.out, "retry: "...), min(ms, 10_000), 10)
			s.out = append(s.out, '\n')
		}
		s.out = append(s.out, '\n')
	}
	if len(ev.data) > 0 && (ev.name == "" || ev.name == "message") {
		s.read(ev.data)
	}
}

// broken ends a stream that has ended before its answer: for good, unless the rest
// can be asked for.
func (s *screen) broken(err error) {
	if errors.Is(err, errTooLarge) {
		_ = s.fail(tooLarge())
		return
	}
	if s.ids && s.x.canResume() {
		s.end = true
		return
	}
	_ = s.fail(&fault{kind: KindProtocol, text: "cut its answer off", cause: err})
}

// Close implements io.Closer.
func (s *screen) Close() error {
	if s.body != nil {
		s.body.Close()
	}
	if s.cancel != nil {
		s.cancel()
	}
	return nil
}

// appendEvent appends a message as an event. Messages have no line breaks in them.
func appendEvent(b, message []byte) []byte {
	return append(append(append(b, "data: "...), message...), "\n\n"...)
}

// canResume reports whether the stream of the answer may be picked up again.
func (x *exchange) canResume() bool {
	if x == nil {
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.resumed < maxResumes
}

// listening is the stream on which a server of the newer era says that its tools
// have changed. It is opened on the first read, so that nothing waits for it, and
// says nothing itself. A server without one just ends it: lists have their ttl.
type listening struct {
	t    *isolate
	req  *http.Request
	body []byte
}

// Read implements io.Reader.
func (l *listening) Read([]byte) (int, error) {
	if l.body == nil {
		return 0, io.EOF
	}
	body := l.body
	l.body = nil
	ctx, cancel := l.t.context(l.req)
	defer cancel()
	resp, f := l.t.send(ctx, l.req, body, nil)
	if f != nil {
		return 0, io.EOF
	}
	defer resp.Body.Close()
	events := newEvents(resp.Body)
	for {
		ev, err := events.next()
		if err != nil {
			return 0, io.EOF
		}
		messages, err := parse(ev.data)
		if err != nil {
			continue
		}
		for i := range messages {
			switch m := &messages[i]; {
			case m.response():
				return 0, io.EOF
			case !m.request():
				l.t.notice(m, nil)
			}
		}
	}
}

// Close implements io.Closer. The request ends with its context.
func (l *listening) Close() error { return nil }
