package schema

import (
	"encoding/json"
	"errors"
	"maps"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// types is a set of JSON types; number comes with integer.
type types uint8

const (
	tNull types = 1 << iota
	tBoolean
	tInteger
	tNumber
	tString
	tArray
	tObject

	anyType = tNull | tBoolean | tInteger | tNumber | tString | tArray | tObject
)

var typeNames = map[string]types{
	"null": tNull, "boolean": tBoolean, "integer": tInteger, "number": tNumber | tInteger,
	"string": tString, "array": tArray, "object": tObject,
}

// only reports whether t is that one type, null aside.
func (t types) only(one types) bool { return t&^tNull == one }

func typeOf(v any) types {
	switch v.(type) {
	case nil:
		return tNull
	case bool:
		return tBoolean
	case string:
		return tString
	case []any:
		return tArray
	case map[string]any:
		return tObject
	}
	return tNumber | tInteger
}

// facts is what is known of a schema beforehand.
type facts struct {
	types    types // what it may accept, at most
	narrowed bool

	own      int // work for one value, in the schema itself
	patterns int // the size of the patterns it matches against one text

	// The same for all that is below, as often as it is used; unbounded where it
	// contains itself.
	allOwn, allPatterns int

	chain int // how many schemas of one value hang on each other
}

const (
	unbounded = 1 << 40
	maxChain  = 64
)

// links calls same with the schemas that a schema holds the same value against,
// and inner with those for the values in it.
func links(s *jsonschema.Schema, same, inner func(*jsonschema.Schema)) {
	some := func(f func(*jsonschema.Schema), list ...*jsonschema.Schema) {
		for _, sub := range list {
			if sub != nil {
				f(sub)
			}
		}
	}
	maybe := func(f func(*jsonschema.Schema), v any) {
		switch v := v.(type) {
		case *jsonschema.Schema:
			some(f, v)
		case []*jsonschema.Schema:
			some(f, v...)
		}
	}
	some(same, s.Ref, s.Not, s.If, s.Then, s.Else)
	some(same, s.AllOf...)
	some(same, s.AnyOf...)
	some(same, s.OneOf...)
	for _, sub := range s.DependentSchemas {
		some(same, sub)
	}
	for _, sub := range s.Dependencies {
		maybe(same, sub)
	}
	for _, sub := range s.Properties {
		some(inner, sub)
	}
	for _, sub := range s.PatternProperties {
		some(inner, sub)
	}
	some(inner, s.PropertyNames, s.UnevaluatedProperties, s.Contains, s.Items2020, s.UnevaluatedItems)
	some(inner, s.PrefixItems...)
	maybe(inner, s.AdditionalProperties)
	maybe(inner, s.Items)
	maybe(inner, s.AdditionalItems)
}

// gather finds all schemas below the root and what is to be known of them.
func (s *Schema) gather() error {
	s.facts, s.at = map[*jsonschema.Schema]*facts{}, map[string]*jsonschema.Schema{}
	all := []*jsonschema.Schema{s.root}
	found := func(sub *jsonschema.Schema) {
		if s.facts[sub] == nil {
			s.facts[sub] = &facts{}
			all = append(all, sub)
		}
	}
	found(s.root)
	lenient := false
	for i := 1; i < len(all); i++ {
		lenient = relax(all[i]) || lenient
		s.at[all[i].Location] = all[i]
		links(all[i], found, found)
	}
	for _, sub := range all {
		if lenient { // what an unknown pattern evaluates is unknown
			sub.UnevaluatedProperties = nil
		}
		if sub.DynamicRef != nil || sub.RecursiveRef != nil {
			return errors.New("schema: dynamic references are not supported")
		}
		s.facts[sub].own, s.facts[sub].patterns = ownWork(sub)
	}
	for _, sub := range all {
		if s.chain(sub) > maxChain {
			return errors.New("schema: it refers to itself without going into the value, or through too many others")
		}
	}
	for _, sub := range all {
		s.facts[sub].types = s.narrow(sub)
	}
	s.unroll(s.root)
	return nil
}

// relax takes the patterns out of a schema that are not enforced. What no
// pattern of it matches is then not to be told from what one would have matched.
func relax(s *jsonschema.Schema) (changed bool) {
	if s.Pattern != nil && !enforced(s.Pattern) {
		s.Pattern = nil
	}
	n := len(s.PatternProperties)
	maps.DeleteFunc(s.PatternProperties, func(re jsonschema.Regexp, _ *jsonschema.Schema) bool { return !enforced(re) })
	if len(s.PatternProperties) == n {
		return false
	}
	s.AdditionalProperties = nil
	return true
}

// ownWork estimates the time the validator takes with one value, in units of 100
// ns; multiples of a comparison of numbers, which are taken as fractions.
func ownWork(s *jsonschema.Schema) (own, patterns int) {
	own = 3
	weigh := func(v any) {
		if _, ok := v.(json.Number); ok {
			own += 10
		} else {
			own++
		}
	}
	if s.Enum != nil {
		for _, v := range s.Enum.Values {
			weigh(v)
		}
	}
	if s.Const != nil {
		weigh(*s.Const)
	}
	if s.Minimum != nil || s.Maximum != nil || s.ExclusiveMinimum != nil || s.ExclusiveMaximum != nil || s.MultipleOf != nil {
		own += 20
	}
	own += len(s.Required)/4 + 2*len(s.PatternProperties)
	if s.Pattern != nil {
		patterns += size(s.Pattern)
	}
	for re := range s.PatternProperties {
		patterns += size(re)
	}
	return own, patterns
}

// chain returns how many schemas are held against one value, one because of the
// other; more than maxChain if there is no end.
func (s *Schema) chain(sub *jsonschema.Schema) int {
	f := s.facts[sub]
	if f.chain == 0 {
		f.chain = maxChain + 1 // while it is open, for a schema that leads back here
		longest := 0
		links(sub, func(next *jsonschema.Schema) { longest = max(longest, s.chain(next)) }, func(*jsonschema.Schema) {})
		f.chain = longest + 1
	}
	return f.chain
}

// narrow returns the types a schema may accept. Every chain has an end by now.
func (s *Schema) narrow(sub *jsonschema.Schema) types {
	f := s.facts[sub]
	if f.narrowed {
		return f.types
	}
	t := anyType
	if sub.Bool != nil && !*sub.Bool {
		t = 0
	}
	if sub.Types != nil {
		t = 0
		for _, name := range sub.Types.ToStrings() {
			t |= typeNames[name]
		}
	}
	if sub.Enum != nil {
		t &= union(sub.Enum.Values, typeOf)
	}
	if sub.Const != nil {
		t &= typeOf(*sub.Const)
	}
	if sub.Ref != nil {
		t &= s.narrow(sub.Ref)
	}
	for _, next := range sub.AllOf {
		t &= s.narrow(next)
	}
	if sub.AnyOf != nil {
		t &= union(sub.AnyOf, s.narrow)
	}
	if sub.OneOf != nil {
		t &= union(sub.OneOf, s.narrow)
	}
	f.types, f.narrowed = t, true
	return t
}

func union[E any](list []E, of func(E) types) (t types) {
	for _, e := range list {
		t |= of(e)
	}
	return t
}

// unroll adds up the work of a schema and all below it.
func (s *Schema) unroll(sub *jsonschema.Schema) *facts {
	f := s.facts[sub]
	if f.allOwn != 0 {
		return f
	}
	f.allOwn, f.allPatterns = unbounded, unbounded // while it is open
	own, patterns := f.own, f.patterns
	if sub.UniqueItems {
		own += maxUniqueWork
	}
	add := func(next *jsonschema.Schema) {
		n := s.unroll(next)
		own, patterns = min(own+n.allOwn, unbounded), min(patterns+n.allPatterns, unbounded)
	}
	links(sub, add, add)
	f.allOwn, f.allPatterns = own, patterns
	return f
}
