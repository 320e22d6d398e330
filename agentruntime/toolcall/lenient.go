package toolcall

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// reader reads one value of JSON as models write it: with single or smart
// quotes, bare keys, Python's literals, comments, trailing commas, raw line
// breaks in strings. It writes strict compact JSON to out, numbers and escapes
// as they stand. What has no reading, or two, is an error.
type reader struct {
	s     string
	i     int
	depth int
	out   []byte

	// marks lets a closing marker in the text end what is open: the generator
	// has finished, so nothing is cut off there.
	marks bool

	// finished says the same of the end of the input. Only the outermost brace
	// is taken as forgotten then: a list or an inner object may be cut off.
	finished bool

	// gemma turns on that family's string delimiters.
	gemma bool

	// closed tells that a missing bracket was put in.
	closed bool
}

func (r *reader) fail(kind error, detail string) error { return fail(kind, r.i, detail) }

// ended reports whether the input ends at i, or a closing marker stands there.
func (r *reader) ended() bool {
	return r.i >= len(r.s) || r.marked(r.i)
}

func (r *reader) marked(at int) bool {
	return r.marks && at < len(r.s) && (closer(r.s, at) > at || observation(r.s, at))
}

// space skips white space and what models put in its place: comments, and line
// breaks escaped once too often.
func (r *reader) space() {
	for r.i < len(r.s) {
		rest := r.s[r.i:]
		switch c := rest[0]; {
		case c == ' ' || c == '\n' || c == '\r' || c == '\t':
			r.i++
		case c == '\\' && len(rest) > 1 && strings.IndexByte("nrt", rest[1]) >= 0:
			r.i += 2
		case strings.HasPrefix(rest, "\u00a0"), strings.HasPrefix(rest, "\ufeff"):
			_, n := utf8.DecodeRuneInString(rest)
			r.i += n
		case strings.HasPrefix(rest, "//"), c == '#':
			n := strings.IndexByte(rest, '\n')
			if n < 0 {
				n = len(rest)
			}
			r.i += n
		case strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest, "*/")
			if n < 0 {
				return
			}
			r.i += n + 2
		default:
			return
		}
	}
}

// where a value stands, for what may follow its closing quote.
type place uint8

const (
	inObject place = iota
	inArray
	inCall // an argument of a Python call
	isKey
	isTop
)

// value reads the next value.
func (r *reader) value(at place) error {
	r.space()
	if r.i >= len(r.s) {
		return r.fail(ErrCut, "a value is missing")
	}
	switch c := r.s[r.i]; {
	case c == '{':
		return r.object()
	case c == '[':
		return r.array()
	case c == '-' || c >= '0' && c <= '9':
		return r.number()
	case quoteAt(r, r.i) != nil:
		return r.str(at)
	case letter(c):
		return r.word(at)
	}
	if r.marked(r.i) {
		return r.fail(ErrDamaged, "a value is missing")
	}
	return r.fail(ErrDamaged, "no value begins here")
}

func (r *reader) enter() error {
	if r.depth++; r.depth > MaxDepth {
		return r.fail(ErrTooLarge, "nested too deep")
	}
	return nil
}

// end deals with an input that ends within an object or array, after a whole
// value or before the first.
func (r *reader) end(array bool, members int) error {
	marked := r.i < len(r.s)
	if members > 0 && (marked || r.finished && !array && r.depth == 1) {
		r.closed = true
		return nil
	}
	if array {
		return r.fail(ErrCut, "the list is not closed")
	}
	return r.fail(ErrCut, "the object is not closed")
}

// lastByte is the last one that was written, 0 before the first.
func (r *reader) lastByte() byte {
	if len(r.out) == 0 {
		return 0
	}
	return r.out[len(r.out)-1]
}

func (r *reader) array() error {
	if err := r.enter(); err != nil {
		return err
	}
	defer func() { r.depth-- }()
	r.i++
	r.out = append(r.out, '[')
	for n := 0; ; n++ {
		r.space()
		if r.ended() {
			if err := r.end(true, n); err != nil {
				return err
			}
			break
		}
		if r.s[r.i] == ']' {
			r.i++
			break
		}
		if n > 0 && r.s[r.i] == '}' && r.depth > 1 && r.lastByte() == '}' {
			r.closed = true // {"a": [{…}, {…}}: the list ends where what it is in does
			break
		}
		if n > 0 {
			if err := r.comma(']'); err != nil {
				return err
			}
			if r.s[r.i] == ']' {
				r.i++
				break
			}
			r.out = append(r.out, ',')
		}
		if err := r.value(inArray); err != nil {
			return err
		}
	}
	r.out = append(r.out, ']')
	return nil
}

// number reads a number of JSON. One that ends the input may be cut off, and one
// before // and a number may be divided by it.
func (r *reader) number() error {
	from := r.i
	for r.i < len(r.s) && (letter(r.s[r.i]) || digit(r.s[r.i]) || strings.IndexByte("+-.", r.s[r.i]) >= 0) {
		r.i++
	}
	text := r.s[from:r.i]
	if r.i == len(r.s) {
		return r.fail(ErrCut, "the number may go on")
	}
	if !json.Valid([]byte(text)) {
		return fail(ErrDamaged, from, "not a number: "+clip(text, 40))
	}
	if rest, ok := strings.CutPrefix(strings.TrimLeft(r.s[r.i:], " "), "//"); ok {
		if rest = strings.TrimLeft(rest, " "); rest != "" && digit(rest[0]) {
			return fail(ErrAmbiguous, from, "an expression")
		}
	}
	r.out = append(r.out, text...)
	return nil
}

var words = map[string]string{"true": "true", "True": "true", "false": "false", "False": "false", "null": "null", "None": "null"}

func (r *reader) word(at place) error {
	from := r.i
	for r.i < len(r.s) && (letter(r.s[r.i]) || digit(r.s[r.i])) {
		r.i++
	}
	text := r.s[from:r.i]
	if r.i == len(r.s) {
		return r.fail(ErrCut, "the value may go on")
	}
	word, ok := words[text]
	if !ok && (text == "NaN" || text == "Infinity" || text == "undefined") {
		return fail(ErrDamaged, from, "JSON has no "+text)
	}
	if !ok {
		if at == inCall && (text == "r" || text == "u") && quoteAt(r, r.i) != nil {
			return r.raw(at, text == "r")
		}
		return fail(ErrAmbiguous, from, "a bare word is neither text nor a value: "+clip(text, 40))
	}
	r.out = append(r.out, word...)
	return nil
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c == '$' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

// parsed is one value as it was read.
type parsed struct {
	json []byte
	end  int

	// clean says that the bytes are the input's own; closed that a bracket was
	// put in.
	clean, closed bool
}

// parse reads the value that begins at i of s. Valid JSON keeps its bytes.
func parse(s string, i int, set reader) (parsed, error) {
	r := set
	r.s, r.i = s, i
	if err := r.value(isTop); err != nil {
		return parsed{}, err
	}
	text := strings.TrimSpace(s[i:r.i])
	if !r.closed && json.Valid([]byte(text)) {
		return parsed{json: []byte(text), end: r.i, clean: true}, nil
	}
	if !json.Valid(r.out) {
		return parsed{}, fail(ErrDamaged, i, "") // not reached: the reader writes JSON
	}
	return parsed{json: bytes.Clone(r.out), end: r.i, closed: r.closed}, nil
}
