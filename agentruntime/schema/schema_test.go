package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

func compile(tb testing.TB, text string) *Schema {
	tb.Helper()
	s, err := Compile(json.RawMessage(text))
	if err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return s
}

// with is the schema of an object whose one property x is as given.
func with(x string) string { return `{"type":"object","properties":{"x":` + x + `}}` }

// contract: A8
func TestCheckKeepsTheBytesOfWhatIsValid(t *testing.T) {
	for _, c := range []struct{ schema, args string }{
		{`{}`, `{}`},
		{`{"type":"object"}`, " {\n \"b\" : 1 , \"a\":[ ] }\t"},
		{with(`{"type":"integer"}`), `{"x":9007199254740993123456789}`},
		{with(`{"type":"integer"}`), `{"x":3.0}`}, // an integer for JSON Schema
		{with(`{"type":"integer"}`), `{"x":1e3}`},
		{with(`{"type":"number"}`), `{"x":0.1000000000000000000000000001}`},
		{with(`{"type":["string","integer"]}`), `{"x":"5"}`},
		{with(`{"type":["string","null"]}`), `{"x":null}`},
		{with(`{"anyOf":[{"type":"array"},{"type":"string"}]}`), `{"x":"[1]"}`},
		{with(`{"enum":["a","A"]}`), `{"x":"A"}`},
		{with(`{"type":"string"}`), `{"x":"\u00e9\/ é"}`},
		{`{"properties":{"input":{}}}`, `{"input":{"a":1}}`},
		{`{"properties":{"a":{"type":"integer"}}}`, `{"arguments":{"a":"1"}}`},
		{with(`{"$ref":"#/$defs/t"}`)[:len(with(`{"$ref":"#/$defs/t"}`))-1] + `,"$defs":{"t":{"type":"array","items":{"$ref":"#/$defs/t"}}}}`, `{"x":[[],[[[]]]]}`},
		{`true`, `{"a":1}`},
	} {
		out, coerced, err := compile(t, c.schema).Check(json.RawMessage(c.args))
		if err != nil || coerced || string(out) != c.args {
			t.Errorf("%s\nfor %s: %s, %v, %v", c.args, c.schema, out, coerced, err)
		}
	}
}

