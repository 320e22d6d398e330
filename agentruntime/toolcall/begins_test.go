package toolcall

import (
	"strings"
	"testing"
)

func TestBegins(t *testing.T) {
	for _, c := range []struct {
		text string
		want Verdict
	}{
		{"", More}, {" \n", More}, {"<", More}, {"<tool", More}, {"<tool_call>", Yes}, {"<function=re", Yes}, {"<func", More},
		{"<p>", No}, {"<b", More}, {"<div class", No}, {"< 5", No}, {"<|", More}, {"<|python_tag|>", Yes}, {"<｜tool▁calls", Yes}, {"<｜DSML｜inv", Yes},
		{"<think>", No}, {"<minimax:tool_call", More}, {"<minimax:tool_call>", Yes}, {"<x:inv", More}, {"<invoke name=", Yes},
		{"[", More}, {"[TOOL", More}, {"[TOOL_CALLS]", Yes}, {"[read(", Yes}, {"[read](http", No}, {"[1, 2", No}, {"[ {", More}, {`[{"name"`, Yes},
		{"{", More}, {`{"na`, More}, {`{"name"`, Yes}, {`{"answer"`, No}, {`{'tool_calls':`, Yes}, {`{"name_of`, No}, {"{\n  \"function\": {", Yes},
		{"`", More}, {"``", More}, {"```", More}, {"```js", More}, {"```json\n", More}, {"```json\n{\"name\":", Yes}, {"```json\n{\"a\":", No}, {"```go\nfunc", No}, {"```tool_code", Yes}, {"`x`", No},
		{"read", More}, {"read(", Yes}, {"read{", Yes}, {"read\n{", Yes}, {"read[ARGS]", Yes}, {"Sure, I", No}, {"Sure", More}, {"Hello\nthere", No},
		{"Action: re", Yes}, {"Act", More}, {"**Action", Yes}, {"commentary to=", Yes}, {"commentary on", No}, {"to=functions.x", Yes},
		{"call:read{", Yes}, {"function<｜tool▁sep｜>", Yes}, {"# Title", No}, {"- item", No}, {"1. item", No}, {"Grüße", No},
		{strings.Repeat("x", 80), No}, {"{" + strings.Repeat(" ", 80), No}, {"```" + strings.Repeat("x", 80), No},
	} {
		if got := Begins(c.text); got != c.want {
			t.Errorf("%q: %s, want %s", c.text, got, c.want)
		}
	}
	if got := BeginsLine("Sure"); got != No {
		t.Errorf("a later line is held for a bare name: %s", got)
	}
}

// TestMidline: a call behind a sentence is held back from its marker on, and the
// sentence is not.
func TestMidline(t *testing.T) {
	n := 0
	for _, s := range textSamples {
		calls, prose, _, err := Text(s.text, known)
		if err != nil || len(calls) == 0 || !strings.Contains(s.name, "after a sentence") {
			continue
		}
		n++
		line, _, _ := strings.Cut(s.text, "\n")
		for end := range len(line) + 1 {
			at := Midline(line[:end], 0, 0)
			switch held := end > len(strings.TrimRight(line[:end], " ")); {
			case at >= 0 && strings.TrimSpace(line[:at]) != prose:
				t.Fatalf("%s: %q is held from %d on", s.name, line[:end], at)
			case at < 0 && end > len(prose)+1 && !held:
				t.Fatalf("%s: %q is not held", s.name, line[:end])
			}
		}
	}
	if n < 9 {
		t.Errorf("only %d samples", n)
	}
	for _, c := range []struct {
		line     string
		i, ticks int
		want     int
	}{
		{"See Fig.[1] and x.<b>.", 0, 0, -1},
		{"Sure.<", 0, 0, 5},
		{"Sure. <to", 0, 0, 6},
		{"Sure <tool_call>", 0, 0, -1},
		{"Sure:<tool_call>", 0, 0, 5},
		{"Sure: <tool_call>", 0, 0, 6},
		{"`Sure.<tool_call>", 0, 0, -1},
		{"Sure.<tool_call>", 5, 1, -1},
		{"Sure.<tool_call>", 5, 2, 5},
		{"Sure.<tool_call> Or.<tool_call>", 6, 0, 20},
		{"", 0, 0, -1},
	} {
		if got := Midline(c.line, c.i, c.ticks); got != c.want {
			t.Errorf("%q from %d: %d, want %d", c.line, c.i, got, c.want)
		}
	}
}

// TestBeginsCalls: whatever Text reads as a call has been held back from its
// first byte on, whoever asked at which byte.
func TestBeginsCalls(t *testing.T) {
	for _, s := range textSamples {
		calls, prose, _, err := Text(s.text, known)
		if err != nil || len(calls) == 0 || strings.Contains(s.name, "after a sentence") || strings.Contains(s.name, "thinking") {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			begins, rest := Begins, s.text
			if n := strings.LastIndex(s.text, prose); prose != "" && strings.Contains(s.name, "words behind") {
				prose = ""
			} else if prose != "" && !strings.Contains(s.name, "harmony") {
				begins, rest = BeginsLine, s.text[n+len(prose):]
				if s.name == "hermes, no beginning after prose" {
					t.Skip("only its end shows that it is one")
				}
			}
			waiting := true
			for n := range len(rest) + 1 {
				v := begins(rest[:n])
				if v == No {
					t.Fatalf("no at %q", rest[:n])
				}
				if v == More && n-skipSpace(rest, 0) >= maxBegin {
					t.Fatalf("more after %d bytes", n)
				}
				waiting = waiting && v == More
			}
			if waiting {
				t.Error("never a yes")
			}
		})
	}
}
