package caddymodule

import (
	"encoding/json"
	"slices"
)

// agentWords are the options of an agent.
var agentWords = append([]string{
	"alias", "model", "rotate", "fallback", "pattern", "variants", "tools", "max_steps", "max_tool_calls", "max_tokens", "timeout",
	"system", "reasoning", "output", "progress", "tool_output", "cache",
}, samplingWords...)

// unmarshalAgent reads an agent. Syntax:
//
//	agent <name> {
//		alias          <name...>
//		model          <target>
//		rotate         <target...>
//		fallback       <target...>
//		pattern        <name>
//		variants       none|all|<pattern...>
//		tools          <glob...>
//		max_steps      <n>
//		max_tool_calls <n>
//		max_tokens     <n>
//		timeout        <duration>
//		system         <text>
//		reasoning      show|hide
//		output         reasoning|markdown
//		progress       on|off
//		tool_output    <size>
//		cache          <ttl>
//
//		temperature|top_p|presence_penalty|frequency_penalty <number>
//		seed|top_k                                           <n>
//		min_p|repetition_penalty                             <number>
//		reasoning_effort|verbosity                           <word>
//	}
//
// model is a rotate with one entry.
func (a *App) unmarshalAgent(r *reader) error {
	args, err := r.values(1, 1, "one name; what the agent is stands in a block")
	if err != nil {
		return err
	}
	name := args[0]
	switch {
	case !modelName.MatchString(name):
		return r.Errf("agent %q: %s", name, modelNameRule)
	case a.Agents[name] != nil:
		return r.Errf("agent %s: already specified", name)
	case a.claimed(name) != "":
		return r.Errf("agent %s: the name is that of %s", name, a.claimed(name))
	case a.Agents == nil:
		a.Agents = make(map[string]*Agent)
	}
	g, in := new(Agent), &reader{Dispenser: r.Dispenser}
	for nesting := r.Nesting(); r.NextBlock(nesting); {
		if r.Val() == "alias" {
			err = a.unmarshalAlias(in, g, name)
		} else {
			err = g.unmarshalOption(in, name)
		}
		if err != nil {
			return err
		}
	}
	if len(g.Rotate) == 0 {
		return r.Errf("agent %s: neither model nor rotate", name)
	}
	a.Agents[name] = g
	return nil
}

// claimed says what of the app has a model's name already, empty if nothing has.
// Variants are not known before patterns are.
func (a *App) claimed(name string) string {
	if a.Tiers[name] != nil {
		return "a tier"
	}
	if a.Agents[name] != nil {
		return "an agent"
	}
	for owner, g := range a.Agents { // at most one has it
		if slices.Contains(g.Aliases, name) {
			return "an alias of agent " + owner
		}
	}
	return ""
}

func (a *App) unmarshalAlias(r *reader, g *Agent, name string) error {
	aliases, err := r.list("names", "at least one name")
	if err != nil {
		return err
	}
	for _, alias := range aliases {
		switch {
		case !modelName.MatchString(alias):
			return r.Errf("alias %q: %s", alias, modelNameRule)
		case alias == name:
			return r.Errf("alias %s: the name is that of the agent itself", alias)
		case slices.Contains(g.Aliases, alias):
			return r.Errf("alias %s: already specified", alias)
		case a.claimed(alias) != "":
			return r.Errf("alias %s: the name is that of %s", alias, a.claimed(alias))
		}
		g.Aliases = append(g.Aliases, alias)
	}
	return nil
}

