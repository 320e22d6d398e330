package rotation

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

// An upstream repeats our keys wherever it can: none of them gets out.
//
// security: X5
func TestSecretsAreScrubbed(t *testing.T) {
	const key, other, header = "canary-key-of-the-provider", "canary-key-two", "canary-header"
	echo := fmt.Sprintf(`{"error":{"message":"bad %[1]s and %[2]s, %[3]s; Bearer %[1]s, sk-proj-0123456789abcdefgh","param":"p-%[1]s","code":"c-%[1]s"}}`, key, other, header)
	for name, answer := range map[string]http.HandlerFunc{
		"400":         says(400, echo),
		"401":         says(401, echo),
		"500":         says(500, echo),
		"529":         says(529, echo),
		"first event": sends("data: " + echo + "\n\n"),
		"late event":  sends(helloEvent, "data: "+echo+"\n\n"),
		"JSON":        says(200, echo),
		"header":      says(400, "{}", "Retry-After", key),
	} {
		t.Run(name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, stream bool) {
				p, ta := serve(t, answer).provider(t, "a", key, other)
				p.Hide = []string{header, ""}
				var log attemptLog
				res := askAs(t, t.Context(), &Caller{Observer: &log}, inOrder(ta), stream)
				said := fmt.Sprintf("%+v %+v", res.err, res.broken)
				if res.err != nil && res.err.API != nil {
					said += string(res.err.API.AppendJSON(nil))
				}
				for _, a := range log.ended {
					if a.Err == nil {
						t.Fatal("no error")
					}
					said += fmt.Sprintf("%+v %+v %v", *a.Err, a.Err, a.KeyID)
				}
				if strings.Contains(said, "canary") || strings.Contains(said, "0123456789") {
					t.Errorf("leaked: %s", said)
				}
				if name == "400" && !strings.Contains(said, "bad [redacted] and [redacted], [redacted]; [redacted] [redacted]") {
					t.Errorf("too much is gone: %s", said)
				}
			})
		})
	}
}

// security: X5
func TestScrub(t *testing.T) {
	p := bound("p", "")
	for text, want := range map[string]string{
		"Unknown field: skip_special_tokens, keyword_only_arguments": "Unknown field: skip_special_tokens, keyword_only_arguments",
		"key gsk_0123456789abcdefABCD is wrong":                      "key [redacted] is wrong",
		"AIzaSyA0123456789abcdef":                                    "[redacted]",
		"Authorization: bearer abc.def":                              "Authorization: [redacted]",
	} {
		if got := p.scrub(text, ""); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	long := p.scrub(strings.Repeat("ü", 100<<10), "")
	if len(long) > 512 || !utf8.ValidString(long) {
		t.Errorf("%d bytes", len(long))
	}
}
