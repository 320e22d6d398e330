package audit

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/universal-ai-gateway/magicproxy/openai"
)

// What texts may take as JSON, quotes aside.
const (
	maxName = 1 << 10             // an id or a name
	maxNote = 4 << 10             // a cause or an error
	maxText = maxPayload - 16<<10 // all that was asked or answered, in one event
	maxDeep = 64                  // levels of JSON that goes in as it is
	maxRise = len(`\u0000`)       // what one byte can become
)

// appendText appends s as a JSON string of at most limit bytes between the quotes, and
// reports whether it had to be cut. What is cut ends with a whole character.
func appendText[S []byte | string](dst []byte, s S, limit int) ([]byte, bool) {
	cut := len(s) > limit
	if cut { // no byte takes less than itself
		n := limit
		for n > 0 && n > limit-utf8.UTFMax && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	from := len(dst) + 1
	dst = openai.AppendString(dst, s)
	if end := from + limit; len(dst)-1 > end {
		return append(dst[:whole(dst, from, end)], '"'), true
	}
	return dst, cut
}

// whole returns the last place up to end where the JSON string that begins at from may
// be cut: not in a character, not in an escape.
func whole(b []byte, from, end int) int {
	for end > from && !utf8.RuneStart(b[end]) {
		end--
	}
	for i := end - 1; i >= from && i > end-maxRise; i-- {
		if b[i] != '\\' {
			continue
		}
		run := i // of backslashes: every second begins an escape
		for run > from && b[run-1] == '\\' {
			run--
		}
		if (i-run)%2 != 0 {
			return end
		}
		size := 2
		if b[i+1] == 'u' {
			size = maxRise
		}
		if i+size > end {
			return i
		}
		return end
	}
	return end
}

// appendName appends a member unless it is empty.
func appendName(dst []byte, name, s string) []byte {
	if s == "" {
		return dst
	}
	dst = append(dst, name...)
	dst, _ = appendText(dst, s, maxName)
	return dst
}

// appendRaw appends a JSON document as it is, on one line. ok is false, and dst as it
// was, if it is none, too long, or nothing that every reader can take: text that is not
// UTF-8, numbers no float64 holds, more than maxDeep levels.
func appendRaw[S []byte | string](dst []byte, s S, limit int) (_ []byte, ok bool) {
	if len(s) == 0 || len(s) > limit {
		return dst, false
	}
	from := len(dst)
	dst = append(dst, s...)
	raw := dst[from:]
	if !json.Valid(raw) || !utf8.Valid(raw) || !tame(raw) {
		return dst[:from], false
	}
	// In valid JSON they stand between tokens only.
	for _, c := range []byte("\n\r") {
		for i := bytes.IndexByte(raw, c); i >= 0; i = bytes.IndexByte(raw, c) {
			raw[i] = ' '
			raw = raw[i+1:]
		}
		raw = dst[from:]
	}
	return dst, true
}

// tame reports whether valid JSON is not too deep and its numbers not too large.
func tame(raw []byte) bool {
	depth := 0
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '"':
			for i++; raw[i] != '"'; i++ {
				if raw[i] == '\\' {
					i++
				}
			}
		case c == '{' || c == '[':
			if depth++; depth > maxDeep {
				return false
			}
		case c == '}' || c == ']':
			depth--
		case c == '-' || '0' <= c && c <= '9':
			from, exp := i, false
			for ; i < len(raw) && inNumber(raw[i]); i++ {
				exp = exp || raw[i]|0x20 == 'e'
			}
			if exp || i-from > 300 {
				if _, err := strconv.ParseFloat(string(raw[from:i]), 64); err != nil {
					return false
				}
			}
			i--
		}
	}
	return true
}

func inNumber(c byte) bool {
	return '0' <= c && c <= '9' || c == '-' || c == '+' || c == '.' || c|0x20 == 'e'
}

// appendSeconds appends seconds, exact to the microsecond. What is no number is 0.
func appendSeconds(dst []byte, s float64) []byte {
	s = math.Round(s*1e6) / 1e6
	if math.IsNaN(s) || math.IsInf(s, 0) {
		s = 0
	}
	return strconv.AppendFloat(dst, s, 'f', -1, 64)
}
