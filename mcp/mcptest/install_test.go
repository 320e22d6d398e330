package mcptest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// Without an installation, or with one of other versions, tests skip, but not where
// everything must run.
func TestNeeds(t *testing.T) {
	for _, tt := range []struct {
		ci    string
		files map[string]string
		want  string
	}{
		{"", nil, "skipped"},
		{"true", nil, "failed"},
		{"true", map[string]string{
			".tools/mcp/node_modules/installed-lock.json": "{}",
			".tools/mcp/bin/installed-version":            "v1.0.1\n",
		}, "failed"},
		{"true", map[string]string{
			".tools/mcp/node_modules/installed-lock.json": string(pins),
			".tools/mcp/node_modules/.bin/node":           "",
			".tools/mcp/bin/installed-version":            "v1.0.0\n",
		}, ""},
	} {
		t.Run("", func(t *testing.T) {
			t.Setenv("CI", tt.ci)
			dir := t.TempDir()
			write := func(name, text string) {
				name = filepath.Join(dir, filepath.FromSlash(name))
				if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write("go.mod", "module x\n\nrequire (\n\tgithub.com/modelcontextprotocol/go-sdk v1.0.0\n)\n")
			write("sub/x_test.go", "")
			for name, text := range tt.files {
				write(name, text)
			}
			t.Chdir(filepath.Join(dir, "sub"))
			for _, k := range []kind{packages, programs} {
				f := &fake{TB: t}
				done := make(chan struct{})
				go func() {
					defer close(done)
					needs(f, k)
				}()
				<-done
				if runtime.GOOS != "linux" {
					continue
				}
				if f.end != tt.want || (f.end != "") != strings.Contains(f.said, "make mcp") {
					t.Errorf("%q, %q, want %q", f.end, f.said, tt.want)
				}
			}
		})
	}
}

// fake is a test that ends without ending the one it is part of.
type fake struct {
	testing.TB
	end, said string
}

func (f *fake) Fatal(args ...any) { f.over("failed", args) }
func (f *fake) Skip(args ...any)  { f.over("skipped", args) }

func (f *fake) over(how string, args []any) {
	f.end = how
	f.said, _ = args[0].(string)
	runtime.Goexit()
}

// What is installed today is installed tomorrow, from whichever registry the
// machine is set up with.
func TestPins(t *testing.T) {
	b, err := os.ReadFile("package.json")
	if err != nil {
		t.Fatal(err)
	}
	var p struct{ Dependencies, OptionalDependencies map[string]string }
	if err := json.Unmarshal(b, &p); err != nil || len(p.Dependencies) == 0 {
		t.Fatal(err, p)
	}
	for _, deps := range []map[string]string{p.Dependencies, p.OptionalDependencies} {
		for name, version := range deps {
			if !regexp.MustCompile(`^[0-9.]+(-alpha\.[0-9]+)?$`).MatchString(version) {
				t.Errorf("package.json: %s %s is not a pinned version", name, version)
			}
		}
	}
	if lock := string(pins); strings.Contains(lock, `"resolved"`) || !strings.Contains(lock, `"integrity"`) {
		t.Error("package-lock.json names a registry, or lacks hashes")
	}
}
