package toolcall

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
)

// objectsText writes objects one after the other, byte for byte.
func objectsText(objects []json.RawMessage) string {
	var b strings.Builder
	for _, o := range objects {
		b.Write(o)
	}
	return b.String()
}

// contract: A8
func TestArguments(t *testing.T) {
	for _, c := range []struct {
		name, raw, want string
		rung            Rung
	}{
		{"clean", `{ "a" : 1.0, "b":[1e5 ] }`, `{ "a" : 1.0, "b":[1e5 ] }`, RungClean},
		{"clean, white space around", " \n{\"a\":1}\n", `{"a":1}`, RungClean},
		{"clean, big number", `{"id":12345678901234567890.10}`, `{"id":12345678901234567890.10}`, RungClean},
		{"clean, escapes", `{"a":"\u00e9\/\ud83d"}`, `{"a":"\u00e9\/\ud83d"}`, RungClean},
		{"clean, one value twice", `{"a":1,"a":1}`, `{"a":1,"a":1}`, RungClean},
		{"empty", ``, `{}`, RungClean},
		{"blank", " \n", `{}`, RungClean},
		{"null", `null`, `{}`, RungClean},
		{"empty object", `{}`, `{}`, RungClean},

		{"fence", "```json\n{\"a\": 1}\n```", `{"a": 1}`, RungFence},
		{"fence, not closed", "```\n{\"a\": 1}", `{"a": 1}`, RungFence},
		{"prose before", `Here you are: {"a": 1}`, `{"a": 1}`, RungFence},
		{"prose before a fence", "The call:\n```json\n{\"a\": 1}\n```", `{"a": 1}`, RungFence},
		{"prose behind", "{\"a\": 1}\nThat is all.", `{"a": 1}`, RungFence},
		{"closing markers", `{"a": 1}</tool_call><|im_end|>`, `{"a": 1}`, RungFence},
		{"brace too many", `{"a": 1}}`, `{"a": 1}`, RungFence},
		{"bracket too many", `{"a": 1}]`, `{"a": 1}`, RungFence},

		{"encoded", `"{\"a\": 1}"`, `{"a": 1}`, RungDoubleEncoded},
		{"encoded twice", `"\"{\\\"a\\\": 1}\""`, `{"a": 1}`, RungDoubleEncoded},
		{"encoded, quotes lost", `{\"a\": \"b\\n\"}`, `{"a": "b\n"}`, RungDoubleEncoded},
		{"encoded, in single quotes", `'{"a": "b"}'`, `{"a": "b"}`, RungDoubleEncoded},

		{"two", `{"a":1}{"a":2}`, `{"a":1}{"a":2}`, RungConcatenated},
		{"two, lines", "{\"a\":1}\n{\"a\":2}", `{"a":1}{"a":2}`, RungConcatenated},
		{"two, semicolon", `{"a":1}; {"a":2}`, `{"a":1}{"a":2}`, RungConcatenated},
		{"one, twice", `{ "a": 1 }{"a":1}`, `{ "a": 1 }`, RungConcatenated},
		{"one, twice in another order", `{"a":1,"b":2}{"b":2,"a":1}`, `{"a":1,"b":2}`, RungConcatenated},
		{"an empty one first", `{}{"a":1}`, `{"a":1}`, RungConcatenated},
		{"an empty one last", `{"a":1}{}`, `{"a":1}`, RungConcatenated},
		{"two empty ones", `{}{}`, `{}`, RungConcatenated},
		{"braces in strings", `{"a":"}{"}{"a":"{"}`, `{"a":"}{"}{"a":"{"}`, RungConcatenated},

		{"single quotes", `{'a': 'b "c"'}`, `{"a":"b \"c\""}`, RungLenient},
		{"bare keys", `{a: 1, b_2: "x", c-d: null}`, `{"a":1,"b_2":"x","c-d":null}`, RungLenient},
		{"trailing commas", `{"a": [1, 2,], }`, `{"a":[1,2]}`, RungLenient},
		{"comments", "{// one\n\"a\": 1, # two\n/* three */ \"b\": 2}", `{"a":1,"b":2}`, RungLenient},
		{"python literals", `{'a': True, 'b': False, 'c': None}`, `{"a":true,"b":false,"c":null}`, RungLenient},
		{"line breaks escaped outside of strings", `{"a": \n[1, 2]\n\t}`, `{"a":[1,2]}`, RungLenient},
		{"raw line breaks", "{\"a\": \"x\ny\tz\"}", `{"a":"x\ny\tz"}`, RungLenient},
		{"control bytes", "{\"a\": \"x\x01y\"}", `{"a":"x\u0001y"}`, RungLenient},
		{"big number", `{a: 12345678901234567890.10}`, `{"a":12345678901234567890.10}`, RungLenient},
		{"smart quotes", `{“a”: ‘b’}`, `{"a":"b"}`, RungLenient},
		{"backticks", "{\"a\": `b\nc`}", `{"a":"b\nc"}`, RungLenient},
		{"long string", `{"a": """b "c" d"""}`, `{"a":"b \"c\" d"}`, RungLenient},
		{"equals", `{a="b", "c"=1}`, `{"a":"b","c":1}`, RungLenient},
		{"comma missing behind a number", `{"a": 1 "b": [2] "c": 3}`, `{"a":1,"b":[2],"c":3}`, RungLenient},
		{"backslash for itself", `{"re": "\d+\.\w"}`, `{"re":"\\d+\\.\\w"}`, RungLenient},
		{"escaped apostrophe", `{"a": "it\'s"}`, `{"a":"it's"}`, RungLenient},
		{"inner quotes", `{"a": "he said "hello" to me"}`, `{"a":"he said \"hello\" to me"}`, RungLenient},
		{"inner quote of an inch", `{"a": "a 65" screen"}`, `{"a":"a 65\" screen"}`, RungLenient},
		{"apostrophe", `{'a': 'what's up'}`, `{"a":"what's up"}`, RungLenient},
		{"one value twice", `{a: 1, "a": 1}`, `{"a":1}`, RungLenient},
		{"doubled braces", `{{"a": 1}}`, `{"a":1}`, RungLenient},
		{"list of one", `[{"a": 1}]`, `{"a": 1}`, RungLenient},
		{"damaged and encoded", `"{'a': 1}"`, `{"a":1}`, RungLenient},
		{"odd spaces", "{\u00a0\"a\":\u00a01}", `{"a":1}`, RungLenient},

		{"last brace missing", `{ name: 'John' `, `{"name":"John"}`, RungUnclosed},
		{"last brace missing, list", `{"command": ["bash", "-lc", "ls"]`, `{"command":["bash","-lc","ls"]}`, RungUnclosed},
		{"last brace missing, object", `{"a": {"b": 1}`, `{"a":{"b":1}}`, RungUnclosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			objects, rung, err := Arguments(c.raw)
			if err != nil {
				t.Fatal(err)
			}
			if got := objectsText(objects); got != c.want || rung != c.rung {
				t.Errorf("read %s, %s; want %s, %s", got, rung, c.want, c.rung)
			}
		})
	}
}

