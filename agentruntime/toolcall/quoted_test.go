package toolcall

import "testing"

// TestExpressions: what some language calculates a value from is never taken for
// the text that it is written in, whatever stands around its operators. contract: A8
func TestExpressions(t *testing.T) {
	operators := []string{
		"+", "-", "*", "/", "%", "|", "||", "&", "&&", "^", "~", "<>", "==", "!=", "<", ">", "??", "?:", ".", "..", "++", "->", "=>", "::", ";", "\\", "$",
		"or", "and", "xor", "in", "is", "not in", "if x else", "if 'x' else", "for x in", "to", "as", "instanceof", "+ x +", "% x %", "or x or", ". $x .", "f", "r", "rb", "u", "L", "@",
		" ", "\n",
	}
	for _, q := range [][2]string{{`"`, `"`}, {"'", "'"}, {"`", "`"}, {"“", "”"}, {"‘", "’"}} {
		for _, op := range operators {
			for _, space := range [][2]string{{"", ""}, {" ", ""}, {"", " "}, {" ", " "}, {"\n", "\n"}} {
				for _, parts := range [][2]string{{"a", "b"}, {"a ", " b"}, {"", "b"}, {"a", ""}, {"a.txt", ".bak"}, {"%s.txt", "a"}, {"a/", "/b"}, {"1", "2"}} {
					left, right := q[0]+parts[0]+q[1], q[0]+parts[1]+q[1]
					expression := left + space[0] + op + space[1] + right
					if op == " " && space[0]+space[1] == "" && parts[0] == "" {
						continue // a long string
					}
					for _, raw := range []string{
						`{"path": ` + expression + `}`, `{"path": ` + expression + `, "n": 1}`, `{"n": 1, "path": [` + expression + `]}`,
						`{"path": ` + expression + space[0] + op + space[1] + right + `}`,
					} {
						if objects, _, err := Arguments(raw); err == nil {
							t.Errorf("%s is read as %s", raw, objectsText(objects))
						}
					}
					text := "[read(path=" + expression + ")]"
					if calls, _, _, err := Text(text, known); err == nil && len(calls) > 0 {
						t.Errorf("%s is read as %s", text, show(calls))
					}
				}
			}
		}
	}
	for _, expression := range []string{
		`"a".lower()`, `"a".join("b")`, `"a"[0]`, `"a" * 3`, `"a{}".format("b")`, `"%s" % x`, `"%s" % ("a", "b")`, `["a", "b"][0]`, `("a")`, `("a" + "b")`, `"a" + str(1)`,
		`"a" if x else "b"`, `x ? "a" : "b"`, `"a" ? "b" : "c"`, `f"{x}"`, `r"a"`, `not True`, `true or false`, `1 + 1`, `6 // 2`, "7 // 2\n", `2 ** 3`, `1_000`, `int("1")`, `-x`, `!x`,
		`"a" /* or */ "b"`, `"a" b"`, `"a"b"`, `"tmp" b"`, `"a", "b"`, `"a" or b`, `"a "x`, `x" a"`, `"a" <path>`, `"a" ...`,
	} {
		if objects, _, err := Arguments(`{"v": ` + expression + `}`); err == nil {
			t.Errorf("%s is read as %s", expression, objectsText(objects))
		}
	}
}

