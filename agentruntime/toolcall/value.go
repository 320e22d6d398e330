package toolcall

import "encoding/json"

// Value reads a text that is one value of JSON as models write it, as a whole: an
// argument that came as the text of a list, ['a', 'b']. ok is false for what has
// no reading, or two, and for what may be cut off.
func Value(text string) (value json.RawMessage, ok bool) {
	if valid(text) != nil {
		return nil, false
	}
	v, err := parse(text, 0, reader{})
	if err != nil || v.closed || skipSpace(text, v.end) != len(text) {
		return nil, false
	}
	return v.json, true
}
