package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// go test ./caddymodule -run TestAdapt -update writes what the adapter makes of
// the files of testdata/adapt. Errors are written by hand.
var updateGolden = flag.Bool("update", false, "rewrite testdata/adapt")

const goldenSeparator = "----------\n"

// TestAdapt compares configurations with their JSON: one file per option.
func TestAdapt(t *testing.T) {
	eachGolden(t, "adapt", func(t *testing.T, path, body, want string) {
		config, warnings, err := adaptCaddyfile(body)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range warnings {
			t.Errorf("line %d: %s", w.Line, w.Message)
		}
		if *updateGolden {
			if err := os.WriteFile(path, []byte(body+goldenSeparator+config), 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
		if config != want {
			t.Errorf("%s", lineDiff(want, config))
		}
	})
}

// otherTests matches protocols of other tests in a list of all there are.
var otherTests = regexp.MustCompile(`, test_\w+`)

// TestAdaptErrors compares what an operator is told: one file per error. The
// text is complete and counts lines from the file's first one; Caddy puts
// "parsing caddyfile tokens for …" before errors of directives.
func TestAdaptErrors(t *testing.T) {
	eachGolden(t, "errors", func(t *testing.T, _, body, want string) {
		config, _, err := adaptCaddyfile(body)
		if err == nil {
			t.Fatalf("no error, but\n%s", config)
		}
		if got := otherTests.ReplaceAllString(err.Error(), "") + "\n"; got != want {
			t.Errorf("\nwant %s\ngot  %s", want, got)
		}
	})
}

// eachGolden runs test for each file of a folder: what is above the separator,
// and what is below. There must be some.
func eachGolden(t *testing.T, folder string, test func(t *testing.T, path, body, want string)) {
	paths := goldens(t, folder)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".caddyfiletest"), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text := strings.ReplaceAll(string(data), "\r\n", "\n") // a checkout on Windows
			body, want, found := strings.Cut(text, goldenSeparator)
			if !found && !*updateGolden {
				t.Fatalf("no line %q", strings.TrimSpace(goldenSeparator))
			}
			test(t, path, body, want)
		})
	}
}

func goldens(t testing.TB, folder string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.caddyfiletest"))
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatalf("testdata/%s is empty", folder)
	}
	return paths
}

// adaptCaddyfile is `caddy adapt --pretty`; a file that is not formatted has a
// warning. Imported files have absolute names, which it makes relative.
func adaptCaddyfile(body string) (string, []caddyconfig.Warning, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", nil, err
	}
	config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(body), nil)
	if err != nil {
		return "", nil, errors.New(strings.ReplaceAll(filepath.ToSlash(err.Error()), filepath.ToSlash(here)+"/", ""))
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, config, "", "\t"); err != nil {
		return "", nil, err
	}
	return pretty.String() + "\n", warnings, nil
}

// lineDiff shows the lines from the first to the last that differ.
func lineDiff(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for len(w) > 0 && len(g) > 0 && w[0] == g[0] {
		w, g = w[1:], g[1:]
	}
	for len(w) > 0 && len(g) > 0 && w[len(w)-1] == g[len(g)-1] {
		w, g = w[:len(w)-1], g[:len(g)-1]
	}
	return "\n- " + strings.Join(w, "\n- ") + "\n+ " + strings.Join(g, "\n+ ")
}

// TestExamplesShowEveryWord adapts the examples of the repository, and wants each
// word of the grammar in one of them.
func TestExamplesShowEveryWord(t *testing.T) {
	shown := make(map[string]bool)
	for _, path := range []string{"../examples/full.caddyfile", "../Caddyfile.example"} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := adaptCaddyfile(string(data)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		tokens, err := caddyfile.Tokenize(data, path)
		if err != nil {
			t.Fatal(err)
		}
		line := 0
		for _, token := range tokens {
			if token.Line != line { // the first word of a line
				shown[token.Text] = true
			}
			line = token.Line
		}
	}
	for _, word := range slices.Concat(globalWords, hostWords, tierWords, openaiWords, mockWords, handlerWords, serverWords, patternWords, agentWords) {
		if !shown[word] {
			t.Errorf("neither example shows %s", word)
		}
	}
}
