package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is far above what anything here takes, also on a busy machine with the
// race detector, and far below what it would take without bounds.
const patience = 20 * time.Second

func inTime(t *testing.T, what string, f func()) {
	t.Helper()
	start := time.Now()
	f()
	took := time.Since(start)
	t.Logf("%s took %v", what, took)
	if took > patience {
		t.Errorf("%s took %v", what, took)
	}
}

// each joins n texts.
func each(n int, joint string, text func(i int) string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = text(i)
	}
	return strings.Join(all, joint)
}

// Whatever a tool server sends as a schema, compiling it ends, and loads nothing.
//
// security: X9
func TestCompileRefuses(t *testing.T) {
	for name, schema := range map[string]string{
		"nothing":               ``,
		"no JSON":               `{"type":`,
		"no object":             `["object"]`,
		"null":                  `null`,
		"a type of its own":     `{"type":"any"}`,
		"a draft of its own":    `{"$schema":"https://example.com/draft"}`,
		"a reference to http":   with(`{"$ref":"http://127.0.0.1:1/schema.json"}`),
		"a reference to https":  with(`{"$ref":"https://example.com/schema.json#/a"}`),
		"a reference to file":   with(`{"$ref":"file:///etc/hostname"}`),
		"a relative reference":  with(`{"$ref":"other.json"}`),
		"an odd index, escaped": `{"allOf":[true,{"$ref":"#/allOf/%30%30"}]}`,
		"a relative to an id":   `{"$id":"file:///etc/","properties":{"x":{"$ref":"hostname"}}}`,
		"a meta schema of its":  `{"$schema":"file:///etc/hostname"}`,
		"a dangling reference":  with(`{"$ref":"#/$defs/none"}`),
		"a reference to itself": `{"$ref":"#"}`,
		"a ring of references":  with(`{"$ref":"#/$defs/a"}`)[:len(with(`{"$ref":"#/$defs/a"}`))-1] + `,"$defs":{"a":{"anyOf":[{"$ref":"#/$defs/b"}]},"b":{"not":{"$ref":"#/$defs/a"}}}}`,
		"all refer to all": `{"$ref":"#/$defs/0","$defs":{` + each(20, ",", func(i int) string {
			return fmt.Sprintf(`"%d":{"allOf":[%s]}`, i, each(20, ",", func(j int) string { return fmt.Sprintf(`{"$ref":"#/$defs/%d"}`, j) }))
		}) + `}}`,
		"a long chain":         `{"$ref":"#/$defs/0","$defs":{` + each(200, ",", func(i int) string { return fmt.Sprintf(`"%d":{"$ref":"#/$defs/%d"}`, i, i+1) }) + `,"200":{}}}`,
		"dynamic references":   `{"properties":{"x":{"$dynamicRef":"#x"}},"$defs":{"x":{"$dynamicAnchor":"x"}}}`,
		"recursive references": `{"$schema":"https://json-schema.org/draft/2019-09/schema","$recursiveAnchor":true,"properties":{"x":{"$recursiveRef":"#"}}}`,
		"the meta schema":      with(`{"$ref":"https://json-schema.org/draft/2020-12/schema"}`),
		"nested too deep":      strings.Repeat(`{"not":`, 200) + `{}` + strings.Repeat(`}`, 200),
		"nested far too deep":  strings.Repeat(`{"not":`, 30_000) + `{}` + strings.Repeat(`}`, 30_000),
		"too many bytes":       with(`{"description":"` + strings.Repeat("x", maxSchema) + `"}`),
		"too many objects":     `{"allOf":[` + each(5000, ",", func(int) string { return `{}` }) + `]}`,
		"too long paths":       `{"properties":{"` + strings.Repeat("k", 100_000) + `":{"allOf":[` + each(1000, ",", func(int) string { return `{}` }) + `]}}}`,
		"one place, many ways": `{"allOf":[` + each(200, ",", func(i int) string { return fmt.Sprintf(`{"$ref":"#/$defs/a/allOf/+%s1"}`, strings.Repeat("0", i)) }) +
			`],"$defs":{"a":{"allOf":[{},{"allOf":[` + each(500, ",", func(int) string { return `{"type":"object"}` }) + `]}]}}}`,
		"an endless number": with(`{"minimum":1e999999}`),
		"a key twice":       `{"type":"object","type":"object"}`,
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, "compiling", func() {
				if s, err := Compile(json.RawMessage(schema)); err == nil || s != nil {
					t.Errorf("it compiled: %v", err)
				} else if len(err.Error()) > 2000 {
					t.Errorf("an error of %d bytes", len(err.Error()))
				}
			})
		})
	}
}

