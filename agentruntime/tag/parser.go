package tag

// Bounds of what a Parser holds back: a tag, and the white space after a closing
// tag that only counts if nothing else follows.
const (
	maxTag  = 256
	maxTail = 256
)

// Parser finds tags in text that comes in chunks. The zero value honours all
// names. It belongs to one goroutine.
type Parser struct {
	ignored Set // the complement of what is honoured, for the zero value's sake
	in      Name
	thought bool // a Think was opened, or known to have been

	line   line   // where text stands, but for ACTION's
	quotes quotes // where ACTION's text stands

	// A candidate that the chunk's end has cut is held until it is known to be a
	// tag or prose. Its state is cand's.
	cand candidate
	hold [maxTag + maxTail]byte
	held int

	decoded [maxTag]byte // of a title with entities

	// looked counts the bytes that were looked at, for the proof that time is
	// linear. Replayed bytes count again.
	looked int
}

// Reset begins a new input, in which only the tags of honoured are tags.
func (p *Parser) Reset(honoured Set) { *p = Parser{ignored: All &^ honoured} }

// Feed takes the next piece of the input, of any length, cut anywhere.
func (p *Parser) Feed(chunk []byte, sink Sink) {
	for p.held > 0 && len(chunk) > 0 {
		chunk = p.resume(chunk, sink)
	}
	if len(chunk) > 0 {
		p.scan(chunk, 0, sink)
	}
}

// End says that the input is complete: what was held back is passed on, and an
// open element is closed. The parser is then ready for another input.
func (p *Parser) End(sink Sink) {
	for p.held > 0 {
		b := p.hold[:p.held]
		p.held = 0
		switch {
		case p.cand.phase == inTail:
			p.apply(b[:p.cand.size], sink)
			p.scan(b[p.cand.size:], 0, sink)
		case p.cand.closing && p.in != None:
			// Cut off in the middle of the tag that would end this very element.
		default:
			p.prose()
			p.scan(b, 1, sink)
		}
	}
	if p.in != None {
		sink.Close(p.in)
	}
	p.Reset(All &^ p.ignored)
}

// scan goes over b, of which the first i bytes are known to be text. A candidate
// that b cuts off ends up in hold, of which b may be a part.
func (p *Parser) scan(b []byte, i int, sink Sink) {
	from := 0 // of the text that was not passed on yet
	for {
		i += p.skip(b[i:])
		if i == len(b) {
			break
		}
		p.begin()
		n, v := p.cand.run(b[i+1:])
		p.looked += n + 1
		switch v {
		case isProse:
			p.prose()
			i++
			continue
		case isOpen:
			p.text(b[from:i], sink)
			p.held = copy(p.hold[:], b[i:])
			return
		}
		p.text(b[from:i], sink)
		from = i + p.cand.size
		p.apply(b[i:from], sink)
		i = from
	}
	p.text(b[from:], sink)
}

// resume goes on with the candidate that is held, and returns what it leaves of
// the chunk.
func (p *Parser) resume(chunk []byte, sink Sink) []byte {
	n, v := p.cand.run(chunk)
	p.looked += n + 1
	p.held += copy(p.hold[p.held:], chunk[:n])
	if v == isOpen {
		return nil
	}
	b := p.hold[:p.held]
	p.held = 0
	if v == isProse {
		p.prose()
		p.scan(b, 1, sink)
	} else {
		p.apply(b[:p.cand.size], sink)
		p.scan(b[p.cand.size:], 0, sink)
	}
	return chunk[n:]
}

// skip returns where the next < in b is, len(b) for none.
func (p *Parser) skip(b []byte) int {
	var n int
	if p.in == Action {
		n = p.quotes.skip(b)
	} else {
		n = p.line.skip(b)
	}
	p.looked += n + 1
	return n
}

// prose notes that the < just met is text.
func (p *Parser) prose() {
	if p.in != Action {
		p.line.prose()
	}
}

func (p *Parser) text(b []byte, sink Sink) {
	if len(b) > 0 {
		sink.Text(p.in, b)
	}
}

// begin starts a candidate at a <, with the names that would count there.
func (p *Parser) begin() {
	c := candidate{size: 1}
	switch honoured := All &^ p.ignored; {
	case p.in == Action:
		c.closers = Of(Action)
		if p.quotes.inside {
			c.until = untilLineEnd
		}
	case p.line.code():
		if p.in != None {
			c.closers, c.until = Of(p.in), untilInputEnd
		}
	default:
		switch {
		case p.in != None:
			c.closers = Of(p.in)
		case !p.line.apart():
			c.closers = honoured
		case !p.thought:
			c.closers = honoured & Of(Think)
		}
		if !p.line.begun && p.in != FinalAnswer {
			c.openers = honoured
		}
	}
	p.cand = c
}

// apply tells the sink of the candidate, which is a tag and counts.
func (p *Parser) apply(b []byte, sink Sink) {
	c := &p.cand
	n := c.name
	if c.closing {
		if n == p.in || n == Think && !p.thought {
			sink.Close(n)
		}
		p.in = None
	} else {
		if p.in != None {
			sink.Close(p.in)
		}
		sink.Open(n, c.title(b, p.decoded[:0]))
		p.in = n
		if c.empty {
			sink.Close(n)
			p.in = None
		}
	}
	p.thought = p.thought || n == Think
	p.line, p.quotes = line{}, quotes{}
}