// contract: A8
func TestCheckCoerces(t *testing.T) {
	domains := `{"type":"array","items":{"type":"string"}}`
	for _, c := range []struct{ name, schema, args, want string }{
		{"text to integer", with(`{"type":"integer"}`), `{"x":"5"}`, `{"x":5}`},
		{"text to negative integer", with(`{"type":"integer"}`), `{"x":"-50"}`, `{"x":-50}`},
		{"text to big integer", with(`{"type":"integer"}`), `{"x":"9007199254740993000000000000000001"}`, `{"x":9007199254740993000000000000000001}`},
		{"text to integer without loss", with(`{"type":"integer"}`), `{"x":"5.0"}`, `{"x":5}`},
		{"text to integer, written out", with(`{"type":"integer"}`), `{"x":"9007199254740993e3"}`, `{"x":9007199254740993000}`},
		{"text to number", with(`{"type":"number"}`), `{"x":"5.0"}`, `{"x":5.0}`},
		{"text to number, byte for byte", with(`{"type":"number"}`), `{"x":"-1.50E-7"}`, `{"x":-1.50E-7}`},
		{"text to number or null", with(`{"type":["integer","null"]}`), `{"x":"5"}`, `{"x":5}`},
		{"text to an optional integer", with(`{"anyOf":[{"type":"integer"},{"type":"null"}]}`), `{"x":"5"}`, `{"x":5}`},
		{"text to number within its range", with(`{"anyOf":[{"type":"integer","maximum":3},{"type":"number","minimum":4}]}`), `{"x":"5"}`, `{"x":5}`},
		{"text to boolean", with(`{"type":"boolean"}`), `{"x":"true"}`, `{"x":true}`},
		{"text to boolean, false", with(`{"type":"boolean"}`), `{"x":"False"}`, `{"x":false}`},
		{"number to text", with(`{"type":"string"}`), `{"x":12345678901234567890.10}`, `{"x":"12345678901234567890.10"}`},
		{"boolean to text", with(`{"type":["string","null"]}`), `{"x":true}`, `{"x":"true"}`},
		{"number to a value of an enumeration", with(`{"enum":["1","2"]}`), `{"x":1}`, `{"x":"1"}`},
		{"boolean to a value of an enumeration", with(`{"enum":["True","False"]}`), `{"x":true}`, `{"x":"True"}`},
		{"text to object", with(`{"type":"object"}`), `{"x":"{\"a\": \"\\u00e9\"}"}`, `{"x":{"a": "\u00e9"}}`},
		{"text to array", with(domains), `{"x":" [\"a\", \"b\"]\n"}`, `{"x":["a", "b"]}`},
		{"text to array, its items too", with(`{"type":"array","items":{"type":"integer"}}`), `{"x":"[\"1\",2]"}`, `{"x":[1,2]}`},
		{"one value to array", with(domains), `{"x":"light"}`, `{"x":["light"]}`},
		{"one value to array or null", with(`{"anyOf":[` + domains + `,{"type":"null"}]}`), `{"x":"light"}`, `{"x":["light"]}`},
		{"one number to array", with(`{"type":"array","items":{"type":"integer"}}`), `{"x":5}`, `{"x":[5]}`},
		{"one text to array of integers", with(`{"type":"array","items":{"type":"integer"}}`), `{"x":"5"}`, `{"x":[5]}`},
		{"one value to an array in an array", with(`{"type":"array","items":{"type":"array"}}`), `{"x":[1]}`, `{"x":[[1]]}`},
		{"one object to array", with(`{"type":"array","items":{"type":"object"}}`), `{"x":{"a":1}}`, `{"x":[{"a":1}]}`},
		{"one object in a text to array", with(`{"type":"array","items":{"type":"object"}}`), `{"x":"{\"a\":1}"}`, `{"x":[{"a":1}]}`},
		{"a text with commas that is one value", with(`{"type":"array","items":{"enum":["a, b","c"]}}`), `{"x":"a, b"}`, `{"x":["a, b"]}`},
		{"items", with(`{"type":"array","items":{"type":"integer"}}`), `{"x":[1, "2" ,3]}`, `{"x":[1, 2 ,3]}`},
		{"items by place", with(`{"type":"array","prefixItems":[{"type":"string"},{"type":"boolean"}],"items":{"type":"integer"}}`), `{"x":[1,"true","2"]}`, `{"x":["1",true,2]}`},
		{"items of draft 7", `{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"x":{"items":[{"type":"string"}],"additionalItems":{"type":"integer"}}}}`, `{"x":[1,"2"]}`, `{"x":["1",2]}`},
		{"null of an optional property, first", `{"properties":{"a":{"type":"string"},"b":{}}}`, `{ "a": null, "b": 1 }`, `{ "b": 1 }`},
		{"null of an optional property, last", `{"properties":{"a":{"type":"string"},"b":{}}}`, `{"b": 1 , "a": null}`, `{"b": 1}`},
		{"null of an optional property, between", `{"properties":{"a":{"type":"string"}}}`, `{"b":1, "a":null ,"c":2}`, `{"b":1 ,"c":2}`},
		{"null of optional properties only", `{"properties":{"a":{"type":"string"},"b":{"type":"integer"}}}`, `{ "a":null, "b":null }`, `{ }`},
		{"null of the last two", `{"properties":{"a":{"type":"string"},"b":{"type":"integer"}}}`, `{"c":1,"a":null,"b":null}`, `{"c":1}`},
		{"case of an enumeration", with(`{"type":"string","enum":["celsius","fahrenheit"]}`), `{"x":"Celsius"}`, `{"x":"celsius"}`},
		{"case of alternatives", with(`{"oneOf":[{"const":"on"},{"const":"off"}]}`), `{"x":"OFF"}`, `{"x":"off"}`},
		{"case of items", with(`{"type":"array","items":{"enum":["light"]}}`), `{"x":"Light"}`, `{"x":["light"]}`},
		{"wrapped in arguments", `{"properties":{"a":{}},"required":["a"]}`, `{"arguments":{ "a":1 }}`, `{ "a":1 }`},
		{"wrapped in input", `{"properties":{"a":{}},"additionalProperties":false}`, `{"input":{"a":1}}`, `{"a":1}`},
		{"wrapped in parameters, and more to do", `{"properties":{"a":{"type":"integer"}},"required":["a"]}`, `{"parameters":{"a":"1"}}`, `{"a":1}`},
		{"wrapped as text", `{"properties":{"a":{"type":"integer"}},"required":["a"]}`, `{"arguments":"{\"a\":1}"}`, `{"a":1}`},
		{"the whole as text", `{"properties":{"a":{"type":"integer"}},"required":["a"]}`, `"{\"a\":\"1\"}"`, `{"a":1}`},
		{"deep, all other bytes kept", `{"properties":{"f":{"type":"object","properties":{"limit":{"type":"integer"},"tags":` + domains + `}}}}`,
			"{ \"z\" : 1.50,\n\"f\": {\"tags\":\"a\" , \"limit\": \"5\", \"o\":{} } }", "{ \"z\" : 1.50,\n\"f\": {\"tags\":[\"a\"] , \"limit\": 5, \"o\":{} } }"},
		{"through references", `{"$ref":"#/$defs/o","$defs":{"o":{"type":"object","properties":{"n":{"$ref":"#/$defs/n"},"o":{"$ref":"#/$defs/o"}}},"n":{"type":"integer"}}}`,
			`{"o":{"o":{"n":"5"}},"n":"6"}`, `{"o":{"o":{"n":5}},"n":6}`},
		{"through allOf", `{"allOf":[{"properties":{"a":{"type":"integer"}}},{"properties":{"a":{"minimum":5}}}]}`, `{"a":"5"}`, `{"a":5}`},
		{"additional properties", `{"additionalProperties":{"type":"integer"}}`, `{"a":"5"}`, `{"a":5}`},
		{"properties by pattern", `{"patternProperties":{"^n_":{"type":"integer"}}}`, `{"n_a":"5","a":"5"}`, `{"n_a":5,"a":"5"}`},
		{"a property beside additional ones", `{"properties":{"a":{"type":"integer"}},"additionalProperties":{"type":"boolean"}}`, `{"a":"5","b":"true"}`, `{"a":5,"b":true}`},
		{"the alternative that is named", `{"oneOf":[{"properties":{"k":{"const":"a"},"n":{"type":"integer"}}},{"properties":{"k":{"const":"b"},"n":{"type":"boolean"}}}]}`,
			`{"k":"a","n":"5"}`, `{"k":"a","n":5}`},
		{"the alternative that fits", with(`{"anyOf":[{"type":"integer"},{"type":"boolean"}]}`), `{"x":"true"}`, `{"x":true}`},
		{"by the types alone", with(`{"type":["integer","boolean","object"]}`), `{"x":"{}"}`, `{"x":{}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := compile(t, c.schema)
			out, coerced, err := s.Check(json.RawMessage(c.args))
			if err != nil || !coerced || string(out) != c.want {
				t.Fatalf("%s: got %s, %v, %v; want %s", c.args, out, coerced, err, c.want)
			}
			if again, coerced, err := s.Check(out); err != nil || coerced || string(again) != string(out) {
				t.Errorf("%s does not satisfy: %v, %v", out, coerced, err)
			}
		})
	}
}

// contract: A6, A8
func TestCheckProblems(t *testing.T) {
	weather := `{"type":"object","properties":{"city":{"type":"string"},"unit":{"enum":["c","f"]},"days":{"type":"integer","minimum":1}},"required":["city"],"additionalProperties":false}`
	for _, c := range []struct{ name, schema, args, want string }{
		{"not JSON", weather, `{"city":"Köln"`, `arguments: expected object, found invalid JSON at offset 15`},
		{"nothing", weather, ` `, `arguments: expected object, found nothing`},
		{"two documents", weather, `{"city":"a"}{"city":"b"}`, `arguments: expected object, found invalid JSON at offset 13`},
		{"not UTF-8", weather, "{\"city\":\"\xff\"}", `arguments: expected object, found invalid UTF-8`},
		{"null", weather, `null`, `arguments: expected object, found null`},
		{"array", weather, `[{"city":"Köln"}]`, `arguments: expected object, found array [{"city":"Köln"}]`},
		{"text", `{}`, `"x"`, `arguments: expected object, found string "x"`},
		{"text that is an array", `{}`, `"[]"`, `arguments: expected object, found string "[]"`},
		{"required", weather, `{}`, `/city: expected string (required), found nothing`},
		{"required null", weather, `{"city":null}`, `/city: expected string, found null`},
		{"unknown property", weather, `{"city":"Köln","ctiy":null}`, `/ctiy: expected no such property (known are "city", "days", "unit"), found null`},
		{"enumeration", weather, `{"city":"Köln","unit":"kelvin"}`, `/unit: expected one of "c", "f", found string "kelvin"`},
		{"range", weather, `{"city":"Köln","days":"0"}`, `/days: expected integer, found string "0"`},
		{"range of a number", weather, `{"city":"Köln","days":0}`, `/days: expected number of at least 1, found number 0`},
		{"several", weather, `{"unit":5,"days":{},"x":[1]}`, `/city: expected string (required), found nothing; /days: expected integer, found object {}; /unit: expected one of "c", "f", found number 5; /x: expected no such property (known are "city", "days", "unit"), found array [1]`},
		{"twice", weather, `{"city":"a","city":"b"}`, `/city: expected property once, found it twice`},
		{"twice, deep", `{}`, `{"a":[0,{"b":1,"b":1}]}`, `/a/1/b: expected property once, found it twice`},
		{"loss", with(`{"type":"integer"}`), `{"x":"5.5"}`, `/x: expected integer, found string "5.5"`},
		{"space", with(`{"type":"integer"}`), `{"x":"5 "}`, `/x: expected integer, found string "5 "`},
		{"no JSON number", with(`{"type":"integer"}`), `{"x":"05"}`, `/x: expected integer, found string "05"`},
		{"words", with(`{"type":"boolean"}`), `{"x":"yes"}`, `/x: expected boolean, found string "yes"`},
		{"number as boolean", with(`{"type":"boolean"}`), `{"x":1}`, `/x: expected boolean, found number 1`},
		{"two readings", with(`{"anyOf":[{"type":"integer"},{"type":"array","items":{"type":"string"}}]}`), `{"x":true}`, `/x: expected integer or array of string, found boolean true`},
		{"two values of an enumeration", with(`{"enum":["a","A"]}`), `{"x":"ª"}`, `/x: expected one of "a", "A", found string "ª"`},
		{"two values but for their case", with(`{"enum":["ab","AB"]}`), `{"x":"Ab"}`, `/x: expected one of "ab", "AB", found string "Ab"`},
		{"a list or one value", with(`{"type":"array","items":{"type":"string"}}`), `{"x":"light, switch"}`, `/x: expected array of string, found string "light, switch"`},
		{"one value is put into one array", with(`{"type":"array","items":{"type":"array","items":{"type":"string"}}}`), `{"x":"a"}`, `/x: expected array of array of string, found string "a"`},
		{"null of a property that is not known", `{"additionalProperties":{"type":"integer"}}`, `{"a":null}`, `/a: expected integer, found null`},
		{"null of one that a pattern allows", `{"patternProperties":{"^a":{"type":"integer"}}}`, `{"a":null}`, `/a: expected integer, found null`},
		{"an array cut off", with(`{"type":"array","items":{"type":"string"}}`), `{"x":"[\"light"}`, `/x: expected array of string, found string "[\"light"`},
		{"an array or its elements", with(`{"type":"array","items":{"type":"array"}}`), `{"x":[1,2]}`, `/x/0: expected array, found number 1; /x/1: expected array, found number 2`},
		{"number where text and more is allowed", with(`{"type":["string","array"]}`), `{"x":1}`, `/x: expected string or array, found number 1`},
		{"the alternative that was meant", with(`{"anyOf":[{"type":"string"},{"type":"object","properties":{"a":{"type":"integer"}},"required":["a","b"]}]}`), `{"x":{"a":true}}`, `/x/a: expected integer, found boolean true; /x/b: expected value (required), found nothing`},
		{"the alternative that is named", with(`{"oneOf":[{"properties":{"k":{"const":"a"},"n":{"type":"integer"}}},{"properties":{"k":{"const":"b"},"n":{"type":"boolean"}}}]}`), `{"x":{"k":"b","n":[]}}`, `/x/n: expected boolean, found array []`},
		{"two alternatives fit", with(`{"oneOf":[{"type":"integer"},{"type":"number"}]}`), `{"x":5}`, `/x: expected exactly one of the alternatives to fit, which are integer or number, found number 5`},
		{"wrapper of a known property", `{"properties":{"input":{"type":"object"},"a":{}},"required":["a"]}`, `{"input":{"a":1}}`, `/a: expected value (required), found nothing`},
		{"wrapper with more beside it", `{"properties":{"a":{}},"required":["a"]}`, `{"input":{"a":1},"b":2}`, `/a: expected value (required), found nothing`},
		{"wrapper that does not fit", `{"properties":{"a":{}},"required":["a"]}`, `{"input":{"b":1}}`, `/a: expected value (required), found nothing`},
		{"no default is made up", `{"properties":{"a":{"type":"integer","default":1}},"required":["a"]}`, `{}`, `/a: expected integer (required), found nothing`},
		{"pattern", with(`{"type":"string","pattern":"^[a-z]+$"}`), `{"x":"A"}`, `/x: expected text that matches ^[a-z]+$, found string "A"`},
		{"length", with(`{"type":"string","maxLength":2}`), `{"x":"abc"}`, `/x: expected text of at most 2 characters, found string "abc"`},
		{"elements", with(`{"type":"array","minItems":2}`), `{"x":[1]}`, `/x: expected array of at least 2 elements, found array [1]`},
		{"equal elements", with(`{"type":"array","uniqueItems":true}`), `{"x":[1,2,1.0]}`, `/x: expected array without equal elements (0 and 2 are equal), found array [1,2,1.0]`},
		{"dependent", `{"dependentRequired":{"a":["b"]}}`, `{"a":1}`, `/b: expected value (required), found nothing`},
		{"escaped path", `{"properties":{"a/b~c":{"type":"object"}}}`, `{"a/b~c":1}`, `/a~1b~0c: expected object, found number 1`},
		{"odd number", with(`{"type":"integer","minimum":0}`), `{"x":1e999999999}`, `/x: expected number that is not so long, found number of 11 bytes, 1e999999999`},
		{"a long excerpt", with(`{"type":"integer"}`), `{"x":"` + strings.Repeat("é", 100) + `"}`, `/x: expected integer, found string "` + strings.Repeat("é", 18) + `…`},
		{"lines", with(`{"type":"integer"}`), "{\"x\":{\n\"a\":1}}", `/x: expected integer, found object { "a":1}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, coerced, err := compile(t, c.schema).Check(json.RawMessage(c.args))
			var p *Problem
			if !errors.As(err, &p) || out != nil || coerced {
				t.Fatalf("got %s, %v, %v", out, coerced, err)
			}
			if p.Error() != c.want {
				t.Errorf("got  %s\nwant %s", p, c.want)
			}
		})
	}
}

// A message stays short, whatever is wrong.
//
// contract: A6
func TestProblemIsShort(t *testing.T) {
	var props, args strings.Builder
	for i := range 41 {
		name := fmt.Sprint(i) + strings.Repeat("n", 200)
		fmt.Fprintf(&props, `,"%s":{"enum":["%s%s"]}`, name, strings.Repeat(`v","`, 300), name)
		fmt.Fprintf(&args, `,"%s":"%s","x%s":1`, name, strings.Repeat("w", 300), name)
	}
	text := `{"properties":{` + props.String()[1:] + `},"additionalProperties":false}`
	_, _, err := compile(t, text).Check(json.RawMessage(`{` + args.String()[1:] + `}`))
	var p *Problem
	if !errors.As(err, &p) || len(p.Places) != maxPlaces || p.More < 70 {
		t.Fatalf("%v", err)
	}
	if n := len(p.Error()); n > 10_000 {
		t.Errorf("%d bytes", n)
	}
	if !strings.HasSuffix(p.Error(), " more") {
		t.Error(p)
	}
}

func TestAny(t *testing.T) {
	for _, c := range [][2]string{{`{}`, `{}`}, {` {"a":null} `, ` {"a":null} `}, {`"{\"a\":1}"`, `{"a":1}`}, {`{"input":{"a":1}}`, `{"input":{"a":1}}`}} {
		args, want := c[0], c[1]
		out, coerced, err := Any().Check(json.RawMessage(args))
		if err != nil || string(out) != want || coerced != (args != want) {
			t.Errorf("%s: %s, %v, %v", args, out, coerced, err)
		}
	}
	for _, args := range []string{``, `[]`, `1`, `"x"`, `{`, `{"a":1,"a":2}`} {
		if out, _, err := Any().Check(json.RawMessage(args)); err == nil {
			t.Errorf("%s passed as %s", args, out)
		}
	}
}

func TestSchemaIsSafeForConcurrentUse(t *testing.T) {
	s := compile(t, usual)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if _, _, err := s.Check(json.RawMessage(usualArguments)); err != nil {
					t.Error(err)
				}
				if out, coerced, err := s.Check(json.RawMessage(`{"query":1,"limit":"5"}`)); err != nil || !coerced || string(out) != `{"query":"1","limit":5}` {
					t.Errorf("%s, %v", out, err)
				}
				if _, _, err := s.Check(json.RawMessage(`{"limit":[]}`)); err == nil {
					t.Error("it passed")
				}
			}
		})
	}
	wg.Wait()
}

const (
	usual = `{"type":"object","properties":{"query":{"type":"string","minLength":1,"description":"what to look for"},"limit":{"type":"integer","minimum":1,` +
		`"maximum":100,"default":10},"filter":{"type":"object","properties":{"domain":{"type":"array","items":{"type":"string"}},"since":{"type":["string","null"]},` +
		`"kind":{"enum":["page","file","note"]}},"additionalProperties":false},"verbose":{"type":"boolean"}},"required":["query"],"additionalProperties":false}`
	usualArguments = `{"query": "weather in Köln", "limit": 20, "filter": {"domain": ["light", "switch"], "since": null, "kind": "file"}, "verbose": false}`
)

func BenchmarkCheck(b *testing.B) {
	s := compile(b, usual)
	for name, args := range map[string]string{
		"valid":   usualArguments,
		"coerced": `{"query": "weather in Köln", "limit": "20", "filter": {"domain": "light", "since": null, "kind": "File"}, "verbose": "false"}`,
		"problem": `{"query": "weather in Köln", "limit": "many", "filter": {"domain": [], "sinc": null, "kind": "x"}}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(args)))
			for b.Loop() {
				if _, _, err := s.Check(json.RawMessage(args)); (err != nil) != (name == "problem") {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(json.RawMessage(usual)); err != nil {
			b.Fatal(err)
		}
	}
}
