package caddymodule

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/universal-ai-gateway/magicproxy/openai"
)

// TestAgentCheck has what the Caddyfile's adapter would not let through.
func TestAgentCheck(t *testing.T) {
	const known = "frequency_penalty, min_p, presence_penalty, reasoning_effort, repetition_penalty, seed, temperature, top_k, top_p, verbosity"
	for _, tt := range []struct{ name, agent, want string }{
		{"null", `null`, "no rotate"},
		{"empty", `{}`, "no rotate"},
		{"fallback alone", `{"fallback":["groq/a"]}`, "no rotate"},
		{"rotate", `{"rotate":["groq/a"]}`, ""},
		{"alias", `{"rotate":["groq/a"],"aliases":["ok","a/b"]}`, `alias "a/b": ` + modelNameRule},
		{"pattern", `{"rotate":["groq/a"],"pattern":"a/b"}`, `pattern "a/b": ` + modelNameRule},
		{"variants", `{"rotate":["groq/a"],"variants":["linear","all"]}`, "variants: all stands alone"},
		{"variants none", `{"rotate":["groq/a"],"variants":["none","linear"]}`, "variants: none stands alone"},
		{"variant's name", `{"rotate":["groq/a"],"variants":[""]}`, `variants: pattern "": ` + modelNameRule},
		{"variant twice", `{"rotate":["groq/a"],"variants":["linear","linear"]}`, "variants: linear: already specified"},
		{"all", `{"rotate":["groq/a"],"variants":["all"]}`, ""},
		{"tools", `{"rotate":["groq/a"],"tools":["docs::*","search"]}`, `tools: "search" matches no tool: they are called server::tool, so write search::*`},
		{"max_steps", `{"rotate":["groq/a"],"max_steps":-1}`, "max_steps: must not be negative"},
		{"max_tool_calls", `{"rotate":["groq/a"],"max_tool_calls":-1}`, "max_tool_calls: must not be negative"},
		{"max_tokens", `{"rotate":["groq/a"],"max_tokens":-1}`, "max_tokens: must not be negative"},
		{"timeout", `{"rotate":["groq/a"],"timeout":"-1s"}`, "timeout: must not be negative"},
		{"tool_output", `{"rotate":["groq/a"],"tool_output":-1}`, "tool_output: must not be negative"},
		{"large tool_output", `{"rotate":["groq/a"],"tool_output":1073741825}`, "tool_output: more than 1 GiB"},
		{"sampling", `{"rotate":["groq/a"],"sampling":{"temperature":0.7,"seed":1,"verbosity":"low"}}`, ""},
		{"unknown parameter", `{"rotate":["groq/a"],"sampling":{"stop":"x"}}`, `sampling: unknown parameter "stop" (known: ` + known + ")"},
		{"parameter out of range", `{"rotate":["groq/a"],"sampling":{"temperature":3}}`, "sampling: temperature: expected a number from 0 to 2"},
		{"number as a text", `{"rotate":["groq/a"],"sampling":{"temperature":"1"}}`, "sampling: temperature: expected a number from 0 to 2"},
		{"null for a number", `{"rotate":["groq/a"],"sampling":{"temperature":null}}`, "sampling: temperature: expected a number from 0 to 2"},
		{"null for a word", `{"rotate":["groq/a"],"sampling":{"verbosity":null}}`, "sampling: verbosity: expected a word such as low, medium or high"},
		{"number for a word", `{"rotate":["groq/a"],"sampling":{"verbosity":1}}`, "sampling: verbosity: expected a word such as low, medium or high"},
		{"reasoning", `{"rotate":["groq/a"],"reasoning":"off"}`, `reasoning: expected show or hide, not "off"`},
		{"output", `{"rotate":["groq/a"],"output":"html"}`, `output: expected reasoning or markdown, not "html"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var a *Agent
			if err := caddy.StrictUnmarshalJSON([]byte(tt.agent), &a); err != nil {
				t.Fatal(err)
			}
			wantText(t, a.check(), tt.want)
		})
	}
}

// TestPatternCheck has the same of patterns.
func TestPatternCheck(t *testing.T) {
	for _, tt := range []struct{ name, pattern, want string }{
		{"house", `{"text":"Think."}`, ""},
		{"house", `{"text":"Think.","tools":"off"}`, ""},
		{"house", `null`, "no text"},
		{"house", `{"tools":"off"}`, "no text"},
		{"house", `{"text":"Think.","tools":"no"}`, `tools: expected on or off, not "no"`},
		{"a/b", `{"text":"Think."}`, modelNameRule},
		{"react", `{"text":"Think."}`, "built in; give yours another name"},
		{"all", `{"text":"Think."}`, "means something else among variants; give yours another name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p *Pattern
			if err := caddy.StrictUnmarshalJSON([]byte(tt.pattern), &p); err != nil {
				t.Fatal(err)
			}
			wantText(t, p.check(tt.name), tt.want)
		})
	}
}

// TestAgentDefaults has the defaults of the manual, and that nothing given is
// replaced.
func TestAgentDefaults(t *testing.T) {
	d := Agent{}.withDefaults()
	if d.Pattern != "native" || fmt.Sprint(d.Variants) != "[none]" || d.MaxSteps != 10 || d.MaxToolCalls != 32 || d.MaxTokens != 0 ||
		time.Duration(d.Timeout) != 5*time.Minute || d.Reasoning != "show" || d.Output != "reasoning" || d.Progress || d.ToolOutput != 64<<10 {
		t.Errorf("%+v", d)
	}
	given := Agent{
		Rotate: []string{"groq/a"}, Pattern: "react", Variants: []string{"all"}, MaxSteps: 1, MaxToolCalls: 2, MaxTokens: 3,
		Timeout: 4, Reasoning: "hide", Output: "markdown", Progress: true, ToolOutput: 5,
	}
	if want, got := fmt.Sprintf("%+v", given), fmt.Sprintf("%+v", given.withDefaults()); want != got {
		t.Errorf("\nwant %s\ngot  %s", want, got)
	}
}

// TestSamplingRanges wants an agent's defaults to be what a client's request may
// have, no more and no less.
func TestSamplingRanges(t *testing.T) {
	for _, name := range []string{"temperature", "top_p", "presence_penalty", "frequency_penalty"} {
		p, refused := sampling[name], 0
		for _, v := range []float64{p.lo - 1, p.lo - 0.01, p.lo, p.lo + 0.01, p.hi - 0.01, p.hi, p.hi + 0.01, p.hi + 1} {
			raw := json.RawMessage(fmt.Sprint(v))
			_, e := openai.ParseRequest(openai.Chat, fmt.Appendf(nil, `{"model":"m","messages":[{"role":"user","content":""}],%q:%s}`, name, raw))
			if e != nil {
				refused++
			}
			if p.holds(raw) != (e == nil) {
				t.Errorf("%s %s: an agent may have it: %t, a request: %v", name, raw, p.holds(raw), e)
			}
		}
		if refused != 4 {
			t.Errorf("%s: %d refused of 4 beyond the range", name, refused)
		}
	}
}

// TestSamplingSpelling keeps a number as it was written.
func TestSamplingSpelling(t *testing.T) {
	for name, values := range map[string]string{
		"temperature": "0 0.70 1e0 2.0 1.5E-1", "top_k": "-1 0 40 1e3", "seed": "9007199254740993 -9223372036854775808 9223372036854775807",
		"reasoning_effort": "none xhigh default", "presence_penalty": "-0 -2",
	} {
		for v := range strings.FieldsSeq(values) {
			raw, err := sampling[name].parse(v)
			if err != nil || strings.Trim(string(raw), `"`) != v {
				t.Errorf("%s %s: %s, %v", name, v, raw, err)
			}
		}
	}
}

