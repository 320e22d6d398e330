package tag

// candidate reads what begins with a < and may be a tag, byte by byte, so that
// it can be cut anywhere. It gives up at the first byte that no tag honoured here
// can have: hardly anything of ordinary text is held back.
type candidate struct {
	openers, closers Set // what would count here
	until            until
	phase            phase

	left    Set  // the names that it still can be
	closing bool // </
	empty   bool // />
	name    Name
	letters int // of the name so far
	size    int // of the tag so far, with its brackets
	tail    int // white space after it

	attr     int  // letters that the attribute shares with "title", -1 once it differs
	quote    byte // around the value
	titled   bool // from and to hold a title
	from, to int  // of the title's value, in the tag
}

// until says what must come after the tag for it to count.
type until uint8

const (
	untilNothing  until = iota
	untilLineEnd        // blanks, then a line feed, a <, or the input's end
	untilInputEnd       // white space, then the input's end
)

type phase uint8

const (
	inStart     phase = iota // after the <
	inName                   // of the element
	inGap                    // between attributes
	inAttr                   // an attribute's name
	inAttrGap                // before its =
	inValueGap               // after its =
	inQuoted                 // its value
	inBare                   // its value, unquoted
	inBareSlash              // after a / that is the value's or the tag's
	inSlash                  // after the tag's /
	inTail                   // after the tag
)

type verdict uint8

const (
	isOpen verdict = iota // more is needed
	isProse
	isTag
)

// run reads on in b. It returns how much of it belongs to the candidate; the byte
// that decided against it does not.
func (c *candidate) run(b []byte) (int, verdict) {
	for i, x := range b {
		if c.phase == inTail {
			if v := c.after(x); v != isOpen {
				return i, v
			}
			continue
		}
		if c.size == maxTag || !c.step(x) {
			return i, isProse
		}
		c.size++
		if c.phase == inTail && c.until == untilNothing {
			return i + 1, isTag
		}
	}
	return len(b), isOpen
}

// after judges a byte behind the closing tag.
func (c *candidate) after(x byte) verdict {
	switch {
	case c.until == untilLineEnd && (x == '\n' || x == '<'):
		return isTag
	case !isSpace(x) || c.tail == maxTail:
		return isProse
	}
	c.tail++
	return isOpen
}

// step takes the next byte of the tag, and reports whether it can be one.
func (c *candidate) step(x byte) bool {
	switch c.phase {
	case inStart:
		c.phase = inName
		if x == '/' {
			c.closing, c.left = true, c.closers
			return c.left != 0
		}
		c.left = c.openers
		return c.letter(x)
	case inName:
		if isSpace(x) || x == '>' || x == '/' {
			return c.named() && c.gap(x)
		}
		return c.letter(x)
	case inGap:
		return c.gap(x)
	case inAttr, inAttrGap:
		switch {
		case x == '=':
			c.phase = inValueGap
			return true
		case isSpace(x):
			c.phase = inAttrGap
			return true
		case c.phase == inAttrGap || x == '>' || x == '/':
			return c.gap(x)
		}
		return c.attribute(x)
	case inValueGap:
		return c.value(x)
	case inQuoted:
		if x == c.quote {
			c.phase = inGap
			c.valued(c.size)
		}
		return true
	case inBare, inBareSlash:
		return c.bare(x)
	case inSlash:
		c.empty, c.phase = true, inTail
		return x == '>'
	}
	return false
}

// letter narrows the names down to those that go on with x.
func (c *candidate) letter(x byte) bool {
	if 'a' <= x && x <= 'z' {
		x -= 'a' - 'A'
	}
	for rest := c.left; rest != 0; rest &= rest - 1 {
		n := rest.first()
		if s := names[n]; c.letters >= len(s) || s[c.letters] != x {
			c.left &^= 1 << n
		}
	}
	c.letters++
	return c.left != 0
}

// named settles the name, if it is complete.
func (c *candidate) named() bool {
	c.name = c.left.first()
	return c.letters == len(names[c.name])
}

// gap takes a byte where an attribute may begin or the tag end.
func (c *candidate) gap(x byte) bool {
	switch {
	case isSpace(x):
		c.phase = inGap
		return true
	case x == '>':
		c.phase = inTail
		return true
	case c.closing:
		return false
	case x == '/':
		c.phase = inSlash
		return true
	}
	c.phase, c.attr = inAttr, 0
	return c.attribute(x)
}

// attribute takes a letter of an attribute's name.
func (c *candidate) attribute(x byte) bool {
	const title = "title"
	if c.attr >= 0 && c.attr < len(title) && x|0x20 == title[c.attr] {
		c.attr++
	} else {
		c.attr = -1
	}
	return x != '"' && x != '\'' && x != '<' && x != '='
}

// value takes a byte before or at the beginning of a value.
func (c *candidate) value(x byte) bool {
	switch x {
	case '"', '\'':
		c.phase, c.quote = inQuoted, x
		c.begun(c.size + 1)
		return true
	case '>':
		return c.gap(x) // no value at all
	case '<', '=', '`':
		return false
	}
	if !isSpace(x) {
		c.phase = inBare
		c.begun(c.size)
	}
	return true
}

// bare takes a byte of an unquoted value, or the one after it. A slash is the
// value's, as in a path, unless the tag ends after it.
func (c *candidate) bare(x byte) bool {
	switch {
	case x == '>':
		c.empty = c.phase == inBareSlash
		end := c.size
		if c.empty {
			end--
		}
		c.valued(end)
		c.phase = inTail
	case isSpace(x):
		c.valued(c.size)
		c.phase = inGap
	case x == '/':
		c.phase = inBareSlash
	default:
		c.phase = inBare
		return x != '"' && x != '\'' && x != '<' && x != '=' && x != '`'
	}
	return true
}

// begun and valued note where a value begins and ends. Of several titles the
// first counts.
func (c *candidate) begun(at int) {
	if c.attr == len("title") && !c.titled {
		c.from = at
	} else {
		c.attr = -1
	}
}

func (c *candidate) valued(at int) {
	if c.attr >= 0 {
		c.titled, c.to = true, at
	}
}

func isBlank(x byte) bool { return x == ' ' || x == '\t' || x == '\r' }

func isSpace(x byte) bool { return isBlank(x) || x == '\n' }
