package mcp

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

var functionName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// contract: M6
func TestMangle(t *testing.T) {
	for _, c := range []struct {
		server, tool, want string // an ending _ in want: a hash follows
	}{
		{"docs", "read_file", "docs__read_file"},
		{"a", "b", "a__b"},
		{"my-server", "x-y", "my-server__x-y"},
		{"docs", "read__file", "docs__read__file_"},
		{"docs_", "read", "docs___read_"},
		{"docs", "_read", "docs___read_"},
		{"docs", "read.file", "docs__read_file_"},
		{"docs", "читать", "docs________"},
		{"docs", "", "docs___"},
		{"docs", "x_0123456789", "docs__x_0123456789_"},
		{"docs", "x_012345678g", "docs__x_012345678g"},
		{"docs", strings.Repeat("x", 58), "docs__" + strings.Repeat("x", 58)},
		{"docs", strings.Repeat("x", 59), "docs__" + strings.Repeat("x", 47) + "_"},
	} {
		got := Mangle(c.server, c.tool)
		if !functionName.MatchString(got) {
			t.Errorf("%s::%s is %q", c.server, c.tool, got)
		}
		if want := c.want; got != want && (!strings.HasSuffix(want, "_") || !strings.HasPrefix(got, want[:min(len(want), 54)]) || !hashed(got)) {
			t.Errorf("%s::%s is %q, want %q", c.server, c.tool, got, want)
		}
	}
}

// contract: M6
func TestMangleTellsApart(t *testing.T) {
	parts := []string{"a", "b", "_", "__", "a_", "_a", "a__b", "a.b", "a-b", "a b", "é", "", "a_0123456789", strings.Repeat("x", 60), strings.Repeat("x", 61), strings.Repeat("é", 40)}
	for i := range 300 {
		parts = append(parts, fmt.Sprint("t", i, "?"))
	}
	seen := map[string]string{}
	for _, server := range parts {
		for _, tool := range parts {
			name, id := Mangle(server, tool), server+"::"+tool
			if !functionName.MatchString(name) {
				t.Fatalf("%s is %q", id, name)
			}
			if other, ok := seen[name]; ok {
				t.Fatalf("%q and %q are both %s", other, id, name)
			}
			seen[name] = id
		}
	}
}

// A tool can't be named so that it looks like another's name with a hash.
//
// contract: M6
func TestMangleForged(t *testing.T) {
	victim := Mangle("docs", "read file")
	forged := Mangle("docs", strings.TrimPrefix(victim, "docs__"))
	if forged == victim {
		t.Errorf("both are %s", victim)
	}
}
