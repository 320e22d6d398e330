package tag

import "bytes"

// title returns the title of the tag b, nil for none. If there is something to
// decode, it is appended to buf.
func (c *candidate) title(b, buf []byte) []byte {
	if !c.titled {
		return nil
	}
	return unescape(b[c.from:c.to], buf)
}

var entities = [...]struct{ name, text string }{
	{"&quot;", `"`}, {"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}, {"&#39;", "'"}, {"&apos;", "'"},
}

// unescape replaces the entities in b, once. Others stay as they are.
func unescape(b, buf []byte) []byte {
	if bytes.IndexByte(b, '&') < 0 {
		return b
	}
scan:
	for i := 0; i < len(b); {
		if b[i] == '&' {
			for _, e := range entities {
				if len(b)-i >= len(e.name) && string(b[i:i+len(e.name)]) == e.name {
					buf = append(buf, e.text...)
					i += len(e.name)
					continue scan
				}
			}
		}
		buf = append(buf, b[i])
		i++
	}
	return buf
}
