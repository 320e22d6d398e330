package rotation

import (
	"strings"
	"testing"
)

func table(t *testing.T, providers map[string]*Provider, tiers map[string]Tier) *Table {
	t.Helper()
	tab, err := Compile(providers, tiers)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func names(list []*Target) string {
	var all []string
	for _, t := range list {
		all = append(all, t.String())
	}
	return strings.Join(all, " ")
}

func twoProviders() map[string]*Provider {
	p, q := bound("p", "kp"), bound("q", "kq")
	p.Aliases = map[string][]string{"fast": {"small", "tiny"}, "small": {"small", "small-2"}}
	return map[string]*Provider{"p": p, "q": q}
}

func refs(s string) []string { return strings.Fields(s) }

func TestTiersAreFlattened(t *testing.T) {
	tab := table(t, twoProviders(), map[string]Tier{
		"plain":  {Rotate: refs("p/a q/b"), Fallback: refs("q/c")},
		"weight": {Rotate: refs("p/a p/a q/b")},
		"alias":  {Rotate: refs("p/fast q/b")},
		"inner":  {Rotate: refs("plain q/d"), Fallback: refs("p/e")},
		"outer":  {Rotate: refs("q/f inner"), Fallback: refs("weight q/g")},
		"late":   {Rotate: refs("q/f"), Fallback: refs("plain q/g")},
		"slash":  {Rotate: refs("q/meta/llama-3")},
	})
	for _, tt := range []struct{ name, main, fallback string }{
		{"plain", "p/a q/b", "q/c"},
		{"weight", "p/a p/a q/b", ""},
		{"alias", "p/small p/tiny q/b", ""},
		// A tier's fallbacks follow, before the outer ones.
		{"inner", "p/a q/b q/d", "q/c p/e"},
		{"outer", "q/f p/a q/b q/d", "q/c p/e p/a p/a q/b q/g"},
		{"late", "q/f", "p/a q/b q/c q/g"},
		{"slash", "q/meta/llama-3", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := tab.Lookup(tt.name)
			if c.Name != tt.name || c.Direct || names(c.Main) != tt.main || names(c.Fallback) != tt.fallback {
				t.Errorf("%s: %s | %s", c.Name, names(c.Main), names(c.Fallback))
			}
		})
	}
}

func TestTableErrorsNameWhatIsKnown(t *testing.T) {
	for _, tt := range []struct {
		name  string
		tiers map[string]Tier
		want  string
	}{
		{"provider", map[string]Tier{"coding": {Rotate: refs("grok/x")}}, `tier coding: rotate: unknown provider "grok" (known: p, q)`},
		{"provider in fallback", map[string]Tier{"coding": {Rotate: refs("p/x"), Fallback: refs("grok/x")}}, `tier coding: fallback: unknown provider "grok" (known: p, q)`},
		{"tier", map[string]Tier{"coding": {Rotate: refs("cheap")}}, `tier coding: rotate: unknown tier "cheap" (known: coding); a model is written provider/model`},
		{"no model", map[string]Tier{"coding": {Rotate: refs("p/")}}, `tier coding: rotate: "p/" names no model`},
		{"empty", map[string]Tier{"coding": {Fallback: refs("p/x")}}, `tier coding: rotate: no target`},
		{"itself", map[string]Tier{"a": {Rotate: refs("p/x a")}}, `tier a: rotate: cycle a -> a`},
		{"cycle", map[string]Tier{"a": {Rotate: refs("b")}, "b": {Rotate: refs("p/x"), Fallback: refs("c")}, "c": {Rotate: refs("a")}}, `tier a: rotate: cycle a -> b -> c -> a`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Compile(twoProviders(), tt.tiers)
			if err == nil || err.Error() != tt.want {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
	_, err := Compile(nil, map[string]Tier{"a": {Rotate: refs("p/x")}})
	if err == nil || !strings.HasSuffix(err.Error(), "(known: none)") {
		t.Error(err)
	}
	// The same tier twice on one level is a weight, not a cycle.
	table(t, twoProviders(), map[string]Tier{"a": {Rotate: refs("b b")}, "b": {Rotate: refs("p/x")}})
}

func TestAliasNamedLikeAModel(t *testing.T) {
	for range 20 { // the order of the map must not matter
		tab := table(t, twoProviders(), map[string]Tier{"t": {Rotate: refs("p/small")}})
		if c := tab.Lookup("p/small"); c.Direct || names(c.Main) != "p/small p/small-2" {
			t.Fatalf("the alias: %s", names(c.Main))
		}
		fast := tab.Lookup("p/fast")
		if names(fast.Main) != "p/small p/tiny" || names(tab.Lookup("t").Main) != "p/small p/small-2" {
			t.Fatalf("%s, %s", names(fast.Main), names(tab.Lookup("t").Main))
		}
		if fast.Main[0].state != tab.Lookup("p/small").Main[0].state {
			t.Fatal("one model, two states")
		}
	}
}

func TestLookup(t *testing.T) {
	tab := table(t, twoProviders(), map[string]Tier{"t": {Rotate: refs("q/b")}})
	if got := strings.Join(tab.Names(), " "); got != "p/fast p/small p/small-2 p/tiny q/b t" {
		t.Errorf("names: %s", got)
	}
	if c := tab.Lookup("q/b"); !c.Direct || c != tab.Lookup("q/b") || !tab.Named("q/b") {
		t.Error("a model that a tier names is compiled once")
	}
	c := tab.Lookup("q/unheard/of")
	if c == nil || !c.Direct || names(c.Main) != "q/unheard/of" || tab.Named("q/unheard/of") {
		t.Errorf("%+v", c)
	}
	if c.Main[0].state != tab.Lookup("q/unheard/of").Main[0].state {
		t.Error("its state is forgotten from one request to the next")
	}
	for _, name := range []string{"", "/", "q", "q/", "/b", "nobody/b", "T", "fast"} {
		if c := tab.Lookup(name); c != nil {
			t.Errorf("%q is answered by %s", name, names(c.Main))
		}
	}
}

func TestChainOfAnAgent(t *testing.T) {
	tab := table(t, twoProviders(), map[string]Tier{"t": {Rotate: refs("q/b"), Fallback: refs("q/c")}})
	c, err := tab.Chain("agent coder: model", "coder", Tier{Rotate: refs("t p/fast")})
	if err != nil || names(c.Main) != "q/b p/small p/tiny" || names(c.Fallback) != "q/c" {
		t.Errorf("%v %+v", err, c)
	}
	if _, err = tab.Chain("agent coder", "coder", Tier{Rotate: refs("x")}); err == nil || !strings.HasPrefix(err.Error(), "agent coder: rotate: unknown tier") {
		t.Error(err)
	}
}
