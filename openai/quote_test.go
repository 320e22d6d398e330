package openai

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever it is given, the result is a JSON string of valid UTF-8 on one line.
//
// contract: S10
// security: X10
func TestAppendString(t *testing.T) {
	for in, want := range map[string]string{
		"":                           `""`,
		"plain text":                 `"plain text"`,
		`a "b" \c/`:                  `"a \"b\" \\c/"`,
		"\n\r\t":                     `"\n\r\t"`,
		"\x00\x01\x1f\x7f":           `"\u0000\u0001\u001f` + "\x7f\"",
		"é 漢 😀 <&>":                  `"é 漢 😀 <&>"`,
		"\u2028\u2029":               "\"\u2028\u2029\"",
		"\uFFFD":                     "\"\uFFFD\"",
		"a\xffb":                     "\"a\uFFFDb\"",
		"\xe6\xbc":                   "\"\uFFFD\uFFFD\"",
		"\xed\xa0\x80":               "\"\uFFFD\uFFFD\uFFFD\"", // a surrogate
		"\xf4\x90\x80\x80x":          "\"\uFFFD\uFFFD\uFFFD\uFFFDx\"",
		"x\n\ndata: [DONE]\n\n":      `"x\n\ndata: [DONE]\n\n"`,
		"end\"}]}\r\rdata: {}\xf0\"": `"end\"}]}\r\rdata: {}` + "\uFFFD" + `\""`,
	} {
		if got := string(AppendString(nil, in)); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
		if got := string(AppendString([]byte("["), []byte(in))); got != "["+want {
			t.Errorf("%q as bytes: got %s", in, got)
		}
	}
	if got := string(appendNullable(nil, "")) + string(appendNullable(nil, "x")); got != `null"x"` {
		t.Error(got)
	}
}

// security: X10
func FuzzAppendString(f *testing.F) {
	f.Add("a\xff\"\\\n\u2028é")
	f.Add(strings.Repeat("\xf0\x9f\x98\x80", 3)[1:])
	f.Fuzz(func(t *testing.T, in string) {
		got := AppendString(nil, in)
		var back string
		if err := json.Unmarshal(got, &back); err != nil || !utf8.Valid(got) {
			t.Fatalf("%q: %q: %v", in, got, err)
		}
		if want := string([]rune(in)); back != want {
			t.Fatalf("%q: reads back as %q", in, back)
		}
		if bytes.ContainsAny(got, "\r\n") {
			t.Fatalf("%q: a line ends in %q", in, got)
		}
	})
}
