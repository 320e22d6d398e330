package openai

import (
	"bytes"
	"fmt"
)

// MaxDepth bounds how deep a document may nest (security X9).
const MaxDepth = 64

// scanner pulls one JSON document apart in a single pass, without decoding it
// and without allocating. It accepts exactly what RFC 8259 does, nested at most
// MaxDepth deep.
//
// A walk goes down with enterObject or enterArray, from element to element with
// nextMember or nextElement, and over a value with skip. The first mistake is
// kept in fault; every later step then says "no more".
type scanner struct {
	b     []byte
	i     int
	depth int

	// fault is what is wrong at i, "" while nothing is.
	fault string
}

var (
	faultEnd    = "unexpected end of JSON input"
	faultValue  = "invalid character where a value should begin"
	faultString = "invalid character in a string"
	faultEscape = "invalid escape in a string"
	faultNumber = "invalid number"
	faultComma  = "expected a comma or the end"
	faultColon  = "expected a colon after a key"
	faultKey    = "expected a string as key"
	faultDepth  = fmt.Sprintf("nested deeper than %d levels", MaxDepth)
	faultTail   = "trailing data after the document"
	faultObject = "expected an object"
	faultArray  = "expected an array"
)

func (s *scanner) fail(fault string) bool {
	if s.fault == "" {
		if s.i >= len(s.b) {
			fault = faultEnd
		}
		s.fault = fault
	}
	return false
}

// err returns the fault with its place.
func (s *scanner) err() error {
	if s.fault == "" {
		return nil
	}
	return fmt.Errorf("%s at offset %d", s.fault, s.i)
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\n', '\r', '\t':
			s.i++
		default:
			return
		}
	}
}

// peek returns the next value's first byte, 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

// enter goes into an object or array.
func (s *scanner) enter(open byte, fault string) bool {
	if s.fault != "" || s.peek() != open {
		return s.fail(fault)
	}
	if s.depth == MaxDepth {
		return s.fail(faultDepth)
	}
	s.depth++
	s.i++
	return true
}

func (s *scanner) enterObject() bool { return s.enter('{', faultObject) }
func (s *scanner) enterArray() bool  { return s.enter('[', faultArray) }

// next goes to the next element of what was entered last; n counts the elements
// and starts at 0. It leaves the object or array when there is none.
func (s *scanner) next(n *int, end byte) bool {
	if s.fault != "" {
		return false
	}
	c := s.peek()
	if c == end {
		s.i++
		s.depth--
		return false
	}
	if *n > 0 {
		if c != ',' {
			return s.fail(faultComma)
		}
		s.i++
	}
	*n++
	return true
}

func (s *scanner) nextElement(n *int) bool { return s.next(n, ']') }

// nextMember goes to the next member's value and returns its key as it stands
// between the quotes, escapes and all.
func (s *scanner) nextMember(n *int) (key []byte, ok bool) {
	if !s.next(n, '}') {
		return nil, false
	}
	if s.peek() != '"' {
		return nil, s.fail(faultKey)
	}
	from := s.i + 1
	if !s.skipString() {
		return nil, false
	}
	key = s.b[from : s.i-1]
	if s.peek() != ':' {
		return nil, s.fail(faultColon)
	}
	s.i++
	return key, true
}

// enterIfObject goes into an object, and over any other value.
func (s *scanner) enterIfObject() bool {
	if s.peek() != '{' {
		s.skip()
		return false
	}
	return s.enterObject()
}

// value skips the next value and returns its bytes.
func (s *scanner) value() []byte {
	s.space()
	from := s.i
	if !s.skip() {
		return nil
	}
	return s.b[from:s.i]
}

// valueOr is value, but otherwise for a value that carries nothing.
func (s *scanner) valueOr(otherwise []byte) []byte {
	if v := s.value(); !vacant(v) {
		return v
	}
	return otherwise
}

// vacant reports whether a value carries nothing.
func vacant(v []byte) bool {
	switch len(v) {
	case 0:
		return true
	case 1:
		return v[0] == '0'
	case 2:
		return string(v) == `""` || string(v) == "[]" || string(v) == "{}"
	case 4:
		return string(v) == "null"
	case 5:
		return string(v) == "false"
	}
	c := v[0]
	return (c == '{' || c == '[') && len(bytes.TrimSpace(v[1:len(v)-1])) == 0
}

// plainKey undoes the escapes of a key, which hardly any has.
func plainKey(key []byte) []byte {
	if bytes.IndexByte(key, '\\') < 0 {
		return key
	}
	return []byte(unquote(key))
}

// skip goes over the next value.
func (s *scanner) skip() bool {
	if s.fault != "" {
		return false
	}
	switch c := s.peek(); c {
	case '"':
		return s.skipString()
	case '{':
		if !s.enterObject() {
			return false
		}
		for n := 0; ; {
			if _, ok := s.nextMember(&n); !ok {
				return s.fault == ""
			}
			if !s.skip() {
				return false
			}
		}
	case '[':
		if !s.enterArray() {
			return false
		}
		for n := 0; s.nextElement(&n); {
			if !s.skip() {
				return false
			}
		}
		return s.fault == ""
	case 't':
		return s.skipWord("true")
	case 'f':
		return s.skipWord("false")
	case 'n':
		return s.skipWord("null")
	default:
		if c == '-' || c >= '0' && c <= '9' {
			return s.skipNumber()
		}
		return s.fail(faultValue)
	}
}

func (s *scanner) skipWord(w string) bool {
	if len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		return s.fail(faultValue)
	}
	s.i += len(w)
	return true
}

// stops marks the bytes at which a run of ordinary string bytes ends.
var stops = func() (t [256]bool) {
	for c := range 0x20 {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	return
}()

// skipString goes over the string that begins at i.
func (s *scanner) skipString() bool {
	b, i := s.b, s.i+1
	for {
		for i < len(b) && !stops[b[i]] {
			i++
		}
		if i >= len(b) {
			s.i = i
			return s.fail(faultEnd)
		}
		switch b[i] {
		case '"':
			s.i = i + 1
			return true
		case '\\':
			n := escapeLen(b[i:])
			if n == 0 {
				s.i = i
				return s.fail(faultEscape)
			}
			i += n
		default:
			s.i = i
			return s.fail(faultString)
		}
	}
}

// escapeLen returns the length of the escape b begins with, 0 for none.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) < 6 {
			return 0
		}
		for _, c := range b[2:6] {
			if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
				return 0
			}
		}
		return 6
	}
	return 0
}

func (s *scanner) digits() bool {
	from := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > from || s.fail(faultNumber)
}

func (s *scanner) skipNumber() bool {
	if s.b[s.i] == '-' {
		s.i++
	}
	if s.i < len(s.b) && s.b[s.i] == '0' {
		s.i++
	} else if !s.digits() {
		return false
	}
	if s.i < len(s.b) && s.b[s.i] == '.' {
		s.i++
		if !s.digits() {
			return false
		}
	}
	if s.i < len(s.b) && s.b[s.i]|0x20 == 'e' {
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		return s.digits()
	}
	return true
}

// end requires that only white space is left.
func (s *scanner) end() bool {
	if s.fault != "" {
		return false
	}
	if s.peek(); s.i < len(s.b) {
		return s.fail(faultTail)
	}
	return true
}
