package sdk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
)

// Made-up secrets. None may turn up in a log.
const (
	token       = "canary-sdk-token"
	otherToken  = "canary-sdk-other-token"
	upstreamKey = "canary-sdk-upstream-key"
)

// answer is what the providers called said say.
const answer = "All is well: grüße 👋 from the harbour."

// gateway is a running bin/caddy.
type gateway struct{ url, admin string }

// buildCaddy returns the path of a bin/caddy of its own, with the race detector
// if this test has it.
func buildCaddy(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "caddy")
	if runtime.GOOS == "windows" {
		bin += ".exe"
	}
	args := []string{"build", "-o", bin}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(t.Context(), "go", append(args, "./cmd/caddy")...)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building caddy: %v\n%s", err, out)
	}
	return bin
}

// errTaken is a port that was free and is not any more.
var errTaken = errors.New("the port was taken meanwhile")

// startGateway starts caddy with a configuration of this folder and waits until
// it answers. It ends with the test.
func startGateway(t *testing.T, caddy, config string, env ...string) gateway {
	t.Helper()
	for range 5 {
		g, err := tryGateway(t, caddy, config, env)
		if err == nil {
			return g
		}
		if !errors.Is(err, errTaken) {
			t.Fatalf("starting %s: %v", config, err)
		}
	}
	t.Fatalf("starting %s: found no port that stays free", config)
	return gateway{}
}

func tryGateway(t *testing.T, caddy, config string, env []string) (gateway, error) {
	t.Helper()
	dir := t.TempDir()
	site, admin := strconv.Itoa(backendtest.FreePort(t)), strconv.Itoa(backendtest.FreePort(t))
	g := gateway{url: "http://127.0.0.1:" + site + "/v1", admin: "http://127.0.0.1:" + admin}

	path, err := filepath.Abs(config)
	if err != nil {
		return g, err
	}
	log, err := os.Create(filepath.Join(dir, "caddy.log"))
	if err != nil {
		return g, err
	}
	defer log.Close()

	ctx, stop := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, caddy, "run", "--config", path)
	cmd.Dir = dir
	cmd.Env = environment(dir, append(env, "SDK_PORT="+site, "SDK_ADMIN=127.0.0.1:"+admin, "SDK_STATE_DIR="+dir)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return terminate(cmd.Process) }
	cmd.WaitDelay = 20 * time.Second // then it is killed
	if err := cmd.Start(); err != nil {
		stop()
		return g, err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // says that we have stopped it; the state says how it ended
		close(ended)
	}()

	if err := g.wait(ended); err != nil {
		stop()
		<-ended
		out, _ := os.ReadFile(log.Name())
		if bytes.Contains(out, []byte("address already in use")) {
			return g, errTaken
		}
		return g, fmt.Errorf("%w, %s\n%s", err, cmd.ProcessState, out)
	}
	t.Cleanup(func() {
		stop()
		<-ended
		checkEnd(t, config, log.Name(), cmd.ProcessState)
	})
	return g, nil
}

// wait waits until both listeners answer.
func (g gateway) wait(ended <-chan struct{}) error {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		ready := true
		for url, want := range map[string]int{g.admin + "/ai_gateway/providers": http.StatusOK, g.url + "/models": http.StatusUnauthorized} {
			res, err := client.Get(url)
			if err == nil {
				res.Body.Close()
			}
			ready = ready && err == nil && res.StatusCode == want
		}
		if ready {
			return nil
		}
		select {
		case <-tick.C:
		case <-ended:
			return errors.New("caddy ended")
		case <-deadline:
			return errors.New("caddy does not answer")
		}
	}
}

// checkEnd looks at what a gateway leaves behind.
func checkEnd(t *testing.T, config, log string, state *os.ProcessState) {
	t.Helper()
	out, err := os.ReadFile(log)
	if err != nil {
		t.Error(err)
	}
	if !state.Success() && runtime.GOOS != "windows" { // where it can only be killed
		t.Errorf("%s: caddy ended with %s", config, state)
	}
	for _, bad := range []string{token, otherToken, upstreamKey, "DATA RACE", "panic"} {
		if bytes.Contains(out, []byte(bad)) {
			t.Errorf("%s: the log has %q", config, bad)
		}
	}
	if t.Failed() {
		const last = 8 << 10
		t.Logf("the end of the log of %s:\n%s", config, out[max(0, len(out)-last):])
	}
}

func terminate(p *os.Process) error {
	if runtime.GOOS == "windows" {
		return p.Kill()
	}
	return p.Signal(os.Interrupt)
}

// environment returns what a process needs to run, with home as its home, and
// nothing that could lead an SDK elsewhere: no proxy, no OPENAI_BASE_URL.
func environment(home string, more ...string) []string {
	var env []string
	for _, v := range os.Environ() {
		switch name, _, _ := strings.Cut(v, "="); strings.ToUpper(name) {
		case "PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "TMP", "LANG", "LC_ALL":
			env = append(env, v)
		}
	}
	return append(env, append(more, "HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home, "PYTHONDONTWRITEBYTECODE=1")...)
}
