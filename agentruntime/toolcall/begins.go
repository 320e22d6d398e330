package toolcall

import (
	"strings"
	"unicode/utf8"
)

// Verdict is what a beginning can still become.
type Verdict uint8

// The verdicts.
const (
	No   Verdict = iota // no call
	Yes                 // a call, or something that looks much like one
	More                // not to be told yet
)

// String returns the verdict's word.
func (v Verdict) String() string { return [...]string{"no", "yes", "more"}[v] }

// maxBegin is how many bytes are enough for a verdict.
const maxBegin = 64

// markers are the beginnings of calls that count on any line.
var markers = append([]string{
	"<tool_call", "<toolcall>", "<tool-call", "<tool-use>", "<tool_use>", "<tools>", "<function_call", "<function-call", "<function=", "<function(", "<function>",
	"<function name=", "<invoke name=", "<minimax:tool_call>", "<|tool_call>", "<start_function_call>", "]<]minimax[>[", mistralCalls,
	"```tool_code", "```tool_call", "function<|tool_sep|>", "functools[", "<|start_action|>", "<|action_start|>", "<tool_code>",
	"<|python_tag|>", "<|python_start|>", "<|tool_call", "<|function_call|>", "<|start|>", "<|channel|>", "<|dsml|", toolRequest,
	"<|begin_of_text|>", "<|start_header_id|>", "<|header_start|>", "<|im_start|>", "<|start_of_role|>", "<|channel>", "<|start_thinking|>", "[think]",
	"action:", "**action", "action :",
}, bareHarmony...)

// names are the first keys of calls in JSON, and of lists of calls.
var firstKeys = func() (keys []string) {
	for _, list := range [][]string{nameKeys, argsKeys, listKeys, aboutKeys} {
		keys = append(keys, list...)
	}
	return append(keys, "function")
}()

// Begins reports whether text, from the start of a message on, can be the
// beginning of a call in some dialect. It is for streams, which hold text back
// from the client while it may become a call: after 64 bytes behind leading white
// space it says yes or no. A yes is no promise; Text decides over the whole.
func Begins(text string) Verdict {
	s := head(text)
	if s == "" {
		return More
	}
	switch c := s[0]; {
	case c == '{':
		return beginsObject(s)
	case c == '[':
		if v := beginsMarker(s); v != No {
			return v
		}
		rest := strings.TrimLeft(s[1:], " \n\r\t")
		switch {
		case rest == "":
			return cut(s, More)
		case rest[0] == '{':
			return beginsObject(rest)
		}
		return beginsName(s, rest, "(")
	case c == '`':
		if v := beginsMarker(s); v == Yes {
			return v
		}
		return beginsFence(s)
	case nameByte(c):
		if v := beginsMarker(s); v != No {
			return v
		}
		return beginsName(s, s, "({[")
	}
	return beginsMarker(s)
}

// BeginsLine is Begins for a later line of a message, where only markers count.
func BeginsLine(text string) Verdict {
	s := head(text)
	if s == "" {
		return More
	}
	return beginsMarker(s)
}

// head returns the first bytes of text behind white space, in the plain spelling
// of special tokens.
func head(text string) string {
	s := text[skipSpace(text, 0):]
	if len(s) > maxBegin {
		s = s[:maxBegin]
	}
	for n := 1; n < utf8.UTFMax && n <= len(s); n++ { // half a character at the end
		if b := s[len(s)-n]; utf8.RuneStart(b) {
			if b >= utf8.RuneSelf && !utf8.FullRuneInString(s[len(s)-n:]) {
				s = s[:len(s)-n]
			}
			break
		}
	}
	return s
}

var plainToken = strings.NewReplacer("｜", "|", "‖", "|", "▁", "_")

// cut turns a verdict that waits into a no when there is nothing to wait for.
func cut(s string, v Verdict) Verdict {
	if v == More && len(s) >= maxBegin-3 {
		return No
	}
	return v
}

func beginsMarker(s string) Verdict {
	low := strings.ToLower(plainToken.Replace(s))
	for strings.Contains(low, "||") {
		low = strings.ReplaceAll(low, "||", "|")
	}
	v := No
	for _, m := range markers {
		m = strings.ToLower(m)
		if strings.HasPrefix(low, m) {
			return Yes
		}
		if strings.HasPrefix(m, low) {
			v = More
		}
	}
	// <ns:invoke name=, and half a character of a token
	if rest, ok := strings.CutPrefix(low, "<"); ok && v == No {
		if n := strings.IndexByte(rest, ':'); n > 0 && !strings.ContainsAny(rest[:n], "<> /\"") {
			return beginsNamespaced(s, rest[n+1:])
		} else if n < 0 && !strings.ContainsAny(rest, "<> /\"=.!?") && len(rest) < 24 {
			return More
		}
	}
	return cut(s, v)
}

func beginsNamespaced(s, rest string) Verdict {
	for _, m := range []string{"invoke name=", "function_calls>", "tool_call"} {
		if strings.HasPrefix(rest, m) {
			return Yes
		}
		if strings.HasPrefix(m, rest) {
			return cut(s, More)
		}
	}
	return No
}

// beginsObject looks at the first key.
func beginsObject(s string) Verdict {
	rest := strings.TrimLeft(s, "{ \n\r\t")
	key := strings.TrimLeft(rest, "\\\"'“")
	for _, k := range firstKeys {
		if strings.HasPrefix(key, k) {
			if len(key) == len(k) {
				return cut(s, More)
			}
			if !letter(key[len(k)]) {
				return Yes
			}
		}
		if strings.HasPrefix(k, key) {
			return cut(s, More)
		}
	}
	return No
}

// beginsName looks whether a name is followed by one of these, or by JSON on the
// next line.
func beginsName(s, rest, follows string) Verdict {
	n := 0
	for n < len(rest) && nameByte(rest[n]) {
		n++
	}
	if n == len(rest) {
		return cut(s, More)
	}
	if n == 0 {
		return No
	}
	if strings.IndexByte(follows, rest[n]) >= 0 {
		return Yes
	}
	behind := strings.TrimLeft(rest[n:], " \n\r\t")
	if behind == "" {
		return cut(s, More)
	}
	if behind[0] == '{' && strings.Contains(follows, "{") {
		return Yes
	}
	return No
}

// beginsFence looks whether a fence holds JSON.
func beginsFence(s string) Verdict {
	if len(s) < 3 && strings.Trim(s, "`") == "" {
		return More
	}
	rest, ok := strings.CutPrefix(s, "```")
	if !ok {
		return No
	}
	rest = strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-")
	if rest = strings.TrimLeft(rest, " \n\r\t"); rest == "" {
		return cut(s, More)
	}
	switch rest[0] {
	case '{':
		return beginsObject(rest)
	case '[':
		if inner := strings.TrimLeft(rest[1:], " \n\r\t"); inner == "" {
			return cut(s, More)
		} else if inner[0] == '{' {
			return beginsObject(inner)
		}
	}
	return No
}
