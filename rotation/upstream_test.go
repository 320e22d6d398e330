package rotation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
	"github.com/universal-ai-gateway/magicproxy/provider/openaihttp"
)

// upstream is a real HTTP server with a scripted answer.
type upstream struct {
	*httptest.Server
	accepted atomic.Int64 // connections

	mu     sync.Mutex
	answer func(string) http.HandlerFunc
	used   []string // keys and models in order: "key/model"
	gone   int      // requests given up by their client
}

// serve starts an upstream that answers the same to every key.
func serve(t *testing.T, answer http.HandlerFunc) *upstream {
	return serveKeys(t, func(string) http.HandlerFunc { return answer })
}

// serveKeys starts an upstream whose answer depends on the key.
func serveKeys(t *testing.T, answer func(key string) http.HandlerFunc) *upstream {
	u := &upstream{answer: answer}
	u.Server = httptest.NewUnstartedServer(u)
	u.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			u.accepted.Add(1)
		}
	}
	u.Start()
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct{ Model string }
	raw, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(raw, &body) != nil {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	u.mu.Lock()
	u.used = append(u.used, key+"/"+body.Model)
	answer := u.answer(key)
	u.mu.Unlock()
	answer(w, r)
	if r.Context().Err() != nil {
		u.mu.Lock()
		u.gone++
		u.mu.Unlock()
	}
}

// then changes the answer.
func (u *upstream) then(answer http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer = func(string) http.HandlerFunc { return answer }
}

// calls returns what has been asked since the last time.
func (u *upstream) calls() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	defer func() { u.used = nil }()
	return strings.Join(u.used, " ")
}

func (u *upstream) left() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.gone
}

// at makes the provider that reaches an address.
func at(t *testing.T, url, name string, keys ...string) *Provider {
	t.Helper()
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	client, err := openaihttp.New(openaihttp.Options{BaseURL: url + "/v1", Transport: transport, CloseIdle: transport.CloseIdleConnections})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	p := bound(name, keys...)
	p.Client = client
	p.FirstTimeout, p.IdleTimeout, p.Timeout = 20*time.Second, 20*time.Second, time.Minute
	return p
}

// provider makes the provider for u, with its model m as a target.
func (u *upstream) provider(t *testing.T, name string, keys ...string) (*Provider, *Target) {
	t.Helper()
	if len(keys) == 0 {
		keys = []string{name}
	}
	p := at(t, u.URL, name, keys...)
	return p, NewTarget(p, "m")
}

// inOrder is the chain of targets tried in that order.
func inOrder(targets ...*Target) *Chain { return &Chain{Name: "tier", Fallback: targets} }

// direct is the chain of one target.
func direct(t *Target) *Chain { return &Chain{Name: t.String(), Main: []*Target{t}, Direct: true} }

func request(t testing.TB, stream bool) *openai.Request {
	t.Helper()
	return parse(t, fmt.Sprintf(`{"model":"x","messages":[{"role":"user","content":"hi"}],"stream":%v,"stream_options":{"include_usage":true}}`, stream))
}

func parse(t testing.TB, body string) *openai.Request {
	t.Helper()
	r, e := openai.ParseRequest(openai.Chat, []byte(body))
	if e != nil {
		t.Fatal(e)
	}
	return r
}

// result is how a call ended.
type result struct {
	target *Target
	text   string // of the whole answer
	err    *Error // the call failed
	broken error  // the stream broke
	trace  Trace
}

// ask makes a call and reads the answer to its end.
func ask(t testing.TB, c *Chain, stream bool) (res result) {
	t.Helper()
	return askAs(t, t.Context(), new(Caller), c, stream)
}

func askAs(t testing.TB, ctx context.Context, caller *Caller, c *Chain, stream bool) (res result) { //nolint:revive // t goes first
	t.Helper()
	return askCall(t, ctx, caller, Call{Route: Route{Chain: c}, Request: request(t, stream)})
}

func askCall(t testing.TB, ctx context.Context, caller *Caller, call Call) (res result) { //nolint:revive // t goes first
	t.Helper()
	call.Trace = &res.trace
	if !call.Request.Stream {
		a, err := caller.Do(ctx, call)
		if err == nil {
			res.target, res.text = a.Target, string(a.Body)
		} else if !errors.As(err, &res.err) {
			t.Errorf("%T: %v", err, err)
		}
		return res
	}
	s, err := caller.Stream(ctx, call)
	if err != nil {
		if !errors.As(err, &res.err) {
			t.Errorf("%T: %v", err, err)
		}
		return res
	}
	defer s.Close()
	res.target = s.Target()
	res.text, res.broken = rest(s)
	return res
}

// rest reads a stream to its end.
func rest(s *Stream) (string, error) {
	var text strings.Builder
	for {
		ev, err := s.Next()
		switch {
		case err == io.EOF:
			text.Write(s.UsageChunk())
			return text.String(), nil
		case err != nil:
			return text.String(), err
		case ev.Done: // the usage goes before it
			return text.String() + string(s.UsageChunk()) + string(ev.Raw), nil
		}
		text.Write(ev.Raw)
	}
}

// cause returns what is held against something, "" for nothing.
func cause(h *health) string {
	if h == nil {
		return ""
	}
	return h.status(time.Now().UnixNano()).Cause
}

// wantMarks checks what is held against a target, its provider's first key and
// the pair of both.
func wantMarks(t *testing.T, tg *Target, target, key, pair string) {
	t.Helper()
	k := tg.Provider.Keys[0].state
	if a, b, c := cause(&tg.state.health), cause(&k.health), cause(k.pair(tg.Model)); a != target || b != key || c != pair {
		t.Errorf("%s: held against target %q, key %q, pair %q; want %q, %q, %q", tg, a, b, c, target, key, pair)
	}
}

// wantIdle checks that nothing claimed was kept.
func wantIdle(t *testing.T, targets ...*Target) {
	t.Helper()
	for _, tg := range targets {
		wantLoad(t, &tg.Provider.state.limit, 0, 0)
		all := []Status{tg.state.status(0)}
		for _, k := range tg.Provider.KeyStatuses(time.Unix(0, 0)) {
			all = append(all, k.Status)
			for _, s := range k.Models {
				all = append(all, s)
			}
		}
		for _, s := range all {
			if s.State == "probing" {
				t.Errorf("%s: a probe was not given back", tg)
			}
		}
	}
}

// eventually polls: what another goroutine is about to do.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) { //nolint:forbidigo // polls, with a deadline
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

func wantAPI(t *testing.T, err *Error, status int, text string) {
	t.Helper()
	if err == nil || err.API == nil {
		t.Fatalf("%v, want a %d", err, status)
	}
	if err.API.Status != status || !strings.Contains(err.API.Message, text) {
		t.Errorf("%d %q, want %d with %q", err.API.Status, err.API.Message, status, text)
	}
}

func wantKind(t *testing.T, err error, kind provider.Kind) {
	t.Helper()
	var e *provider.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Errorf("%v, want %v", err, kind)
	}
}
