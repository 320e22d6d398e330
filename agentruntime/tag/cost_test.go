package tag

import (
	"strings"
	"testing"
)

// hostile inputs repeat what makes a naive parser look at bytes again and again.
var hostile = []struct{ name, start, unit string }{
	{"brackets", "", "<"},
	{"closers", "<DRAFT>", "</"},
	{"halves", "<DRAFT>", "</DRAF"},
	{"openers", "", "<DRAFT \n"},
	{"attributes", "", "<DRAFT a='\n"},
	{"attributes in attributes", "", "<DRAFT a='\n<DRAFT b=\"\n" + strings.Repeat("<DRAFT \n", 28)},
	{"attributes that go on", "", "<DRAFT a='b=\"\n"},
	{"attributes of any length", "", "<DRAFT a='\n<DRAFT b=\"\n" + strings.Repeat(" ", 250)},
	{"entities", "", "<DRAFT title='&amp;&amp;&amp;&amp;&amp;&amp;&amp;'>\n"},
	{"ticks", "", "`"},
	{"spans", "<DRAFT>", "`</DRAFT>"},
	{"odd spans", "<DRAFT>a", "`</DRAFT>``</DRAFT> "},
	{"fences", "<DRAFT>", "```\n</DRAFT>\n\n\n\n\n"},
	{"tails", "<DRAFT>\n```", "</DRAFT>" + strings.Repeat("\n", 250)},
	{"strings", "<ACTION>\"", "</ACTION>" + strings.Repeat(" ", 250)},
	{"quotes", "<ACTION>\"", "\\\"\\\\</ACTION>"},
	{"blanks", "", " \t"},
	{"tildes", "", "~ "},
	{"strays", "x", " </DRAFT>"},
}

// Whatever the input and its chunks, a byte is looked at a bounded number of
// times. It is passed once on the way to the next <, and belongs to three
// candidates at most: a < within a candidate is within quotes, and of two
// candidates that are open at a place one is in " and the other in '. The bytes
// that decide count as well.
//
// contract: A11
func TestTimeIsLinear(t *testing.T) {
	const most = 7
	for _, h := range hostile {
		t.Run(h.name, func(t *testing.T) {
			for _, size := range []int{1, 3, 4096, 1 << 20} {
				var p Parser
				var sink discard
				p.Feed([]byte(h.start), &sink)
				in := []byte(strings.Repeat(h.unit, 128<<10/len(h.unit)))
				for b := in; len(b) > 0; {
					n := min(size, len(b))
					p.Feed(b[:n], &sink)
					b = b[n:]
				}
				if times := (p.looked + len(in) - 1) / len(in); times > most {
					t.Errorf("chunks of %d: each byte was looked at %d times, want at most %d", size, times, most)
				}
				if p.looked < len(in) {
					t.Errorf("chunks of %d: %d bytes were looked at of %d: the count is wrong", size, p.looked, len(in))
				}
			}
		})
	}
}

// The same for an input that is large in earnest; all of it arrives.
//
// contract: A11
func TestLargeInput(t *testing.T) {
	if testing.Short() {
		t.Skip("64 MB")
	}
	chunk := []byte(strings.Repeat(turn, 64<<10/len(turn)))
	chunks := 64 << 20 / len(chunk)
	var p Parser
	var one, all discard
	feed(&p, chunk, len(chunk), &one)
	for range chunks {
		p.Feed(chunk, &all)
	}
	if p.looked > 2*chunks*len(chunk) {
		t.Errorf("%d bytes took %d looks", chunks*len(chunk), p.looked)
	}
	if all.bytes != chunks*one.bytes || all.tags != chunks*one.tags {
		t.Errorf("got %d bytes and %d tags, want %d times %d and %d", all.bytes, all.tags, chunks, one.bytes, one.tags)
	}
}

// contract: A11
func TestNoAllocations(t *testing.T) {
	in := []byte(turn + `<DRAFT title="&lt;a&gt;">` + "\n```\n</DRAFT> \n <b>\n```\n</DRAFT>\n")
	var p Parser
	var sink discard
	for _, size := range []int{1, 4, 100, len(in)} {
		if n := testing.AllocsPerRun(20, func() { feed(&p, in, size, &sink) }); n > 0 {
			t.Errorf("chunks of %d: %v allocations", size, n)
		}
	}
}
