package toolcall

import "strings"

// A marker also counts behind the end of a sentence: templates put no line break
// there. Nobody types a special token, so one counts with a space before it, too;
// a tag that people write about only without, or where the line ends behind it. A
// colon is the end of a sentence as well, but it may introduce a quote: behind it
// a token counts only without the space that people type, and a tag only where the
// line ends.

// midline returns where on the line from i to end a marker counts that does not
// begin it, -1 for nowhere.
func (t *scan) midline(i, end int) int {
	ticks := 0
	for j := i; ; j++ {
		n := strings.IndexAny(t.s[j:end], "<[")
		if n < 0 {
			return -1
		}
		ticks += strings.Count(t.s[j:j+n], "`")
		j += n
		if t.marker(j) != noMarker && t.behindSentence(i, j, end) {
			if ticks%2 != 0 {
				return -1
			}
			return j
		}
	}
}

// behindSentence reports whether the marker at j, on the line from i to end, counts.
func (t *scan) behindSentence(i, j, end int) bool {
	ended, colon := sentence(t.s[i:j])
	if !ended && !colon {
		return false
	}
	spaced := t.s[j-1] == ' ' || t.s[j-1] == '\t'
	if ended && !spaced || t.token(j) {
		return ended || !spaced
	}
	g, ok := tagAt(t.s, j)
	return ok && skipSpace(t.s, g.end) >= end
}

// token reports whether the marker at i is a special token, or a tag that has one
// in it.
func (t *scan) token(i int) bool {
	if strings.HasPrefix(t.s[i:], mistralCalls) || hasAny(t.s[i:], gemmaOpen) > 0 {
		return true
	}
	_, ok := bars(t.s, i+1)
	return ok
}

// sentence reports whether text ends with the end of a sentence, or of thinking, or
// with a colon.
func sentence(text string) (ended, colon bool) {
	text = strings.TrimRight(text, " \t")
	for _, stop := range []string{".", "!", "?", "。", "！", "？", "…", "</thinking>", "</thought>", "</seed:think>"} {
		if strings.HasSuffix(text, stop) {
			return true, false
		}
	}
	return false, strings.HasSuffix(text, ":")
}

// Midline is BeginsLine for what does not begin a line: it returns where in line,
// from i on, a call begins behind a sentence, or may come to; -1 for nowhere.
// ticks is how many backticks line has before i: between two of them is a quote.
func Midline(line string, i, ticks int) int {
	for ; ; i++ {
		n := strings.IndexAny(line[i:], "<[]")
		if n < 0 {
			return -1
		}
		ticks += strings.Count(line[i:i+n], "`")
		i += n
		if ended, colon := sentence(line[:i]); (ended || colon) && ticks%2 == 0 && BeginsLine(line[i:]) != No {
			return i
		}
	}
}
