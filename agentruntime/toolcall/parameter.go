package toolcall

import (
	"strings"
)

// parameter reads the value of one parameter. It ends at the closing tag behind
// which another parameter or the end of the block stands; closing tags within
// the text are followed by something else. Models forget closing tags: then the
// value ends where the next parameter begins on a line of its own.
func (t *scan) parameter(o *object, g tag, at int, local string) (int, error) {
	if g.empty {
		return g.end, o.text(g.value, "", at)
	}
	from := g.end
	var opened []int // parameters opened within the value
	foreign, closed := false, 0
	blockEnd := -1
	for j := from; ; j++ {
		n := strings.IndexByte(t.s[j:], '<')
		if n < 0 {
			break
		}
		j += n
		h, ok := tagAt(t.s, j)
		if !ok {
			continue
		}
		switch {
		case paramTags[h.local] && h.closing:
			if t.structural(h.end, local) {
				return t.value(o, g, from, j, h.end, opened, closed, foreign)
			}
			closed++
		case paramTags[h.local] && h.value != "":
			opened = append(opened, j)
		case !h.closing && (h.local == "function" || h.local == "invoke" || h.local == "tool_call"):
			foreign = true
		case h.closing && h.local == local && blockEnd < 0 && ownLine(t.s, j):
			blockEnd = j
		}
	}
	// No closing tag at all.
	t.repairs++
	if blockEnd >= 0 && closed == 0 && !foreign && t.repairs <= maxRepairs && t.wrapped(blockEnd) && ownLines(t.s, opened) {
		if len(opened) > 0 {
			blockEnd = opened[0]
		}
		return blockEnd, t.unclosed(o, g, t.s[from:blockEnd], at)
	}
	return 0, fail(ErrCut, len(t.s), "the parameter "+clip(g.value, 60)+" is not closed")
}

// value adds the parameter whose closing tag stands from to to end, unless tags
// within the value make it doubtful whose closing tag that is.
func (t *scan) value(o *object, g tag, from, to, end int, opened []int, closed int, foreign bool) (int, error) {
	switch {
	case !foreign && (len(opened) == 0 || len(opened) == closed && !anyOwnLine(t.s, opened)):
		return end, t.typed(o, g, t.s[from:to], from)
	case closed == 0 && !foreign && t.repairs < maxRepairs && ownLines(t.s, opened):
		t.repairs++
		return opened[0], t.unclosed(o, g, t.s[from:opened[0]], from)
	}
	return 0, fail(ErrAmbiguous, from, "the value of "+clip(g.value, 60)+" holds tags of a call")
}

// wrapped reports whether the closing tag at i is followed by that of a wrapper,
// and that by nothing: the value could quote one of them, hardly both at its end.
func (t *scan) wrapped(i int) bool {
	end := closer(t.s, i)
	return end > i && closers(t.s, end) == len(t.s) && skipSpace(t.s, end) < len(t.s)
}

// unclosed adds a value whose closing tag is missing. One named like the
// parameter may stand in its place.
func (t *scan) unclosed(o *object, g tag, value string, at int) error {
	if g.kind == "true" {
		g.kind = "" // the line break before the next tag is none of the value
	}
	text := strings.TrimRight(value, " \n\r\t")
	if bare, ok := strings.CutSuffix(text, "</"+g.value+">"); ok && !strings.Contains(bare, "<"+g.value) {
		return t.typed(o, g, bare, at)
	}
	if n := strings.LastIndexByte(text, '<'); n >= 0 {
		if h, ok := tagAt(text, n); ok && h.closing && h.end == len(text) {
			return fail(ErrAmbiguous, at, "the value of "+clip(g.value, 60)+" is closed by another tag")
		}
	}
	return t.typed(o, g, value, at)
}

// typed adds a value, as JSON where the tag says string="false". Where it says
// true, the text stands there as it is, unless the tags have lines of their own.
func (t *scan) typed(o *object, g tag, value string, at int) error {
	if g.kind == "true" && !(strings.HasPrefix(value, "\n") && strings.HasSuffix(value, "\n")) {
		return o.add(g.value, appendString(nil, value), at)
	}
	if g.kind != "false" {
		return o.text(g.value, value, at)
	}
	value = strings.TrimSpace(value) + "\n" // a number may end here
	v, err := parse(value, 0, reader{})
	if err != nil {
		return err
	}
	if strings.TrimSpace(value[v.end:]) != "" {
		return fail(ErrDamaged, at, "the value of "+clip(g.value, 60))
	}
	return o.add(g.value, v.json, at)
}

// structural reports whether what stands at i may follow a parameter.
func (t *scan) structural(i int, local string) bool {
	i = skipSpace(t.s, i)
	if i >= len(t.s) || closer(t.s, i) > i || halfCloser(t.s, i) {
		return true
	}
	g, ok := tagAt(t.s, i)
	if !ok {
		return t.s[i] == '<' && len(t.s)-i < 24 && !strings.ContainsAny(t.s[i+1:], "< \n")
	}
	return !g.closing && (paramTags[g.local] && g.value != "" || g.local == local)
}

// named reads <city>Paris</city>: a parameter that is a tag of its own.
func (t *scan) named(o *object, g tag, at int) (int, error) {
	rest := t.s[g.end:]
	n := strings.IndexByte(rest, '<')
	if n < 0 {
		return 0, fail(ErrCut, len(t.s), "<"+g.local+"> is not closed")
	}
	h, ok := tagAt(t.s, g.end+n)
	if !ok {
		return 0, t.noTag(g.end + n)
	}
	if !h.closing || h.local != g.local {
		return 0, fail(ErrAmbiguous, g.end+n, "a tag within <"+g.local+">")
	}
	open := t.s[at:g.end]
	return h.end, o.text(strings.Trim(open[strings.LastIndexByte(open, ':')+1:], "</>"), rest[:n], at)
}

// ownLine reports whether only blanks stand before i on its line.
func ownLine(s string, i int) bool {
	line := strings.TrimRight(s[:i], " \t\r")
	return line == "" || line[len(line)-1] == '\n'
}

func ownLines(s string, at []int) bool {
	for _, i := range at {
		if !ownLine(s, i) {
			return false
		}
	}
	return true
}

func anyOwnLine(s string, at []int) bool {
	for _, i := range at {
		if ownLine(s, i) {
			return true
		}
	}
	return false
}
