package toolcall

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

var kinds = map[error]string{
	ErrCut: "!cut", ErrAmbiguous: "!ambiguous", ErrDamaged: "!damaged", ErrNotObject: "!object", ErrTooLarge: "!large", ErrUnknown: "!unknown", ErrTrailing: "!trailing",
}

// kindOf writes an error as the tables do.
func kindOf(err error) string {
	for kind, text := range kinds {
		if errors.Is(err, kind) {
			return text
		}
	}
	return "!?"
}

func outcome(calls []Call, err error) string {
	if err != nil {
		return kindOf(err)
	}
	return show(calls)
}

var textSamples = slices.Concat(tagSamples, tokenSamples, bareSamples, moreSamples)

// contract: A8
// contract: A9
func TestText(t *testing.T) {
	if n := len(textSamples); n < 150 {
		t.Errorf("only %d samples", n)
	}
	none := 0
	for _, s := range textSamples {
		if s.want == "" || s.want[0] == '!' {
			none++
		}
		t.Run(s.name, func(t *testing.T) {
			calls, _, _, err := Text(s.text, known)
			if got := outcome(calls, err); got != s.want {
				t.Errorf("%s\n got %s (%v)\nwant %s", s.text, got, err, s.want)
			}
			if err != nil && len(calls) > 0 {
				t.Error("an error and calls")
			}
		})
	}
	if none*3 < len(textSamples) {
		t.Errorf("%d of %d samples are no calls, fewer than a third", none, len(textSamples))
	}
}

// TestTextPrefixes is the proof that nothing runs that a model had not finished:
// whatever a text is cut off to, what is read from it is what the whole says, as
// far as it goes. contract: A8
func TestTextPrefixes(t *testing.T) {
	for _, s := range textSamples {
		t.Run(s.name, func(t *testing.T) {
			whole, _, _, err := Text(s.text, known)
			if err != nil {
				// What can't be read as a whole may hold calls that can.
				whole = nil
			}
			for n := range s.text {
				calls, _, _, err := Text(s.text[:n], known)
				if err != nil || len(calls) == 0 || leads(calls, whole) {
					continue
				}
				// A quote is one because of what comes later.
				if (s.want == "" || s.want == "!trailing") && balanced(s.text[:n]) {
					continue
				}
				if before, ok := goesOn[s.name]; ok && show(calls) == before {
					continue
				}
				t.Errorf("the first %d bytes %q\n give %s\nwhole: %s", n, s.text[:n], show(calls), show(whole))
			}
		})
	}
}

// goesOn are samples that are no call because of what follows a whole one.
var goesOn = map[string]string{"hermes, second cut": "get_time{}", "react, text on the line": `read{"path":"a"}`, "react, explained": `read{"path":"a"}`}

// leads reports whether a is how b begins.
func leads(a, b []Call) bool {
	return len(a) <= len(b) && show(a) == show(b[:len(a)])
}

// balanced reports whether a text ends with the end of a call.
func balanced(text string) bool {
	text = strings.TrimRight(text, " \n\t`,;")
	n := strings.LastIndexAny(text, "<[")
	return strings.ContainsAny(text[len(text)-1:], ">})") || n >= 0 && (n == len(text)-1 || halfCloser(text, n))
}
