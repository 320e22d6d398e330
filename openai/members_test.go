package openai

import (
	"bytes"
	"encoding/json"
)

// member is a top-level member as encoding/json sees it: the tests' second
// opinion on where things are.
type member struct {
	gap   string // what stands between the previous member and this one
	text  string // key to value
	key   string // decoded
	value json.RawMessage
}

// split takes an object apart; tail is what follows the last member. It is false
// for what is no object.
func split(body []byte) (members []member, tail string, ok bool) {
	if !json.Valid(body) || !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		return nil, "", false
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	_, _ = dec.Token()
	end := 0
	for dec.More() {
		from := end + bytes.IndexByte(body[end:], '"')
		key, _ := dec.Token()
		m := member{gap: string(body[end:from]), key: key.(string)}
		_ = dec.Decode(&m.value)
		end = int(dec.InputOffset())
		m.text = string(body[from:end])
		members = append(members, m)
	}
	if len(members) == 0 {
		end = int(dec.InputOffset())
	}
	return members, string(body[end:]), true
}
