package mock

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// fits reports why doc is no instance of schema.
func fits(t *testing.T, schema, doc string) error {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(schema))
	if err != nil {
		t.Fatalf("%v in %s", err, schema)
	}
	if err = c.AddResource("tool.json", parsed); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("tool.json")
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(doc))
	if err != nil {
		return err
	}
	return compiled.Validate(value)
}

// contract: A6 (arguments a tool accepts)
func TestExampleOfAProperty(t *testing.T) {
	for schema, want := range map[string]string{
		`{"type":"string"}`:               `"mock"`,
		`{}`:                              `"mock"`,
		`true`:                            `"mock"`,
		`{"type":["null","string"]}`:      `"mock"`,
		`{"type":"null"}`:                 `null`,
		`{"type":"boolean"}`:              `true`,
		`{"enum":["a","b"]}`:              `"a"`,
		`{"enum":[3,4]}`:                  `3`,
		`{"const":"c","type":"string"}`:   `"c"`,
		`{"const":null}`:                  `null`,
		`{"type":"string","default":"d"}`: `"d"`,
		`{"type":"string","default":null,"example":"e"}`:              `"e"`,
		`{"type":"string","examples":["x","y"]}`:                      `"x"`,
		`{"type":"integer","default":12345678901234567890}`:           `12345678901234567890`,
		`{"type":"string","minLength":6}`:                             `"mockmo"`,
		`{"type":"string","maxLength":2}`:                             `"mo"`,
		`{"type":"string","format":"date-time"}`:                      `"2025-01-01T00:00:00Z"`,
		`{"type":"string","format":"uuid"}`:                           `"00000000-0000-4000-8000-000000000000"`,
		`{"type":"string","format":"email"}`:                          `"mock@example.com"`,
		`{"type":"integer"}`:                                          `1`,
		`{"type":"integer","minimum":5}`:                              `5`,
		`{"type":"integer","minimum":4.5}`:                            `5`,
		`{"type":"integer","maximum":-3}`:                             `-3`,
		`{"type":"integer","exclusiveMinimum":5}`:                     `6`,
		`{"type":"integer","exclusiveMaximum":0}`:                     `-1`,
		`{"type":"integer","minimum":7,"multipleOf":5}`:               `10`,
		`{"type":"integer","maximum":8,"minimum":5,"multipleOf":5}`:   `5`,
		`{"type":"number"}`:                                           `1`,
		`{"type":"number","maximum":0.5}`:                             `0.5`,
		`{"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1}`: `0.5`,
		`{"type":"number","exclusiveMinimum":0,"maximum":0.5}`:        `0.25`,
		`{"minimum":3}`:    `3`,
		`{"type":"array"}`: `["mock"]`,
		`{"type":"array","items":{"type":"integer"}}`:                          `[1]`,
		`{"type":"array","items":{"type":"integer"},"minItems":3}`:             `[1,1,1]`,
		`{"type":"array","maxItems":0}`:                                        `[]`,
		`{"prefixItems":[{"type":"integer"},{"type":"boolean"}],"minItems":2}`: `[1,true]`,
		`{"type":"object"}`: `{}`,
		`{"type":"object","required":["b","a"],"properties":{"a":{},"b":{"type":"boolean"},"c":{}}}`: `{"b":true,"a":"mock"}`,

		`{"anyOf":[{"type":"null"},{"type":"integer"}],"default":null}`:                                           `1`,
		`{"oneOf":[{"type":"object","required":["k"],"properties":{"k":{"const":"v"}}},{"type":"string"}]}`:       `{"k":"v"}`,
		`{"allOf":[{"required":["a"],"properties":{"a":{}}},{"required":["b"],"properties":{"b":{"enum":[2]}}}]}`: `{"a":"mock","b":2}`,
		`{"$ref":"#/$defs/City"}`:                             `{"name":"mock"}`,
		`{"$ref":"#/$defs/a~1b","description":"x"}`:           `7`,
		`{"allOf":[{"$ref":"#/$defs/City"}]}`:                 `{"name":"mock"}`,
		`{"type":"array","items":{"$ref":"#/$defs/City"}}`:    `[{"name":"mock"}]`,
		`{"anyOf":[{"$ref":"#/$defs/City"},{"type":"null"}]}`: `{"name":"mock"}`,
		`{"type":["object","null"],"required":["p"]}`:         `{"p":"mock"}`,
		`{"type":"array","items":[],"minItems":9}`:            "",
	} {
		t.Run(schema, func(t *testing.T) {
			root := fmt.Sprintf(`{"type":"object","required":["v"],"properties":{"v":%s},"$defs":{
				"City":{"type":"object","required":["name"],"properties":{"name":{"type":"string"}}},"a/b":{"const":7}}}`, schema)
			got := string(appendObject(nil, json.RawMessage(root)))
			if want == "" { // more items than we make
				if !json.Valid([]byte(got)) {
					t.Errorf("got %s", got)
				}
				return
			}
			if got != `{"v":`+want+`}` {
				t.Errorf("got %s, want %s", got, want)
			}
			if err := fits(t, root, got); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestExampleOfTheWhole(t *testing.T) {
	for schema, want := range map[string]string{
		``:                  `{}`,
		`null`:              `{}`,
		`true`:              `{}`,
		`{}`:                `{}`,
		`{"type":"string"}`: `{}`,
		`{"type":"object","properties":{"b":{"type":"integer"},"a":{"type":"boolean"}}}`:                   `{"a":true}`,
		`{"type":"object","required":["b"],"properties":{"b":{"type":"integer"},"a":{"type":"boolean"}}}`:  `{"b":1,"a":true}`,
		`{"$ref":"#/definitions/T","definitions":{"T":{"required":["x"],"properties":{"x":{"const":1}}}}}`: `{"x":1}`,
		`{"type":"object","required":["a","a"]}`:                                                           `{"a":"mock"}`,
		`{"$ref":"other.json"}`:                                                                            `{}`,
		`{"type":"object","examples":[{"city":"Oslo"}]}`:                                                   `{"city":"Oslo"}`,
	} {
		if got := string(appendObject([]byte("x"), json.RawMessage(schema))); got != "x"+want {
			t.Errorf("%s: got %s", schema, got)
		}
	}
}

// A schema that has no end gets an answer that has one, and a broken one gets
// JSON all the same.
func TestEndlessSchemas(t *testing.T) {
	wide := `"a","b","c","d","e","f","g","h"`
	children := strings.ReplaceAll(wide, ",", `:{"$ref":"#"},`) + `:{"$ref":"#"}`
	for name, schema := range map[string]string{
		"list":          `{"type":"object","required":["next"],"properties":{"next":{"anyOf":[{"$ref":"#"},{"type":"null"}]}}}`,
		"itself":        `{"$ref":"#"}`,
		"in a circle":   `{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}`,
		"all of itself": `{"allOf":[{"$ref":"#"},{"$ref":"#"},{"$ref":"#"}]}`,
		"any of itself": `{"anyOf":[{"$ref":"#"},{"$ref":"#"}],"type":"object"}`,
		"a wide tree":   `{"type":"object","required":[` + wide + `],"properties":{` + children + `}}`,
		"nonsense":      `{"type":7,"required":"x","properties":[],"allOf":{},"anyOf":[1,null],"enum":[],"$defs":3}`,
		"bad bounds":    `{"required":["n"],"properties":{"n":{"type":"number","minimum":9,"maximum":-9,"multipleOf":5e-324}}}`,
		"huge bounds":   `{"required":["n","s"],"properties":{"n":{"type":"integer","minimum":1e400,"multipleOf":1e-300},"s":{"minLength":1e18,"maxLength":-1}}}`,
	} {
		got := appendObject(nil, json.RawMessage(schema))
		if !json.Valid(got) || got[0] != '{' || len(got) > 64<<10 {
			t.Errorf("%s: %d bytes, %.200s", name, len(got), got)
		}
		if name == "list" {
			if err := fits(t, schema, string(got)); err != nil {
				t.Errorf("%s: %v", got, err)
			}
		}
	}
}

func FuzzExample(f *testing.F) {
	f.Add(`{"type":"object","required":["a"],"properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{"type":"number","multipleOf":0.1}}}`)
	f.Add(`{"allOf":[{"anyOf":[{"type":"null"}]}],"enum":[{"a":1}]}`)
	f.Fuzz(func(t *testing.T, schema string) {
		if got := appendObject(nil, json.RawMessage(schema)); !json.Valid(got) || got[0] != '{' {
			t.Errorf("%s", got)
		}
	})
}
