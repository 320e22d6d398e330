package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// Caps on what a CallAssembler keeps (security X10).
const (
	maxCalls         = 128
	maxCallName      = 1 << 10 // bytes; also of an id
	maxCallArguments = 1 << 20
	maxCallText      = 4 << 20 // of all calls together
)

// ErrTooManyCalls says that an answer's tool calls are more than is kept.
var ErrTooManyCalls = errors.New("the tool calls of the answer are too many or too large")

// CallAssembler puts the deltas of tool calls together (contract A10). The zero
// value is ready; it belongs to one goroutine.
//
// A delta belongs to the call with its id, else to the one that had its index
// last, else to the current one. A new id opens a new call even on a used index,
// and without an id so does a name once the call at that place is complete.
type CallAssembler struct {
	calls   []call
	places  []place
	current int // in calls, while there are any
	size    int // bytes of all texts
	err     error
}

// place says which call had an index last.
type place struct{ index, call int }

type call struct {
	id, name string

	// text is the arguments so far, read as cumulative where a fragment begins
	// with all that came before. A nested value can look like that too, so once it
	// has happened joined keeps the plain sum, and the end decides: if the sum is
	// JSON, it was one.
	text, joined []byte
	split        bool // joined differs from text
	object       bool // text came as an object

	open progress // of text
}

// Reset makes a ready for the next answer and keeps its buffers.
func (a *CallAssembler) Reset() {
	a.calls, a.places = a.calls[:0], a.places[:0]
	a.current, a.size, a.err = 0, 0, nil
}

// Add takes the next delta. It copies what it keeps. After an error the calls
// stay as they are, and every further Add returns it.
func (a *CallAssembler) Add(c CallDelta) error {
	if a.err != nil {
		return a.err
	}
	if c.ID == "null" { // as Mistral writes none in all deltas but the first
		c.ID = ""
	}
	if c.ID == "" && c.Name == "" && len(c.Arguments) == 0 {
		return nil
	}
	at := a.find(c)
	if at < 0 {
		at = a.open()
	}
	if a.err != nil {
		return a.err
	}
	a.current = at
	if c.Index >= 0 {
		a.put(c.Index, at)
	}
	a.calls[at].add(c, a)
	return a.err
}

// Calls returns the calls in the order in which they appeared. An id is empty
// where the provider gave none.
func (a *CallAssembler) Calls() []ToolCall {
	if len(a.calls) == 0 {
		return nil
	}
	calls := make([]ToolCall, len(a.calls))
	for i := range a.calls {
		c := &a.calls[i]
		calls[i] = ToolCall{ID: c.id, Name: c.name, Arguments: string(c.arguments())}
	}
	return calls
}

// find returns the call that a delta continues, -1 for a new one.
func (a *CallAssembler) find(c CallDelta) int {
	if c.ID != "" {
		for i := range a.calls {
			if a.calls[i].id == c.ID {
				return i
			}
		}
	}
	at := a.at(c)
	switch {
	case at < 0:
		return -1
	case c.ID != "" && !a.calls[at].takes(c):
		return -1
	case c.ID == "" && a.calls[at].ended(c):
		return -1
	}
	return at
}

// at returns the call at the place of a delta, -1 for none.
func (a *CallAssembler) at(c CallDelta) int {
	if len(a.calls) == 0 {
		return -1
	}
	if c.Index < 0 {
		return a.current
	}
	placed := false
	for _, p := range a.places {
		if p.index == c.Index {
			return p.call
		}
		placed = placed || p.call == a.current
	}
	// An index that comes only after the call has begun.
	if c.ID == "" && c.Name == "" && !placed {
		return a.current
	}
	return -1
}

func (a *CallAssembler) put(index, call int) {
	for i := range a.places {
		if a.places[i].index == index {
			a.places[i].call = call
			return
		}
	}
	// An id that repeats under ever new indexes must not fill the memory.
	if len(a.places) < maxCalls {
		a.places = append(a.places, place{index, call})
	}
}

func (a *CallAssembler) open() int {
	n := len(a.calls)
	if n == maxCalls {
		a.err = ErrTooManyCalls
		return -1
	}
	if n == cap(a.calls) {
		a.calls = append(a.calls, call{})
		return n
	}
	a.calls = a.calls[:n+1]
	c := &a.calls[n]
	*c = call{text: c.text[:0], joined: c.joined[:0]}
	return n
}

