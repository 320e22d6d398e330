package toolcall

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/universal-ai-gateway/magicproxy/openai"
)

// quote is a way to delimit a string.
type quote struct {
	open, close string

	// literal: nothing within is an escape. multiline quotes close at the first
	// close, whatever follows it.
	literal, exact bool
}

var (
	gemmaQuotes = []*quote{
		{open: "<escape>", close: "<escape>", literal: true, exact: true},
		{open: gemmaQuote, close: gemmaQuote, literal: true, exact: true},
	}
	quotes = []*quote{
		{open: `"""`, close: `"""`, exact: true},
		{open: `'''`, close: `'''`, exact: true},
		{open: `"`, close: `"`},
		{open: `'`, close: `'`},
		{open: "`", close: "`"},
		{open: "“", close: "”"},
		{open: "‘", close: "’"},
	}
)

// quoteAt returns the quote that opens a string at i, nil for none.
func quoteAt(r *reader, i int) *quote {
	rest := r.s[i:]
	if rest == "" || letter(rest[0]) || digit(rest[0]) {
		return nil
	}
	if r.gemma {
		for _, q := range gemmaQuotes {
			if strings.HasPrefix(rest, q.open) {
				return q
			}
		}
	}
	for _, q := range quotes {
		if strings.HasPrefix(rest, q.open) {
			if q.exact && !strings.Contains(rest[len(q.open):], q.close) {
				continue // "" and then something, not a long string
			}
			return q
		}
	}
	return nil
}

// str reads a string to out.
func (r *reader) str(at place) error { return r.raw(at, false) }

func (r *reader) raw(at place, literal bool) error {
	q := quoteAt(r, r.i)
	from := r.i + len(q.open)
	end, err := r.closing(q, from, at)
	if err != nil {
		return err
	}
	start := r.i
	r.i = end + len(q.close)
	if r.out, err = appendText(r.out, r.s[from:end], literal || q.literal, start); err != nil {
		return err
	}
	if q.open == "`" && strings.Contains(r.s[from:end], "${") {
		return fail(ErrAmbiguous, start, "the string has a placeholder")
	}
	return nil
}

// closing finds the quote that ends a string. It is the first one, unless what
// stands behind it can't follow a string: then quotes within the text are not
// escaped, and the string is readable only if a single one of all that are left
// could end it, and those before it stand as writers put them; or a comma is
// missing.
func (r *reader) closing(q *quote, from int, at place) (int, error) {
	end := r.nextQuote(q, from)
	if end < 0 {
		return 0, fail(ErrCut, len(r.s), "the string that begins at byte "+strconv.Itoa(r.i)+" is not closed")
	}
	if q.exact || r.follows(end+len(q.close), at) {
		return end, nil
	}
	switch at {
	case isKey:
		return end, nil // key deals with it
	case inCall:
		return 0, fail(ErrAmbiguous, end, "an expression")
	}
	if at == inObject && r.commaMissing(end+len(q.close)) {
		return end, nil
	}
	first, found := end, -1
	for ; end >= 0; end = r.nextQuote(q, end+len(q.close)) {
		if !r.mayEnd(end + len(q.close)) {
			continue
		}
		if found >= 0 {
			return 0, fail(ErrAmbiguous, end, "quotes within the string that begins at byte "+strconv.Itoa(r.i)+" are not escaped")
		}
		found = end
	}
	if found < 0 {
		return 0, fail(ErrCut, len(r.s), "the string that begins at byte "+strconv.Itoa(r.i)+" is not closed")
	}
	if !r.follows(found+len(q.close), at) {
		return 0, fail(ErrAmbiguous, found, "the string that begins at byte "+strconv.Itoa(r.i)+" has no clear end")
	}
	if !r.written(q, from, found) {
		return 0, fail(ErrAmbiguous, first, "an expression, or quotes within the string that begins at byte "+strconv.Itoa(r.i)+" are not escaped")
	}
	return found, nil
}

