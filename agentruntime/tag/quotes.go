package tag

// quotes knows whether text stands in a JSON string. Line feeds are escaped in
// those: a raw one shows that a quote is missing or too many, and ends it.
type quotes struct {
	inside bool
	escape bool // the last byte is a backslash that escapes
}

// skip goes on to the next < in b and returns where it is, len(b) for none.
func (q *quotes) skip(b []byte) int {
	i := 0
	if q.escape && len(b) > 0 {
		q.escape = false
		if escapable(b[0]) {
			i = 1
		}
	}
	for ; ; i++ {
		i += nextQuote(b[i:])
		if i == len(b) {
			return i
		}
		switch b[i] {
		case '<':
			return i
		case '"':
			q.inside = !q.inside
		case '\n':
			q.inside = false
		case '\\':
			if q.inside && i+1 == len(b) {
				q.escape = true
			} else if q.inside && escapable(b[i+1]) {
				i++
			}
		}
	}
}

// escapable reports whether a backslash makes x something else to us.
func escapable(x byte) bool { return x == '"' || x == '\\' }
