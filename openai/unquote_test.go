package openai

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAppendUnquoted(t *testing.T) {
	for in, want := range map[string]string{
		``:                             "",
		`plain é 漢 😀`:                  "plain é 漢 😀",
		`\"\\\/\b\f\n\r\t`:             "\"\\/\b\f\n\r\t",
		`a\nb`:                         "a\nb",
		`\u0041\u00e9\u6F22`:           "Aé漢",
		`\ud83d\ude00!`:                "😀!",
		`\uD83D\uDE00\uD83D\uDE01`:     "😀😁",
		`\ud83d`:                       "\uFFFD",
		`\ud83dx`:                      "\uFFFDx",
		`\ude00\ud83d`:                 "\uFFFD\uFFFD",
		`\ud83d\u0041`:                 "\uFFFDA",
		`\ud83d\n`:                     "\uFFFD\n",
		`\ud83d\ud83d\ude00`:           "\uFFFD😀",
		`\ud83d\`:                      "\uFFFD\uFFFD",
		`\`:                            "\uFFFD",
		`\x41`:                         "\uFFFD41",
		`\u12`:                         "\uFFFD12",
		`\u12G4z`:                      "\uFFFD12G4z",
		`\é`:                           "\uFFFDé",
		"raw\xff" + `\n`:               "raw\xff\n",
		`{\"a\": \"\\u00e9\"}`:         `{"a": "\u00e9"}`,
		strings.Repeat(`\u20ac`, 1000): strings.Repeat("€", 1000),
	} {
		if got := string(AppendUnquoted([]byte("|"), []byte(in))); got != "|"+want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}

func TestAppendUnquotedUndoesAppendString(t *testing.T) {
	for _, text := range []string{"", "a\"b\\c\n\x00\x1f", "é 漢 😀", "data: [DONE]\r\n\r\n", "\u2028\uFFFD"} {
		q := AppendString(nil, text)
		if got := string(AppendUnquoted(nil, q[1:len(q)-1])); got != text {
			t.Errorf("%q: got %q", text, got)
		}
	}
}

// FuzzAppendUnquoted: what encoding/json accepts reads the same here, and
// whatever else comes in, valid UTF-8 stays valid.
func FuzzAppendUnquoted(f *testing.F) {
	f.Add(`a\ud83d\ude00\u00e9\n`)
	f.Add(`\ud83d\ud83d\x\u12`)
	f.Add(`\é\`)
	f.Add(`\ud83dSude00`) // half a pair, and what only looks like the other half
	f.Fuzz(func(t *testing.T, in string) {
		got := string(AppendUnquoted(nil, []byte(in)))
		if !utf8.ValidString(in) {
			return
		}
		if !utf8.ValidString(got) {
			t.Fatalf("%q: %q is not UTF-8", in, got)
		}
		var want string
		if json.Unmarshal([]byte(`"`+in+`"`), &want) == nil && got != want {
			t.Fatalf("%q: got %q, want %q", in, got, want)
		}
	})
}
