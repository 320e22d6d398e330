package mock

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/universal-ai-gateway/magicproxy/openai"
)

// Bounds on an example. Schemas come from callers and tool servers, and a
// recursive one has no smallest instance.
const (
	maxSchemaDepth  = 8
	maxSchemaValues = 256
	maxExampleItems = 4
	maxExampleText  = 256
)

// example makes an instance of a JSON Schema: what is required and one optional
// property of the top level, always the same for the same schema. It reads the
// keywords tools use and ignores the others (pattern, not, if, dependencies).
type example struct {
	root any
	left int // values that may still be made
}

// appendObject appends an instance of an object schema; without a usable one it
// is the empty object.
func appendObject(dst []byte, raw json.RawMessage) []byte {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	e := example{left: maxSchemaValues}
	if d.Decode(&e.root) != nil {
		return append(dst, "{}"...)
	}
	from := len(dst)
	dst = e.value(dst, e.root, 0)
	if dst[from] != '{' {
		dst = append(dst[:from], "{}"...)
	}
	return dst
}

// The formats whose values are checked most often.
var formats = map[string]string{
	"date-time": "2025-01-01T00:00:00Z", "date": "2025-01-01", "time": "00:00:00Z", "duration": "PT1M",
	"email": "mock@example.com", "hostname": "example.com", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1",
	"uri": "https://example.com/", "url": "https://example.com/", "uuid": "00000000-0000-4000-8000-000000000000",
}

func (e *example) value(dst []byte, s any, depth int) []byte {
	m := e.flatten(s, 0)
	e.left--
	if v, ok := given(m); ok {
		if b, err := json.Marshal(v); err == nil {
			return append(dst, b...)
		}
	}
	kind := typeOf(m)
	if depth >= maxSchemaDepth || e.left <= 0 {
		switch {
		case nullable(m):
			return append(dst, "null"...)
		case kind == "object":
			return append(dst, "{}"...)
		case kind == "array":
			return append(dst, "[]"...)
		}
	}
	switch kind {
	case "object":
		return e.object(dst, m, depth)
	case "array":
		return e.array(dst, m, depth)
	case "integer", "number":
		return strconv.AppendFloat(dst, within(m, kind == "integer"), 'f', -1, 64)
	case "boolean":
		return append(dst, "true"...)
	case "null":
		return append(dst, "null"...)
	}
	return openai.AppendString(dst, textFor(m))
}

// given returns a value the schema itself names.
func given(m schema) (any, bool) {
	if v, ok := m["const"]; ok {
		return v, true
	}
	if list, _ := m["enum"].([]any); len(list) > 0 {
		return list[0], true
	}
	if v := m["default"]; v != nil {
		return v, true
	}
	if list, _ := m["examples"].([]any); len(list) > 0 {
		return list[0], true
	}
	v := m["example"]
	return v, v != nil
}

func (e *example) object(dst []byte, m schema, depth int) []byte {
	properties, _ := m["properties"].(schema)
	var names []string
	required, _ := m["required"].([]any)
	for _, r := range required {
		if name, ok := r.(string); ok && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if depth == 0 {
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			if !slices.Contains(names, name) {
				names = append(names, name)
				break
			}
		}
	}
	dst = append(dst, '{')
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = openai.AppendString(dst, name)
		dst = append(dst, ':')
		dst = e.value(dst, properties[name], depth+1)
	}
	return append(dst, '}')
}

func (e *example) array(dst []byte, m schema, depth int) []byte {
	n := 1
	if x, ok := bound(m, "minItems"); ok {
		n = int(min(max(x, 1), maxExampleItems))
	}
	if x, ok := bound(m, "maxItems"); ok && x < float64(n) {
		n = int(max(x, 0))
	}
	tuple, _ := m["prefixItems"].([]any)
	dst = append(dst, '[')
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		item := m["items"]
		if i < len(tuple) {
			item = tuple[i]
		}
		dst = e.value(dst, item, depth+1)
	}
	return append(dst, ']')
}

// within returns 1, or the number nearest to it that m allows.
func within(m schema, integer bool) float64 {
	least, most := math.Inf(-1), math.Inf(1)
	if x, ok := bound(m, "minimum"); ok {
		least = x
	}
	if x, ok := bound(m, "maximum"); ok {
		most = x
	}
	lo, hi := least, most
	if integer {
		lo, hi = math.Ceil(lo), math.Floor(hi)
	}
	if x, ok := bound(m, "exclusiveMinimum"); ok {
		least, lo = max(least, x), max(lo, math.Floor(x)+1)
	}
	if x, ok := bound(m, "exclusiveMaximum"); ok {
		most, hi = min(most, x), min(hi, math.Ceil(x)-1)
	}
	v := min(max(1, lo), hi)
	if !integer && lo > hi { // there are fractions between
		v = (least + most) / 2
	}
	step, ok := bound(m, "multipleOf")
	if !ok || step <= 0 {
		return v
	}
	if up := math.Ceil(v/step) * step; up <= hi && !math.IsInf(up, 0) {
		return up
	}
	if down := math.Floor(hi/step) * step; !math.IsInf(down, 0) && !math.IsNaN(down) {
		return down
	}
	return v
}

// bound returns a keyword's number.
func bound(m schema, name string) (float64, bool) {
	n, ok := m[name].(json.Number)
	if !ok {
		return 0, false
	}
	x, err := n.Float64()
	return x, err == nil
}

func textFor(m schema) string {
	name, _ := m["format"].(string)
	text, ok := formats[name]
	if !ok {
		text = "mock"
	}
	if x, ok := bound(m, "minLength"); ok {
		for utf8.RuneCountInString(text) < int(min(x, maxExampleText)) {
			text += "mock"[len(text)%4 : len(text)%4+1]
		}
	}
	if x, ok := bound(m, "maxLength"); ok && x < float64(len(text)) {
		text = text[:int(max(x, 0))]
	}
	return text
}
