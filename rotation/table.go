package rotation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/universal-ai-gateway/magicproxy/openai"
)

// Tier is a list of targets as a configuration writes it: each entry a tier's
// name, provider/model or provider/alias.
type Tier struct{ Rotate, Fallback []string }

// Table finds the chain for what a request names. It is compiled once from a
// configuration and immutable afterwards.
type Table struct {
	providers map[string]*Provider
	tiers     map[string]Tier
	chains    map[string]*Chain
}

// Compile checks every reference and flattens tiers and aliases to targets. The
// providers must be bound. The error names the tier and the word at fault, and
// the names that would have been right.
func Compile(providers map[string]*Provider, tiers map[string]Tier) (*Table, error) {
	t := &Table{providers: providers, tiers: tiers, chains: make(map[string]*Chain)}
	for _, name := range slices.Sorted(maps.Keys(providers)) {
		for alias, models := range providers[name].Aliases {
			c := &Chain{Name: name + "/" + alias}
			for _, model := range models {
				target := t.direct(providers[name], model)
				c.Main = append(c.Main, target.Main...)
			}
			t.chains[c.Name] = c
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tiers)) {
		c, err := t.Chain("tier "+name, name, tiers[name])
		if err != nil {
			return nil, err
		}
		t.chains[name] = c
	}
	return t, nil
}

// direct returns the chain of a model that the configuration names.
func (t *Table) direct(p *Provider, model string) *Chain {
	name := p.Name + "/" + model
	c, ok := t.chains[name]
	if !ok || !c.Direct { // an alias may have the name of a model
		target := &Target{Provider: p, Model: model, state: p.state.target(model, true)}
		c = &Chain{Name: name, Main: []*Target{target}, Direct: true}
		if !ok {
			t.chains[name] = c
		}
	}
	return c
}

// Chain compiles a list of targets that belongs to owner, which errors name, such
// as "tier fast". Its starts are counted under name; a tier's name is for its own list.
func (t *Table) Chain(owner, name string, list Tier) (*Chain, error) {
	c := &compiler{Table: t, owner: owner}
	if _, ok := t.tiers[name]; ok {
		c.path = []string{name}
	}
	main, late, err := c.tier(list)
	if err != nil {
		return nil, err
	}
	if len(main) == 0 {
		return nil, fmt.Errorf("%s: rotate: no target", owner)
	}
	return &Chain{Name: name, Main: main, Fallback: late}, nil
}

type compiler struct {
	*Table
	owner string
	path  []string // the tiers we are in
}

// tier flattens a list: the fallbacks of tiers it rotates over come before its
// own.
func (c *compiler) tier(list Tier) (main, late []*Target, err error) {
	for _, ref := range list.Rotate {
		m, l, err := c.ref("rotate", ref)
		if err != nil {
			return nil, nil, err
		}
		main, late = append(main, m...), append(late, l...)
	}
	for _, ref := range list.Fallback {
		m, l, err := c.ref("fallback", ref)
		if err != nil {
			return nil, nil, err
		}
		late = append(append(late, m...), l...)
	}
	return main, late, nil
}

func (c *compiler) ref(word, ref string) (main, late []*Target, err error) {
	if provider, model, ok := strings.Cut(ref, "/"); ok {
		p := c.providers[provider]
		switch {
		case p == nil:
			return nil, nil, fmt.Errorf("%s: %s: unknown provider %q (known: %s)", c.owner, word, provider, known(c.providers))
		case model == "":
			return nil, nil, fmt.Errorf("%s: %s: %q names no model", c.owner, word, ref)
		case openai.CheckModel(model) != nil:
			return nil, nil, fmt.Errorf("%s: %s: %q: %w", c.owner, word, ref, openai.CheckModel(model))
		case len(p.Aliases[model]) > 0:
			return c.chains[ref].Main, nil, nil
		}
		return c.direct(p, model).Main, nil, nil
	}
	inner, ok := c.tiers[ref]
	switch {
	case !ok:
		return nil, nil, fmt.Errorf("%s: %s: unknown tier %q (known: %s); a model is written provider/model", c.owner, word, ref, known(c.tiers))
	case slices.Contains(c.path, ref):
		return nil, nil, fmt.Errorf("%s: %s: cycle %s -> %s", c.owner, word, strings.Join(c.path, " -> "), ref)
	}
	c.path = append(c.path, ref)
	main, late, err = c.tier(inner)
	c.path = c.path[:len(c.path)-1]
	return main, late, err
}

func known[V any](m map[string]V) string {
	if len(m) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}

// Has reports whether Lookup would find something. It remembers nothing of what
// was asked.
func (t *Table) Has(name string) bool {
	p, _ := t.unnamed(name)
	return p != nil || t.Named(name)
}

// Lookup returns the chain of a tier, an alias or provider/model, nil for a name
// that nothing answers. Models that the configuration does not name are found by
// their provider.
func (t *Table) Lookup(name string) *Chain {
	if c, ok := t.chains[name]; ok {
		return c
	}
	p, model := t.unnamed(name)
	if p == nil {
		return nil
	}
	return &Chain{Name: name, Main: []*Target{NewTarget(p, model)}, Direct: true}
}

// unnamed reads a name as provider/model, whatever the model: the first slash
// splits. The provider is nil if there is none of that name.
func (t *Table) unnamed(name string) (p *Provider, model string) {
	provider, model, _ := strings.Cut(name, "/")
	if model == "" {
		return nil, ""
	}
	return t.providers[provider], model
}

// Names lists what the configuration names, sorted: tiers, aliases and models.
func (t *Table) Names() []string { return slices.Sorted(maps.Keys(t.chains)) }

// Providers returns the providers by name. The map must not be changed.
func (t *Table) Providers() map[string]*Provider { return t.providers }

// Named reports whether the configuration names it.
func (t *Table) Named(name string) bool {
	_, ok := t.chains[name]
	return ok
}
