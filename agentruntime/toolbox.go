package agentruntime

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/universal-ai-gateway/magicproxy/openai"
)

// toolbox is what the model may call in a run: the agent's tools, and those of the
// client, which only it can run (contract A2).
type toolbox struct {
	*kit
	client []clientTool
}

// clientTool is a tool of the request.
type clientTool struct {
	raw               []byte // as the client wrote it
	name, description string
	schema            json.RawMessage
}

// clientTools reads the tools of a request: functions, for what a model calls by
// another kind cannot be told from text.
func clientTools(raw []byte) (list []clientTool, e *openai.Error) {
	for element := range openai.Elements(raw) {
		var t struct {
			Type     string
			Function struct {
				Name, Description string
				Parameters        json.RawMessage
			}
		}
		if err := json.Unmarshal(element, &t); err != nil {
			return nil, openai.InvalidRequest("tools", "Invalid 'tools': %v.", err)
		}
		c := clientTool{raw: element, name: t.Function.Name, description: t.Function.Description, schema: t.Function.Parameters}
		if c.name == "" {
			return nil, openai.InvalidRequest("tools", "Invalid 'tools': agents take functions, each with a name; this one is of the type '%s'.", openai.Cut(t.Type, 64))
		}
		list = append(list, c)
	}
	return list, nil
}

// none reports whether there is nothing to call.
func (b *toolbox) none() bool { return len(b.client) == 0 && len(b.tools) == 0 }

// ofClient returns the client's tool of that name, nil for none. A client's name is
// exact, and wins.
func (b *toolbox) ofClient(name string) *clientTool {
	for i := range b.client {
		if b.client[i].name == name {
			return &b.client[i]
		}
	}
	return nil
}

// known reports whether a name, in any spelling, is one of a tool.
func (b *toolbox) known(name string) bool { return b.ofClient(name) != nil || b.find(name) != nil }

// mentioned reports whether a text has the name of a tool in it, between quotes of
// the kind given.
func (b *toolbox) mentioned(text, quote string) bool {
	has := func(name string) bool { return strings.Contains(text, quote+name+quote) }
	return slices.ContainsFunc(b.tools, func(t *tool) bool { return has(t.Name) || has(t.name) || has(t.ID()) }) ||
		slices.ContainsFunc(b.client, func(c clientTool) bool { return has(c.name) })
}

// appendFunctions appends the value of a request's tools.
func (b *toolbox) appendFunctions(dst []byte) []byte {
	dst = append(dst, '[')
	first := len(dst)
	dst = b.appendOurs(dst)
	for _, c := range b.client {
		if len(dst) > first {
			dst = append(dst, ',')
		}
		dst = append(dst, c.raw...)
	}
	return append(dst, ']')
}

// appendOurs appends our functions, without those whose names the client uses.
func (b *toolbox) appendOurs(dst []byte) []byte {
	if !slices.ContainsFunc(b.client, func(c clientTool) bool { return b.byName[c.name] != nil }) {
		return append(dst, b.functions...)
	}
	first := true
	for _, t := range b.tools {
		if b.ofClient(t.name) != nil {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendFunction(dst, t)
	}
	return dst
}

// list is the text in which a model that writes tags reads of the tools.
func (b *toolbox) list() string {
	if len(b.client) == 0 {
		return b.listing
	}
	var text strings.Builder
	text.WriteString(b.listing)
	for _, c := range b.client {
		schema := c.schema
		if len(schema) == 0 {
			schema = json.RawMessage(`{"type":"object"}`)
		}
		text.WriteString(listed(c.name, c.description, schema))
	}
	return text.String()
}

// nearest returns the names most like one that there is not.
func (b *toolbox) nearest(name string) string {
	type candidate struct {
		name     string
		distance int
	}
	var all []candidate
	bare := name[strings.LastIndexByte(name, ':')+1:]
	for _, t := range b.tools {
		all = append(all, candidate{t.ID(), min(distance(name, t.ID()), distance(bare, t.Name), distance(name, t.name))})
	}
	for _, c := range b.client {
		all = append(all, candidate{c.name, distance(name, c.name)})
	}
	slices.SortStableFunc(all, func(x, y candidate) int { return cmp.Compare(x.distance, y.distance) })
	const most = 5
	names := make([]string, 0, most)
	for _, c := range all[:min(len(all), most)] {
		names = append(names, c.name)
	}
	return strings.Join(names, ", ")
}

// distance is Levenshtein's, over bytes of at most the first 64.
func distance(a, b string) int {
	const most = 64
	a, b = strings.ToLower(a[:min(len(a), most)]), strings.ToLower(b[:min(len(b), most)])
	var row [most + 1]int
	for j := range len(b) + 1 {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substituted := diagonal
			if a[i] != b[j] {
				substituted++
			}
			diagonal = row[j+1]
			row[j+1] = min(substituted, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// oneLine returns JSON without white space between its parts.
func oneLine(raw []byte) string {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return string(raw)
	}
	return b.String()
}