func (a *Agent) unmarshalOption(r *reader, name string) (err error) {
	switch word := r.Val(); word {
	case "model", "rotate", "fallback":
		return a.unmarshalTargets(r)
	case "pattern":
		if a.Pattern, err = r.arg("the name of a pattern"); err == nil && !modelName.MatchString(a.Pattern) {
			return r.Errf("pattern %q: %s", a.Pattern, modelNameRule)
		}
	case "variants":
		if err = r.once(); err != nil {
			return err
		}
		if a.Variants, err = r.list("patterns", "none, all or at least one pattern"); err != nil {
			return err
		}
		if err := checkVariants(a.Variants); err != nil {
			return r.Errf("variants: %v", err)
		}
	case "tools":
		globs, err := r.list("tools", "at least one server::tool, * and ? being wildcards")
		if err != nil {
			return err
		}
		for _, glob := range globs {
			if err := checkToolGlob(glob); err != nil {
				return r.Errf("tools: %v", err)
			}
		}
		a.Tools = append(a.Tools, globs...)
	case "max_steps":
		a.MaxSteps, err = r.count()
	case "max_tool_calls":
		a.MaxToolCalls, err = r.count()
	case "max_tokens":
		a.MaxTokens, err = r.count()
	case "timeout":
		a.Timeout, err = r.duration(false)
	case "system":
		a.System, err = r.arg("one text, in quotes or as a heredoc")
	case "reasoning":
		a.Reasoning, err = r.choice(reasoningValues)
	case "output":
		a.Output, err = r.choice(outputValues)
	case "progress":
		var v string
		v, err = r.choice(switchValues)
		a.Progress = v == "on"
	case "tool_output":
		a.ToolOutput, err = r.size()
	case "cache":
		a.Cache, err = r.duration(false)
	default:
		if p, ok := sampling[word]; ok {
			return a.unmarshalSampling(r, p)
		}
		return unknownWord(r.Dispenser, "agent "+name, agentWords)
	}
	return err
}

// unmarshalTargets reads the agent's chain.
func (a *Agent) unmarshalTargets(r *reader) error {
	switch word := r.Val(); word {
	case "model":
		target, err := r.arg("one target; rotate takes several")
		if err != nil {
			return err
		}
		if len(a.Rotate) > 0 {
			return r.Err("model: rotate is already specified, of which it is the short form")
		}
		a.Rotate = []string{target}
	case "rotate":
		if r.seen["model"] {
			return r.Err("rotate: model is already specified, which is its short form")
		}
		targets, err := r.list("targets", "at least one target")
		if err != nil {
			return err
		}
		a.Rotate = append(a.Rotate, targets...)
	default:
		targets, err := r.list("targets", "at least one target")
		if err != nil {
			return err
		}
		a.Fallback = append(a.Fallback, targets...)
	}
	return nil
}

func (a *Agent) unmarshalSampling(r *reader, p parameter) error {
	word := r.Val()
	v, err := r.arg(p.syntax())
	if err != nil {
		return err
	}
	raw, err := p.parse(v)
	if err != nil {
		return r.Errf("%s: %v", word, err)
	}
	if a.Sampling == nil {
		a.Sampling = make(map[string]json.RawMessage)
	}
	a.Sampling[word] = raw
	return nil
}

// patternWords are the options of a pattern.
var patternWords = []string{"text", "tools"}

// unmarshalPattern reads a pattern. Syntax:
//
//	pattern <name> {
//		text  <text>
//		tools on|off
//	}
func (a *App) unmarshalPattern(r *reader) error {
	args, err := r.values(1, 1, "one name; the pattern's text stands in a block")
	if err != nil {
		return err
	}
	name := args[0]
	if err := checkPatternName(name); err != nil {
		return r.Errf("pattern %q: %v", name, err)
	}
	if a.Patterns[name] != nil {
		return r.Errf("pattern %s: already specified", name)
	}
	p, in := new(Pattern), &reader{Dispenser: r.Dispenser}
	for nesting := r.Nesting(); r.NextBlock(nesting); {
		switch r.Val() {
		case "text":
			p.Text, err = in.arg("one text, in quotes or as a heredoc")
		case "tools":
			p.Tools, err = in.choice(switchValues)
		default:
			err = unknownWord(r.Dispenser, "pattern "+name, patternWords)
		}
		if err != nil {
			return err
		}
	}
	if p.Text == "" {
		return r.Errf("pattern %s: no text", name)
	}
	if a.Patterns == nil {
		a.Patterns = make(map[string]*Pattern)
	}
	a.Patterns[name] = p
	return nil
}
