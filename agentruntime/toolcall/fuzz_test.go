package toolcall

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// check fails for calls that must not leave the package.
func check(t *testing.T, calls []Call, err error) {
	t.Helper()
	if err != nil && len(calls) > 0 {
		t.Fatal("calls beside an error")
	}
	for _, c := range calls {
		if !known(c.Name) {
			t.Fatalf("a tool that is not offered: %q", c.Name)
		}
		if !json.Valid(c.Arguments) || strings.TrimSpace(string(c.Arguments))[0] != '{' {
			t.Fatalf("not an object: %s", c.Arguments)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, s := range textSamples {
		f.Add(s.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		calls, prose, rung, err := Text(text, known)
		check(t, calls, err)
		_ = rung.String()
		if len(calls) > 0 && !utf8.ValidString(prose) {
			t.Fatal("prose is not UTF-8")
		}
		Begins(text)
		BeginsLine(text)
		if i := Midline(text, 0, 0); i >= len(text) {
			t.Fatal("a place behind the text")
		}
		again, _, _, _ := Text(text, known)
		if show(again) != show(calls) {
			t.Fatal("not the same twice")
		}
	})
}

func FuzzArguments(f *testing.F) {
	for _, s := range []string{
		`{"a":1}`, `{'a': 'b', c: [1,2,],}`, `"{\"a\": 1}"`, `{"a":1}{"b":2}`, "```json\n{}\n```", `{"a": "x "y" z"}`, `{"a": \n1}`, `{ name: 'John' `,
		`{"re": "\d"}`, `[{"a":1}]`, `{{"a":1}}`, `{"a":1,"a":2}`, `{"name="x"}`, `{“a”: “b”}`, `{"a": """b"""}`, `{"a": 1 // c`, ``, `null`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		objects, rung, err := Arguments(raw)
		if err != nil {
			if objects != nil {
				t.Fatal("objects beside an error")
			}
			return
		}
		if len(objects) == 0 {
			t.Fatal("neither objects nor an error")
		}
		for _, o := range objects {
			if !json.Valid(o) || o[0] != '{' {
				t.Fatalf("not an object: %s", o)
			}
		}
		trimmed := strings.TrimSpace(raw)
		if json.Valid([]byte(raw)) && strings.HasPrefix(trimmed, "{") && (rung != RungClean || string(objects[0]) != trimmed) {
			t.Fatalf("valid input became %s, %s", objects[0], rung)
		}
		calls, _, err := Native("read", raw, known)
		check(t, calls, err)
	})
}

// TestLinear: ten times the text takes about ten times as long, whatever is
// repeated in it.
func TestLinear(t *testing.T) {
	for name, piece := range map[string]string{
		"tool_call": "<tool_call>", "line tool_call": "<tool_call>\n", "closed": "</tool_call>", "function": "<function=read>", "parameter": "<parameter=a>\n",
		"parameter pair": "<parameter=a>x</parameter>", "arg_key": "<arg_key>a</arg_key>", "arg pair": "<arg_key>a</arg_key><arg_value>", "arg_value": "</arg_value>",
		"braces": "{", "brackets": "[", "quotes": `"`, "strings": `"a" `, "escapes": `\`, "members": `"a":{`, "fences": "```\n", "ticks": "`\n", "bars": "<|", "tokens": "<|start|>",
		"headers": "<|channel|>commentary<|message|>", "mistral": "[TOOL_CALLS]", "action": "Action: read\n", "input": "Action: read\nAction Input: {\"a\": \"\n",
		"json lines": "{\"name\":\"read\",\"arguments\":{\"a\":\"\n", "name": "read(", "comments": "/* ", "spaces": " ", "lines": "\n", "tag": "<a ", "invoke": `<invoke name="read">`,
		"dsml": `<｜DSML｜parameter name="a">`, "think": "<think>", "sentences": "x.<|tool_call|>", "calls": `<function=read>{"a":1}</function>`, "triple": `"""`, "keys": `"a":1,`,
		"literal breaks": `\n`, "inner quotes": `say "yes" `, "apostrophes": "it's ", "commas missing": `"x" "b": `, "lines without commas": "\"x\"\n\"b\": ",
		"quotes and spaces": `" `, "inches": `6" `, "markers after sentences": "x. <tool_call> y", "tags after sentences": "x.<b ", "colons": "x:<tool_call>y ", "ticks after sentences": "`x.<tool_call>",
		"half keys": `a": `, "unclosed lists": `[{"a":1}`, "objects": `{"a":1} `, "headers of turns": "<|start_header_id|>assistant<|end_header_id|>", "gemma quotes": `"<|\"|>x",`,
	} {
		for _, before := range []string{
			"", `{"a": "`, `{'a': '`, `{"a": `, "<tool_call>", `<tool_call>{"name": "read", "arguments": {"a": "`, "<function=edit><parameter=x>", "<tool_call>read<arg_key>a</arg_key><arg_value>",
			"<function=read>{", "Action: read\nAction Input: ", "[read(a=", "<|channel|>analysis<|message|>",
		} {
			text := before + strings.Repeat(piece, MaxSize/2/len(piece))
			start := time.Now()
			_, _, _, _ = Text(text, known)
			_, _, _ = Arguments(text)
			_, _, _ = Native(text, "{}", known)
			Midline(text, 0, 1)
			// What is quadratic takes minutes; anything less may be the machine.
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("%s behind %q: %s for %d bytes", name, before, took, len(text))
			}
		}
	}
}
