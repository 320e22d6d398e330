package caddymodule

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// Agent is a model that reasons in steps and calls tools on the way.
type Agent struct {
	// Aliases are further names of the agent.
	Aliases []string `json:"aliases,omitempty"`

	// Rotate is turned by one with every run. Each entry is provider/model,
	// provider/alias or a tier; an entry that occurs twice counts twice.
	Rotate []string `json:"rotate,omitempty"`

	// Fallback follows in order when nothing of Rotate can answer.
	Fallback []string `json:"fallback,omitempty"`

	// Pattern is how the agent reasons: native, react, linear, analytical, sonata,
	// or one of the configuration's own. Default native.
	Pattern string `json:"pattern,omitempty"`

	// Variants are patterns with which the agent is a model of its own, called
	// agent_pattern; or all alone, or none alone. Default none.
	Variants []string `json:"variants,omitempty"`

	// Tools are globs over server::tool: what the agent may call. Default: no tool.
	Tools []string `json:"tools,omitempty"`

	// MaxSteps is how many turns may call tools; one more without them follows.
	// Default 10.
	MaxSteps int `json:"max_steps,omitempty"`

	// MaxToolCalls bounds the calls of a run. Default 32.
	MaxToolCalls int `json:"max_tool_calls,omitempty"`

	// MaxTokens bounds the completion tokens of a run, over all its steps. A
	// request may ask for less. Default 0: no bound.
	MaxTokens int `json:"max_tokens,omitempty"`

	// Timeout bounds a run. Default 5m.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// Sampling are defaults of the requests to the model: temperature, top_p,
	// presence_penalty, frequency_penalty, seed, reasoning_effort, verbosity, top_k,
	// min_p and repetition_penalty. A field of the client's request beats its
	// default. Default: none, the provider decides.
	Sampling map[string]json.RawMessage `json:"sampling,omitempty"`

	// System is what the agent is told before anything of the client's. A
	// placeholder if the whole value is one {env.…} or {file.…}, literal otherwise:
	// prompts contain braces. Default: nothing.
	System string `json:"system,omitempty"`

	// Reasoning is hide to keep the agent's reasoning from the client. Default
	// show.
	Reasoning string `json:"reasoning,omitempty"`

	// Output is how reasoning is shown: reasoning, in the field reasoning_content,
	// or markdown, within the content. Default reasoning.
	Output string `json:"output,omitempty"`

	// Progress tells the client of steps and tools. Default off.
	Progress bool `json:"progress,omitempty"`

	// ToolOutput bounds what the model sees of a tool's result, in bytes. Default
	// 64 KiB.
	ToolOutput int64 `json:"tool_output,omitempty"`

	// Cache is how long answers are kept for requests that are the same, see
	// docs/state.md. Default: not at all.
	Cache caddy.Duration `json:"cache,omitempty"`
}

// Pattern is a way to reason that the configuration adds to the built-in ones.
type Pattern struct {
	// Text is the instruction. A placeholder if the whole value is one {env.…} or
	// {file.…}, literal otherwise.
	Text string `json:"text,omitempty"`

	// Tools is off for a pattern that calls none. Default on.
	Tools string `json:"tools,omitempty"`
}

const defaultPattern = "native"

// builtinPatterns have their texts in the gateway.
var builtinPatterns = []string{defaultPattern, "react", "linear", "analytical", "sonata"}

// The words that a list of variants has beside patterns.
const (
	variantsNone = "none"
	variantsAll  = "all"
)

// The values of options that choose. The first is the default.
var (
	reasoningValues = []string{"show", "hide"}
	outputValues    = []string{"reasoning", "markdown"}
	switchValues    = []string{"on", "off"}
)

// withDefaults returns the agent with what is missing filled in.
func (a Agent) withDefaults() Agent {
	a.Pattern = cmp.Or(a.Pattern, defaultPattern)
	if len(a.Variants) == 0 {
		a.Variants = []string{variantsNone}
	}
	a.MaxSteps = cmp.Or(a.MaxSteps, 10)
	a.MaxToolCalls = cmp.Or(a.MaxToolCalls, 32)
	a.Timeout = cmp.Or(a.Timeout, caddy.Duration(5*time.Minute))
	a.Reasoning = cmp.Or(a.Reasoning, reasoningValues[0])
	a.Output = cmp.Or(a.Output, outputValues[0])
	a.ToolOutput = cmp.Or(a.ToolOutput, 64<<10)
	return a
}

