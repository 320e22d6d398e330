package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
)

// gateway is a running Caddy with the gateway in it. Caddy runs once per
// process, so these tests do not run in parallel.
type gateway struct {
	t      *testing.T
	addr   string // of the site
	admin  string
	log    string // path of the log
	last   config
	client *http.Client
}

// start runs a Caddy. global is the inside of the ai_gateway block, handler that
// of the handler; head and site are further lines of the global options and of
// the site.
func start(t *testing.T, c config) *gateway {
	t.Helper()
	g := &gateway{t: t, addr: freeAddr(t), admin: freeAddr(t), log: filepath.Join(t.TempDir(), "caddy.log")}
	tr := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 1000}
	g.client = &http.Client{Transport: tr}
	t.Cleanup(tr.CloseIdleConnections)
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping caddy: %v", err)
		}
	})
	if err := g.load(c); err != nil {
		t.Fatal(err)
	}
	return g
}

// config is what differs between tests.
type config struct{ head, global, site, handler string }

func (g *gateway) caddyfile(c config) string {
	return fmt.Sprintf(`{
		admin %s
		persist_config off
		storage file_system %s
		auto_https off
		metrics
		grace_period 5s
		log {
			output file %s {
				roll_disabled
			}
			level DEBUG
		}
		%s
		ai_gateway {
			%s
		}
	}
	http://%s {
		log
		%s
		ai_gateway /v1/* {
			%s
		}
	}
`, g.admin, filepath.Dir(g.log), g.log, c.head, c.global, g.addr, c.site, c.handler)
}

// adapt returns the JSON of a configuration.
func (g *gateway) adapt(c config) ([]byte, error) {
	cfg, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(g.caddyfile(c)), map[string]any{"filename": "Caddyfile"})
	return cfg, err
}

// load is a reload, through the function behind the admin API's /load.
func (g *gateway) load(c config) error {
	cfg, err := g.adapt(c)
	if err != nil {
		return err
	}
	g.last = c
	defer g.client.CloseIdleConnections() // the old server closes them too, at some moment
	return caddy.Load(cfg, true)
}

func (g *gateway) mustLoad(c config) {
	g.t.Helper()
	if err := g.load(c); err != nil {
		g.t.Fatal(err)
	}
}

// freeAddr is an address of this machine that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(backendtest.FreePort(t)))
}

// answer is a response read to its end.
type answer struct {
	*http.Response
	body string
	err  error // of reading the body
}

// do sends a request; header holds name, value pairs.
func (g *gateway) do(method, path, body string, header ...string) *answer {
	g.t.Helper()
	res := g.open(method, path, strings.NewReader(body), header...)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return &answer{res, string(b), err}
}

func (g *gateway) open(method, path string, body io.Reader, header ...string) *http.Response {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), method, "http://"+g.addr+path, body)
	if err != nil {
		g.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return g.send(req)
}

// send tries again when the connection ends before anything came. Caddy gives every
// configuration a socket of its own on the same port, and closing the old one resets
// what still waited in its backlog; kept connections it closes, too.
func (g *gateway) send(req *http.Request) *http.Response {
	g.t.Helper()
	for tries := 0; ; tries++ {
		res, err := g.client.Do(req)
		switch {
		case err == nil:
			return res
		case tries == 20 || !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, io.EOF) || req.Body != nil && req.GetBody == nil:
			g.t.Fatal(err)
		}
		if req.GetBody != nil {
			req.Body, _ = req.GetBody() // cannot fail for what is in memory
		}
	}
}

// chat asks a model; stream adds stream: true.
func (g *gateway) chat(model string, stream bool, header ...string) *answer {
	g.t.Helper()
	return g.do(http.MethodPost, "/v1/chat/completions", chatBody(model, stream), header...)
}

func chatBody(model string, stream bool) string {
	return fmt.Sprintf(`{"model":%q,"stream":%t,"messages":[{"role":"user","content":"hi"}]}`, model, stream)
}

