package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/mcp/mcptest"
)

var record = flag.Bool("record", false, "write testdata/checks.json from what the Go SDK's client gets")

// TestMain is also the client: the suite runs this very binary.
func TestMain(m *testing.M) {
	if os.Getenv("MCP_CONFORMANCE_SCENARIO") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// table says how many checks of each id the Go SDK's own client passes, by revision
// and scenario: all that are required but auth/, and one added after the release. It
// fails none and is warned of none. Counting is needed because a scenario is green
// for the suite also when a client does nothing that it could check.
type table map[string]map[string]map[string]int

const tableFile = "testdata/checks.json"

func readTable(t *testing.T) table {
	t.Helper()
	b, err := os.ReadFile(tableFile)
	if err != nil {
		t.Fatal(err)
	}
	var want table
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	if len(want) != 2 {
		t.Fatalf("%s has %d revisions", tableFile, len(want))
	}
	return want
}

// each calls f for every scenario of the table, in order, as a subtest.
func (want table) each(t *testing.T, f func(t *testing.T, revision, scenario string)) {
	for _, revision := range slices.Sorted(maps.Keys(want)) {
		for _, scenario := range slices.Sorted(maps.Keys(want[revision])) {
			t.Run(revision+"/"+scenario, func(t *testing.T) { f(t, revision, scenario) })
		}
	}
}

// contract: M1
func TestConformance(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	want := readTable(t)
	checks, passed := 0, 0
	want.each(t, func(t *testing.T, revision, scenario string) {
		o := play(t, self, revision, scenario)
		for _, complaint := range o.below(want[revision][scenario]) {
			t.Error(complaint)
		}
		all, ok := 0, 0
		for id, n := range want[revision][scenario] {
			all += n
			ok += min(o.passed[id], n)
		}
		t.Logf("%d of %d checks", ok, all)
		checks += all
		passed += ok
	})
	t.Logf("%d of %d checks", passed, checks)
}

// The table is what the Go SDK's client gets today, and has all that is required.
func TestTable(t *testing.T) {
	sdk := mcptest.ConformanceClient(t)
	got := table{}
	for _, revision := range []string{"2025-11-25", "2026-07-28"} {
		got[revision] = map[string]map[string]int{}
		for _, scenario := range listed(t, revision) {
			o := play(t, sdk, revision, scenario)
			if complaints := o.below(nil); len(complaints) > 0 {
				t.Errorf("%s: %s: %q", revision, scenario, complaints)
			}
			got[revision][scenario] = o.passed
		}
	}
	if *record && !t.Failed() {
		b, err := json.MarshalIndent(got, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(tableFile, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := readTable(t)
	for _, revision := range slices.Sorted(maps.Keys(got)) {
		for scenario, passed := range got[revision] {
			if !maps.Equal(passed, want[revision][scenario]) {
				t.Errorf("%s: %s: the SDK's client passes %v, the table has %v", revision, scenario, passed, want[revision][scenario])
			}
		}
		if len(want[revision]) != len(got[revision]) {
			t.Errorf("%s: %d scenarios, the table has %d", revision, len(got[revision]), len(want[revision]))
		}
	}
}

// A client that does nothing, and fails nothing by that, is below in every scenario.
func TestNothingIsNotEnough(t *testing.T) {
	want := readTable(t)
	want.each(t, func(t *testing.T, revision, scenario string) {
		if len(play(t, "true", revision, scenario).below(want[revision][scenario])) == 0 {
			t.Error("it passes")
		}
	})
}

var listLine = regexp.MustCompile(`(?m)^ +- ([a-z0-9/_-]+)( \[client\])?$`)

// listed returns what a revision requires of a client, but auth/, and what was added
// later.
func listed(t *testing.T, revision string) []string {
	t.Helper()
	out, err := suite(t, t.TempDir(), "list", "--client", "--requirements", revision)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	required, rest, found := strings.Cut(string(out), "Run and reported")
	_, required, ok := strings.Cut(required, "Client scenarios")
	if !found || !ok {
		t.Fatalf("not the list that is known here:\n%s", out)
	}
	var names []string
	for _, m := range listLine.FindAllStringSubmatch(required, -1) {
		names = append(names, m[1])
	}
	for _, m := range listLine.FindAllStringSubmatch(rest, -1) {
		if m[2] != "" {
			names = append(names, m[1])
		}
	}
	names = slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(n, "auth/") })
	if len(names) < 5 { // 2025-11-25 has 5, 2026-07-28 8
		t.Fatalf("%d scenarios in\n%s", len(names), out)
	}
	return names
}

// outcome is how a client did in a scenario.
type outcome struct {
	passed map[string]int // by id
	bad    []string
	output string
}

// badEnd is how the suite says that the client itself has failed.
var badEnd = regexp.MustCompile(`(?m)^.*(Client exited with code|CLIENT EXITED WITH ERROR|CLIENT TIMED OUT).*$`)

// play runs a scenario with a client.
func play(t *testing.T, command, revision, scenario string) outcome {
	t.Helper()
	dir := t.TempDir()
	out, err := suite(t, dir, "client", "--command", command, "--scenario", scenario, "--spec-version", revision, "--output-dir", dir)
	o := outcome{passed: map[string]int{}, output: string(out)}
	files := 0
	walk := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "checks.json" {
			return err
		}
		files++
		return o.add(path)
	})
	if walk != nil || files != 1 {
		t.Fatalf("%d results: %v, %v\n%s", files, walk, err, out)
	}
	if end := badEnd.Find(out); end != nil {
		o.bad = append(o.bad, string(end))
	}
	if err != nil && len(o.bad) == 0 {
		o.bad = append(o.bad, fmt.Sprintf("the suite failed, though no check did: %v", err))
	}
	return o
}

func (o *outcome) add(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var checks []struct{ ID, Status, Description, ErrorMessage string }
	if err := json.Unmarshal(b, &checks); err != nil {
		return err
	}
	for _, c := range checks {
		switch c.Status {
		case "SUCCESS":
			o.passed[c.ID]++
		case "INFO", "SKIPPED":
		default:
			o.bad = append(o.bad, fmt.Sprintf("%s %s: %s: %s", c.Status, c.ID, c.Description, c.ErrorMessage))
		}
	}
	return nil
}

// below says in what the outcome is worse than what is wanted.
func (o outcome) below(want map[string]int) []string {
	complaints := slices.Clone(o.bad)
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if n := o.passed[id]; n < want[id] {
			complaints = append(complaints, fmt.Sprintf("%s passed %d times, want %d", id, n, want[id]))
		}
	}
	if len(complaints) > 0 {
		complaints = append(complaints, o.output)
	}
	return complaints
}

var color = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// suite runs the conformance suite.
func suite(t *testing.T, dir string, args ...string) ([]byte, error) {
	t.Helper()
	argv := append(mcptest.Conformance(t), args...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + dir}
	cmd.WaitDelay = 5 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return color.ReplaceAll(out.Bytes(), nil), err
}