// contract: A8
func TestArgumentsRefused(t *testing.T) {
	deep := strings.Repeat(`{"a":`, MaxDepth+1) + "1" + strings.Repeat("}", MaxDepth+1)
	for _, c := range []struct{ name, raw, want string }{
		{"string cut", `{"path": "/etc/pas`, "!cut"},
		{"string cut at an escape", `{"path": "a\`, "!cut"},
		{"number cut", `{"n": 12`, "!cut"},
		{"literal cut", `{"n": true`, "!cut"},
		{"word cut", `{"n": tru`, "!cut"},
		{"key cut", `{"path": "a", "te`, "!cut"},
		{"key without value", `{"path"`, "!cut"},
		{"colon without value", `{"path":`, "!cut"},
		{"after a comma", `{"path": "a",`, "!cut"},
		{"in a list", `{"paths": ["a"`, "!cut"},
		{"in an inner object", `{"a": {"b": "c"`, "!cut"},
		{"only a brace", `{`, "!cut"},
		{"second object cut", `{"a": 1}{"a": 2`, "!cut"},
		{"second object not closed", `{"a": "x"}{"a": "y"`, "!cut"},
		{"encoded and cut", `"{\"a\": 1`, "!cut"},
		{"comment not closed", `{"a": 1 /* `, "!damaged"},

		{"two values", `{"a": 1, "a": 2}`, "!ambiguous"},
		{"two values, deep", `{"x": [{"a": 1, "a": 2}]}`, "!ambiguous"},
		{"two values, damaged", `{a: 1, 'a': 2}`, "!ambiguous"},
		{"bare word", `{"direction": both}`, "!ambiguous"},
		{"variable", `{"path": path}`, "!ambiguous"},
		{"inner quotes, more follows", `{"a": "say "hi" now", "b": "x"}`, "!ambiguous"},
		{"inner quotes and a comma", `{"a": "the "dictator", waiting"}`, "!ambiguous"},
		{"quote missing", "{\"a\": \"x,\n\"b\": \"y\"}", "!ambiguous"},
		{"backslashes of both kinds", `{"path": "C:\new\data"}`, "!ambiguous"},
		{"octal", `{"a": "\012"}`, "!ambiguous"},
		{"template", "{\"a\": `x ${y}`}", "!ambiguous"},

		{"placeholder", `{"path": ...}`, "!damaged"},
		{"placeholder in angle brackets", `{"path": <path>}`, "!damaged"},
		{"placeholder among members", `{"path": "a", ...}`, "!damaged"},
		{"hexadecimal", `{"n": 0x1F}`, "!damaged"},
		{"leading zero", `{"n": 007}`, "!damaged"},
		{"plus", `{"n": +5}`, "!damaged"},
		{"not a number", `{"n": NaN}`, "!damaged"},
		{"two commas", `{"a": 1,, "b": 2}`, "!damaged"},
		{"wrong bracket", `{"a": [1}`, "!damaged"},
		{"JSON behind it", `{"a": "{"k": "v"}"}`, "!ambiguous"},
		{"more of the object behind it", `{"a": 1}, "b": 2}`, "!damaged"},
		{"words on the line", `{"path": "a"} or not`, "!damaged"},
		{"a set", `{"a", "b"}`, "!damaged"},
		{"not UTF-8", "{\"a\": \"\xff\"}", "!damaged"},

		{"text", `ls -R`, "!object"},
		{"encoded text", `"ls -R"`, "!object"},
		{"number", `5`, "!object"},
		{"list", `[1, 2]`, "!object"},
		{"list of two", `[{"a": 1}, {"a": 2}]`, "!object"},
		{"empty list", `[]`, "!object"},
		{"true", `true`, "!object"},
		{"encoded four times", encode(encode(encode(encode(`{"a":1}`)))), "!object"},
		{"undefined", `undefined`, "!object"},

		{"too deep", deep, "!large"},
		{"too large", `{"a": "` + strings.Repeat("x", MaxSize) + `"}`, "!large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			objects, _, err := Arguments(c.raw)
			if err == nil {
				t.Fatalf("read %s", objectsText(objects))
			}
			if got := kindOf(err); got != c.want {
				t.Errorf("%s (%v), want %s", got, err, c.want)
			}
			if objects != nil {
				t.Error("objects beside an error")
			}
		})
	}
}

func encode(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// TestArgumentsPrefixes: what is cut off is not read, or as what the whole says;
// but for a last brace, which may have been forgotten. That is RungUnclosed, and
// its last value is whole. contract: A8
func TestArgumentsPrefixes(t *testing.T) {
	for _, raw := range []string{
		`{"path": "/etc/passwd", "lines": [1, 23], "deep": {"a": true, "b": "x"}, "n": 12.5}`,
		"{'path': '/etc/passwd', lines: [1, 23,], deep: {a: True}, n: None}",
		`"{\"path\": \"/etc/passwd\", \"n\": 12}"`,
		"```json\n{\"path\": \"/etc/passwd\", \"n\": 12}\n```",
		`{"a": "he said "hello" to me"}`,
		`{"a": 1}{"a": 2}`,
		`{"text": "\d+ \" }"}`,
	} {
		whole, _, err := Arguments(raw)
		if err != nil {
			t.Fatal(err)
		}
		for n := range raw {
			part := strings.TrimSpace(raw[:n])
			objects, rung, err := Arguments(raw[:n])
			if err != nil || part == "" {
				continue
			}
			if rung == RungUnclosed && strings.ContainsAny(part[len(part)-1:], `"'}]`) {
				continue
			}
			if len(objects) > len(whole) || canonicalAll(objects) != canonicalAll(whole[:len(objects)]) {
				t.Errorf("the first %d bytes %q give %s", n, raw[:n], objectsText(objects))
			}
		}
	}
}

func canonicalAll(objects []json.RawMessage) string {
	var b strings.Builder
	for _, o := range objects {
		b.WriteString(canonical(o))
	}
	return b.String()
}

// contract: A8
func TestValue(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`['a', "b",]`, `["a","b"]`},
		{`{'a': True, b: None}`, `{"a":true,"b":null}`},
		{` [1, 2] `, `[1, 2]`},
		{`[{'a': 1} {'a': 2}]`, `[{"a":1},{"a":2}]`},
		{`'a'`, `"a"`},
		{`['a'`, ``}, {`['a', 'b`, ``}, {`{'a': [{'b': 1}}`, ``}, {`['a'] and more`, ``}, {`['a'], ['b']`, ``}, {`[a, b]`, ``}, {`['a' + 'b']`, ``}, {`[1, 2`, ``}, {`12`, ``},
		{``, ``}, {"['\xff']", ``},
	} {
		v, ok := Value(c.text)
		if string(v) != c.want || ok != (c.want != "") {
			t.Errorf("%s: %s, %v", c.text, v, ok)
		}
	}
}

// An error says to the model what is wrong, and where.
func TestErrorText(t *testing.T) {
	for raw, want := range map[string]string{
		`{"path": "/etc/pas`:        "cut off: the string that begins at byte 9 is not closed (at byte 18)",
		`{"a": 1, "a": 2}`:          `ambiguous: the key "a" has two values (at byte 9)`,
		`{"direction": both}`:       "ambiguous: a bare word is neither text nor a value: both (at byte 14)",
		`{"n": 0x1F}`:               "not readable: not a number: 0x1F (at byte 6)",
		`ls -R`:                     "not a JSON object (at byte 0)",
		"\n {\"path\": \"a\", ...}": "not readable: expected a key (at byte 16)",
	} {
		if _, _, err := Arguments(raw); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", raw, err, want)
		}
	}
	_, _, err := Native("rm", "{}", known)
	if err == nil || err.Error() != `no tool is named "rm"` {
		t.Errorf("unknown tool: %v", err)
	}
	text := "<think>x</think>\n<tool_call>{\"name\": \"read\", \"arguments\": {\"path\": ...}}"
	_, _, _, err = Text(text, known)
	if err == nil || !strings.HasSuffix(err.Error(), "(at byte "+strconv.Itoa(strings.Index(text, "..."))+")") {
		t.Errorf("the place does not count from the beginning: %v", err)
	}
}
