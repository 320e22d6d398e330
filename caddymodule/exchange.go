package caddymodule

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/universal-ai-gateway/magicproxy/agentruntime"
	"github.com/universal-ai-gateway/magicproxy/audit"
	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
	"github.com/universal-ai-gateway/magicproxy/rotation"
	"github.com/universal-ai-gateway/magicproxy/state"
	"github.com/universal-ai-gateway/magicproxy/users"
)

// exchange is one request and its answer. It belongs to the request's goroutine.
type exchange struct {
	h    *Handler
	w    http.ResponseWriter
	r    *http.Request
	repl *caddy.Replacer

	id       string
	endpoint string // a short name: a metrics label
	model    string
	trace    rotation.Trace

	user     string        // an id that is never another's
	userName string        // what people call it
	caller   *users.Caller // if the store of users knows it
	place    string        // what it occupies among the running, if anything

	start   time.Time
	took    time.Duration // the whole, once it has ended
	reading time.Duration // of the request's body

	agent    *agentruntime.Agent // that is asked, if one is
	agentRun *agentruntime.Run
	session  string         // its session's id
	kept     *state.Session // as the run left it

	trail   *audit.Trail // nil: nothing is recorded
	said    transcript   // if anybody wants to know
	cacheAs string       // the key under which the answer is kept, if it is
	cached  bool         // it was kept before

	stream  *openai.StreamWriter
	status  int  // of an answer
	sent    int  // bytes of it
	wrote   bool // an answer without stream has begun
	failure *openai.Error
	cause   *provider.Error // behind the failure, if an upstream's
	resting string          // what there is to wait for, if nothing was tried
	left    bool            // the client has
}

// HeaderTarget names the response header that says who answered (contract F7).
const HeaderTarget = "X-Ai-Gateway-Target"

func newExchange(h *Handler, w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{h: h, w: w, r: r, start: time.Now(), id: newID(), endpoint: "unknown"}
	x.repl, _ = r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if x.repl == nil { // not behind Caddy's server
		x.repl = caddy.NewReplacer()
	}
	w.Header()["X-Request-Id"] = []string{x.id}
	return x
}

// newID returns an id that is unique, not secret.
func newID() string {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], rand.Uint64()) //nolint:gosec // not a secret
	binary.LittleEndian.PutUint64(b[8:], rand.Uint64()) //nolint:gosec // not a secret
	return "req_" + hex.EncodeToString(b[:])
}

const prefix = "/v1"

var paths = func() map[string]openai.Endpoint {
	m := make(map[string]openai.Endpoint)
	for _, ep := range openai.Endpoints() {
		m[prefix+ep.Path()] = ep
	}
	return m
}()

// serve routes.
func (x *exchange) serve() {
	path := x.r.URL.Path
	if ep, ok := paths[path]; ok {
		x.endpoint = ep.String()
		if x.method(http.MethodPost) {
			x.complete(ep)
		}
		return
	}
	if rest, ok := strings.CutPrefix(path, prefix+"/models"); ok && (rest == "" || len(rest) > 1 && rest[0] == '/') {
		x.endpoint = "models"
		if x.method(http.MethodGet, http.MethodHead) && x.identify() {
			x.models(strings.TrimPrefix(rest, "/"))
		}
		return
	}
	if rest, ok := strings.CutPrefix(path, prefix+"/sessions/"); ok && rest != "" {
		x.sessions(rest)
		return
	}
	if x.h.Health != "" && path == x.h.Health {
		x.health()
		return
	}
	if rest, ok := strings.CutPrefix(path, prefix+"/"); ok && x.account(rest) {
		return
	}
	x.fail(openai.UnknownURL(openai.Cut(x.r.Method, 32), openai.Cut(path, 256)))
}

func (x *exchange) method(allowed ...string) bool {
	if slices.Contains(allowed, x.r.Method) {
		return true
	}
	x.fail(openai.MethodNotAllowed(openai.Cut(x.r.Method, 32), strings.Join(allowed, ", ")))
	return false
}

