package glob

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"*", "groq/llama", true},
		{"groq/*", "groq/meta/llama", true},
		{"groq/*", "groq", false},
		{"coding_agent_*", "coding_agent", false},
		{"coding_agent_*", "coding_agent_linear", true},
		{"*::read_*", "docs::read_file", true},
		{"*::read_*", "docs::write_file", false},
		{"a?c", "abc", true},
		{"a?c", "ac", false},
		{"*a*b", "xxaxxbxxb", true},
		{"*a*b", "xxaxxbxxc", false},
		{"a**", "a", true},
		{"A", "a", false},
	} {
		if got := Match(tt.pattern, tt.name); got != tt.want {
			t.Errorf("Match(%q, %q) = %t", tt.pattern, tt.name, got)
		}
	}
}

func TestAny(t *testing.T) {
	if !Any(nil, "x") || !Any([]string{"a", "x"}, "x") || Any([]string{"a"}, "x") {
		t.Error("no patterns allow all; some allow what one of them matches")
	}
}

// Patterns that make backtracking matchers explode.
func FuzzMatch(f *testing.F) {
	f.Add(strings.Repeat("a*", 20)+"b", strings.Repeat("a", 64))
	f.Add("*?*", "ab")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 1<<10 || len(name) > 1<<10 {
			t.Skip("longer than any name")
		}
		got := Match(pattern, name)
		if !strings.ContainsAny(pattern, "*?") && got != (pattern == name) {
			t.Errorf("a pattern without wildcards matches itself only")
		}
		if !Match(pattern+"*", name+"x") && got {
			t.Errorf("%q matches %q, with a * more it does not match more", pattern, name)
		}
	})
}