// progress follows a JSON document piece by piece, just to see when it ends.
type progress struct {
	depth                    int
	begun, inString, escaped bool
}

func (n *progress) read(text []byte) {
	for _, c := range text {
		switch {
		case n.escaped:
			n.escaped = false
		case n.inString:
			n.inString, n.escaped = c != '"', c == '\\'
		case c == '"':
			n.inString = true
		case c == '{' || c == '[':
			n.begun = true
			n.depth++
		case c == '}' || c == ']':
			n.depth--
		}
	}
}

func (n *progress) ended() bool { return n.begun && n.depth <= 0 && !n.inString }

// takes reports whether an id that is new belongs to this call, which got its
// name first.
func (c *call) takes(d CallDelta) bool {
	return c.id == "" && (d.Name == "" || c.name == "" || d.Name == c.name) && !c.open.ended()
}

// ended reports whether a delta without id that brings a name begins another
// call: this one has all it needs, and the delta does not just repeat it.
func (c *call) ended(d CallDelta) bool {
	if d.Name == "" || c.name == "" || !c.open.ended() {
		return false
	}
	return d.Name != c.name || len(d.Arguments) > 0 && !bytes.HasPrefix(d.Arguments, c.text)
}

// arguments returns the reading of the fragments that makes sense.
func (c *call) arguments() []byte {
	if c.split && json.Valid(c.joined) {
		return c.joined
	}
	return c.text
}

func (c *call) add(d CallDelta, a *CallAssembler) {
	before := len(c.id) + len(c.name) + len(c.text)
	if d.ID != "" {
		c.id = d.ID
	}
	switch {
	case strings.HasPrefix(d.Name, c.name): // the first, or cumulative, or repeated
		c.name = d.Name
	case d.Name != "":
		if len(c.name)+len(d.Name) <= maxCallName {
			c.name += d.Name
		} else {
			a.err = ErrTooManyCalls
		}
	}
	if len(d.Arguments) > 0 {
		c.addArguments(d, a)
	}
	a.size += len(c.id) + len(c.name) + len(c.text) - before
	if len(c.id) > maxCallName || len(c.name) > maxCallName || a.size > maxCallText {
		a.err = ErrTooManyCalls
	}
}

func (c *call) addArguments(d CallDelta, a *CallAssembler) {
	switch {
	case len(d.Arguments) > maxCallArguments:
		a.err = ErrTooManyCalls
	case d.Object:
		// Some servers open a call with {} and send the text afterwards, or end it so.
		if len(c.text) == 0 || !vacant(d.Arguments) {
			c.replace(d.Arguments)
			c.joined, c.split, c.object = c.joined[:0], false, true
		}
	case c.object && vacant(c.text):
		c.replace(d.Arguments)
		c.object = false
	case cumulates(c.text, d.Arguments):
		c.join(d.Arguments, true)
		c.replace(d.Arguments)
	case len(c.text)+len(d.Arguments) > maxCallArguments:
		a.err = ErrTooManyCalls
	default:
		c.join(d.Arguments, false)
		c.text = append(c.text, d.Arguments...)
		c.open.read(d.Arguments)
	}
}

func (c *call) replace(text []byte) {
	c.text = append(c.text[:0], text...)
	c.open = progress{}
	c.open.read(text)
}

// cumulates reports whether a fragment looks as if it had everything so far.
func cumulates(have, fragment []byte) bool {
	if len(have) < 2 || !bytes.HasPrefix(fragment, have) {
		return false
	}
	start := bytes.TrimLeft(have, " \n\r\t\ufeff")
	return len(start) > 0 && strings.IndexByte(`{["`, start[0]) >= 0 || bytes.HasPrefix(start, []byte("```"))
}

// join keeps the plain sum of the fragments from the moment it differs. A sum
// that outgrows its cap is none: then the fragments were cumulative.
func (c *call) join(fragment []byte, differs bool) {
	if !c.split {
		if !differs {
			return
		}
		c.split = true
		c.joined = append(c.joined[:0], c.text...)
	}
	if c.joined != nil && len(c.joined)+len(fragment) <= maxCallArguments {
		c.joined = append(c.joined, fragment...)
	} else {
		c.joined = nil
	}
}
