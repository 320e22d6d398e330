package mock

import (
	"maps"
	"slices"
	"strings"
)

// schema is an object of JSON Schema, decoded with numbers as they are.
type schema = map[string]any

// typeOf returns the type to make: the first that is not null, or the one that
// the keywords speak of.
func typeOf(m schema) string {
	for _, t := range typesOf(m) {
		if t != "null" {
			return t
		}
	}
	for _, hint := range [...][2]string{
		{"properties", "object"}, {"required", "object"}, {"items", "array"}, {"prefixItems", "array"},
		{"minimum", "number"}, {"maximum", "number"},
	} {
		if m[hint[0]] != nil {
			return hint[1]
		}
	}
	if nullable(m) {
		return "null"
	}
	return "string"
}

func typesOf(m schema) (types []string) {
	switch t := m["type"].(type) {
	case string:
		return []string{t}
	case []any:
		for _, x := range t {
			if name, ok := x.(string); ok {
				types = append(types, name)
			}
		}
	}
	return types
}

func nullable(m schema) bool { return m["nullable"] == true || slices.Contains(typesOf(m), "null") }

// flatten resolves $ref, allOf and the first useful branch of anyOf and oneOf
// into one object.
func (e *example) flatten(s any, hops int) schema {
	m, _ := s.(schema)
	if e.left <= 0 || hops > maxSchemaDepth {
		return m
	}
	if ref, ok := m["$ref"].(string); ok {
		e.left--
		m = merge(without(m, "$ref"), e.flatten(e.resolve(ref), hops+1))
	}
	if all, ok := m["allOf"].([]any); ok {
		m = without(m, "allOf")
		for _, part := range all {
			e.left--
			m = merge(m, e.flatten(part, hops+1))
		}
	}
	for _, name := range []string{"anyOf", "oneOf"} {
		branches, ok := m[name].([]any)
		if !ok {
			continue
		}
		m = without(m, name)
		found := false
		for _, branch := range branches {
			e.left--
			b := e.flatten(branch, hops+1)
			switch types := typesOf(b); {
			case len(types) == 1 && types[0] == "null":
				m["nullable"] = true
			case !found:
				m, found = merge(m, b), true
			}
		}
	}
	return m
}

func without(m schema, name string) schema {
	m = maps.Clone(m)
	delete(m, name)
	return m
}

// merge returns a with b laid over it; properties and required add up.
func merge(a, b schema) schema {
	out := make(schema, len(a)+len(b))
	maps.Copy(out, a)
	for name, v := range b {
		switch old := out[name].(type) {
		case schema:
			if add, ok := v.(schema); ok && name == "properties" {
				v = merge(old, add)
			}
		case []any:
			if add, ok := v.([]any); ok && name == "required" {
				v = slices.Concat(old, add)
			}
		}
		out[name] = v
	}
	return out
}

// resolve follows a reference within the document, such as #/$defs/City.
func (e *example) resolve(ref string) any {
	pointer, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil
	}
	at := e.root
	for name := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if name == "" {
			continue
		}
		m, ok := at.(schema)
		if !ok {
			return nil
		}
		at = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(name)]
	}
	return at
}
