package verify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// gap is what is missing of a request.
type gap struct {
	id    string
	spans []span
}

// span is the numbers from lo to hi.
type span struct{ lo, hi uint64 }

func (g *gap) problem() Problem {
	return Problem{Kind: "gap", Request: clean(g.id, 128), Text: g.text()}
}

func (g *gap) text() string {
	var b strings.Builder
	b.WriteString("event_seq ")
	for i, s := range g.spans {
		if i > 0 {
			b.WriteString(", ")
		}
		if i == 8 {
			b.WriteString("…")
			break
		}
		if s.lo == s.hi {
			fmt.Fprintf(&b, "%d", s.lo)
		} else {
			fmt.Fprintf(&b, "%d to %d", s.lo, s.hi)
		}
	}
	b.WriteString(" missing")
	return b.String()
}

// miss notes that numbers of a request are missing.
func (c *Checker) miss(r *request, key [2]uint64, id string, lo, hi uint64) {
	c.sum.Missing += hi - lo + 1
	if c.report != nil {
		c.report((&gap{id: id, spans: []span{{lo, hi}}}).problem())
	}
	if !r.gapped {
		r.gapped = true
		c.sum.Gapped++
	}
	g := c.gaps[key]
	if g == nil {
		if len(c.gaps) >= maxGaps {
			return
		}
		g = &gap{id: id}
		c.gaps[key] = g
	}
	g.spans = append(g.spans, span{lo, hi})
}

// fill takes a number back that was missing, and reports whether it was.
func (c *Checker) fill(r *request, key [2]uint64, seq uint64) bool {
	if !r.gapped {
		return false
	}
	g := c.gaps[key]
	if g == nil { // there are too many to know which numbers
		c.sum.Missing--
		return true
	}
	i := slices.IndexFunc(g.spans, func(s span) bool { return s.lo <= seq && seq <= s.hi })
	if i < 0 {
		return false
	}
	c.sum.Missing--
	s := g.spans[i]
	switch {
	case s.lo == s.hi:
		g.spans = slices.Delete(g.spans, i, i+1)
	case seq == s.lo:
		g.spans[i].lo++
	case seq == s.hi:
		g.spans[i].hi--
	default:
		g.spans[i].hi = seq - 1
		g.spans = slices.Insert(g.spans, i+1, span{seq + 1, s.hi})
	}
	if len(g.spans) == 0 {
		delete(c.gaps, key)
		r.gapped = false
		c.sum.Gapped--
	}
	return true
}

// gapProblems tells the first of the gaps in words.
func (c *Checker) gapProblems() []Problem {
	var all []Problem
	for _, g := range c.gaps {
		all = append(all, g.problem())
	}
	slices.SortFunc(all, func(a, b Problem) int { return cmp.Compare(a.Request, b.Request) })
	return all[:min(len(all), maxProblems)]
}
