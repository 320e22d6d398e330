package openai

// CallDelta is a piece of a tool call, or the whole.
type CallDelta struct {
	Index    int // -1 for none
	ID, Name string

	// Arguments is decoded text; with Object the arguments came as an object or an
	// array instead of a text, and these are its bytes.
	Arguments []byte
	Object    bool
}

func (d *Delta) scanCalls(s *scanner) {
	if s.peek() != '[' {
		d.scanCall(s)
		return
	}
	s.enterArray()
	for n := 0; s.nextElement(&n); {
		d.scanCall(s)
	}
}

// scanCall reads an element of tool_calls, or a function_call, which is what
// stands under function there.
func (d *Delta) scanCall(s *scanner) {
	if !s.enterIfObject() {
		return
	}
	c := CallDelta{Index: -1}
	d.scanFunction(s, &c)
	d.Calls = append(d.Calls, c)
}

func (d *Delta) scanFunction(s *scanner, c *CallDelta) {
	for n := 0; ; {
		key, ok := s.nextMember(&n)
		if !ok {
			return
		}
		switch string(plainKey(key)) {
		case "index":
			c.Index = number(s.value())
		case "id":
			c.ID = label(s)
		case "name":
			c.Name = label(s)
		case "arguments":
			d.scanArguments(s, c)
		case "function":
			if s.enterIfObject() {
				d.scanFunction(s, c)
			}
		default:
			s.skip()
		}
	}
}

func (d *Delta) scanArguments(s *scanner, c *CallDelta) {
	from := len(d.text)
	switch s.peek() {
	case '{', '[':
		c.Object = true
		d.text = append(d.text, s.value()...)
	default:
		d.text = appendText(d.text, s)
	}
	c.Arguments = d.text[from:len(d.text):len(d.text)]
}

// label reads a string, or a number as one.
func label(s *scanner) string {
	c := s.peek()
	switch v := s.value(); {
	case len(v) == 0:
	case c == '"':
		return unquote(v[1 : len(v)-1])
	case c == '-' || c >= '0' && c <= '9':
		return string(v)
	}
	return ""
}
