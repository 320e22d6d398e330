package tag

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// fragments are put together at random; most of them are half of something.
var fragments = strings.Split("<THOUGHT>|</THOUGHT>|<ACTION>|</ACTION>|<DRAFT title=\"a\">|</DRAFT>|<FINAL_ANSWER>|</FINAL_ANSWER>|<think>|</think>|<OBSERVATION>|"+
	"</OBSERVATION>|<|</|>|/>|<THO|UGHT|</ACT|ION>|</FINAL_|<draft/>|<thought title='&lt;|&#39;|' x=y/>| title=|=|\"|'|\\|\\\"|`|``|```|````|~~~|~|\n|\n|\n|\r\n|"+
	"\n\n|\n```\n|\n~~~~|\n   ```go\n|\n    ```\n|```\n|\n```|`x`| |  |\t|a|some words|é|\xff|{\"a\":\"b|\"}|\n<ACTION>{\"a\":\"|</ACTION>\n|</ACTION> |\n</DRAFT>\n|\n<DRAFT>|"+
	strings.Repeat("\n", 250)+"|"+strings.Repeat(" x", 120), "|")

func generate(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(30) {
		b.WriteString(fragments[r.IntN(len(fragments))])
	}
	return b.String()
}

// cut cuts s at random, often very short.
func cut(r *rand.Rand, s string) (chunks []string) {
	most := 1 + r.IntN(20)
	for s != "" {
		n := min(r.IntN(most+1), len(s))
		chunks = append(chunks, s[:n])
		s = s[n:]
	}
	return chunks
}

// contract: A11
func TestAnySplitIsTheSame(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		set := All
		if seed%4 == 0 {
			set = Set(r.UintN(256)) & All
		}
		if err := check(t, generate(r), set, r); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// check proves all that holds for any input.
func check(tb testing.TB, in string, set Set, r *rand.Rand) error {
	var p Parser
	whole := record(tb, &p, set, in)
	got := whole.String()
	for _, chunks := range [][]string{bytewise(in), cut(r, in), cut(r, in)} {
		if other := record(tb, &p, set, chunks...).String(); other != got {
			return fmt.Errorf("%q\nwhole  %q\nsplit  %q\nchunks %q", in, got, other, chunks)
		}
	}
	if want := reference(in, set); got != want {
		return fmt.Errorf("%q\ngot       %q\nreference %q", in, got, want)
	}
	if !conserved(in, whole.events) {
		return fmt.Errorf("%q\nis not what is left and what was recognised: %q", in, got)
	}
	return nil
}

var (
	closer = regexp.MustCompile(`(?i)^</(THOUGHT|ACTION|OBSERVATION|DRAFT|FINAL_ANSWER|THINK)\s*>`)
	opener = regexp.MustCompile(`(?is)^<(THOUGHT|ACTION|OBSERVATION|DRAFT|FINAL_ANSWER|THINK)(?:[\s/](?:[^"'>]|"[^"]*"|'[^']*')*)?>`)
	half   = regexp.MustCompile(`(?i)^</[A-Z_]*\s*\z`)
)

// conserved reports whether in can be read as the events' texts with the tags of
// its events in between; closing tags may be left out or have no event.
func conserved(in string, events []event) bool {
	at := map[int]bool{0: true} // the places where we may be
	next := func(step func(i int, rest string) (n int, ok bool)) {
		to := map[int]bool{}
		for i := range at {
			if n, ok := step(i, in[i:]); ok {
				to[i+n] = true
			}
		}
		at = to
	}
	strays := func() {
		for i := range maps.Clone(at) {
			for n := 1; n > 0; i += n {
				n = len(closer.FindString(in[i:]))
				at[i+n] = true
			}
		}
	}
	for _, e := range events {
		strays()
		switch e.kind {
		case 'o':
			next(func(_ int, rest string) (int, bool) {
				m := opener.FindStringSubmatch(rest)
				if len(m) == 0 {
					return 0, false
				}
				return len(m[0]), strings.EqualFold(m[1], e.name.String())
			})
		case 't':
			for i := range len(e.text) {
				strays()
				next(func(_ int, rest string) (int, bool) { return 1, rest != "" && rest[0] == e.text[i] })
			}
		}
	}
	strays()
	for i := range at {
		if i == len(in) || half.MatchString(in[i:]) {
			return true
		}
	}
	return false
}

func TestMarks(t *testing.T) {
	for b := range 256 {
		for n := range 20 {
			s := strings.Repeat("\x80", n) + string([]byte{byte(b)}) + "<"
			if got, want := nextMark([]byte(s)), strings.IndexAny(s, "<`~"); got != want {
				t.Fatalf("nextMark(%q) = %d, want %d", s, got, want)
			}
			if got, want := nextQuote([]byte(s)), strings.IndexAny(s, "<\"\\\n"); got != want {
				t.Fatalf("nextQuote(%q) = %d, want %d", s, got, want)
			}
			if got, want := nextMark([]byte(s[:n])), n; got != want {
				t.Fatalf("nextMark(%q) = %d, want %d", s[:n], got, want)
			}
			if got, want := nextQuote([]byte(s[:n])), n; got != want {
				t.Fatalf("nextQuote(%q) = %d, want %d", s[:n], got, want)
			}
		}
	}
}

// contract: A11
func FuzzParser(f *testing.F) {
	f.Add(turn, uint8(All), uint64(0))
	for _, h := range hostile {
		f.Add(h.start+strings.Repeat(h.unit, 4), uint8(All), uint64(1))
	}
	for seed := range uint64(20) {
		f.Add(generate(rand.New(rand.NewPCG(seed, 2))), uint8(All), seed)
	}
	f.Fuzz(func(t *testing.T, in string, set uint8, seed uint64) {
		if len(in) > 4<<10 {
			t.Skip("longer than what is compared with the reference in time")
		}
		if err := check(t, in, Set(set)&All, rand.New(rand.NewPCG(seed, 3))); err != nil {
			t.Error(err)
		}
	})
}
