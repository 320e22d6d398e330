package mcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"unicode"
	"unicode/utf8"
)

// fault is why one exchange with a server came to nothing.
type fault struct {
	kind   Kind
	text   string // short, without secrets
	status int    // of the HTTP answer, 0 without one
	code   int64  // of the JSON-RPC error, 0 without one
	lost   bool   // the server does not know the session, and has done nothing
	unsent bool   // the request provably never reached the server
	cause  error
}

// Error implements error.
func (f *fault) Error() string { return f.text }

// Unwrap returns the cause.
func (f *fault) Unwrap() error { return f.cause }

// garbage is an answer that breaks the protocol.
func garbage(text string) *fault { return &fault{kind: KindProtocol, text: text} }

// tooLarge is a message beyond maxMessage.
func tooLarge() *fault {
	return &fault{kind: KindProtocol, text: fmt.Sprintf("answered with more than %d MiB", maxMessage>>20), cause: errTooLarge}
}

// faultOf reads a connection's error. unsent says that no connection was there to
// send on.
func faultOf(err error, unsent bool) *fault {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		unsent = true
	}
	var timeout interface{ Timeout() bool }
	switch {
	case unsent:
		return &fault{kind: KindDial, text: "cannot be reached", unsent: true, cause: err}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return &fault{kind: KindTimeout, text: "did not answer in time", cause: err}
	default:
		return &fault{kind: KindProtocol, text: "broke the connection off", cause: err}
	}
}

// scrubber hides secrets in what a server says.
type scrubber struct{ r *strings.Replacer }

// minSecret is the length below which a value is too common a word to hide.
const minSecret = 8

// newScrubber hides values, and the credentials in those of the form "Bearer x".
func newScrubber(values []string) scrubber {
	var pairs []string
	for _, v := range values {
		for _, s := range []string{v, v[strings.LastIndexByte(v, ' ')+1:]} {
			if len(s) >= minSecret {
				pairs = append(pairs, s, "[redacted]")
			}
		}
	}
	if pairs == nil {
		return scrubber{}
	}
	return scrubber{strings.NewReplacer(pairs...)}
}

// text returns s without secrets.
func (s scrubber) text(t string) string {
	if s.r == nil {
		return t
	}
	return s.r.Replace(t)
}

// line makes what a server says one short line: no secrets, no control or invisible
// characters, no more than limit bytes.
func (s scrubber) line(t string, limit int) string {
	if len(t) > 8*limit+1024 { // what is far beyond can't be seen, and need not be read
		t = t[:8*limit+1024]
	}
	t = s.text(strings.ToValidUTF8(t, "\uFFFD"))
	t = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == '\uFE0E' || r == '\uFE0F':
			return -1
		case r == utf8.RuneError || unicode.IsControl(r) || hidden(r):
			return '\uFFFD'
		}
		return r
	}, t)
	t = strings.Join(strings.Fields(t), " ")
	if len(t) > limit {
		t = t[:runeStart(t, limit-len("…"))] + "…"
	}
	return t
}

// runeStart returns the largest n ≤ at that does not split a rune of s.
func runeStart(s string, at int) int {
	for at > 0 && at < len(s) && !utf8.RuneStart(s[at]) {
		at--
	}
	return max(at, 0)
}
