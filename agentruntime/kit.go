package agentruntime

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/universal-ai-gateway/magicproxy/agentruntime/schema"
	"github.com/universal-ai-gateway/magicproxy/glob"
	"github.com/universal-ai-gateway/magicproxy/mcp"
	"github.com/universal-ai-gateway/magicproxy/openai"
)

// kit is what an agent's tool servers offer at one moment, as models are told. It
// is immutable and shared by runs for as long as the servers offer the same.
type kit struct {
	offers []mcp.Offer
	down   []string // the servers that have nothing to offer now

	tools  []*tool
	byName map[string]*tool // server::tool and the form for functions
	byBare map[string]*tool // nil for names that several tools have

	functions []byte // the elements of a request's tools
	listing   string // the tools for a model that writes tags
}

// tool is one tool of a kit.
type tool struct {
	*mcp.Tool
	server ToolServer
	name   string // as functions are called

	compile sync.Once
	schema  *schema.Schema
}

// check returns arguments that satisfy the tool's schema.
func (t *tool) check(args []byte) ([]byte, bool, error) {
	t.compile.Do(func() {
		s, err := schema.Compile(t.Schema)
		if err != nil { // the server checks once more
			s = schema.Any()
		}
		t.schema = s
	})
	return t.schema.Check(args)
}

var noTools = newKit(nil, nil, nil)

// tools returns the kit of this moment. Servers are asked one after the other: only
// the first time can one of them take a moment, and then all at once.
func (a *Agent) tools(ctx context.Context) *kit {
	offers := make([]mcp.Offer, len(a.Servers))
	before := a.kit.Load()
	if before == nil && len(offers) > 1 {
		var all sync.WaitGroup
		for i, s := range a.Servers {
			all.Go(func() { offers[i] = s.Offer(ctx) })
		}
		all.Wait()
	} else {
		for i, s := range a.Servers {
			offers[i] = s.Offer(ctx)
		}
	}
	if before != nil && slices.EqualFunc(before.offers, offers, sameOffer) {
		return before
	}
	k := newKit(a.Servers, offers, a.Tools)
	a.kit.Store(k)
	return k
}

// sameOffer reports whether two offers hold the very same tools.
func sameOffer(a, b mcp.Offer) bool {
	return a.Down == b.Down && len(a.Tools) == len(b.Tools) && (len(a.Tools) == 0 || &a.Tools[0] == &b.Tools[0])
}

func newKit(servers []ToolServer, offers []mcp.Offer, globs []string) *kit {
	k := &kit{offers: offers, byName: make(map[string]*tool), byBare: make(map[string]*tool)}
	for i, offer := range offers {
		if offer.Down != "" {
			k.down = append(k.down, servers[i].Name())
		}
		for _, t := range offer.Tools {
			if glob.Any(globs, t.ID()) {
				k.add(&tool{Tool: t, server: servers[i], name: mcp.Mangle(t.Server, t.Name)})
			}
		}
	}
	k.describe()
	return k
}

func (k *kit) add(t *tool) {
	k.tools = append(k.tools, t)
	k.byName[t.ID()], k.byName[t.name] = t, t
	if _, taken := k.byBare[t.Name]; taken {
		k.byBare[t.Name] = nil
	} else {
		k.byBare[t.Name] = t
	}
}

// describe writes the two forms in which models read of the tools.
func (k *kit) describe() {
	var text strings.Builder
	for i, t := range k.tools {
		if i > 0 {
			k.functions = append(k.functions, ',')
		}
		k.functions = appendFunction(k.functions, t)
		text.WriteString(listed(t.ID(), t.Description, t.Schema))
	}
	k.listing = text.String()
}

func appendFunction(b []byte, t *tool) []byte {
	b = openai.AppendString(append(b, `{"type":"function","function":{"name":`...), t.name)
	if t.Description != "" {
		b = openai.AppendString(append(b, `,"description":`...), t.Description)
	}
	b = append(append(b, `,"parameters":`...), t.Schema...)
	return append(b, "}}"...)
}

// listed is a tool's entry in the text for models that write tags.
func listed(name, description string, schema []byte) string {
	return fmt.Sprintf("- %s: %s\n  arguments: %s\n", name, neutral(strings.Join(strings.Fields(description), " ")), neutral(oneLine(schema)))
}

// away reports whether a name is one of a server's that has nothing to offer now.
func (k *kit) away(name string) bool {
	return slices.ContainsFunc(k.down, func(server string) bool {
		return strings.HasPrefix(name, server+"::") || strings.HasPrefix(name, server+"__")
	})
}

// find returns the tool that a model means: by the name that prompts give it, by
// the form for functions, or by its bare name if no other has the same.
func (k *kit) find(name string) *tool {
	if t := k.byName[name]; t != nil {
		return t
	}
	return k.byBare[name]
}
