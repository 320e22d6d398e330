package tag

import (
	"fmt"
	"strings"
	"testing"
)

// recorder writes down what a Sink is told: text as it is, tags as ‹NAME›,
// ‹NAME title› and ‹/NAME›. It checks that the calls fit together.
type recorder struct {
	strings.Builder
	events  []event // adjacent texts are one
	in      Name
	thought bool
	wrong   error
}

type event struct {
	kind byte // o, t or c
	name Name
	text string
}

func (r *recorder) Open(n Name, title []byte) {
	if n == None || r.in != None {
		r.fail("Open(%s) within %s", n, r.in)
	}
	r.in, r.thought = n, r.thought || n == Think
	r.add(event{'o', n, string(title)})
	if title == nil {
		fmt.Fprintf(r, "‹%s›", n)
	} else {
		fmt.Fprintf(r, "‹%s %s›", n, title)
	}
}

func (r *recorder) Text(n Name, text []byte) {
	if n != r.in {
		r.fail("Text(%s) within %s", n, r.in)
	}
	if len(text) == 0 {
		r.fail("empty text")
	}
	if last := len(r.events) - 1; last >= 0 && r.events[last].kind == 't' {
		r.events[last].text += string(text)
	} else {
		r.add(event{'t', n, string(text)})
	}
	r.Write(text)
}

func (r *recorder) Close(n Name) {
	if unopened := r.in == None && n == Think && !r.thought; n != r.in && !unopened || n == None {
		r.fail("Close(%s) within %s", n, r.in)
	}
	r.in, r.thought = None, r.thought || n == Think
	r.add(event{'c', n, ""})
	fmt.Fprintf(r, "‹/%s›", n)
}

func (r *recorder) add(e event) { r.events = append(r.events, e) }

func (r *recorder) fail(format string, args ...any) {
	if r.wrong == nil {
		r.wrong = fmt.Errorf(format+", after %q", append(args, r.String())...)
	}
}

// record parses the chunks with p, which it resets.
func record(tb testing.TB, p *Parser, honoured Set, chunks ...string) *recorder {
	tb.Helper()
	r := new(recorder)
	p.Reset(honoured)
	for _, c := range chunks {
		b := []byte(c)
		p.Feed(b, r)
		for i := range b {
			b[i] = '#' // the caller's buffer is used again
		}
	}
	p.End(r)
	if r.in != None {
		r.fail("%s is left open", r.in)
	}
	if r.wrong != nil {
		tb.Fatalf("%v\nin %q", r.wrong, chunks)
	}
	return r
}

// bytewise cuts s into single bytes.
func bytewise(s string) []string {
	chunks := make([]string, len(s))
	for i := range chunks {
		chunks[i] = s[i : i+1]
	}
	return chunks
}
