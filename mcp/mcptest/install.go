package mcptest

import (
	"bytes"
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"
)

//go:embed package-lock.json
var pins []byte

// kind is a half of what scripts/mcp installs.
type kind int

const (
	packages kind = iota // npm's
	programs             // the Go SDK's
)

// installation is where things are.
type installation struct {
	root string // the repository's
	node string
}

// needs returns the installation, or ends the test.
func needs(t testing.TB, k kind) installation {
	t.Helper()
	in := installation{root: root(t)}
	if reason := in.lacks(t, k); reason != "" {
		if os.Getenv("CI") == "true" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	if k == packages {
		in.node = in.path(".tools/mcp/node_modules/.bin/node")
		if _, err := os.Stat(in.node); err != nil { // the machine's own is good enough, or scripts/mcp had not ended well
			if in.node, err = exec.LookPath("node"); err != nil {
				t.Fatal(err)
			}
		}
	}
	return in
}

// lacks returns why the half is not usable, "" if it is.
func (in installation) lacks(t testing.TB, k kind) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		return "real tool servers run on linux only"
	}
	const missing = "the real tool servers are not installed in the pinned versions: run make mcp"
	switch k {
	case packages:
		have, err := os.ReadFile(in.path(".tools/mcp/node_modules/installed-lock.json"))
		if err != nil || !bytes.Equal(have, pins) {
			return missing
		}
	case programs:
		have, err := os.ReadFile(in.path(".tools/mcp/bin/installed-version"))
		if err != nil || string(bytes.TrimSpace(have)) != in.sdk(t) {
			return missing
		}
	}
	return ""
}

var required = regexp.MustCompile(`(?m)^\s*github\.com/modelcontextprotocol/go-sdk (v\S+)`)

// sdk is the version of the Go SDK that go.mod wants.
func (in installation) sdk(t testing.TB) string {
	t.Helper()
	mod, err := os.ReadFile(in.path("go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	m := required.FindSubmatch(mod)
	if m == nil {
		t.Fatal("go.mod does not require the Go SDK")
	}
	return string(m[1])
}

// root finds the repository from the folder of the package under test.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("not within the repository")
		}
		dir = up
	}
}

func (in installation) path(slashed string) string {
	return filepath.Join(in.root, filepath.FromSlash(slashed))
}

func (in installation) module(name string) string {
	return in.path(".tools/mcp/node_modules/@modelcontextprotocol/" + name + "/dist/index.js")
}

func (in installation) program(name string) string { return in.path(".tools/mcp/bin/" + name) }

// loopback is how to run a script that would listen on every interface.
func (in installation) loopback(t testing.TB) []string {
	t.Helper()
	script := in.path("mcp/mcptest/loopback.mjs")
	if _, err := os.Stat(script); err != nil {
		t.Fatal(err)
	}
	return []string{in.node, "--import", script}
}
