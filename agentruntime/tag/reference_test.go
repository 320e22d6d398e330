package tag

import (
	"regexp"
	"strings"
)

// reference is the parser written down as it is meant: it has the whole input,
// and looks at all text since the last tag again at each <. Only how a single tag
// is read it has in common with Parser.
func reference(in string, honoured Set) string {
	var r recorder
	text, last := 0, 0 // where text not yet told begins, and the last tag ends
	for i := 0; i < len(in); i++ {
		if in[i] != '<' {
			continue
		}
		where := place{in: r.in, before: in[last:i], thought: r.thought, honoured: honoured}
		c := candidate{size: 1, openers: where.openers()}
		var until *regexp.Regexp
		c.closers, until = where.closers()
		_, v := c.run([]byte(in[i+1:]))
		switch {
		case v == isOpen && c.closing && r.in != None:
			in = in[:i]
			continue
		case v != isTag || c.closing && !until.MatchString(in[i+c.size:]):
			continue
		}
		if i > text {
			r.Text(r.in, []byte(in[text:i]))
		}
		tag := []byte(in[i : i+c.size])
		switch {
		case !c.closing:
			if r.in != None {
				r.Close(r.in)
			}
			r.Open(c.name, c.title(tag, nil))
			if c.empty {
				r.Close(c.name)
			}
		case r.in != None || c.name == Think && !r.thought:
			r.Close(c.name)
		}
		i += c.size - 1
		text, last = i+1, i+1
	}
	if text < len(in) {
		r.Text(r.in, []byte(in[text:]))
	}
	if r.in != None {
		r.Close(r.in)
	}
	return r.String()
}

// place is where a < stands.
type place struct {
	in       Name
	before   string // since the last tag
	thought  bool
	honoured Set
}

func (p place) openers() Set {
	if p.in == FinalAnswer || p.in == Action || p.code() || strings.Trim(p.line(), " \t\r") != "" {
		return 0
	}
	return p.honoured
}

var (
	anything = regexp.MustCompile(``)
	lineEnd  = regexp.MustCompile(`^[ \t\r]{0,256}(\n|<|\z)`)
	inputEnd = regexp.MustCompile(`^[ \t\r\n]{0,256}\z`)
)

// closers returns what may close here, and what must follow.
func (p place) closers() (Set, *regexp.Regexp) {
	switch {
	case p.in == Action && p.quoted():
		return Of(Action), lineEnd
	case p.in == Action:
		return Of(Action), anything
	case p.in != None && p.code():
		return Of(p.in), inputEnd
	case p.in != None:
		return Of(p.in), anything
	case p.code():
		return 0, anything
	}
	line := p.line()
	if text := strings.Trim(line, " \t\r"); text == "" || strings.HasSuffix(line, text) {
		return p.honoured, anything
	}
	if !p.thought {
		return p.honoured & Of(Think), anything
	}
	return 0, anything
}

func (p place) line() string { return p.before[strings.LastIndexByte(p.before, '\n')+1:] }

// quoted reports whether an odd number of quotes comes before in this line.
func (p place) quoted() bool {
	inside, line := false, p.line()
	for i := 0; i < len(line); i++ {
		if inside && i+1 < len(line) && line[i] == '\\' && (line[i+1] == '"' || line[i+1] == '\\') {
			i++
		} else if line[i] == '"' {
			inside = !inside
		}
	}
	return inside
}

var (
	fenceStart = regexp.MustCompile("^\r*(?: \r*){0,3}(```+|~~~+)(.*)$")
	tickRun    = regexp.MustCompile("`+")
)

// code goes over the lines before, the unfinished one last.
func (p place) code() bool {
	fence := ""
	lines := strings.Split(p.before, "\n")
	for i, line := range lines {
		unfinished := i == len(lines)-1
		m := fenceStart.FindStringSubmatch(strings.ToValidUTF8(line, "?"))
		switch {
		case fence == "" && m != nil && (m[1][0] == '~' || !strings.Contains(m[2], "`")):
			fence = m[1]
		case fence != "" && m != nil && strings.HasPrefix(m[1], fence) && strings.Trim(m[2], " \t\r") == "":
			if fence = ""; unfinished {
				return false
			}
		}
	}
	if fence != "" {
		return true
	}
	span, line := "", p.line()
	for _, run := range tickRun.FindAllString(line, -1) {
		switch span {
		case "":
			span = run
		case run:
			span = ""
		}
	}
	return span != "" && strings.HasSuffix(line, "`")
}
