package openai

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Whatever the body and the edit: decoded, the result is the input but for the
// edited fields, and every byte outside of them is the input's.
//
// contract: R1
func TestRewriteKeepsEverythingElse(t *testing.T) {
	for seed := range uint64(3000) {
		g := generator{rand.New(rand.NewPCG(seed, 1))}
		body, edit := g.body(), g.edit()
		r, e := ParseRequest(Chat, []byte(body))
		if e != nil {
			t.Fatalf("seed %d: %v\nin %s", seed, e, body)
		}
		got := r.Rewrite(edit)
		if err := compare([]byte(body), got, edit); err != nil {
			t.Fatalf("seed %d: %v\nedit %+v\nin  %s\nout %s", seed, err, edit, body, got)
		}
	}
}

// compare checks got against a rewrite of what encoding/json makes of body.
func compare(body, got []byte, edit Edit) error {
	in, inTail, _ := split(body)
	out, outTail, ok := split(got)
	if !ok {
		return fmt.Errorf("not a JSON object")
	}
	want, edited := model(in, edit)
	if len(out) != len(want) {
		return fmt.Errorf("%d members, want %d", len(out), len(want))
	}
	if outTail != inTail && (len(out) > 0 || strings.TrimSpace(outTail) != "}") {
		return fmt.Errorf("tail %q, want %q", outTail, inTail)
	}
	for i, m := range want {
		o := out[i]
		switch {
		case o.key != m.key || !reflect.DeepEqual(decode(o.value), decode(m.value)):
			return fmt.Errorf("member %d: got %s: %s, want %s: %s", i, o.key, o.value, m.key, m.value)
		case !edited[i] && o.text != m.text:
			return fmt.Errorf("member %d: bytes %q, want %q", i, o.text, m.text)
		case strings.Count(o.gap, ",") != min(i, 1):
			return fmt.Errorf("member %d: gap %q", i, o.gap)
		case m.gap != "" && i > 0 && o.gap != m.gap:
			return fmt.Errorf("member %d: gap %q, want %q", i, o.gap, m.gap)
		}
	}
	return nil
}

// model is Rewrite in terms of decoded members. A gap is "" where the member
// before has gone, since there is more than one way to close it.
func model(in []member, edit Edit) (want []member, edited []bool) {
	ask := edit.AskUsage && !slices.Contains(edit.Drop, "stream_options") &&
		slices.ContainsFunc(in, func(m member) bool { return m.key == "stream" && string(m.value) == "true" })
	names := make([]string, len(in)) // afterwards; "-" for dropped
	moved := make([]bool, len(in))
	for i, m := range in {
		names[i] = m.key
		if j := slices.IndexFunc(edit.Rename, func(n Rename) bool { return n.From == m.key }); j >= 0 {
			names[i], moved[i] = edit.Rename[j].To, true
		}
		if slices.Contains(edit.Drop, m.key) {
			names[i] = "-"
		}
	}
	loose := false
	for i, m := range in {
		loses := names[i] == "-"
		for j := range in {
			loses = loses || moved[i] && names[j] == names[i] && (!moved[j] || j > i)
		}
		if loses {
			loose = true
			continue
		}
		change := moved[i]
		switch {
		case m.key == "model" && edit.Model != "":
			m.value, change = AppendString(nil, edit.Model), true
		case m.key == "stream_options" && ask:
			options, _ := decode(m.value).(map[string]any)
			if options == nil {
				options = map[string]any{}
			}
			change = change || options["include_usage"] != true
			options["include_usage"] = true
			m.value, _ = json.Marshal(options)
			ask = false
		}
		m.key = names[i]
		if loose {
			m.gap, loose = "", false
		}
		want, edited = append(want, m), append(edited, change)
	}
	if ask {
		want, edited = append(want, member{key: "stream_options", value: []byte(`{"include_usage":true}`)}), append(edited, true)
	}
	return want, edited
}

// decode keeps numbers as they are written.
func decode(v []byte) (x any) {
	dec := json.NewDecoder(bytes.NewReader(v))
	dec.UseNumber()
	_ = dec.Decode(&x)
	return x
}

// generator makes random requests that are good.
type generator struct{ *rand.Rand }

func (g generator) pick(from ...string) string { return from[g.IntN(len(from))] }

func (g generator) space() string { return g.pick("", "", "", " ", "\n  ", "\t", "\r\n") }

func (g generator) value(depth int) string {
	kinds := 4
	if depth > 0 {
		kinds = 6
	}
	switch g.IntN(kinds) {
	case 0:
		return g.pick(`""`, `"a b"`, `"\u00e9\/\n"`, `"é \ud83d\ude00 😀"`, `"}],{\"model\":\"x\","`, `"\\"`)
	case 1:
		return g.pick("0", "-1", "1.10", "1E+2", "123456789012345678901234567890", "0.1e-7")
	case 2:
		return g.pick("true", "false")
	case 3:
		return "null"
	case 4:
		return g.list("[", "]", func() string { return g.value(depth - 1) })
	}
	return g.list("{", "}", func() string {
		return g.pick(`"model"`, `"x"`, `"\u0078"`, `"Stream"`) + g.space() + ":" + g.space() + g.value(depth-1)
	})
}

func (g generator) list(open, end string, element func() string) string {
	var parts []string
	for range g.IntN(4) {
		parts = append(parts, g.space()+element()+g.space())
	}
	return open + strings.Join(parts, ",") + end
}

func (g generator) body() string {
	fields := map[string]string{
		`"model"`:    g.pick(`"a"`, `"\u0061/b"`, `"é"`),
		`"messages"`: g.pick(hello, `[ {"role" : "system"} , {"x":[],"role":"user"} ]`),
	}
	if g.IntN(3) > 0 {
		fields[g.pick(`"stream"`, `"stre\u0061m"`)] = g.pick("true", "true", "false", "null")
	}
	if g.IntN(2) > 0 {
		fields[`"stream_options"`] = g.pick("null", "{}", "{ }", `{"include_usage":false}`, `{"x":1,"include_usage" : null }`, `{"include_usage":true}`, `{"y":{}}`)
	}
	for range g.IntN(6) {
		fields[g.pick(`"x"`, `"y"`, `"z"`, `"\u0079"`, `"a\nb"`, `"xyz"`, `""`)] = g.value(3)
	}
	var members []string
	for key, v := range fields {
		members = append(members, g.space()+key+g.space()+":"+g.space()+v+g.space())
	}
	slices.Sort(members) // a map's order is not the seed's
	g.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return g.space() + "{" + strings.Join(members, ",") + "}" + g.space()
}

func (g generator) edit() Edit {
	e := Edit{Model: g.pick("", "b", `"\`, "llama-3.1-8b-instant"), AskUsage: g.IntN(2) == 0}
	for range g.IntN(3) {
		e.Drop = append(e.Drop, g.pick("x", "y", "z", "a\nb", "stream_options", "absent", ""))
	}
	for _, from := range []string{"x", "y", "xyz", "model"} {
		if g.IntN(4) == 0 {
			e.Rename = append(e.Rename, Rename{from, g.pick("new", "other", "z", "y")})
		}
	}
	return e
}
