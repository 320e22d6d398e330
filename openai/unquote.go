package openai

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// AppendUnquoted appends the text that stands between the quotes of a JSON
// string. Halves of surrogate pairs and escapes that are none become U+FFFD;
// bytes beyond ASCII are taken as they are. It allocates only when dst has no
// room.
func AppendUnquoted(dst, quoted []byte) []byte {
	for {
		i := bytes.IndexByte(quoted, '\\')
		if i < 0 {
			return append(dst, quoted...)
		}
		dst = append(dst, quoted[:i]...)
		quoted = quoted[i:]
		r, n := unescape(quoted)
		dst = utf8.AppendRune(dst, r)
		quoted = quoted[n:]
	}
}

// unescape reads the escape, or the pair of them, that b begins with.
func unescape(b []byte) (r rune, n int) {
	n = escapeLen(b)
	switch n {
	case 0:
		// What follows the backslash goes with it, but never half a character.
		if len(b) > 1 && b[1] < utf8.RuneSelf {
			return utf8.RuneError, 2
		}
		return utf8.RuneError, 1
	case 2:
		switch c := b[1]; c {
		case 'b':
			return '\b', n
		case 'f':
			return '\f', n
		case 'n':
			return '\n', n
		case 'r':
			return '\r', n
		case 't':
			return '\t', n
		default:
			return rune(c), n
		}
	}
	r = hexRune(b[2:6])
	if !utf16.IsSurrogate(r) {
		return r, n
	}
	if len(b) > n && b[n] == '\\' && escapeLen(b[n:]) == 6 {
		if pair := utf16.DecodeRune(r, hexRune(b[n+2:n+6])); pair != utf8.RuneError {
			return pair, 2 * n
		}
	}
	return utf8.RuneError, n
}

// hexRune reads four hexadecimal digits.
func hexRune(b []byte) (r rune) {
	for _, c := range b {
		if c > '9' {
			c = c | 0x20 - 'a' + '0' + 10
		}
		r = r<<4 | rune(c-'0')
	}
	return r
}
