// Package sdk tests the gateway with the official OpenAI SDKs for Python and Node as its clients. They change the address and the
// key, nothing else.
//
//	scripts/sdk && go test ./sdk
//
// The gateway is a bin/caddy that has each provider twice: near ones, simulated in process, and far ones, reached over HTTP at a
// second bin/caddy in mock mode, by base_url and key. scenarios.py and scenarios.mjs do the asking; agents.py and agents.mjs ask
// agents, at a gateway of their own with a real tool server.
package sdk

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	_ "github.com/universal-ai-gateway/magicproxy" // a cached result is one of this gateway
)

// scenarios is what every SDK must go through.
var scenarios = strings.Fields(`
	models_list models_retrieve
	chat chat_stream chat_stream_usage reasoning reasoning_stream choices
	tools tools_stream structured structured_stream
	embeddings completions completions_stream responses responses_stream
	raw_response failover
	error_authentication error_not_found error_bad_request error_rate_limit error_unavailable error_in_stream
	leave_stream leave_timeout`)

// client is an SDK and how it is run.
type client struct {
	name      string
	program   string   // from this folder
	extension string   // of the names of scripts
	prefix    []string // of the names of scenarios

	// pins names the versions; installed is its copy in what scripts/sdk has
	// installed.
	pins, installed string
}

var clients = []client{
	{
		name:      "python",
		program:   "../.tools/sdk-venv/bin/python",
		extension: ".py",
		prefix:    []string{"near/sync/", "near/async/", "far/sync/", "far/async/"},
		pins:      "requirements.txt",
		installed: "../.tools/sdk-venv/requirements.txt",
	},
	{
		name:      "node",
		program:   "node",
		extension: ".mjs",
		prefix:    []string{"near/", "far/"},
		pins:      "package-lock.json",
		installed: "node_modules/installed-lock.json",
	},
}

// TestSDK starts the gateways and runs every SDK against them, one after the
// other, as some scenarios want to see no other call under way.
//
// contract: R2, R3, R4, R5, R6, S2, S4, S9, F7
func TestSDK(t *testing.T) {
	var ready []client
	for _, c := range clients {
		if reason := c.lacks(t); reason == "" {
			ready = append(ready, c)
		} else {
			t.Run(c.name, func(t *testing.T) {
				if os.Getenv("CI") == "true" {
					t.Fatal(reason)
				}
				t.Skip(reason)
			})
		}
	}
	if len(ready) == 0 {
		return
	}

	for name := range strings.FieldsSeq(`gateway.caddyfile agents.caddyfile upstream.caddyfile
		scenarios.py agents.py setting.py expect.py scenarios.mjs agents.mjs setting.mjs expect.mjs`) {
		if _, err := os.Stat(name); err != nil { // so that a cached result is one of these files
			t.Fatal(err)
		}
	}
	caddy := buildCaddy(t)
	upstream := startGateway(t, caddy, "upstream.caddyfile", "SDK_UPSTREAM_KEY="+upstreamKey, "SDK_ANSWER="+answer)
	front := startGateway(t, caddy, "gateway.caddyfile", "SDK_TOKEN="+token, "SDK_ANSWER="+answer,
		"SDK_UPSTREAM_KEY="+upstreamKey, "SDK_UPSTREAM_URL="+upstream.url)
	for _, c := range ready {
		t.Run(c.name, func(t *testing.T) { c.test(t, "scenarios", scenarios, front, upstream) })
	}
	t.Run("agents", func(t *testing.T) { testAgents(t, caddy, upstream, ready) })
}

// lacks returns why the SDK cannot be run, "" if it can.
func (c client) lacks(t *testing.T) string {
	t.Helper()
	pins, err := os.ReadFile(c.pins)
	if err != nil {
		t.Fatal(err)
	}
	installed, err := os.ReadFile(c.installed)
	if err != nil || !bytes.Equal(pins, installed) {
		return "the SDK is not installed as sdk/" + c.pins + " pins it: run scripts/sdk"
	}
	if _, err := exec.LookPath(c.program); err != nil {
		return err.Error()
	}
	return ""
}

// result is a line that the script prints.
type result struct {
	Name  string
	OK    bool
	Error string
}

// test runs a script and reports each of its scenarios as a subtest.
func (c client) test(t *testing.T, script string, scenarios []string, front, upstream gateway) {
	results := c.run(t, script, front, upstream)
	for _, prefix := range c.prefix {
		for _, name := range scenarios {
			name = prefix + name
			r, found := results[name]
			delete(results, name)
			t.Run(name, func(t *testing.T) {
				switch {
				case !found:
					t.Error("the script has not run it")
				case !r.OK:
					t.Error(r.Error)
				}
			})
		}
	}
	for name := range results {
		t.Errorf("%s is not among the scenarios of this test", name)
	}
}

func (c client) run(t *testing.T, script string, front, upstream gateway) map[string]result {
	t.Helper()
	script += c.extension
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.program, script)
	cmd.Env = environment(t.TempDir(), "SDK_URL="+front.url, "SDK_TOKEN="+token, "SDK_TOKEN_OTHER="+otherToken, "SDK_ANSWER="+answer,
		"SDK_ADMINS="+front.admin+" "+upstream.admin)
	cmd.WaitDelay = 10 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Errorf("%s %s: %v\n%s", c.program, script, err, &stderr)
	}

	results := map[string]result{}
	lines := bufio.NewScanner(&stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil || r.Name == "" {
			t.Errorf("not a result: %s", lines.Text())
		}
		if _, twice := results[r.Name]; twice {
			t.Errorf("%s came twice", r.Name)
		}
		results[r.Name] = r
	}
	if err := lines.Err(); err != nil {
		t.Error(err)
	}
	return results
}

// What is installed today is installed tomorrow, from whichever registry the
// machine is set up with.
func TestPins(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile(filepath.FromSlash(name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for line := range strings.Lines(read("requirements.txt")) {
		if !regexp.MustCompile(`^(#.*|[a-z0-9_-]+==[0-9.]+)?\n$`).MatchString(line) {
			t.Errorf("requirements.txt: not a pinned version: %s", line)
		}
	}
	var p struct{ Dependencies map[string]string }
	if err := json.Unmarshal([]byte(read("package.json")), &p); err != nil {
		t.Fatal(err)
	}
	for name, version := range p.Dependencies {
		if !regexp.MustCompile(`^[0-9.]+$`).MatchString(version) {
			t.Errorf("package.json: %s %s is not a pinned version", name, version)
		}
	}
	if lock := read("package-lock.json"); strings.Contains(lock, `"resolved"`) || !strings.Contains(lock, `"integrity"`) {
		t.Error("package-lock.json names a registry, or lacks hashes")
	}
}