// security: X9
func TestCompileLoadsNoFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "schema.json")
	if err := os.WriteFile(file, []byte(`{"type":"string"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	url := "file://" + filepath.ToSlash(file)
	for _, schema := range []string{with(`{"$ref":"` + url + `"}`), `{"$id":"` + url + `x","properties":{"x":{"$ref":"schema.json"}}}`, `{"$schema":"` + url + `"}`} {
		if _, err := Compile(json.RawMessage(schema)); err == nil || !strings.Contains(err.Error(), "nothing is loaded") {
			t.Errorf("%s: %v", schema, err)
		}
	}
}

// What compiles may still be made to keep a check busy.
//
// security: X9
func TestCheckIsBounded(t *testing.T) {
	nested := func(n int, leaf string) string {
		return strings.Repeat(`{"a":`, n) + leaf + strings.Repeat(`}`, n)
	}
	doubling := func(end string) string {
		return `{"$ref":"#/$defs/0","$defs":{` + each(30, ",", func(i int) string {
			return fmt.Sprintf(`"%d":{"allOf":[{"$ref":"#/$defs/%d"},{"$ref":"#/$defs/%d"}]}`, i, i+1, i+1)
		}) + `,"30":` + end + `}}`
	}
	long := `{"x":"` + strings.Repeat("a", MaxArguments-20) + `"}`
	zeros := `{"x":[` + strings.Repeat("0,", 49_000) + `0]}`
	for _, c := range []struct {
		name, schema, args string
		invalid            bool // an error is due
	}{
		{"references that double in place", doubling(`{"type":"object"}`), `{}`, true},
		{"references that double in place to nothing", doubling(`false`), `{}`, true},
		{"references that double with every level", `{"anyOf":[{"properties":{"a":{"$ref":"#"}},"required":["b"]},{"properties":{"a":{"$ref":"#"}},"required":["c"]}]}`, nested(60, `{}`), true},
		{"the same, to be coerced", `{"anyOf":[{"properties":{"a":{"$ref":"#"},"b":{"type":"integer"}}},{"properties":{"a":{"$ref":"#"},"b":{"type":"boolean"}}}]}`, nested(30, `{"b":"x"}`), true},
		{"a schema that contains itself", `{"properties":{"a":{"$ref":"#"}},"additionalProperties":false}`, nested(60, `{}`), false},
		{"alternatives of alternatives", with(`{"allOf":[` + each(60, ",", func(i int) string {
			return fmt.Sprintf(`{"anyOf":[{"type":"integer","minimum":%d},{"type":"boolean"},{"type":"array","minItems":%d}]}`, i, i)
		}) + `]}`), `{"x":"x"}`, true},
		{"arrays of arrays", `{"properties":{"x":{"$ref":"#/$defs/t"}},"$defs":{"t":{"anyOf":[{"type":"array","items":{"$ref":"#/$defs/t"}},{"type":"integer"}]}}}`, `{"x":"x"}`, true},
		{"many items under many schemas", with(`{"items":{"allOf":[` + each(3000, ",", func(int) string { return `{"minimum":0}` }) + `]}}`), zeros, true},
		{"many items", with(`{"items":{"type":"integer"}}`), zeros, false},
		{"many unique items", with(`{"uniqueItems":true}`), `{"x":[` + each(40_000, ",", func(i int) string { return fmt.Sprint(i) }) + `]}`, false},
		{"many items, enumerated", with(`{"items":{"enum":[` + each(3000, ",", func(i int) string { return fmt.Sprint(i + 1) }) + `]}}`), zeros, true},
		{"many items to be coerced", with(`{"items":{"type":"integer"}}`), `{"x":[` + each(40_000, ",", func(int) string { return `"1"` }) + `]}`, true},
		{"too many values", `{}`, `{"x":[` + strings.Repeat("0,", 100_000) + `0]}`, true},
		{"nested too deep", `{}`, nested(64, `{}`), true},
		{"nested far too deep", `{}`, nested(100_000, `{}`), true},
		{"too many bytes", `{}`, `{"x":"` + strings.Repeat("a", MaxArguments) + `"}`, true},
		{"a pattern that backtracks elsewhere", with(`{"pattern":"^(a+)+$"}`), `{"x":"` + strings.Repeat("a", 50_000) + `!"}`, true},
		{"a pattern with large repetitions", with(`{"pattern":"^` + strings.Repeat(`(x{1,900}){1,1}`, 200) + `$"}`), long, false},
		{"patterns of a size that is just allowed", with(`{"allOf":[` + each(15, ",", func(i int) string { return fmt.Sprintf(`{"pattern":"(a|b){900}%d$"}`, i) }) + `]}`), long, true},
		{"a pattern too long", with(`{"pattern":"` + strings.Repeat("a", 100_000) + `"}`), `{"x":"b"}`, false},
		{"a pattern Go does not know", with(`{"pattern":"^(?!b)"}`), `{"x":"b"}`, false},
		{"a pattern of properties Go does not know", `{"patternProperties":{"^(?!b)":{"type":"integer"}},"additionalProperties":false}`, `{"x":"b"}`, false},
		{"an unevaluated property that such a pattern may have meant", `{"patternProperties":{"^(?!b)":true},"unevaluatedProperties":false}`, `{"x":"b"}`, false},
		{"a reference with escapes", `{"properties":{"x":{"$ref":"#/$defs/a%20b~1c"}},"$defs":{"a b/c":{"type":"integer"}}}`, `{"x":"5"}`, false},
		{"a number beyond arithmetic", with(`{"minimum":1}`), `{"x":1e1000000}`, true},
		{"numbers with many digits", with(`{"items":{"multipleOf":0.001}}`), `{"x":[` + each(900, ",", func(int) string { return strings.Repeat("7", 1000) }) + `]}`, false},
		{"a text in a text in a text", with(`{"type":"object","properties":{"x":{"type":"object","properties":{"x":{"type":"integer"}}}}}`), `{"x":"{\"x\":\"{\\\"x\\\":\\\"a\\\"}\"}"}`, true},
		{"names by pattern", `{"propertyNames":{"pattern":"(a|b){500}$"}}`, `{` + each(10_000, ",", func(i int) string { return fmt.Sprintf(`"%s%d":0`, strings.Repeat("a", 50), i) }) + `}`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s *Schema
			inTime(t, "compiling", func() { s = compile(t, c.schema) })
			inTime(t, "checking", func() {
				out, _, err := s.Check(json.RawMessage(c.args))
				var p *Problem
				if (err != nil) != c.invalid || err != nil && !errors.As(err, &p) {
					t.Errorf("%.100s, %.500v", out, err)
				}
			})
		})
	}
}

// The slowest schemas to compile that are not refused.
//
// security: X9
func TestCompileIsBounded(t *testing.T) {
	for name, schema := range map[string]string{
		"ids":        `{"$defs":{` + each(2000, ",", func(i int) string { return fmt.Sprintf(`"d%d":{"$id":"schema://x/%d"}`, i, i) }) + `}}`,
		"objects":    `{"properties":{` + each(4000, ",", func(i int) string { return fmt.Sprintf(`"p%d":{"type":"string"}`, i) }) + `}}`,
		"references": `{"allOf":[` + each(1000, ",", func(i int) string { return fmt.Sprintf(`{"$ref":"#/x/%d"}`, i) }) + `],"x":[` + each(1000, ",", func(int) string { return `{"type":"object"}` }) + `]}`,
		"patterns":   `{"patternProperties":{` + each(1000, ",", func(i int) string { return fmt.Sprintf(`"(a|b|c){1,300}%d":{}`, i) }) + `}}`,
		"depth":      strings.Repeat(`{"items":{"properties":{"x":`, 40) + `{}` + strings.Repeat(`}}}`, 40),
		"draft 7":    `{"$schema":"http://json-schema.org/draft-07/schema#","properties":{` + each(1000, ",", func(i int) string { return fmt.Sprintf(`"p%d":{"$ref":"#/definitions/d%d"}`, i, i) }) + `},"definitions":{` + each(1000, ",", func(i int) string { return fmt.Sprintf(`"d%d":{"type":"object","pattern":"a{%d}"}`, i, i) }) + `}}`,
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, "compiling", func() {
				s := compile(t, schema)
				if _, _, err := s.Check(json.RawMessage(`{}`)); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
