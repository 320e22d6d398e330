package schema

import (
	"encoding/json"
	"math/big"
	"strings"

	"github.com/universal-ai-gateway/magicproxy/agentruntime/toolcall"
)

// scalar takes v, or the one value of an enumeration that v is but for its case.
func (c *checker) scalar(goal []want, v *value) (r reading) {
	if c.satisfies(goal, v) {
		return reading{v, 1}
	}
	if v.kind != '"' {
		return r
	}
	for _, w := range goal {
		var values []any
		if w.s.Enum != nil {
			values = w.s.Enum.Values
		}
		if w.s.Const != nil {
			values = []any{*w.s.Const}
		}
		if !c.spend(len(values)) {
			return reading{}
		}
		for _, known := range values {
			if text, ok := known.(string); ok && strings.EqualFold(text, v.text) {
				if folded := textOf([]byte(text)); c.satisfies(goal, folded) {
					r.add(reading{folded, 1})
				}
			}
		}
	}
	return r
}

// fromText reads a text as whatever else is wanted.
func (c *checker) fromText(goal []want, v *value, possible, outer types) (r reading) {
	text := v.text
	if possible&tInteger != 0 && isNumber(text) {
		if number := numberOf(text, outer&tNumber == 0); number != nil {
			r.add(c.scalar(goal, number))
		}
	}
	if possible&tBoolean != 0 {
		switch text {
		case "true", "True", "TRUE": // as Python and shells write it
			r.add(c.scalar(goal, booleanOf(true)))
		case "false", "False", "FALSE":
			r.add(c.scalar(goal, booleanOf(false)))
		}
	}
	for _, k := range []struct {
		kind byte
		is   types
	}{{'{', tObject}, {'[', tArray}} {
		if possible&k.is == 0 {
			continue
		}
		if doc := c.embedded(text, k.kind); doc != nil {
			if c.satisfies(goal, doc) {
				r.add(reading{doc, 1})
			} else {
				r.add(c.inside(goal, doc, false))
			}
		}
	}
	if possible&tString != 0 {
		r.add(c.scalar(goal, v))
	}
	return r
}

func isNumber(text string) bool {
	for i := range len(text) {
		if !isNumberByte(text[i]) {
			return false
		}
	}
	return json.Valid([]byte(text)) && modest(text)
}

// numberOf returns the number a text is; as whole number, its digits in full, or
// nil if it is none.
func numberOf(text string, whole bool) *value {
	if whole && strings.ContainsAny(text, ".eE") {
		x, ok := new(big.Rat).SetString(text)
		if !ok || !x.IsInt() {
			return nil
		}
		text = x.Num().String()
	}
	return &value{raw: []byte(text), plain: json.Number(text), size: 1}
}

// wrap makes an array of one value. Not of a text that is, or was to become, an
// array itself; and if the text is a list when it is cut at its commas, that is
// another reading.
func (c *checker) wrap(goal []want, v *value) (r reading) {
	if v.kind == '"' {
		text := strings.TrimSpace(v.text)
		if strings.HasPrefix(text, "[") {
			return r
		}
		if strings.HasPrefix(text, "{") {
			if v = c.embedded(text, '{'); v == nil {
				return r
			}
		}
	}
	r = c.array(goal, v)
	if r.n == 1 && v.kind == '"' {
		if list := strings.FieldsFunc(v.text, func(c rune) bool { return strings.ContainsRune(",;\n", c) }); len(list) > 1 {
			items := make([]*value, len(list))
			for i, item := range list {
				items[i] = textOf([]byte(strings.TrimSpace(item)))
			}
			if c.array(goal, items...).n > 0 {
				r = reading{n: 2}
			}
		}
	}
	return r
}

func (c *checker) array(goal []want, items ...*value) reading {
	a := arrayOf(items)
	if c.satisfies(goal, a) {
		return reading{a, 1}
	}
	return c.inside(goal, a, true)
}

// embedded parses a text that is JSON of the given kind, also as models write it;
// nil if it is not.
func (c *checker) embedded(text string, kind byte) *value {
	text = strings.TrimSpace(text)
	if text == "" || text[0] != kind || !c.spend(len(text)/8+1) {
		return nil
	}
	doc := []byte(text)
	if !json.Valid(doc) {
		loose, ok := toolcall.Value(text) // ['a', 'b']
		if !ok {
			return nil
		}
		doc = loose
	}
	v, problem := parse(doc, argumentLimits)
	if problem != nil {
		return nil
	}
	return v
}