// TestLiteralOrPlaceholder leaves braces alone, unless they are all there is.
func TestLiteralOrPlaceholder(t *testing.T) {
	t.Setenv("GATEWAY_TEST_TEXT", "You are {terse}.")
	t.Setenv("GATEWAY_TEST_BLANK", " \n")
	path := filepath.ToSlash(filepath.Join(t.TempDir(), "prompt"))
	if err := os.WriteFile(path, []byte("\nYou write Go.\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ value, want, err string }{
		{"", "", ""},
		{" You write {\"path\": \"...\"}.\n", " You write {\"path\": \"...\"}.\n", ""},
		{"{name}", "{name}", ""},
		{"{http.request.uri}", "{http.request.uri}", ""},
		{"{env.GATEWAY_TEST_TEXT}", "You are {terse}.", ""},
		{"\n{env.GATEWAY_TEST_TEXT}\n", "You are {terse}.", ""},
		{"{env.GATEWAY_TEST_TEXT} {env.GATEWAY_TEST_TEXT}", "{env.GATEWAY_TEST_TEXT} {env.GATEWAY_TEST_TEXT}", ""},
		{"x{env.GATEWAY_TEST_TEXT}", "x{env.GATEWAY_TEST_TEXT}", ""},
		{"{file." + path + "}", "You write Go.", ""},
		{"{env.GATEWAY_TEST_UNSET}", "", "evaluated placeholder {env.GATEWAY_TEST_UNSET} is empty"},
		{"{env.GATEWAY_TEST_BLANK}", "", "empty: {env.GATEWAY_TEST_BLANK}"},
		{"{file./absent/prompt}", "", "evaluated placeholder {file./absent/prompt} is empty"},
	} {
		got, err := literalOrPlaceholder(caddy.NewReplacer(), tt.value)
		wantText(t, err, tt.err)
		if got != tt.want {
			t.Errorf("%q became %q", tt.value, got)
		}
	}
}

// wantText wants an error to say just that; none for the empty text.
func wantText(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("\nwant %s\ngot  %s", want, got)
	}
}

