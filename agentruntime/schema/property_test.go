package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// everything has a property of each kind that is coerced.
const everything = `{"type":"object","properties":{
	"i":{"type":"integer"},"n":{"anyOf":[{"type":"number"},{"type":"null"}]},"b":{"type":"boolean"},"s":{"type":"string"},
	"e":{"type":"string","enum":["red","green","BLUE"]},
	"l":{"type":"array","items":{"enum":["light","switch"]}},"li":{"$ref":"#/$defs/ints"},
	"o":{"type":"object","properties":{"i":{"type":"integer"},"o":{"$ref":"#/$defs/inner"}},"additionalProperties":false},
	"opt":{"type":"string"}},"required":["i","e"],"additionalProperties":false,
	"$defs":{"ints":{"type":"array","items":{"type":"integer"}},"inner":{"type":"object","properties":{"b":{"type":"boolean"},"li":{"$ref":"#/$defs/ints"}},"additionalProperties":false}}}`

// member is a generated property: its value, and what a model may write for it.
type member struct {
	name, value string
	damaged     []string
}

func quoted(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func generate(rng *rand.Rand) []member {
	pick := func(texts ...string) string { return texts[rng.IntN(len(texts))] }
	integer := func() string { return pick("0", "-7", "42", "9007199254740993", "123456789012345678901234567890") }
	boolean := func() string { return pick("true", "false") }
	var ints []string
	for range rng.IntN(4) {
		ints = append(ints, integer())
	}
	i, n, b, s := integer(), pick("1.5", "-0.10", "2E+5", "10", integer()), boolean(), pick("5", "true", "12.50", "-1")
	e, l, li := pick("red", "green", "BLUE"), pick("light", "switch"), "["+strings.Join(ints, ", ")+"]"
	in := fmt.Sprintf(`{"b": %s, "li":%s}`, b, li)
	o := fmt.Sprintf(`{"i":%s ,"o":%s}`, i, in)
	all := []member{
		{"i", i, []string{quoted(i)}},
		{"n", n, []string{quoted(n)}},
		{"b", b, []string{quoted(b)}},
		{"s", quoted(s), []string{s}},
		{"e", quoted(e), []string{quoted(strings.ToUpper(e)), quoted(strings.ToLower(e))}},
		{"l", `["` + l + `"]`, []string{quoted(l), quoted(strings.ToUpper(l)), quoted(`["` + l + `"]`), `["` + strings.ToUpper(l) + `"]`}},
		{"li", li, []string{quoted(li), "[" + each(len(ints), " ,", func(k int) string { return quoted(ints[k]) }) + "]"}},
		{"o", o, []string{
			quoted(o), fmt.Sprintf(`{"i":"%s","o":%s}`, i, in), fmt.Sprintf(`{"i":%s,"o":%s}`, i, quoted(in)),
			fmt.Sprintf(`{"i":%s,"o":{"b":"%s","li":%s}}`, i, b, quoted(li)), quoted(fmt.Sprintf(`{"i":"%s","o":%s}`, i, quoted(in))),
		}},
	}
	if len(ints) == 1 {
		all[6].damaged = append(all[6].damaged, ints[0], quoted(ints[0]))
	}
	rng.Shuffle(len(all), func(x, y int) { all[x], all[y] = all[y], all[x] })
	return all
}

// decode reads a document with its numbers as they are written.
func decode(tb testing.TB, doc []byte) any {
	tb.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		tb.Fatalf("%s: %v", doc, err)
	}
	return v
}

