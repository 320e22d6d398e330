package schema

import (
	"errors"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxWork bounds a check, in units of about 100 ns. A usual one takes a hundred.
const maxWork = 1 << 20

var errWork = errors.New("too much work")

// checker is one check.
type checker struct {
	schema    *Schema
	work      int // what is left
	exhausted bool
	memo      map[pair]int
}

type pair struct {
	s *jsonschema.Schema
	v *value
}

func (c *checker) spend(n int) bool {
	if c.exhausted = c.exhausted || n > c.work; !c.exhausted {
		c.work -= n
	}
	return !c.exhausted
}

// validate holds a value against a schema, nil against none.
func (c *checker) validate(s *jsonschema.Schema, v *value) error {
	if s == nil {
		return nil
	}
	if !c.spend(c.cost(s, v)) {
		return errWork
	}
	return s.Validate(v.plain)
}

func (c *checker) valid(s *jsonschema.Schema, v *value) bool { return c.validate(s, v) == nil }

// cost bounds the work of a validation. Schemas that use each other can multiply
// with every level of the value, and the validator goes all the ways there are.
func (c *checker) cost(s *jsonschema.Schema, v *value) int {
	f := c.schema.facts[s]
	if f.allOwn < unbounded && f.allPatterns < unbounded {
		if n := f.allOwn*v.size + matching(f.allPatterns, len(v.raw)); n <= maxWork/16 {
			return n
		}
	}
	return c.exactCost(s, v)
}

func matching(patterns, bytes int) int { return (patterns*bytes + 15) / 16 }

func (c *checker) exactCost(s *jsonschema.Schema, v *value) int {
	if c.exhausted {
		return maxWork + 1
	}
	key := pair{s, v}
	if n, ok := c.memo[key]; ok {
		return n
	}
	f := c.schema.facts[s]
	n := f.own
	if s.Enum != nil || s.Const != nil {
		n *= v.size
	}
	if s.UniqueItems {
		n += uniqueWork(v)
	}
	if v.kind == '"' || v.kind == '{' && len(s.PatternProperties) > 0 {
		n += matching(f.patterns, len(v.raw))
	}
	add := func(more int) { n = min(n+more, maxWork+1) }
	if !c.spend(4) {
		return maxWork + 1
	}
	links(s, func(sub *jsonschema.Schema) { add(c.exactCost(sub, v) + len(v.parts)) }, func(*jsonschema.Schema) {})
	if v.kind == '{' {
		c.costOfMembers(s, v, add)
	} else {
		c.costOfElements(s, v, add)
	}
	if c.memo == nil {
		c.memo = map[pair]int{}
	}
	c.memo[key] = n
	return n
}

// maxUniqueWork is what uniqueItems costs for each value in an array at most; but
// see uniqueWork.
const maxUniqueWork = 100

// uniqueWork is what it costs to find equal elements. The validator compares each
// with each in small arrays, and those of the same hash in others. Scalars have
// different ones; what is composed can be made to have the same.
func uniqueWork(v *value) int {
	n := len(v.parts)
	if n <= 20 {
		return 5 * n * v.size
	}
	work := 12 * v.size
	if v.size > n+1 {
		work += n * n / 6
	}
	return work
}

func (c *checker) costOfMembers(s *jsonschema.Schema, v *value, add func(int)) {
	additional, _ := s.AdditionalProperties.(*jsonschema.Schema)
	for _, p := range v.parts {
		for _, sub := range []*jsonschema.Schema{s.Properties[p.name], additional, s.UnevaluatedProperties} {
			if sub != nil {
				add(c.exactCost(sub, p.v))
			}
		}
		for _, sub := range s.PatternProperties {
			add(c.exactCost(sub, p.v))
		}
		if s.PropertyNames != nil {
			add(c.exactCost(s.PropertyNames, &value{kind: '"', raw: v.raw[p.key:p.at], size: 1}))
		}
	}
}

func (c *checker) costOfElements(s *jsonschema.Schema, v *value, add func(int)) {
	if v.kind != '[' {
		return
	}
	for i, p := range v.parts {
		for _, sub := range []*jsonschema.Schema{s.Contains, s.UnevaluatedItems} {
			if sub != nil {
				add(c.exactCost(sub, p.v))
			}
		}
		if sub := element(s, i); sub != nil {
			add(c.exactCost(sub, p.v))
		}
	}
}

// element returns the schema of an array's element, nil for none.
func element(s *jsonschema.Schema, i int) *jsonschema.Schema {
	if i < len(s.PrefixItems) {
		return s.PrefixItems[i]
	}
	if s.Items2020 != nil {
		return s.Items2020
	}
	switch items := s.Items.(type) {
	case *jsonschema.Schema:
		return items
	case []*jsonschema.Schema:
		if i < len(items) {
			return items[i]
		}
	}
	rest, _ := s.AdditionalItems.(*jsonschema.Schema)
	return rest
}