// complete answers the endpoints that name a model.
func (x *exchange) complete(ep openai.Endpoint) {
	if !x.acceptable() || !x.identify() || !x.occupy() {
		return
	}
	req, e := x.read(ep)
	if e == nil && !x.left {
		e = x.choose(req)
	}
	if e != nil || x.left {
		// It counts like any other, or asking for nonsense would be free (security X12).
		if x.admitted() {
			x.fail(e)
		}
		return
	}
	chain := x.h.app.table.Lookup(req.Model)
	if x.agent != nil {
		chain = x.agent.Chain
	}
	x.cacheAs = x.cacheKey(req)
	admitted, ok := x.admit(chain, x.cacheAs)
	if !ok {
		return
	}
	if x.cacheAs != "" {
		found := "miss"
		if x.recall(admitted.Cached) {
			found = "hit"
		}
		metrics.cache.WithLabelValues(found).Inc()
		if admitted.Cached != nil && !x.cached && chain.Rotates() { // what was found there took the place of a start
			admitted.Start = x.h.app.store.Admit(x.r.Context(), state.Admission{Chain: chain.Name}).Start
		}
		x.w.Header()[headerCache] = []string{found}
		if x.cached {
			x.recordRequest(req)
			x.replay(admitted.Cached, req)
			return
		}
	}
	if x.agent != nil {
		x.run(x.agent, req, admitted.Start)
		return
	}
	x.recordRequest(req)
	ctx := x.callContext(x.r.Context())
	call := rotation.Call{Route: chain.Route(admitted.Start), Own: x.ownKeys(), Request: req, Trace: &x.trace}
	if req.Stream {
		x.relay(ctx, call)
		return
	}
	answer, err := x.h.app.caller.Do(ctx, call)
	if err != nil {
		x.failCall(err)
		return
	}
	x.w.Header()[HeaderTarget] = []string{headerText(answer.Target.String())}
	if x.overhears() {
		x.said.read(req.Endpoint, answer.Body)
		x.keepAnswer(answer.Body)
	}
	x.answer(answer.Body)
}

// read reads the request to its end. The error is what is wrong with it; there is none if
// the client has left.
func (x *exchange) read(ep openai.Endpoint) (*openai.Request, *openai.Error) {
	body, e := x.body()
	if e != nil || x.left {
		return nil, e
	}
	req, e := openai.ParseRequest(ep, body)
	if e != nil {
		x.model = openai.PeekModel(body)
		return nil, e
	}
	x.model = req.Model
	return req, nil
}

// choose finds out whether the caller may have the model, and notes the agent, if it is
// one.
func (x *exchange) choose(req *openai.Request) *openai.Error {
	switch {
	case !x.h.app.has(req.Model):
		return openai.ModelNotFound(openai.Cut(req.Model, 128))
	case !x.allowed(req.Model):
		return openai.NotAllowed(req.Model)
	}
	if x.agent = x.h.app.agents[req.Model]; x.agent != nil && req.Endpoint != openai.Chat {
		return openai.InvalidRequest("model", "The model `%s` is an agent, and answers only %s.", openai.Cut(req.Model, 128), prefix+openai.Chat.Path())
	}
	return nil
}

// overhears reports whether anybody wants to know what is said.
func (x *exchange) overhears() bool {
	c := x.h.app.recorder
	return x.cacheAs != "" || x.trail != nil && (c.content || c.chunks)
}

// answer sends a JSON document.
func (x *exchange) answer(body []byte) {
	h := x.w.Header()
	h.Set("Content-Type", "application/json")
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	x.wrote = true
	if x.status == 0 {
		x.status = http.StatusOK
	}
	p := &patience{ResponseWriter: x.w, time: time.Duration(x.h.WriteTimeout)}
	p.WriteHeader(x.status)
	n, err := p.Write(body)
	x.sent += n
	if p.end() != nil || err != nil {
		x.left = true
	}
}

// newStream begins a stream.
func (x *exchange) newStream() *openai.StreamWriter {
	return openai.NewStreamWriter(x.w, time.Duration(x.h.KeepAlive), time.Duration(x.h.WriteTimeout), x.r.ProtoMajor)
}

// write sends events.
func (x *exchange) write(events []byte) bool {
	x.status = http.StatusOK
	n, err := x.stream.Write(events)
	x.sent += n
	if err != nil {
		x.left = true
	}
	return err == nil
}

// callContext is the context of a request's calls. The transport keeps notes in
// Caddy's variables when it goes through a forward proxy; attempts under one
// request must not share them, so here there are none.
type callContext struct {
	context.Context
	id    string // the request's
	trail *audit.Trail
}

func (x *exchange) callContext(ctx context.Context) context.Context {
	return callContext{ctx, x.id, x.trail}
}

type requestIDKey struct{}

func (c callContext) Value(key any) any {
	switch key {
	case caddyhttp.VarsCtxKey:
		return nil
	case requestIDKey{}:
		return c.id
	case trailKey{}:
		return c.trail
	}
	return c.Context.Value(key)
}

func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// acceptable checks the header before anything is read (security X9).
func (x *exchange) acceptable() bool {
	h := x.r.Header
	for _, enc := range h["Content-Encoding"] {
		if enc != "" && !strings.EqualFold(enc, "identity") {
			x.fail(openai.UnsupportedMedia("Compressed request bodies are not accepted."))
			return false
		}
	}
	// A type is asked for, and this one: a page of another origin cannot send it
	// without asking first, which matters where auth is off.
	if ct := h.Get("Content-Type"); ct != "application/json" {
		mt, params, err := mime.ParseMediaType(ct)
		if err != nil || mt != "application/json" {
			x.fail(openai.UnsupportedMedia("Send the request with 'Content-Type: application/json'."))
			return false
		}
		if cs := params["charset"]; cs != "" && !strings.EqualFold(cs, "utf-8") {
			x.fail(openai.UnsupportedMedia("The request must be UTF-8."))
			return false
		}
	}
	if x.r.ContentLength > x.h.MaxBody {
		x.fail(openai.TooLarge(x.h.MaxBody))
		return false
	}
	return true
}

