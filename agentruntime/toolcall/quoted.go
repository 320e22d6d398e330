package toolcall

import (
	"strings"
	"unicode/utf8"
)

// Quotes within a string that nobody has escaped are read only where they stand
// as writers put them: around words, as an apostrophe, for an inch. All others
// could as well end the string: "a" + ".txt" is no text but an expression, whose
// value nobody knows.

// written reports whether the quotes within text, which end none, are of those.
func (r *reader) written(q *quote, from, to int) bool {
	apostrophes := q.open == "'" || q.open == "‘"
	if !apostrophes && q.open != `"` || q.open != q.close && strings.Contains(r.s[from:to], q.open) {
		return false
	}
	opened := -1 // behind the last quote that opened words
	last := -1   // behind the last quote at all
	inch := false
	for at := r.nextQuote(q, from); at >= 0 && at < to; at = r.nextQuote(q, at+len(q.close)) {
		text, behind := r.s[from:at], r.s[at+len(q.close):to]
		switch {
		case inch:
			return false
		case opened >= 0:
			if !closesWords(text, behind) || !plainWords(r.s[opened:at]) {
				return false
			}
			opened = -1
		case apostrophes && wordAtEnd(text) && wordAtStart(behind):
			if last >= 0 && !plainWords(r.s[last:at]) {
				return false
			}
		case opensWords(text, behind):
			opened = at + len(q.close)
		case last < 0 && opensInch(text, behind):
			inch = true
		default:
			return false
		}
		last = at + len(q.close)
	}
	return opened < 0
}

// opensWords reports whether a quote between before and behind opens words.
func opensWords(before, behind string) bool {
	return before != "" && strings.IndexByte(" \n\t=", before[len(before)-1]) >= 0 && wordAtStart(behind)
}

// closesWords reports whether a quote between before and behind closes words.
func closesWords(before, behind string) bool {
	if strings.IndexByte(".!?", before[len(before)-1]) < 0 && !wordAtEnd(before) {
		return false
	}
	return behind != "" && strings.IndexByte(" \n\t.!?>", behind[0]) >= 0
}

// opensInch reports whether a quote stands behind a number, as in 65".
func opensInch(before, behind string) bool {
	number := before[strings.LastIndexAny(before, " \n\t")+1:]
	return len(number) < len(before) && number != "" && strings.Trim(number, "0123456789.,/") == "" && digit(number[len(number)-1]) &&
		len(behind) > 1 && behind[0] == ' ' && wordAtStart(behind[1:])
}

func wordAtStart(s string) bool {
	return s != "" && (s[0] != '$' && letter(s[0]) || digit(s[0]) || s[0] >= utf8.RuneSelf)
}

func wordAtEnd(s string) bool {
	if s == "" {
		return false
	}
	c := s[len(s)-1]
	return c != '$' && letter(c) || digit(c) || c >= utf8.RuneSelf
}

// operators are words that stand between two values in some language.
var operators = set("and", "as", "else", "for", "if", "in", "instanceof", "is", "like", "mod", "not", "or", "then", "unless", "when", "xor")

// plainWords reports whether what stands between two quotes can't be an operator,
// or the prefix of another string, as in "a "or" b" and "a "f" b".
func plainWords(s string) bool {
	words := strings.Fields(s)
	if len(words) == 0 || len(words) == 1 && len(words[0]) < 3 {
		return false
	}
	return !operators[strings.ToLower(words[0])] && !operators[strings.ToLower(words[len(words)-1])]
}

// commaMissing reports whether a string that ends at i is followed by white space
// and another member's key and colon, with only the comma between them forgotten.
// Its last quote can't be one within the text: none of those stands so.
func (r *reader) commaMissing(i int) bool {
	const most = 64 // bytes of a key
	c, j := r.peekFrom(i)
	if j == i || c != '"' && c != '\'' {
		return false
	}
	from := j + 1
	k := from
	for k < len(r.s) && k-from < most && (letter(r.s[k]) || digit(r.s[k]) || r.s[k] == '-') {
		k++
	}
	if k == from || k == len(r.s) || r.s[k] != c {
		return false
	}
	c, _ = r.peekFrom(k + 1)
	return c == ':'
}
