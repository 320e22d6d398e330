package openai

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func part(index int, id, name, args string) CallDelta {
	return CallDelta{Index: index, ID: id, Name: name, Arguments: []byte(args)}
}

func object(id, name, args string) CallDelta {
	c := part(0, id, name, args)
	c.Object = true
	return c
}

func assemble(t *testing.T, deltas ...CallDelta) []ToolCall {
	t.Helper()
	var a CallAssembler
	for _, d := range deltas {
		if err := a.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	return a.Calls()
}

// contract: A10
func TestCallAssembler(t *testing.T) {
	type calls = []ToolCall
	for _, c := range []struct {
		name   string
		deltas []CallDelta
		want   calls
	}{
		{"nothing", []CallDelta{part(0, "", "", ""), part(-1, "", "", "")}, nil},
		{
			"OpenAI: id once, then the index, two in turn",
			[]CallDelta{part(0, "a", "f", ""), part(0, "", "", `{"x"`), part(0, "", "", `:1}`), part(1, "b", "f", ""), part(1, "", "", `{}`)},
			calls{{"a", "f", `{"x":1}`}, {"b", "f", `{}`}},
		},
		{
			"OpenAI: interleaved",
			[]CallDelta{part(0, "a", "f", ""), part(1, "b", "g", ""), part(0, "", "", `{"x"`), part(1, "", "", `{"y"`), part(0, "", "", `:1}`), part(1, "", "", `:2}`)},
			calls{{"a", "f", `{"x":1}`}, {"b", "g", `{"y":2}`}},
		},
		{
			"order of appearance, not of the index",
			[]CallDelta{part(3, "a", "f", "{}"), part(1, "b", "g", "{}")},
			calls{{"a", "f", "{}"}, {"b", "g", "{}"}},
		},
		{
			"Groq, Ollama: whole calls, all of index 0",
			[]CallDelta{part(0, "a", "f", `{"x":1}`), part(0, "b", "f", `{"x":2}`), part(0, "c", "g", `{}`)},
			calls{{"a", "f", `{"x":1}`}, {"b", "f", `{"x":2}`}, {"c", "g", `{}`}},
		},
		{
			"a new id on a used index, before the arguments are whole",
			[]CallDelta{part(0, "a", "f", `{"x":`), part(0, "b", "f", `{"x":2}`)},
			calls{{"a", "f", `{"x":`}, {"b", "f", `{"x":2}`}},
		},
		{
			"an index goes to the call that had it last",
			[]CallDelta{part(0, "a", "f", ``), part(0, "b", "g", ``), part(0, "", "", `{}`)},
			calls{{"a", "f", ""}, {"b", "g", "{}"}},
		},
		{
			"an id that repeats, whatever the index",
			[]CallDelta{part(0, "a", "f", `{"x"`), part(1, "b", "g", `{"y"`), part(7, "a", "", `:1`), part(-1, "b", "", `:2`), part(0, "a", "f", `}`), part(-1, "b", "", `}`)},
			calls{{"a", "f", `{"x":1}`}, {"b", "g", `{"y":2}`}},
		},
		{
			"no index, several ids",
			[]CallDelta{part(-1, "a", "f", `{"x"`), part(-1, "", "", `:1}`), part(-1, "b", "g", ``), part(-1, "", "", `{}`)},
			calls{{"a", "f", `{"x":1}`}, {"b", "g", `{}`}},
		},
		{
			"an index that comes late",
			[]CallDelta{part(-1, "a", "f", ``), part(0, "", "", `{"x"`), part(0, "", "", `:1}`), part(1, "", "g", `{}`)},
			calls{{"a", "f", `{"x":1}`}, {"", "g", `{}`}},
		},
		{
			"Gemini: whole calls without id, both of index 0",
			[]CallDelta{part(0, "", "f", `{"x":1}`), part(0, "", "g", `{}`)},
			calls{{"", "f", `{"x":1}`}, {"", "g", `{}`}},
		},
		{
			"Gemini: without index too, the same function",
			[]CallDelta{part(-1, "", "f", `{"x":1}`), part(-1, "", "f", `{"x":2}`)},
			calls{{"", "f", `{"x":1}`}, {"", "f", `{"x":2}`}},
		},
		{
			"Gemini: objects",
			[]CallDelta{object("", "f", `{"x":1}`), object("", "f", `{"x":2}`)},
			calls{{"", "f", `{"x":1}`}, {"", "f", `{"x":2}`}},
		},
		{
			"Mistral: null as a text",
			[]CallDelta{part(0, "a", "f", `{"x"`), part(0, "null", "", `:1}`)},
			calls{{"a", "f", `{"x":1}`}},
		},
		{
			"the id comes after the name",
			[]CallDelta{part(0, "", "f", ``), part(0, "a", "", `{}`)},
			calls{{"a", "f", `{}`}},
		},
		{
			"an id after a whole call without one",
			[]CallDelta{part(0, "", "f", `{}`), part(0, "a", "g", `{}`)},
			calls{{"", "f", `{}`}, {"a", "g", `{}`}},
		},
		{
			"legacy function call",
			[]CallDelta{part(-1, "", "f", ``), part(-1, "", "", `{"x"`), part(-1, "", "", `:1}`)},
			calls{{"", "f", `{"x":1}`}},
		},
		{
			"a name in every delta",
			[]CallDelta{part(0, "a", "f", `{"x"`), part(0, "a", "f", `:1}`), part(0, "a", "f", ``)},
			calls{{"a", "f", `{"x":1}`}},
		},
		{
			"a name in every delta, no id",
			[]CallDelta{part(0, "", "f", `{"x"`), part(0, "", "f", `:1}`), part(0, "", "f", ``)},
			calls{{"", "f", `{"x":1}`}},
		},
		{
			"a name in pieces",
			[]CallDelta{part(0, "a", "get_", ``), part(0, "", "weather", ``), part(0, "", "", `{}`)},
			calls{{"a", "get_weather", `{}`}},
		},
		{
			"a name that grows",
			[]CallDelta{part(0, "a", "get_", ``), part(0, "a", "get_weather", ``), part(0, "a", "get_weather", `{}`)},
			calls{{"a", "get_weather", `{}`}},
		},
		{
			"cumulative",
			[]CallDelta{part(0, "a", "f", `{"`), part(0, "a", "f", `{"x":`), part(0, "a", "f", `{"x":1`), part(0, "a", "f", `{"x":1}`), part(0, "a", "f", `{"x":1}`)},
			calls{{"a", "f", `{"x":1}`}},
		},
		{
			"cumulative without id",
			[]CallDelta{part(0, "", "f", `{"x":`), part(0, "", "f", `{"x":1}`), part(0, "", "f", `{"x":1}`)},
			calls{{"", "f", `{"x":1}`}},
		},
		{
			"pieces, then all of it again",
			[]CallDelta{part(0, "a", "f", `{"x"`), part(0, "", "", `:1}`), part(0, "a", "f", `{"x":1}`)},
			calls{{"a", "f", `{"x":1}`}},
		},
		{
			"cumulative, cut off",
			[]CallDelta{part(0, "a", "f", `{"x":`), part(0, "", "", `{"x":"lo`)},
			calls{{"a", "f", `{"x":"lo`}},
		},
		{
			"a nested value that looks cumulative",
			[]CallDelta{part(0, "a", "f", `{"a":`), part(0, "", "", `{"a":1}`), part(0, "", "", `}`)},
			calls{{"a", "f", `{"a":{"a":1}}`}},
		},
		{
			"one byte twice is not cumulative",
			[]CallDelta{part(0, "a", "f", `[`), part(0, "", "", `[`), part(0, "", "", `]]`)},
			calls{{"a", "f", `[[]]`}},
		},
		{
			"one byte is not cumulative, cut off",
			[]CallDelta{part(0, "a", "f", `[`), part(0, "", "", `[1`)},
			calls{{"a", "f", `[[1`}},
		},
		{
			"digits are not cumulative",
			[]CallDelta{part(0, "a", "f", `11`), part(0, "", "", `11`)},
			calls{{"a", "f", `1111`}},
		},
		{
			"an object replaces",
			[]CallDelta{part(0, "a", "f", `{"x"`), object("a", "", `{"x": 1}`)},
			calls{{"a", "f", `{"x": 1}`}},
		},
		{
			"an empty object opens, the text follows",
			[]CallDelta{object("a", "f", `{}`), part(0, "", "", `{"x"`), part(0, "", "", `:1}`)},
			calls{{"a", "f", `{"x":1}`}},
		},
		{
			"an empty object at the end",
			[]CallDelta{part(0, "a", "f", `{"x":1}`), object("", "", `{ }`)},
			calls{{"a", "f", `{"x":1}`}},
		},
		{
			"deltas that bring nothing do not move on",
			[]CallDelta{part(0, "a", "f", `{"x"`), part(1, "b", "g", `{}`), part(0, "", "", ""), part(-1, "", "", " ")},
			calls{{"a", "f", `{"x"`}, {"b", "g", `{} `}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := assemble(t, c.deltas...); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// However a call is cut into deltas, it comes out as it was: with an id, an index
// or neither, alone or interleaved with another.
//
// contract: A10
func TestCallAssemblerTakesAnySplit(t *testing.T) {
	texts := []string{
		`{}`, `{"a":{"a":1}}`, `{"a":{"a":{"a":{"a":"{\"a\":"}}}}`, `{"q":"{\"q\":{\"q\":1}}","n":[[[[1]],[[1]]]]}`,
		`{"s":"}}}]]]{{{\\\"","t":"\\"}`, `{"city":"Köln","big":9007199254740993,"é":"😀"}`, ` {"x":1} `,
	}
	rng := rand.New(rand.NewPCG(1, 2))
	cut := func(text string, first CallDelta, later CallDelta) (deltas []CallDelta) {
		d := first
		for {
			n := len(text)
			if n > 0 && rng.IntN(8) > 0 {
				n = rng.IntN(min(n, 6) + 1)
			}
			d.Arguments = []byte(text[:n])
			deltas = append(deltas, d)
			if text = text[n:]; text == "" {
				return deltas
			}
			d = later
		}
	}
	for round := range 20_000 {
		text, other := texts[rng.IntN(len(texts))], texts[rng.IntN(len(texts))]
		var deltas []CallDelta
		want := []ToolCall{{"a", "f", text}, {"b", "g", other}}
		switch round % 4 {
		case 0: // ids only in the first delta, interleaved by index
			x, y := cut(text, part(0, "a", "f", ""), part(0, "", "", "")), cut(other, part(1, "b", "g", ""), part(1, "", "", ""))
			deltas, x, y = append(deltas, x[0], y[0]), x[1:], y[1:]
			for len(x)+len(y) > 0 {
				if len(y) == 0 || len(x) > 0 && rng.IntN(2) == 0 {
					deltas, x = append(deltas, x[0]), x[1:]
				} else {
					deltas, y = append(deltas, y[0]), y[1:]
				}
			}
		case 1: // one after the other on the same index
			deltas = slices.Concat(cut(text, part(0, "a", "f", ""), part(0, "", "", "")), cut(other, part(0, "b", "g", ""), part(0, "", "", "")))
		case 2: // ids throughout and no index
			deltas = slices.Concat(cut(text, part(-1, "a", "f", ""), part(-1, "a", "", "")), cut(other, part(-1, "b", "g", ""), part(-1, "b", "", "")))
		case 3: // neither
			deltas = slices.Concat(cut(text, part(-1, "", "f", ""), part(-1, "", "", "")), cut(other, part(-1, "", "g", ""), part(-1, "", "", "")))
			want[0].ID, want[1].ID = "", ""
		}
		if got := assemble(t, deltas...); !reflect.DeepEqual(got, want) {
			t.Fatalf("round %d\ngot  %+v\nwant %+v\nfrom %+v", round, got, want, deltas)
		}
	}
}

// Every prefix of the arguments in turn, as cumulative servers send them.
//
// contract: A10
func TestCallAssemblerTakesAnyCumulativeSplit(t *testing.T) {
	for _, text := range []string{`{"a":{"a":1}}`, `{"a":{"a":{"a":{"a":"{\"a\":"}}}}`, `{"q":"x","n":[[1],[[1]]]}`} {
		for step := 1; step < 5; step++ {
			deltas := []CallDelta{part(0, "a", "f", "")}
			for n := 2; n < len(text); n += step {
				deltas = append(deltas, part(0, "a", "f", text[:n]))
			}
			deltas = append(deltas, part(0, "a", "f", text))
			if got, want := assemble(t, deltas...), []ToolCall{{"a", "f", text}}; !reflect.DeepEqual(got, want) {
				t.Errorf("step %d: got %+v, want %+v", step, got, want)
			}
		}
	}
}

// contract: A10
// security: X10
func TestCallAssemblerHasCaps(t *testing.T) {
	for name, next := range map[string]func(i int) CallDelta{
		"calls":            func(i int) CallDelta { return part(i, fmt.Sprint(i), "f", "") },
		"arguments":        func(int) CallDelta { return part(0, "a", "f", strings.Repeat(" ", 1<<16)) },
		"one big delta":    func(int) CallDelta { return part(0, "a", "f", strings.Repeat("x", maxCallArguments+1)) },
		"one big object":   func(int) CallDelta { return object("a", "f", strings.Repeat("x", maxCallArguments+1)) },
		"all of it":        func(i int) CallDelta { return part(i/14, fmt.Sprint(i/14), "f", strings.Repeat(" ", 1<<16)) },
		"a name in pieces": func(i int) CallDelta { return part(0, "", fmt.Sprint(i), "") },
		"a long id":        func(int) CallDelta { return part(0, strings.Repeat("i", maxCallName+1), "", "") },
	} {
		t.Run(name, func(t *testing.T) {
			var a CallAssembler
			var err error
			for i := 0; err == nil; i++ {
				if i > 1000 {
					t.Fatal("there is no end to it")
				}
				err = a.Add(next(i))
			}
			if !errors.Is(err, ErrTooManyCalls) || a.Add(part(0, "", "", "x")) == nil {
				t.Errorf("got %v", err)
			}
			total := 0
			for _, c := range a.Calls() {
				total += len(c.Arguments)
			}
			if n := len(a.Calls()); n > maxCalls || total > maxCallText {
				t.Errorf("%d calls of %d bytes", n, total)
			}
			a.Reset()
			if err := a.Add(part(0, "a", "f", "{}")); err != nil || !reflect.DeepEqual(a.Calls(), []ToolCall{{"a", "f", "{}"}}) {
				t.Errorf("after a reset: %v, %+v", err, a.Calls())
			}
		})
	}
}

// What all deltas have together may be far more than the caps when each repeats
// the ones before.
//
// contract: A10
func TestCallAssemblerCapsTheResultOfCumulativeDeltas(t *testing.T) {
	text := `{"x":"` + strings.Repeat("y", 100_000) + `"}`
	var a CallAssembler
	for n := 1000; n < len(text)+1000; n += 1000 {
		if err := a.Add(part(n, "a", "f", text[:min(n, len(text))])); err != nil {
			t.Fatal(err)
		}
	}
	if got := a.Calls(); len(got) != 1 || got[0].Arguments != text {
		t.Errorf("%d calls, %d bytes", len(got), len(got[0].Arguments))
	}
	if n := cap(a.calls[0].joined); n > 2*maxCallArguments {
		t.Errorf("%d bytes kept beside them", n)
	}
}

// contract: A10
// security: X10
func TestCallAssemblerCapsIndexes(t *testing.T) {
	var a CallAssembler
	for i := range 10 * maxCalls {
		if err := a.Add(part(i, "a", "f", " ")); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(a.places); n > maxCalls {
		t.Errorf("%d indexes kept", n)
	}
}

// A provider that names the call in every delta must not cost a look at all of
// its arguments each time.
func TestCallAssemblerIsLinear(t *testing.T) {
	var a CallAssembler
	err := a.Add(part(0, "", "f", `{"x":"`))
	for range maxCallArguments / 4 {
		err = a.Add(part(0, "", "f", "}}}}"))
	}
	for range 8 {
		err = a.Add(part(0, "", "f", "}}}}"))
	}
	if !errors.Is(err, ErrTooManyCalls) {
		t.Error(err)
	}
}