// body reads the request's body to its end before anything is dialled: while it
// is still coming, an upstream's early answer could cut off our own
// (golang/go#40747).
func (x *exchange) body() ([]byte, *openai.Error) {
	from := time.Now()
	defer func() { x.reading = time.Since(from) }()
	const trust = 64 << 10 // of a length that is only announced
	size := 4 << 10
	if n := x.r.ContentLength; n >= 0 {
		size = int(min(n, trust)) + 1
	}
	b := make([]byte, 0, size)
	for {
		n, err := x.r.Body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case int64(len(b)) > x.h.MaxBody:
			return nil, openai.TooLarge(x.h.MaxBody)
		case err == io.EOF:
			return b, nil
		case err != nil:
			return nil, x.unread(err)
		case len(b) == cap(b):
			b = slices.Grow(b, len(b))
		}
	}
}

// unread says why a body could not be read to its end; nil if the client has left.
func (x *exchange) unread(err error) *openai.Error {
	tooLarge, ok := errors.AsType[*http.MaxBytesError](err)
	switch {
	case ok: // request_body of Caddy's
		return openai.TooLarge(tooLarge.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded): // read_body of Caddy's servers; it ends the context as well
		return openai.RequestTimeout()
	case x.r.Context().Err() != nil:
		x.left = true
		return nil //nolint:nilerr // nobody is there to be told
	}
	return openai.InvalidRequest("", "The request body could not be read to its end.")
}

// headerText percent-encodes what is not ASCII: a model's id may be any text, and
// not every client can read a header that is not.
func headerText(s string) string {
	const hex = "0123456789ABCDEF"
	out := []byte(nil)
	for i := range len(s) {
		if c := s[i]; c >= utf8.RuneSelf {
			if out == nil {
				out = append(make([]byte, 0, 3*len(s)), s[:i]...)
			}
			out = append(out, '%', hex[c>>4], hex[c&15])
		} else if out != nil {
			out = append(out, c)
		}
	}
	if out == nil {
		return s
	}
	return string(out)
}

// failCall answers with what a call's error says.
func (x *exchange) failCall(err error) {
	e, ok := errors.AsType[*rotation.Error](err)
	switch {
	case !ok:
		x.h.logger.Error("a call ended in an unexpected error", zap.String("request_id", x.id), zap.Error(err))
		x.fail(openai.Internal())
	case e.Canceled():
		x.left = true
	default:
		x.cause, x.resting = e.Cause, e.Resting
		x.fail(e.API)
	}
}

// fail answers with an error.
func (x *exchange) fail(e *openai.Error) {
	x.failure = e
	if x.stream != nil {
		x.stream.Fail(e)
		return
	}
	x.wrote = true
	p := &patience{ResponseWriter: x.w, time: time.Duration(x.h.WriteTimeout)}
	e.WriteTo(p)
	_ = p.end() // whoever takes no error has none to be told
}

// end closes the exchange: a panic of this request ends here (security X14),
// then the figures are noted. It is deferred as it is, or it could not recover.
func (x *exchange) end() {
	cause := recover()
	if cause != nil && cause != any(http.ErrAbortHandler) {
		x.h.logger.Error("panic in a request", zap.String("request_id", x.id), zap.String("cause", panicText(cause)), zap.ByteString("stack", debug.Stack()))
		if x.wrote && x.stream == nil {
			x.failure = openai.Internal()
			cause = http.ErrAbortHandler // the answer has begun: all that is left is to cut it visibly
		} else {
			x.fail(openai.Internal())
			cause = nil
		}
	}
	committed := x.wrote
	if x.stream != nil {
		x.stream.Close()
		committed = x.stream.Committed()
	}
	if x.left && !committed {
		x.w.WriteHeader(statusClientLeft) // nobody reads it but the access log
	}
	if x.place != "" {
		running.Release(x.place)
	}
	x.record()
	if cause != nil {
		panic(cause)
	}
}

// statusClientLeft is nginx's, for requests whose client did not wait.
const statusClientLeft = 499

// panicText describes a panic without its value, which may hold anything; the
// runtime's own errors hold only indexes and types.
func panicText(v any) string {
	if e, ok := v.(runtime.Error); ok {
		return e.Error()
	}
	return fmt.Sprintf("a value of type %T", v)
}
