package verify

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/universal-ai-gateway/magicproxy/audit"
)

// Summary is what a Checker has found.
type Summary struct {
	// Events is how many have been read, Doubles how many of them had been read
	// before. Types counts the others by event_type.
	Events  uint64            `json:"events"`
	Doubles uint64            `json:"doubles"`
	Types   map[string]uint64 `json:"types"`

	// Requests have at least one event. Ended have an answer or an error; Open have a
	// request event, and neither. Joined were under way when this began: their first
	// events are not looked for.
	Requests uint64 `json:"requests"`
	Ended    uint64 `json:"ended"`
	Open     uint64 `json:"open"`
	Joined   uint64 `json:"joined"`

	// Missing is how many numbers lack below the highest event_seq of their request;
	// Gapped is of how many requests.
	Missing uint64 `json:"missing"`
	Gapped  uint64 `json:"gapped"`

	Disorder   uint64 `json:"disorder"`   // events that come behind later ones of their request
	Conflicts  uint64 `json:"conflicts"`  // events with the event_seq of another
	Violations uint64 `json:"violations"` // events that the schema does not allow
	Unreadable uint64 `json:"unreadable"` // not JSON, or a checksum that is wrong

	// First and Last are the times of the oldest and the newest event, RFC 3339.
	First string `json:"first,omitempty"`
	Last  string `json:"last,omitempty"`

	// OK: nothing is wrong. Doubles and open requests are not wrong.
	OK bool `json:"ok"`

	// Problems are the first of what is wrong, in words.
	Problems []Problem `json:"problems,omitempty"`

	first, last int64
}

// Problem is one thing that is wrong.
type Problem struct {
	Kind    string `json:"kind"` // gap, order, conflict, schema, unreadable
	Request string `json:"request_id,omitempty"`
	Event   string `json:"event_id,omitempty"`
	Text    string `json:"text"`
}

// Wrong is how many things are wrong.
func (s *Summary) Wrong() uint64 {
	return s.Missing + s.Disorder + s.Conflicts + s.Violations + s.Unreadable
}

// Summary says what has been found so far. A number that is missing now may come yet,
// while events still come.
func (c *Checker) Summary() Summary {
	s := c.sum
	s.Types = maps.Clone(s.Types)
	s.Problems = append(c.gapProblems(), s.Problems...)
	s.OK = s.Wrong() == 0
	return s
}

func (c *Checker) problem(kind, request, event, text string) {
	p := Problem{kind, clean(request, 128), clean(event, 64), clean(text, 300)}
	if len(c.sum.Problems) < maxProblems {
		c.sum.Problems = append(c.sum.Problems, p)
	}
	if c.report != nil {
		c.report(p)
	}
}

func stamp(micro int64) string {
	return time.UnixMicro(micro).UTC().Format("2006-01-02T15:04:05.000000Z")
}

// WriteTable writes the summary for people.
func (s *Summary) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name string, n uint64, about string) {
		if about != "" {
			about = "\t" + about
		}
		fmt.Fprintf(t, "%s\t%d%s\n", name, n, about)
	}
	row("events", s.Events, period(s.First, s.Last))
	row("doubles", s.Doubles, "")
	for _, typ := range audit.Types {
		row("  "+string(typ), s.Types[string(typ)], "")
	}
	for _, typ := range slices.Sorted(maps.Keys(s.Types)) {
		if !slices.Contains(audit.Types, audit.Type(typ)) {
			row("  "+clean(typ, 40), s.Types[typ], "unknown")
		}
	}
	row("requests", s.Requests, "")
	row("  ended", s.Ended, "")
	row("  open", s.Open, "no answer and no error yet")
	row("  joined", s.Joined, "begun before what was read")
	row("missing", s.Missing, fmt.Sprintf("of %d requests", s.Gapped))
	row("out of order", s.Disorder, "")
	row("conflicts", s.Conflicts, "two events with one number")
	row("schema violations", s.Violations, "")
	row("unreadable", s.Unreadable, "")
	if err := t.Flush(); err != nil {
		return err
	}
	for _, p := range s.Problems {
		if _, err := fmt.Fprintln(w, p); err != nil {
			return err
		}
	}
	word := "ok"
	if !s.OK {
		word = fmt.Sprintf("NOT OK: %d problems", s.Wrong())
	}
	_, err := fmt.Fprintln(w, word)
	return err
}

func period(from, to string) string {
	if from == "" {
		return ""
	}
	return from + " to " + to
}

// String is the problem in one line.
func (p Problem) String() string {
	s := p.Kind + ": " + p.Text
	if p.Request != "" {
		s += ", request " + p.Request
	}
	if p.Event != "" {
		s += ", event " + p.Event
	}
	return s
}