// TestAgentsAreChecked loads configurations that only JSON can have: each check is
// called, and what it says names the block.
func TestAgentsAreChecked(t *testing.T) {
	const providers = `"providers":{"groq":{}},`
	for _, tt := range []struct{ name, app, want string }{
		{"agent", `"agents":{"coder":{"rotate":["groq/a"],"max_steps":-1}}`, "agent coder: max_steps: must not be negative"},
		{"null for an agent", `"agents":{"coder":null}`, "agent coder: no rotate"},
		{"pattern", `"patterns":{"react":{"text":"Think."}}`, "pattern react: built in; give yours another name"},
		{"null for a pattern", `"patterns":{"house":null}`, "pattern house: no text"},
		{"tool server", `"mcp":{"search":{"url":"https://a.example.com","command":["a"]}}`, "mcp search: both url and command"},
		{"null for a tool server", `"mcp":{"search":null}`, "mcp search: neither url nor command"},
		{"header of the protocol", `"mcp":{"search":{"url":"https://a.example.com","header":{"accept":["a"]}}}`, "the header Accept belongs to the protocol"},
		{"prompt", `"agents":{"coder":{"rotate":["groq/a"],"system":"{file./absent/prompt}"}}`, "agent coder: system: evaluated placeholder {file./absent/prompt} is empty"},
		{"text", `"patterns":{"house":{"text":"{file./absent/text}"}}`, "pattern house: text: evaluated placeholder {file./absent/text} is empty"},
		{"unknown field", `"agents":{"coder":{"rotate":["groq/a"],"temperature":1}}`, `decoding module config: ai_gateway: json: unknown field "temperature"`},
		{"good", `"agents":{"coder":{"rotate":["groq/a"],"pattern":"house","tools":["search::*"]}},"patterns":{"house":{"text":"Think."}},"mcp":{"search":{"url":"https://a.example.com"}}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := validateJSON(t, "{"+providers+tt.app+"}")
			wantError(t, err, tt.want)
		})
	}
}

func TestServersOfAnAgent(t *testing.T) {
	for g, want := range map[string]string{"*": "docs web", "docs::*": "docs", "d*::read": "docs", "w?b::x": "web", "docs*": "docs web", "other::*": ""} {
		var got []string
		for _, server := range []string{"docs", "web"} {
			if mayName(g, server) {
				got = append(got, server)
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %s", g, s)
		}
	}
}
