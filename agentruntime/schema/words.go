package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"github.com/universal-ai-gateway/magicproxy/openai"
)

// Caps on what a message quotes; schemas are as foreign as arguments.
const (
	maxExcerpt = 40 // bytes
	maxValues  = 10 // of an enumeration, or alternatives
	maxNames   = 30 // of properties
)

// cut shortens a text to maxExcerpt bytes.
func cut(text string) string { return cutTo(text, maxExcerpt) }

func cutTo(text string, n int) string {
	const dots = "…"
	if len(text) <= n {
		return text
	}
	n -= len(dots)
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + dots
}

// show says what a value is: its type and how it begins.
func show(v *value) string {
	name := map[byte]string{'{': "object", '[': "array", '"': "string", 't': "boolean", 'n': "null"}[v.kind]
	switch v.kind {
	case 0:
		name = "number"
	case 'n':
		return name
	}
	return name + " " + cut(line(string(v.raw[:min(len(v.raw), 2*maxExcerpt)])))
}

// line makes a line of what is quoted.
func line(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F {
			return ' '
		}
		return r
	}, text)
}

// quote writes a value of a schema.
func quote(v any) string {
	if s, ok := v.(string); ok {
		return cut(string(openai.AppendString(nil, s)))
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "a value"
	}
	return cut(string(b))
}

// list joins the first words of count.
func list(words []string, count int, joint string) string {
	if more := count - len(words); more > 0 {
		words = append(words, strconv.Itoa(more)+" more")
	}
	return strings.Join(words, joint)
}

// quoteAll quotes n of the values at most.
func quoteAll[E any](all []E, n int) string {
	words := make([]string, 0, n+1)
	for _, v := range all[:min(len(all), n)] {
		words = append(words, quote(v))
	}
	return list(words, len(all), ", ")
}

// describe says in words what a schema accepts, depth levels deep.
func describe(s *jsonschema.Schema, depth int) string {
	switch {
	case s == nil:
		return "another value"
	case s.Bool != nil && !*s.Bool:
		return "nothing"
	case s.Const != nil:
		return quote(*s.Const)
	case s.Enum != nil && len(s.Enum.Values) == 1:
		return quote(s.Enum.Values[0])
	case s.Enum != nil:
		return "one of " + quoteAll(s.Enum.Values, maxValues)
	case s.Types != nil:
		words := s.Types.ToStrings()
		for i, name := range words {
			if name == "array" && depth > 0 {
				words[i] = describeArray(s, depth-1)
			}
		}
		return strings.Join(words, " or ")
	case depth == 0:
		return "value"
	case s.Ref != nil:
		return describe(s.Ref, depth-1)
	case s.AnyOf != nil:
		return describeAll(s.AnyOf, depth)
	case s.OneOf != nil:
		return describeAll(s.OneOf, depth)
	case len(s.AllOf) > 0:
		return describe(s.AllOf[0], depth-1)
	case s.Properties != nil:
		return "object"
	}
	return "value"
}

func describeArray(s *jsonschema.Schema, depth int) string {
	items := element(s, 0)
	if items == nil || items.Bool != nil || len(s.PrefixItems) > 0 {
		return "array"
	}
	return "array of " + describe(items, depth)
}

func describeAll(schemas []*jsonschema.Schema, depth int) string {
	var words []string
	for _, s := range schemas[:min(len(schemas), 10*maxValues)] {
		if word := describe(s, depth-1); !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	return list(words[:min(len(words), maxValues)], len(words), " or ")
}

func knownProperties(s *jsonschema.Schema) string {
	if s == nil || len(s.Properties) == 0 {
		return "none are known"
	}
	return "known are " + quoteAll(slices.Sorted(maps.Keys(s.Properties)), maxNames)
}

// expected says in words which rule was broken.
func expected(e jsonschema.ErrorKind, s *jsonschema.Schema) string {
	switch k := e.(type) {
	case *kind.Type:
		if s != nil && s.Types != nil {
			return describe(&jsonschema.Schema{
				Types: s.Types, Items: s.Items, Items2020: s.Items2020, PrefixItems: s.PrefixItems,
			}, 2)
		}
		return strings.Join(k.Want, " or ")
	case *kind.Enum:
		return "one of " + quoteAll(k.Want, maxValues)
	case *kind.Const:
		return quote(k.Want)
	case *kind.Format:
		return "text of the format " + cut(line(k.Want))
	case *kind.Pattern:
		return "text that matches " + cutTo(line(k.Want), 4*maxExcerpt)
	case *kind.MinLength:
		return fmt.Sprintf("text of at least %d characters", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("text of at most %d characters", k.Want)
	case *kind.Minimum:
		return "number of at least " + decimal(k.Want)
	case *kind.Maximum:
		return "number of at most " + decimal(k.Want)
	case *kind.ExclusiveMinimum:
		return "number above " + decimal(k.Want)
	case *kind.ExclusiveMaximum:
		return "number below " + decimal(k.Want)
	case *kind.MultipleOf:
		return "multiple of " + decimal(k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("array of at least %d elements", k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("array of at most %d elements", k.Want)
	case *kind.AdditionalItems:
		return fmt.Sprintf("array with %d elements less", k.Count)
	case *kind.UniqueItems:
		return fmt.Sprintf("array without equal elements (%d and %d are equal)", k.Duplicates[0], k.Duplicates[1])
	case *kind.Contains, *kind.MinContains, *kind.MaxContains:
		return "array with other elements"
	case *kind.MinProperties:
		return fmt.Sprintf("object of at least %d properties", k.Want)
	case *kind.MaxProperties:
		return fmt.Sprintf("object of at most %d properties", k.Want)
	case *kind.PropertyNames:
		return "object with other property names than " + quote(k.Property)
	case *kind.Not:
		return "anything but such a value"
	}
	return describe(s, 2)
}

func decimal(r *big.Rat) string {
	if r.IsInt() {
		return cut(r.Num().String())
	}
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}
