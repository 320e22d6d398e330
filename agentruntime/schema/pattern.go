package schema

import (
	"regexp"
	"regexp/syntax"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Caps on regular expressions. RE2 takes time in proportion to the size of the
// compiled program and that of the text.
const (
	maxPattern  = 4096      // bytes
	maxProgram  = 4096      // instructions
	maxPrograms = 64 * 1024 // instructions of a schema's patterns together
)

// pattern is a regular expression of a schema. Without re it is one that is not
// enforced: JSON Schema has the syntax of ECMAScript, of which Go knows a part.
type pattern struct {
	text string
	re   *regexp.Regexp
	size int
}

func (p *pattern) String() string { return p.text }

func (p *pattern) MatchString(s string) bool { return p.re == nil || p.re.MatchString(s) }

// engine compiles the patterns of one schema.
type engine struct {
	known map[string]*pattern
	size  int
}

func (e *engine) compile(text string) (jsonschema.Regexp, error) {
	p := e.known[text]
	if p == nil {
		p = &pattern{text: text}
		if e.known == nil {
			e.known = map[string]*pattern{}
		}
		e.known[text] = p
		if size := programSize(text); size > 0 && e.size+size <= maxPrograms {
			if re, err := regexp.Compile(text); err == nil {
				p.re, p.size = re, size
				e.size += size
			}
		}
	}
	return p, nil
}

// programSize estimates how many instructions an expression has, before the
// repetitions in it are written out. It is 0 for what is not to be compiled.
func programSize(text string) int {
	if len(text) > maxPattern {
		return 0
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return 0
	}
	if n := treeSize(tree); n <= maxProgram {
		return n
	}
	return 0
}

func treeSize(re *syntax.Regexp) int {
	size := 1
	switch re.Op {
	case syntax.OpLiteral:
		size = len(re.Rune)
	case syntax.OpCharClass:
		size += len(re.Rune) / 64
	}
	for _, sub := range re.Sub {
		size += treeSize(sub)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Max, re.Min, 1)
	}
	return min(size, maxProgram+1)
}

// size returns what a match costs for each byte of text, 0 for a pattern that is
// not enforced.
func size(re jsonschema.Regexp) int {
	if p, ok := re.(*pattern); ok {
		return p.size
	}
	return 0
}

func enforced(re jsonschema.Regexp) bool {
	p, ok := re.(*pattern)
	return !ok || p.re != nil
}