// nextQuote returns where the next closing quote that is no escape stands, -1
// for nowhere.
func (r *reader) nextQuote(q *quote, from int) int {
	if q.literal {
		n := strings.Index(r.s[from:], q.close)
		if n < 0 {
			return -1
		}
		return from + n
	}
	for i := from; i < len(r.s); {
		switch c := r.s[i]; {
		case c == '\\':
			i += 2
		case c == q.close[0] && strings.HasPrefix(r.s[i:], q.close):
			return i
		default:
			i++
		}
	}
	return -1
}

// peekFrom returns the first byte from i on that is no white space, 0 at the end.
func (r *reader) peekFrom(i int) (byte, int) {
	p := reader{s: r.s, i: i}
	for p.i < len(p.s) {
		c := p.s[p.i]
		if c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			if c != '\\' || p.i+1 >= len(p.s) || strings.IndexByte("nrt", p.s[p.i+1]) < 0 {
				return c, p.i
			}
			p.i++
		}
		p.i++
	}
	return 0, p.i
}

// follows reports whether what stands at i may follow a string in its place.
func (r *reader) follows(i int, at place) bool {
	c, j := r.peekFrom(i)
	if c == 0 || r.marked(j) {
		return true
	}
	if c == '#' || strings.HasPrefix(r.s[j:], "//") || strings.HasPrefix(r.s[j:], "/*") {
		return true
	}
	switch at {
	case inObject:
		return c == ',' || c == '}'
	case inArray:
		return c == ',' || c == ']'
	case inCall:
		return c == ',' || c == ')'
	case isKey:
		return c == ':' || c == '='
	}
	return true
}

// mayEnd is follows for a string in any place, and for one behind which a comma
// was forgotten.
func (r *reader) mayEnd(i int) bool {
	c, j := r.peekFrom(i)
	return c == 0 || strings.IndexByte(`,}]):="'#/`, c) >= 0 || r.marked(j)
}

// appendText writes the text between two quotes as a JSON string. Escapes of
// JSON stay as they are. A backslash that begins none stands for itself, as in
// "\d+"; but if others of the same text do begin one, nobody knows which are
// meant: C:\new\data.
func appendText(out []byte, text string, literal bool, at int) ([]byte, error) {
	if literal {
		return appendString(out, text), nil
	}
	var escapes, plain bool
	out = append(out, '"')
	for i := 0; i < len(text); {
		c := text[i]
		if c != '\\' {
			n := strings.IndexByte(text[i:], '\\')
			if n < 0 {
				n = len(text) - i
			}
			quoted := appendString(nil, text[i:i+n])
			out = append(out, quoted[1:len(quoted)-1]...)
			i += n
			continue
		}
		if i+1 == len(text) {
			return out, fail(ErrDamaged, at, "the string ends in a backslash")
		}
		switch e := text[i+1]; {
		case e == '"', e == '/':
			out = append(out, '\\', e)
			i += 2
		case strings.IndexByte(`\bfnrt`, e) >= 0:
			escapes = true
			out = append(out, '\\', e)
			i += 2
		case e == 'u' && hex(text[i+2:], 4):
			escapes = true
			out = append(out, text[i:i+6]...)
			i += 6
		case e == 'x' && hex(text[i+2:], 2):
			escapes = true
			out = append(out, `\u00`...)
			out = append(out, text[i+2:i+4]...)
			i += 4
		case e == '\'', e == '`':
			out = append(out, e)
			i += 2
		case e == '\n':
			i += 2
		case digit(e):
			return out, fail(ErrAmbiguous, at, "the string has an octal escape")
		default:
			plain = true
			out = append(out, `\\`...)
			i++
		}
	}
	if plain && escapes {
		return out, fail(ErrAmbiguous, at, "the string has backslashes that are not escaped")
	}
	return append(out, '"'), nil
}

func hex(s string, n int) bool {
	if len(s) < n {
		return false
	}
	for i := range n {
		if c := s[i]; !digit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return true
}

func appendString(out []byte, s string) []byte { return openai.AppendString(out, s) }

// valid reports whether s may be read at all.
func valid(s string) error {
	if len(s) > MaxSize {
		return fail(ErrTooLarge, -1, "more than 1 MiB")
	}
	if !utf8.ValidString(s) {
		return fail(ErrDamaged, -1, "not UTF-8")
	}
	return nil
}
