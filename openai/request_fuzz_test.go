package openai

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParseRequest holds ParseRequest against a second reading of the same rules
// by encoding/json, and Rewrite against its own.
//
// contract: R1
// security: X9
func FuzzParseRequest(f *testing.F) {
	for _, seed := range []string{
		`{"model":"m","messages":` + hello + `}`,
		`{"model":"m","prompt":"x","stream":true,"stream_options":{"include_usage":false,"x":[]}}`,
		`{"mod\u0065l":"m","Messages":[],"input":"ſ"}`,
		`{"model":"m","model":"m"}`,
		`{"x":1,"model":"\ud800","n":1.0,"temperature":-0,"max_tokens":1e2,"tools":[{}],"messages":[{"role":"tool"}],"y":` + strings.Repeat("[", 66),
		` {"x" : 1 , "y":2, "model":"m","stream":true,"messages":[{"\u0072ole":"user"}]} {}`,
		`{"ſtream":1,"toKen":2,"":3}`, `[]`, ``, "{\"model\":\"\xff\"}",
	} {
		for ep := range endpoints {
			f.Add(uint8(ep), []byte(seed))
		}
	}
	edits := []Edit{
		{}, {Model: "b"}, {AskUsage: true}, {Drop: []string{"x", "model"}, AskUsage: true}, {Drop: []string{"y", "stream_options"}, Model: `"`},
		{Rename: []Rename{{"x", "y"}, {"model", "x"}}, AskUsage: true}, {Rename: []Rename{{"y", "z"}}, Drop: []string{"messages", "stream"}},
	}
	f.Fuzz(func(t *testing.T, at uint8, body []byte) {
		ep := Endpoint(at) % endpoints
		r, e := ParseRequest(ep, body)
		if want := acceptable(ep, body); (e == nil) != want {
			t.Fatalf("%v: error %v, but acceptable: %v", ep, e, want)
		}
		if e != nil {
			if e.Message == "" || !json.Valid(e.AppendJSON(nil)) {
				t.Fatalf("error object: %s", e.AppendJSON(nil))
			}
			return
		}
		for _, edit := range edits {
			got := r.Rewrite(edit)
			if ep == Responses {
				edit.AskUsage = false // as Rewrite has it
			}
			if err := compare(body, got, edit); err != nil {
				t.Fatalf("%+v: %v\nout %s", edit, err, got)
			}
		}
	})
}

// acceptable says what ParseRequest must say, the long way.
func acceptable(ep Endpoint, body []byte) bool {
	members, _, ok := split(body)
	if !ok || !utf8.Valid(body) || nesting(body) > 64 || len(members) > 256 {
		return false
	}
	seen := map[string]json.RawMessage{}
	for _, m := range members {
		known := slices.IndexFunc(fieldNames[:], func(name string) bool { return strings.EqualFold(name, m.key) })
		if known < 0 {
			continue
		}
		if _, twice := seen[m.key]; twice || fieldNames[known] != m.key || !goodValue(ep, m.key, m.value) {
			return false
		}
		seen[m.key] = m.value
	}
	return seen["model"] != nil && (ep != Chat || seen["messages"] != nil) && (ep != Embeddings || string(seen["stream"]) != "true")
}

func goodValue(ep Endpoint, name string, raw json.RawMessage) bool {
	v := decode(raw)
	isNull := v == nil
	switch name {
	case "model":
		s, ok := v.(string)
		return ok && s != "" && len(s) <= 256 && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f })
	case "stream":
		_, ok := v.(bool)
		return ok || isNull
	case "stream_options":
		members, _, ok := split(raw)
		for _, m := range members {
			if m.key == "include_usage" && !slices.Contains([]string{"true", "false", "null"}, string(m.value)) {
				return false
			}
		}
		return ok || isNull
	case "tools":
		list, ok := v.([]any)
		return isNull || ok && len(list) <= 1024 && !slices.ContainsFunc(list, notObject)
	case "messages":
		return ep != Chat || goodMessages(raw)
	}
	i := slices.Index(fieldNames[:], name)
	if ranges[i].hi == 0 || isNull {
		return true
	}
	number, ok := v.(json.Number)
	x, err := number.Float64()
	return ok && err == nil && x >= ranges[i].lo && x <= ranges[i].hi && (!ranges[i].integer || x == math.Trunc(x))
}

func notObject(v any) bool { _, ok := v.(map[string]any); return !ok }

func goodMessages(raw json.RawMessage) bool {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) == 0 || len(list) > 16384 {
		return false
	}
	for _, message := range list {
		members, _, ok := split(message)
		roles := 0
		for _, m := range members {
			if m.key != "role" {
				continue
			}
			roles++
			// Of a role's escaped spellings none is taken.
			ok = ok && slices.Contains([]string{`"system"`, `"developer"`, `"user"`, `"assistant"`, `"tool"`, `"function"`}, string(m.value))
		}
		if !ok || roles != 1 {
			return false
		}
	}
	return true
}

// nesting is how deep a valid document goes.
func nesting(doc []byte) (deepest int) {
	depth, inString := 0, false
	for i := 0; i < len(doc); i++ {
		switch c := doc[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}
