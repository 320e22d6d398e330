package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(built.dir)
		os.Exit(code)
	}))
}

// built is bin/caddy of this checkout, made once.
var built struct {
	sync.Once
	dir, path string
	err       error
}

func caddy(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("processes can't be asked to end on windows")
	}
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "fleet"); built.err != nil { //nolint:usetesting // it is for all tests
			return
		}
		built.path = filepath.Join(built.dir, "caddy")
		args := []string{"build", "-o", built.path}
		if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
			args = append(args, "-race")
		}
		cmd := exec.Command("go", append(args, "./cmd/caddy")...)
		cmd.Dir = filepath.Join("..", "..")
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("building caddy: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

// opsToken is a caller of the configuration.
const opsToken = "fleet-ops-token"

// process is a gateway. It can be started again, at the same place.
type process struct {
	t     *testing.T
	url   string // of the site
	admin string
	home  string
	env   []string

	client *http.Client
	cmd    *exec.Cmd
	ended  chan struct{}
}

// launch starts a gateway and waits until it answers. It ends with the test.
func launch(t *testing.T, env ...string) *process {
	t.Helper()
	path := caddy(t)
	p := &process{t: t, home: t.TempDir()}
	tr := &http.Transport{MaxIdleConnsPerHost: 256}
	p.client = &http.Client{Transport: tr, Timeout: time.Minute}
	t.Cleanup(tr.CloseIdleConnections)
	site, admin := strconv.Itoa(backendtest.FreePort(t)), strconv.Itoa(backendtest.FreePort(t))
	p.url, p.admin = "http://127.0.0.1:"+site, "http://127.0.0.1:"+admin
	p.env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + p.home, "XDG_DATA_HOME=" + p.home, "XDG_CONFIG_HOME=" + p.home,
		"FLEET_PORT=" + site, "FLEET_ADMIN=127.0.0.1:" + admin, "FLEET_TOKEN=" + opsToken, "FLEET_KEY=fleet-key",
		"FLEET_KEK=" + strings.Repeat("0f", 32),
	}, env...)
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.kill()
		}
		out, _ := os.ReadFile(filepath.Join(p.home, "caddy.log"))
		if bytes.Contains(out, []byte("DATA RACE")) || bytes.Contains(out, []byte("panic")) {
			t.Error("the log has a data race, or a panic")
		}
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", p.url, out[max(0, len(out)-6000):])
		}
	})
	p.start(path)
	return p
}

func (p *process) start(path string) {
	p.t.Helper()
	log, err := os.OpenFile(filepath.Join(p.home, "caddy.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	config, err := filepath.Abs("fleet.caddyfile")
	if err != nil {
		p.t.Fatal(err)
	}
	p.cmd = exec.Command(path, "run", "--config", config)
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = p.home, p.env, log, log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait() // its state says how it ended
		close(ended)
	}(p.cmd, p.ended)
	until(p.t, 30*time.Second, "the gateway answers", func() bool {
		select {
		case <-p.ended:
			out, _ := os.ReadFile(log.Name())
			p.t.Fatalf("caddy ended: %s\n%s", p.cmd.ProcessState, out[max(0, len(out)-4000):])
		default:
		}
		res, err := p.client.Get(p.url + "/v1/health")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
	p.client.CloseIdleConnections()
}

// terminate is SIGTERM; it returns how the process ended, and when.
func (p *process) terminate() (*os.ProcessState, time.Duration) {
	from := time.Now()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.ended
	p.client.CloseIdleConnections()
	return p.cmd.ProcessState, time.Since(from)
}

// answer is a response read to its end.
type answer struct {
	status int
	header http.Header
	body   string
	err    error
	took   time.Duration
	at     time.Time // when its last byte was there
}

func (a answer) id() string { return a.header.Get("X-Request-Id") }

// whole reports a good answer, of a stream its end included.
func (a answer) whole() bool {
	return a.err == nil && a.status < 300 && (!strings.HasPrefix(a.header.Get("Content-Type"), "text/event-stream") || strings.HasSuffix(a.body, "data: [DONE]\n\n"))
}

func (p *process) do(ctx context.Context, method, path, token, body string, header ...string) (a answer) {
	req, err := http.NewRequestWithContext(ctx, method, p.url+path, strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	from := time.Now()
	res, err := p.client.Do(req)
	if err != nil {
		return answer{err: err, took: time.Since(from), header: http.Header{}, at: time.Now()}
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(b), err, time.Since(from), time.Now()}
}

func chat(model string, stream bool, fields string) string {
	return fmt.Sprintf(`{"model":%q,"stream":%t,"messages":[{"role":"user","content":"hi"}]%s}`, model, stream, fields)
}

func (p *process) chat(token, model string, stream bool, header ...string) answer {
	return p.do(context.Background(), http.MethodPost, "/v1/chat/completions", token, chat(model, stream, ""), header...)
}

// register makes a user and returns the token and its id.
func (p *process) register(name string) (token, id string) {
	p.t.Helper()
	a := p.do(p.t.Context(), http.MethodPost, "/v1/auth/register", "", `{"username":"`+name+`"}`)
	var m struct {
		Token string
		ID    string `json:"token_id"`
	}
	if err := json.Unmarshal([]byte(a.body), &m); a.err != nil || err != nil || m.Token == "" {
		p.t.Fatalf("registering %s: %v %d %s", name, a.err, a.status, a.body)
	}
	return m.Token, m.ID
}

// adminGet reads a document of the admin API.
func (p *process) adminGet(path string, v any) {
	p.t.Helper()
	res, err := p.client.Get(p.admin + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(v); err != nil {
		p.t.Fatalf("%s: %v: %s", path, err, b)
	}
}

func (p *process) metrics() string {
	res, err := p.client.Get(p.admin + "/metrics")
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return string(b)
}

// alone is how many requests were admitted without Redis.
func (p *process) alone() int {
	p.t.Helper()
	var doc struct {
		Parts struct {
			Store struct{ Detail struct{ Alone int } }
		}
	}
	p.adminGet("/ai_gateway/health/ready", &doc)
	return doc.Parts.Store.Detail.Alone
}

// auditStats are the gateway's own figures.
func (p *process) auditStats() (s struct {
	Produced, Queued, Journaled, Acked, Dropped, Adopted uint64
	SenderUp                                             bool `json:"sender_up"`
	Error                                                string
}) {
	p.t.Helper()
	var doc struct{ Stats any }
	doc.Stats = &s
	p.adminGet("/ai_gateway/audit", &doc)
	return s
}

// until polls until a condition holds.
func until(t *testing.T, patience time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for tick := time.NewTicker(10 * time.Millisecond); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("after %s it is still not so that %s", patience, what)
		}
	}
}