// check has what JSON may get wrong about an agent, also null for one. What its
// targets, patterns and tools refer to, and whether names collide, is not its to
// know.
func (a *Agent) check() error {
	if a == nil || len(a.Rotate) == 0 {
		return errors.New("no rotate")
	}
	for _, alias := range a.Aliases {
		if !modelName.MatchString(alias) {
			return fmt.Errorf("alias %q: %s", alias, modelNameRule)
		}
	}
	if a.Pattern != "" && !modelName.MatchString(a.Pattern) {
		return fmt.Errorf("pattern %q: %s", a.Pattern, modelNameRule)
	}
	if err := checkVariants(a.Variants); err != nil {
		return fmt.Errorf("variants: %w", err)
	}
	for _, glob := range a.Tools {
		if err := checkToolGlob(glob); err != nil {
			return fmt.Errorf("tools: %w", err)
		}
	}
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"max_steps", int64(a.MaxSteps)}, {"max_tool_calls", int64(a.MaxToolCalls)}, {"max_tokens", int64(a.MaxTokens)},
		{"timeout", int64(a.Timeout)}, {"cache", int64(a.Cache)}, {"tool_output", a.ToolOutput},
	} {
		if n.value < 0 {
			return errors.New(n.name + ": must not be negative")
		}
	}
	if a.ToolOutput > maxSize {
		return errors.New("tool_output: more than 1 GiB")
	}
	if err := checkSampling(a.Sampling); err != nil {
		return err
	}
	if err := checkChoice("reasoning", a.Reasoning, reasoningValues); err != nil {
		return err
	}
	return checkChoice("output", a.Output, outputValues)
}

// check has what JSON may get wrong about the pattern called name.
func (p *Pattern) check(name string) error {
	if err := checkPatternName(name); err != nil {
		return err
	}
	if p == nil || p.Text == "" {
		return errors.New("no text")
	}
	return checkChoice("tools", p.Tools, switchValues)
}

// literalOrPlaceholder is literal for prompts and arguments: what a placeholder
// stands for comes without the white space around it, and is not empty.
func literalOrPlaceholder(repl *caddy.Replacer, s string) (string, error) {
	v, err := literal(repl, s)
	if err != nil || v == s {
		return v, err
	}
	if v = strings.TrimSpace(v); v == "" {
		return "", errors.New("empty: " + strings.TrimSpace(s))
	}
	return v, nil
}

// checkPatternName refuses names that mean something already.
func checkPatternName(name string) error {
	switch {
	case !modelName.MatchString(name):
		return errors.New(modelNameRule)
	case slices.Contains(builtinPatterns, name):
		return errors.New("built in; give yours another name")
	case name == variantsNone, name == variantsAll:
		return errors.New("means something else among variants; give yours another name")
	}
	return nil
}

func checkVariants(names []string) error {
	for i, name := range names {
		switch {
		case !modelName.MatchString(name):
			return fmt.Errorf("pattern %q: %s", name, modelNameRule)
		case len(names) > 1 && (name == variantsNone || name == variantsAll):
			return fmt.Errorf("%s stands alone", name)
		case slices.Contains(names[:i], name):
			return fmt.Errorf("%s: already specified", name)
		}
	}
	return nil
}

// checkToolGlob refuses what matches no server::tool, whatever there is.
func checkToolGlob(glob string) error {
	if !strings.Contains(glob, "*") && !strings.Contains(glob, "::") {
		return fmt.Errorf("%q matches no tool: they are called server::tool, so write %s::*", glob, glob)
	}
	return nil
}

// checkChoice wants one of values, or nothing.
func checkChoice(word, v string, values []string) error {
	if v != "" && !slices.Contains(values, v) {
		return fmt.Errorf("%s: expected %s, not %q", word, alternatives(values), v)
	}
	return nil
}

// alternatives reads "a, b or c".
func alternatives[S ~string](values []S) string {
	var b strings.Builder
	for i, v := range values {
		switch {
		case i == 0:
		case i == len(values)-1:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(string(v))
	}
	return b.String()
}