// Arguments as they should be keep their bytes, and damaged in every way at once
// they come out as they should have been.
//
// contract: A8
func TestCheckUndoesDamage(t *testing.T) {
	s := compile(t, everything)
	rng := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		members := generate(rng)
		var good, bad []string
		damaged := false
		for _, m := range members {
			if m.name != "i" && m.name != "e" && rng.IntN(4) == 0 {
				if m.name != "n" && rng.IntN(2) == 0 {
					bad, damaged = append(bad, `"`+m.name+`": null`), true
				}
				continue
			}
			good = append(good, `"`+m.name+`" : `+m.value)
			if rng.IntN(2) == 0 {
				m.value = m.damaged[rng.IntN(len(m.damaged))]
			}
			bad = append(bad, `"`+m.name+`" : `+m.value)
		}
		right, wrong := "{"+strings.Join(good, ", ")+"}", "{"+strings.Join(bad, " ,")+"}"
		switch rng.IntN(5) {
		case 0:
			wrong, damaged = `{"`+wrappers[rng.IntN(3)]+`":`+wrong+`}`, true
		case 1:
			wrong, damaged = quoted(wrong), true
		}
		if out, coerced, err := s.Check(json.RawMessage(right)); err != nil || coerced || string(out) != right {
			t.Fatalf("%s: %s, %v, %v", right, out, coerced, err)
		}
		out, coerced, err := s.Check(json.RawMessage(wrong))
		if err != nil || damaged && !coerced {
			t.Fatalf("%s: %v, %v", wrong, coerced, err)
		}
		if got, want := decode(t, out), decode(t, []byte(right)); !reflect.DeepEqual(got, want) {
			t.Fatalf("%s\ngot  %s\nwant %s", wrong, out, right)
		}
		if again, coerced, err := s.Check(out); err != nil || coerced || string(again) != string(out) {
			t.Fatalf("%s does not satisfy: %v, %v", out, coerced, err)
		}
	}
}

// FuzzCheck holds every result against the validator, without anything of ours in
// between: what satisfies the schema keeps its bytes, and what is coerced
// satisfies it.
//
// contract: A8
// security: X9
func FuzzCheck(f *testing.F) {
	for _, schema := range []string{
		usual, everything, `{}`, with(`{"type":"integer","multipleOf":3}`), with(`{"anyOf":[{"type":"integer"},{"type":"array","items":{"type":"string"}}]}`),
		`{"anyOf":[{"properties":{"a":{"$ref":"#"},"b":{"type":"integer"}}},{"properties":{"a":{"$ref":"#"},"b":{"type":"boolean"}}}]}`,
		`{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"x":{"items":[{"type":"string"}],"additionalItems":{"type":"integer"}},"d":{"format":"date"}},"dependencies":{"x":["d"]}}`,
		`{"patternProperties":{"^a":{"type":"integer"},"(?!x)":true},"unevaluatedProperties":false,"propertyNames":{"maxLength":3},"if":{"required":["a"]},"then":{"minProperties":2}}`,
		with(`{"oneOf":[{"const":"on"},{"const":"off"},{"enum":[1,null,[1],{"a":"b"}]}]}`),
	} {
		for _, args := range []string{
			usualArguments, `{"x":"5","a":{"a":{"b":"1"}}}`, `"{\"x\":[\"1\",2]}"`, `{"x":1e400,"x":2}`, `{ "x": null , "input":{"x":"ON"}}`, `{"arguments":{"query":5}}`,
			`{"i":"1","e":"Red","li":"[1,\"2\"]","o":"{\"i\":\"3\"}","opt":null}`, `[]`,
		} {
			f.Add(schema, args)
		}
	}
	f.Fuzz(func(t *testing.T, schema, args string) {
		s, err := Compile(json.RawMessage(schema))
		if err != nil {
			s = Any()
		}
		out, coerced, err := s.check(json.RawMessage(args))
		if err != nil {
			if len(err.Error()) > 20_000 || !strings.Contains(err.Error(), "expected") {
				t.Fatalf("%s", err)
			}
			if err.Error() == uncheckable().Error() {
				return
			}
			doc, problem := parse([]byte(args), argumentLimits)
			if problem == nil && doc.kind == '{' && (s.root == nil || s.root.Validate(decode(t, []byte(args))) == nil) {
				t.Fatalf("%s satisfies %s: %v", args, schema, err)
			}
			return
		}
		v := decode(t, out)
		if _, ok := v.(map[string]any); !ok || s.root != nil && s.root.Validate(v) != nil {
			t.Fatalf("%s: %s does not satisfy %s", args, out, schema)
		}
		if !coerced && string(out) != args {
			t.Fatalf("%s: changed to %s", args, out)
		}
		if coerced {
			if doc, problem := parse([]byte(args), argumentLimits); problem == nil && doc.kind == '{' && s.root.Validate(decode(t, []byte(args))) == nil {
				t.Fatalf("%s satisfies %s and became %s", args, schema, out)
			}
			if again, coerced, err := s.check(out); err != nil || coerced || string(again) != string(out) {
				t.Fatalf("%s became %s, which became %s, %v, %v", args, out, again, coerced, err)
			}
		}
	})
}
