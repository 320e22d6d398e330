// Package tag finds the tags of the agent protocol in what a model writes, while
// it writes: <THOUGHT title="…">, <ACTION>, <OBSERVATION>, <DRAFT>,
// <FINAL_ANSWER> and <think>, with their closing tags, in any case.
//
// A Parser takes the text in chunks and tells a Sink what it finds. However the
// input is cut, the Sink is told the same. Its text and the recognised tags are
// together the input, byte for byte; only half a closing tag at the very end is
// dropped. Time is linear, memory constant, and no chunk allocates.
//
// Models write about tags, too. What counts as one:
//
//   - Elements do not nest. An opening tag closes the element it stands in.
//   - An opening tag counts at the start of a line, after blanks at most, or right
//     after another tag; not within FINAL_ANSWER and ACTION.
//   - A closing tag counts anywhere within its element. Outside of any, it counts
//     at the start of a line or right after text, and is dropped.
//   - Neither counts in a code fence; a closing tag not after the backtick that
//     opens a code span either. But nothing comes after the last thing of the
//     input: there, the closing tag of the element does count.
//   - ACTION holds JSON, so </ACTION> within a string is part of it, unless the
//     line, the input or the text before another < ends there: no valid string
//     does, and a quote too many must not swallow the rest.
//   - A tag has at most 256 bytes.
//
// An example:
//
//	var p tag.Parser
//	for chunk := range chunks {
//		p.Feed(chunk, sink)
//	}
//	p.End(sink)
package tag

import "math/bits"

// Name is the element that text belongs to.
type Name uint8

// The elements of the protocol. None is the text outside of all of them.
const (
	None Name = iota
	Thought
	Action
	Observation
	Draft
	FinalAnswer
	Think
)

// names are the spellings, in upper case. None is the beginning of another.
var names = [...]string{
	None:        "",
	Thought:     "THOUGHT",
	Action:      "ACTION",
	Observation: "OBSERVATION",
	Draft:       "DRAFT",
	FinalAnswer: "FINAL_ANSWER",
	Think:       "THINK",
}

// String returns the name as the protocol spells it, "none" for None.
func (n Name) String() string {
	switch n {
	case None:
		return "none"
	case Think:
		return "think"
	}
	return names[n]
}

// Set is a set of names.
type Set uint8

// All has every element. A model that calls tools natively is read with
// Of(Think).
const All = Set(1<<Thought | 1<<Action | 1<<Observation | 1<<Draft | 1<<FinalAnswer | 1<<Think)

// Of returns the set of the given names.
func Of(list ...Name) Set {
	var s Set
	for _, n := range list {
		s |= 1 << n
	}
	return s & All
}

// Has reports whether n is in the set.
func (s Set) Has(n Name) bool { return s>>n&1 != 0 }

// first returns the first name of a set that is not empty.
func (s Set) first() Name { return Name(bits.TrailingZeros8(uint8(s)) & 7) }

// Sink is told what a Parser finds, by the goroutine and during the call of Feed
// or End. It must not keep the slices, nor change them.
type Sink interface {
	// Open begins an element. The title is the value of that attribute with its
	// entities decoded, nil where there is none.
	Open(n Name, title []byte)

	// Text is a piece of what stands in n, never empty. Pieces end where chunks
	// and tags do, which may be within a rune.
	Text(n Name, text []byte)

	// Close ends the element; each Open has its Close, also when the model leaves
	// the tag out. One Close has no Open: Think, at most once and only before any
	// Think was opened. Chat templates tend to open <think> in the prompt, so all
	// text of None so far was thinking.
	Close(n Name)
}