// TestInnerQuotes: quotes that nobody has escaped, where a writer puts them.
// contract: A8
func TestInnerQuotes(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{`{"a": "he said "hello" to me"}`, `{"a":"he said \"hello\" to me"}`},
		{`{"a": "he said "hello there!" to me"}`, `{"a":"he said \"hello there!\" to me"}`},
		{`{"a": "the "big" and "small" trees"}`, `{"a":"the \"big\" and \"small\" trees"}`},
		{`{"a": "der "große" Baum"}`, `{"a":"der \"große\" Baum"}`},
		{"{\"a\": \"one\n\"two\"\nthree\"}", `{"a":"one\n\"two\"\nthree"}`},
		{`{"b": 1, "a": "git commit -m "fix it" -a"}`, `{"b":1,"a":"git commit -m \"fix it\" -a"}`},
		{`{"a": "<a href="page">x</a>"}`, `{"a":"<a href=\"page\">x</a>"}`},
		{`{"a": "a 27" screen"}`, `{"a":"a 27\" screen"}`},
		{`{'a': 'what's up'}`, `{"a":"what's up"}`},
		{`{'a': 'what's new in Ann's town'}`, `{"a":"what's new in Ann's town"}`},
		{`{'a': 'echo 'hello' now'}`, `{"a":"echo 'hello' now"}`},
		{`{‘a’: ‘what’s up’}`, `{"a":"what’s up"}`},

		{`{"a": "git commit -m "fix it" -a", "b": "x"}`, "!ambiguous"},
		{`{"a": "the "A" team"}`, "!ambiguous"},
		{`{"a": "say "in a minute" now"}`, "!ambiguous"},
		{`{"a": "say "hi", then go"}`, "!ambiguous"},
		{`{"a": "one " two " three"}`, "!ambiguous"},
		{`{"a": "x"yes"z"}`, "!ambiguous"},
		{`{"a": "echo "$HOME" x"}`, "!ambiguous"},
		{`{"a": "one "two three"}`, "!ambiguous"},
		{`{"a": "65" screen"}`, "!ambiguous"},
		{`{"a": "log1" b"}`, "!ambiguous"},
		{`{'a': 'the dogs' tails'}`, "!ambiguous"},
		{`{'a': 'rock'n'roll'}`, "!ambiguous"},

		// The comma is missing, not a backslash.
		{`{"a": "x" "b": 1}`, `{"a":"x","b":1}`},
		{`{"a": "x" "b": "y"}`, `{"a":"x","b":"y"}`},
		{"{\"a\": \"x\"\n\"b\": {\"c\": \"y\"\n\"d\": 1}}", `{"a":"x","b":{"c":"y","d":1}}`},
		{`{'a': 'x' "b": 1}`, `{"a":"x","b":1}`},
		{`{"a": "x""b": 1}`, "!ambiguous"},
		{`{"a": "x" "b"}`, "!ambiguous"},
		{`{"a": "x" "b c": 1}`, "!ambiguous"},
		{`{"a": "x" "b`, "!ambiguous"},
		{`{"a": ["x" "b": 1]}`, "!ambiguous"},

		// Single signs that are missing.
		{`{"a": [{"b": 1} {"b": 2}]}`, `{"a":[{"b":1},{"b":2}]}`},
		{`{"a": [{"b": 1}, {"b": 2}}`, `{"a":[{"b":1},{"b":2}]}`},
		{`{"a": {"c": [{"b": 1}}, "d": 2}`, `{"a":{"c":[{"b":1}]},"d":2}`},
		{`[{"a": 1}}`, "!damaged"},
		{`{"a": [1 2]}`, "!damaged"},
		{`{"a": [[1] [2]]}`, "!damaged"},
		{`{"a": ["x"}`, "!ambiguous"},
		{`{"a": "x", b": 1}`, `{"a":"x","b":1}`},
		{`{"a": "x", b': 1}`, `{"a":"x","b":1}`},
		{`{a": 1}`, `{"a":1}`},
		{`{"a": "x, "b": 1}`, "!ambiguous"},
		{`{"a": "x", b" 1}`, "!damaged"},
		{`{"a": 1},`, `{"a": 1}`},
		{"{\"a\": 1};\n", `{"a": 1}`},
		{`{"a": 1}},`, `{"a": 1}`},
		{`{"a": 1}, {"a": 2},`, `{"a": 1}{"a": 2}`},
		{`{"a": 1}, "b"`, "!damaged"},
		{`{"a": 1}, b`, "!damaged"},
		{"{\"a\": 6 // of them\n}", `{"a":6}`},
	} {
		objects, _, err := Arguments(c.raw)
		got := objectsText(objects)
		if err != nil {
			got = kindOf(err)
		}
		if got != c.want {
			t.Errorf("%s: %s (%v), want %s", c.raw, got, err, c.want)
		}
	}
}

// TestMissingBracketIsTold: a list without its end in an answer that was cut off
// is for the caller to refuse.
func TestMissingBracketIsTold(t *testing.T) {
	if _, rung, err := Arguments(`{"a": [{"b": 1}}`); err != nil || rung != RungUnclosed {
		t.Errorf("%s, %v", rung, err)
	}
}
