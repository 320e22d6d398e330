package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"

	"github.com/universal-ai-gateway/magicproxy/openai"
)

// value is a value of a JSON document: its bytes, and what is in it.
type value struct {
	kind  byte // the first byte; 0 for numbers, t for both booleans
	raw   []byte
	text  string // of a string
	parts []part // of an object or array
	plain any    // as the validator takes it
	size  int    // how many values it is, itself included
}

// part is a member of an object or an element of an array; the offsets are in
// the raw bytes of the whole.
type part struct {
	name    string // of a member
	key, at int    // where it begins, and where its value does
	v       *value
}

func (p part) end() int { return p.at + len(p.v.raw) }

// limits bound a document.
type limits struct{ depth, values int }

var (
	argumentLimits = limits{openai.MaxDepth, 50_000}
	schemaLimits   = limits{2 * openai.MaxDepth, 50_000}
)

// Numbers beyond these are arithmetic that takes long, not arguments. The
// exponent is a little more than a float64 has.
const (
	maxDigits   = 1024
	maxExponent = 400
)

type parser struct {
	b      []byte
	i      int
	limits limits
	path   []string
	fault  *Problem
}

// parse takes a document apart.
func parse(doc []byte, l limits) (*value, *Problem) {
	if !json.Valid(doc) || !utf8.Valid(doc) {
		return nil, notJSON(doc)
	}
	p := parser{b: doc, limits: l}
	v := p.value()
	if p.fault != nil {
		return nil, p.fault
	}
	return v, nil
}

func notJSON(doc []byte) *Problem {
	if len(bytes.TrimSpace(doc)) == 0 {
		return problemAt(nil, "object", "nothing")
	}
	why := "invalid UTF-8"
	var syntax *json.SyntaxError
	if err := json.Unmarshal(doc, new(json.RawMessage)); errors.As(err, &syntax) {
		why = "invalid JSON at offset " + strconv.FormatInt(syntax.Offset, 10)
	}
	return problemAt(nil, "object", why)
}

func (p *parser) fail(want, got string) *value {
	if p.fault == nil {
		p.fault = problemAt(p.path, want, got)
	}
	return nil
}

func (p *parser) space() byte {
	for {
		switch c := p.b[p.i]; c {
		case ' ', '\t', '\r', '\n':
			p.i++
		default:
			return c
		}
	}
}

// value reads the next value of what is known to be valid JSON; nil after a
// fault.
func (p *parser) value() *value {
	c := p.space()
	if p.limits.values--; p.limits.values < 0 {
		return p.fail("fewer values", "too many")
	}
	from := p.i
	v := &value{kind: c, size: 1}
	switch c {
	case '{', '[':
		if len(p.path) == p.limits.depth {
			return p.fail("less nesting", "too much")
		}
		p.i++
		if c == '{' {
			p.members(v, from)
		} else {
			p.elements(v, from)
		}
		if p.fault != nil {
			return nil
		}
	case '"':
		v.text = p.text()
		v.plain = v.text
	case 't', 'f':
		v.kind, v.plain = 't', c == 't'
		p.i += len("true")
		if c == 'f' {
			p.i++
		}
	case 'n':
		p.i += len("null")
	default:
		v.kind = 0
		for p.i < len(p.b) && isNumberByte(p.b[p.i]) {
			p.i++
		}
		n := string(p.b[from:p.i])
		if !modest(n) {
			return p.fail("number that is not so long", "number of "+strconv.Itoa(len(n))+" bytes, "+cut(n))
		}
		v.plain = json.Number(n)
	}
	v.raw = p.b[from:p.i:p.i]
	return v
}

func isNumberByte(c byte) bool {
	return c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c|0x20 == 'e'
}

// modest reports whether a number is one to calculate with.
func modest(n string) bool {
	if len(n) > maxDigits {
		return false
	}
	for i := range len(n) {
		if n[i]|0x20 == 'e' {
			e, err := strconv.Atoi(n[i+1:])
			return err == nil && e <= maxExponent && e >= -maxExponent
		}
	}
	return true
}

func (p *parser) text() string {
	p.i++
	from := p.i
	for p.b[p.i] != '"' {
		if p.b[p.i] == '\\' {
			p.i++
		}
		p.i++
	}
	p.i++
	quoted := p.b[from : p.i-1]
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted)
	}
	return string(openai.AppendUnquoted(nil, quoted))
}

func (p *parser) members(v *value, from int) {
	plain := map[string]any{}
	v.plain = plain
	for p.space() != '}' {
		if p.b[p.i] == ',' {
			p.i++
			p.space()
		}
		m := part{key: p.i - from}
		m.name = p.text()
		p.path = append(p.path, m.name)
		if _, twice := plain[m.name]; twice {
			// Two readers of it could see two different calls.
			p.fail("property once", "it twice")
			return
		}
		p.space()
		p.i++
		p.space()
		m.at = p.i - from
		if m.v = p.value(); m.v == nil {
			return
		}
		p.path = p.path[:len(p.path)-1]
		v.parts = append(v.parts, m)
		v.size += m.v.size
		plain[m.name] = m.v.plain
	}
	p.i++
}

func (p *parser) elements(v *value, from int) {
	plain := []any{}
	for p.space() != ']' {
		if p.b[p.i] == ',' {
			p.i++
			p.space()
		}
		e := part{key: p.i - from, at: p.i - from}
		p.path = append(p.path, strconv.Itoa(len(v.parts)))
		if e.v = p.value(); e.v == nil {
			return
		}
		p.path = p.path[:len(p.path)-1]
		v.parts = append(v.parts, e)
		v.size += e.v.size
		plain = append(plain, e.v.plain)
	}
	v.plain = plain
	p.i++
}