// apiError reads an OpenAI error object and requires all four of its fields.
func (a *answer) apiError(t *testing.T) (e struct{ Message, Type, Param, Code string }) {
	t.Helper()
	var doc struct{ Error map[string]*string }
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		t.Fatalf("not an error object: %v: %.300s", err, a.body)
	}
	for name, to := range map[string]*string{"message": &e.Message, "type": &e.Type, "param": &e.Param, "code": &e.Code} {
		v, ok := doc.Error[name]
		if !ok {
			t.Errorf("the error has no %s: %s", name, a.body)
		}
		if v != nil {
			*to = *v
		}
	}
	return e
}

func (a *answer) want(t *testing.T, status int) *answer {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("status %d, want %d: %.500s", a.StatusCode, status, a.body)
	}
	if a.Header.Get("X-Request-Id") == "" {
		t.Error("no x-request-id")
	}
	return a
}

// whole requires a stream that ended well, once.
func (a *answer) whole(t *testing.T) {
	t.Helper()
	if a.err != nil || strings.Count(a.body, "data: [DONE]\n\n") != 1 || !strings.HasSuffix(a.body, "data: [DONE]\n\n") || strings.Contains(a.body, "event: error") {
		t.Errorf("not a whole stream (%v): %s", a.err, a.body)
	}
}

// broken requires a stream that ends in an error event and not in [DONE].
func (a *answer) broken(t *testing.T) {
	t.Helper()
	at := strings.Index(a.body, "event: error\ndata: {\"error\":")
	if a.err != nil || at < 0 || strings.Contains(a.body, "[DONE]") || strings.Contains(a.body, `"finish_reason":"stop"`) || strings.Count(a.body[at:], "\n\n") != 1 {
		t.Errorf("not a visibly broken stream (%v): %s", a.err, a.body)
	}
}

// adminGet asks the admin API and decodes the answer into v, if it is not nil.
func (g *gateway) adminDo(method, path string, v any) int {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), method, "http://"+g.admin+path, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	res := g.send(req)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	switch v := v.(type) {
	case nil:
	case *string:
		*v = string(b)
	default:
		if err := json.Unmarshal(b, v); err != nil {
			g.t.Fatalf("%s %s: %v: %s", method, path, err, b)
		}
	}
	return res.StatusCode
}

// provider returns a provider's state, as operators see it.
func (g *gateway) provider(name string) (s providerStatus) {
	g.t.Helper()
	if status := g.adminDo(http.MethodGet, "/ai_gateway/providers/"+name, &s); status != http.StatusOK {
		g.t.Fatalf("provider %s: status %d", name, status)
	}
	return s
}

// well reports whether a model is healthy: a provider that the configuration does
// not name models of lists only those that are not.
func well(s providerStatus, model string) bool {
	m, listed := s.Models[model]
	return !listed || m.State == "healthy"
}

// logged returns the log so far.
func (g *gateway) logged() string {
	g.t.Helper()
	b, err := os.ReadFile(g.log)
	if err != nil {
		g.t.Fatal(err)
	}
	return string(b)
}

// logLine returns the line with a message that concerns a request.
func (g *gateway) logLine(id, message string) string {
	g.t.Helper()
	for line := range strings.Lines(g.logged()) {
		if strings.Contains(line, `"msg":"`+message+`"`) && strings.Contains(line, id) {
			return line
		}
	}
	g.t.Errorf("no line %q for %s", message, id)
	return ""
}

// accessLog waits for the access log entry of a request.
func (g *gateway) accessLog(id string) (entry struct {
	Status int
	UserID string         `json:"user_id"`
	AI     map[string]any `json:"ai_gateway"`
}) {
	g.t.Helper()
	var line []byte
	eventually(g.t, "the access log has the request", func() bool {
		for l := range bytes.Lines([]byte(g.logged())) {
			if bytes.Contains(l, []byte(`"http.log.access`)) && bytes.Contains(l, []byte(id)) {
				line = l
				return true
			}
		}
		return false
	})
	if err := json.Unmarshal(line, &entry); err != nil {
		g.t.Fatal(err)
	}
	return entry
}

// eventually polls until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) { //nolint:forbidigo // between two looks
		if time.Now().After(deadline) {
			t.Fatalf("after 10s it is still not so that %s", what)
		}
	}
}
