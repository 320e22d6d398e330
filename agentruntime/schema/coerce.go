package schema

import (
	"bytes"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// reading is what a value can be taken for: nothing if n is 0, v if n is 1, and
// several things if n is 2.
type reading struct {
	v *value
	n int
}

// add takes another reading in. Two that are the same bytes are one.
func (r *reading) add(o reading) {
	switch {
	case r.n == 0:
		*r = o
	case o.n == 0 || r.n == 1 && o.n == 1 && bytes.Equal(r.v.raw, o.v.raw):
	default:
		*r = reading{n: 2}
	}
}

// want is a schema that a value shall satisfy.
type want struct {
	s *jsonschema.Schema

	// implied says that another want has it in it; then it only guides.
	implied bool

	// The parts of s that are wants of their own by now.
	flat, anyOf, oneOf bool
}

// wrappers are what models put around arguments that they were told of as "the
// arguments" or "the input".
var wrappers = []string{"arguments", "input", "parameters"}

// coerce returns the readings of arguments that are no valid object.
func (c *checker) coerce(doc *value) (r reading) {
	if doc.kind == '"' {
		if doc = c.embedded(doc.text, '{'); doc == nil {
			return r
		}
	}
	if doc.kind != '{' {
		return r
	}
	if c.schema.root == nil {
		return reading{doc, 1}
	}
	goal := []want{{s: c.schema.root}}
	r = c.readings(goal, doc, 0, false)
	if len(doc.parts) != 1 || !slices.Contains(wrappers, doc.parts[0].name) || knows(c.schema.root, doc.parts[0].name) {
		return r
	}
	inner := doc.parts[0].v
	if inner.kind == '"' {
		inner = c.embedded(inner.text, '{')
	}
	if inner != nil && inner.kind == '{' {
		r.add(c.readings(goal, inner, 0, false))
	}
	return r
}

// knows reports whether a schema has a property, in any of its parts.
func knows(s *jsonschema.Schema, property string) (known bool) {
	seen := map[*jsonschema.Schema]bool{}
	var look func(*jsonschema.Schema)
	look = func(s *jsonschema.Schema) {
		if known || seen[s] {
			return
		}
		seen[s] = true
		known = s.Properties[property] != nil
		links(s, look, func(*jsonschema.Schema) {})
	}
	look(s)
	return known
}

// satisfies reports whether v is all that is wanted.
func (c *checker) satisfies(goal []want, v *value) bool {
	for _, w := range goal {
		if !w.implied && !c.valid(w.s, v) {
			return false
		}
	}
	return !c.exhausted
}

// readings returns what v can be taken for to reach a goal. outer are the types
// that were possible before an alternative was chosen, 0 if none was. wrapped
// says that v is in an array that was made for it.
func (c *checker) readings(goal []want, v *value, outer types, wrapped bool) (r reading) {
	if !c.spend(64 + len(goal)) {
		return r
	}
	if c.satisfies(goal, v) {
		return reading{v, 1}
	}
	goal = flatten(goal)
	possible := c.types(goal)
	if outer == 0 {
		outer = possible
	}
	if possible == 0 {
		return r
	}
	if i, branches := alternatives(goal); branches != nil {
		for _, branch := range branches {
			next := append(slices.Clone(goal), want{s: branch})
			if goal[i].s.AnyOf != nil && !goal[i].anyOf {
				next[i].anyOf = true
			} else {
				next[i].oneOf = true
			}
			if r.add(c.readings(next, v, outer, wrapped)); r.n == 2 {
				return r
			}
		}
		return r
	}
	switch v.kind {
	case '{', '[':
		r = c.inside(goal, v, false)
	case '"':
		r = c.fromText(goal, v, possible, outer)
	case 'n':
		return r
	default:
		if outer.only(tString) {
			r = c.scalar(goal, textOf(v.raw))
		}
	}
	// An array is put into another one only where nothing else could be in it.
	if !wrapped && outer.only(tArray) && (v.kind != '[' || c.types(itemGoal(goal)).only(tArray)) {
		r.add(c.wrap(goal, v))
	}
	return r
}

// flatten makes a want of each schema that the wanted ones refer to as a whole.
func flatten(goal []want) []want {
	goal = slices.Clone(goal)
	for i := 0; i < len(goal); i++ {
		if goal[i].flat {
			continue
		}
		goal[i].flat = true
		s := goal[i].s
		if s.Ref != nil {
			goal = append(goal, want{s: s.Ref, implied: true})
		}
		for _, sub := range s.AllOf {
			goal = append(goal, want{s: sub, implied: true})
		}
	}
	return goal
}

// alternatives returns the next choice that a goal has.
func alternatives(goal []want) (at int, branches []*jsonschema.Schema) {
	for i, w := range goal {
		if !w.anyOf && w.s.AnyOf != nil {
			return i, w.s.AnyOf
		}
		if !w.oneOf && w.s.OneOf != nil {
			return i, w.s.OneOf
		}
	}
	return 0, nil
}

func (c *checker) types(goal []want) types {
	t := anyType
	for _, w := range goal {
		t &= c.schema.facts[w.s].types
	}
	return t
}

// inside coerces the parts of an object or array. A null that an optional
// property does not allow means that the property is absent.
func (c *checker) inside(goal []want, v *value, wrapped bool) reading {
	var changes []change
	names := 0
	for _, w := range goal {
		names += c.schema.facts[w.s].patterns
	}
	for i, p := range v.parts {
		if !c.spend(1 + len(goal) + matching(names, len(p.name))) {
			return reading{}
		}
		parts, known := partGoal(goal, v, i)
		if len(parts) == 0 || c.satisfies(parts, p.v) {
			continue
		}
		r := c.readings(parts, p.v, 0, wrapped)
		if v.kind == '{' && p.v.kind == 'n' && known {
			r.add(reading{absent, 1})
		}
		if r.n != 1 {
			return reading{n: r.n}
		}
		changes = append(changes, change{i, r.v})
	}
	if len(changes) == 0 || !c.spend(v.size) {
		return reading{}
	}
	if changed := v.with(changes); c.satisfies(goal, changed) {
		return reading{changed, 1}
	}
	return reading{}
}

// partGoal returns what is wanted of a part of v; known says that a property is
// named by one of the schemas.
func partGoal(goal []want, v *value, i int) (parts []want, known bool) {
	for _, w := range goal {
		if v.kind == '[' {
			if s := element(w.s, i); s != nil {
				parts = append(parts, want{s: s})
			}
			continue
		}
		name, matched := v.parts[i].name, false
		if s := w.s.Properties[name]; s != nil {
			parts = append(parts, want{s: s})
			matched, known = true, true
		}
		for re, s := range w.s.PatternProperties {
			if re.MatchString(name) {
				parts = append(parts, want{s: s})
				matched = true
			}
		}
		if s, ok := w.s.AdditionalProperties.(*jsonschema.Schema); ok && !matched {
			parts = append(parts, want{s: s})
		}
	}
	return parts, known
}

// itemGoal returns what is wanted of the first element of an array.
func itemGoal(goal []want) (parts []want) {
	for _, w := range goal {
		if s := element(w.s, 0); s != nil {
			parts = append(parts, want{s: s})
		}
	}
	return parts
}
