package caddymodule

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/universal-ai-gateway/magicproxy/agentruntime"
	"github.com/universal-ai-gateway/magicproxy/glob"
	"github.com/universal-ai-gateway/magicproxy/rotation"
)

// provisionAgents makes the agents, under all of their names. Tool servers and the
// table of chains are there already.
func (a *App) provisionAgents(repl *caddy.Replacer) error {
	patterns, err := a.provisionPatterns(repl)
	if err != nil {
		return err
	}
	a.agents = make(map[string]*agentruntime.Agent)
	for _, name := range slices.Sorted(maps.Keys(a.Agents)) {
		if err := a.provisionAgent(repl, name, patterns); err != nil {
			return fmt.Errorf("agent %s: %w", name, err)
		}
	}
	a.manager = &agentruntime.Manager{Caller: a.caller, Observer: runObserver{a.recorder}}
	return nil
}

// provisionPatterns returns all patterns by name: the built-in ones and those of
// the configuration.
func (a *App) provisionPatterns(repl *caddy.Replacer) (map[string]*agentruntime.Pattern, error) {
	all := make(map[string]*agentruntime.Pattern)
	for _, p := range agentruntime.Patterns() {
		all[p.Name] = p
	}
	for _, name := range slices.Sorted(maps.Keys(a.Patterns)) {
		p := a.Patterns[name]
		if err := p.check(name); err != nil {
			return nil, fmt.Errorf("pattern %s: %w", name, err)
		}
		text, err := literal(repl, p.Text)
		if err != nil {
			return nil, fmt.Errorf("pattern %s: text: %w", name, err)
		}
		a.patternTexts = append(a.patternTexts, text)
		if all[name], err = agentruntime.NewPattern(name, text, p.Tools != "off"); err != nil {
			return nil, fmt.Errorf("pattern %s: %w", name, err)
		}
	}
	return all, nil
}

func (a *App) provisionAgent(repl *caddy.Replacer, name string, patterns map[string]*agentruntime.Pattern) error {
	if !modelName.MatchString(name) {
		return fmt.Errorf("%s", modelNameRule)
	}
	if err := a.Agents[name].check(); err != nil {
		return err
	}
	c := a.Agents[name].withDefaults()
	chain, err := a.table.Chain("agent "+name, name, rotation.Tier{Rotate: c.Rotate, Fallback: c.Fallback})
	if err != nil {
		return unowned(err, "agent "+name)
	}
	system, err := literal(repl, c.System)
	if err != nil {
		return fmt.Errorf("system: %w", err)
	}
	agent := &agentruntime.Agent{
		Name: name, Chain: chain, Tools: c.Tools, MaxSteps: c.MaxSteps, MaxToolCalls: c.MaxToolCalls, MaxTokens: int64(c.MaxTokens),
		Timeout: time.Duration(c.Timeout), System: system, HideReasoning: c.Reasoning == "hide", Markdown: c.Output == "markdown",
		Progress: c.Progress, ToolOutput: int(c.ToolOutput),
	}
	for _, field := range slices.Sorted(maps.Keys(c.Sampling)) {
		agent.Sampling = append(agent.Sampling, agentruntime.Field{Name: field, Value: c.Sampling[field]})
	}
	for _, server := range slices.Sorted(maps.Keys(a.servers)) {
		if slices.ContainsFunc(c.Tools, func(g string) bool { return mayName(g, server) }) {
			agent.Servers = append(agent.Servers, a.servers[server])
		}
	}
	for _, g := range c.Tools {
		server, _, _ := strings.Cut(g, "::")
		if !strings.ContainsAny(server, "*?") && a.servers[server] == nil {
			return fmt.Errorf("tools: unknown tool server %q (known: %s)", server, known(a.servers))
		}
	}
	pattern := patterns[c.Pattern]
	if pattern == nil {
		return fmt.Errorf("pattern: unknown pattern %q (known: %s)", c.Pattern, known(patterns))
	}
	agent.Pattern = pattern
	if err := a.name(name, agent, &c); err != nil {
		return err
	}
	for _, alias := range c.Aliases {
		if err := a.name(alias, agent, &c); err != nil {
			return fmt.Errorf("alias %w", err)
		}
	}
	variants := c.Variants
	switch variants[0] {
	case variantsNone:
		variants = nil
	case variantsAll:
		variants = slices.Sorted(maps.Keys(patterns))
	}
	for _, v := range variants {
		if patterns[v] == nil {
			return fmt.Errorf("variants: unknown pattern %q (known: %s)", v, known(patterns))
		}
		id := name + "_" + v
		if !modelName.MatchString(id) {
			return fmt.Errorf("variants: %s: %s", id, modelNameRule)
		}
		if err := a.name(id, agent.Variant(id, patterns[v]), &c); err != nil {
			return fmt.Errorf("variant %w", err)
		}
	}
	return nil
}

// mayName reports whether a glob over server::tool could match a tool of a server.
func mayName(g, server string) bool {
	name, _, found := strings.Cut(g, "::")
	return !found || glob.Any([]string{name}, server)
}

// name gives an agent a name that nothing else has: agents, their variants and
// aliases, and tiers share one namespace.
func (a *App) name(name string, agent *agentruntime.Agent, c *Agent) error {
	switch {
	case a.Tiers[name] != nil:
		return fmt.Errorf("%s: there is a tier of that name", name)
	case a.agents[name] != nil:
		return fmt.Errorf("%s: an agent has that name already, as its own, an alias or a variant", name)
	}
	a.agents[name] = agent
	if c.Cache > 0 {
		a.caching[name] = caching{time.Duration(c.Cache), isZero(c.Sampling["temperature"])}
	}
	return nil
}

// unowned takes an owner off an error that whoever passes it on names himself.
func unowned(err error, owner string) error {
	text, found := strings.CutPrefix(err.Error(), owner+": ")
	if !found {
		return err
	}
	return fmt.Errorf("%s", text)
}

func known[V any](m map[string]V) string {
	if len(m) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}

// has reports whether anything answers a name.
func (a *App) has(name string) bool { return a.agents[name] != nil || a.table.Has(name) }

// named reports whether the configuration names it.
func (a *App) named(name string) bool { return a.agents[name] != nil || a.table.Named(name) }

// names lists what the configuration names, sorted.
func (a *App) names() []string {
	return slices.Sorted(slices.Values(slices.Concat(a.table.Names(), slices.Collect(maps.Keys(a.agents)))))
}
