// Package toolcall reads tool calls out of what models really write: damaged
// JSON arguments, and calls written as text in the dialects of many models.
//
// It reads, it never guesses: what is cut off, has two readings or names a tool
// that is not offered is an error whose text the model can be told, never a
// call. A call quoted in prose or in a code fence is no call (contracts A2, A6,
// A8, A9). Everything here is a pure function of its arguments, takes time in
// proportion to them, and may be used by many goroutines at once.
//
//	objects, rung, err := toolcall.Arguments(`{city: 'Paris',}`) // {"city":"Paris"}, lenient
//	calls, prose, rung, err := toolcall.Text("<function=read{\"path\": \"a\"}", known)
package toolcall

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// MaxSize bounds what is read, in bytes; MaxDepth how deep it may nest.
const (
	MaxSize  = 1 << 20
	MaxDepth = 64
)

// Call is a call as it was read: Arguments is always one valid JSON object.
// Dialects whose values are plain text give JSON strings; turning "5" into 5 is
// for who knows the tool's schema.
type Call struct {
	Name      string
	Arguments json.RawMessage
}

// Rung says which step of the ladder read a call. It labels a metric; where
// several steps took part it is the last of them in this order.
type Rung uint8

// The rungs.
const (
	RungClean         Rung = iota // valid as it is, bytes untouched
	RungFence                     // a code fence, prose or closing marker stripped
	RungDoubleEncoded             // a JSON string that holds the JSON
	RungConcatenated              // several objects one after the other
	RungLenient                   // damaged JSON with one reading
	RungUnclosed                  // damaged JSON, and its last brace is missing
	RungDialect                   // a model's own way to write calls as text
)

// Rungs are all values of Rung.
var Rungs = [...]Rung{RungClean, RungFence, RungDoubleEncoded, RungConcatenated, RungLenient, RungUnclosed, RungDialect}

// String returns the rung's label.
func (r Rung) String() string {
	return [...]string{"clean", "fence", "double_encoded", "concatenated", "lenient", "unclosed", "dialect"}[r]
}

// What can be wrong with a call, for errors.Is.
var (
	ErrCut       = errors.New("cut off")
	ErrAmbiguous = errors.New("ambiguous")
	ErrDamaged   = errors.New("not readable")
	ErrNotObject = errors.New("not a JSON object")
	ErrTooLarge  = errors.New("too large or nested too deep")
	ErrUnknown   = errors.New("no such tool")
	ErrTrailing  = errors.New("text after the call")
)

// Error is a call that can't be read. Its text says what is wrong and where, in
// words the model can act on.
type Error struct {
	Kind   error // one of the Err values
	Detail string
	Offset int // in bytes of what was given; -1 when the place says nothing

	// Name is the tool asked for, of an ErrUnknown.
	Name string
}

// Error implements error.
func (e *Error) Error() string {
	if errors.Is(e.Kind, ErrUnknown) {
		return fmt.Sprintf("no tool is named %q", clip(e.Name, 80))
	}
	text := e.Kind.Error()
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Offset >= 0 {
		text += fmt.Sprintf(" (at byte %d)", e.Offset)
	}
	return text
}

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }

func fail(kind error, at int, detail string) *Error {
	return &Error{Kind: kind, Offset: at, Detail: detail}
}

func unknown(name string) *Error { return &Error{Kind: ErrUnknown, Offset: -1, Name: name} }

// clip shortens what a model wrote for an error message.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n] + "…"
}

// once drops what was said twice: equal calls count once, and one without
// arguments not at all beside a fuller one of the same tool (contract A8).
func once(calls []Call) []Call {
	if len(calls) < 2 {
		return calls
	}
	fuller := make(map[string]bool, len(calls))
	for _, c := range calls {
		if !empty(c.Arguments) {
			fuller[c.Name] = true
		}
	}
	seen := make(map[string]bool, len(calls))
	kept := calls[:0:0]
	for _, c := range calls {
		if empty(c.Arguments) && fuller[c.Name] {
			continue
		}
		key := c.Name + "\x00" + canonical(c.Arguments)
		if !seen[key] {
			seen[key] = true
			kept = append(kept, c)
		}
	}
	return kept
}

// empty reports whether raw is an object without members.
func empty(raw json.RawMessage) bool {
	b := bytes.TrimSpace(raw)
	return len(b) >= 2 && b[0] == '{' && len(bytes.TrimSpace(b[1:len(b)-1])) == 0
}

// canonical makes equal values equal strings, whatever their spacing and order.
// Numbers stay as they are written.
func canonical(raw json.RawMessage) string {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return string(raw)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return string(raw)
	}
	return string(b)
}
