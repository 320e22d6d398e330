package toolcall

import (
	"encoding/json"
	"errors"
	"strings"
)

// What servers leave of a model's own markup in arguments that are JSON already.

// untag takes GLM's tags off the keys of arguments; a key with more of them in
// it than around it can't be read.
func untag(raw json.RawMessage) (json.RawMessage, bool, error) {
	if !strings.Contains(string(raw), "arg_key") && !strings.Contains(string(raw), "arg_value") {
		return raw, false, nil
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, false, fail(ErrDamaged, -1, err.Error())
	}
	clean := make(map[string]json.RawMessage, len(m))
	repaired := false
	for key, value := range m {
		bare := key
		for strings.HasPrefix(bare, keyOpen) {
			bare = bare[len(keyOpen):]
		}
		for strings.HasSuffix(bare, keyClose) {
			bare = bare[:len(bare)-len(keyClose)]
		}
		if strings.Contains(bare, "arg_key") && strings.ContainsAny(bare, "<>") || strings.Contains(bare, "<arg_value") || strings.Contains(bare, "</arg_value") {
			return nil, false, fail(ErrDamaged, -1, "tags in the key "+clip(key, 60))
		}
		if _, twice := clean[bare]; twice || bare == "" {
			return nil, false, fail(ErrAmbiguous, -1, "tags in the key "+clip(key, 60))
		}
		clean[bare] = value
		repaired = repaired || bare != key
	}
	if !repaired {
		return raw, false, nil
	}
	out, err := json.Marshal(clean)
	if err != nil {
		return nil, false, errors.Join(ErrDamaged, err)
	}
	return out, true, nil
}

// gemmaQuote stands around the strings that Gemma 4 writes.
const gemmaQuote = `<|"|>`

// unquote takes Gemma's quotes off the strings that stand between two of them. A
// string with one at just one end can't be read; any other place is text.
func unquote(raw json.RawMessage) (json.RawMessage, bool, error) {
	if !strings.Contains(string(raw), `<|\"|>`) {
		return raw, false, nil
	}
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, false, fail(ErrDamaged, -1, err.Error())
	}
	u := unquoter{}
	if v = u.value(v); u.half || !u.found {
		if u.half {
			return nil, false, fail(ErrDamaged, -1, "a string that begins or ends with "+gemmaQuote)
		}
		return raw, false, nil
	}
	out, err := json.Marshal(v)
	if err != nil {
		return nil, false, errors.Join(ErrDamaged, err)
	}
	return out, true, nil
}

type unquoter struct{ found, half bool }

func (u *unquoter) value(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			v[name] = u.value(member)
		}
	case []any:
		for i, element := range v {
			v[i] = u.value(element)
		}
	case string:
		inner, opened := strings.CutPrefix(v, gemmaQuote)
		inner, closed := strings.CutSuffix(inner, gemmaQuote)
		switch {
		case opened && closed && !strings.Contains(inner, gemmaQuote):
			u.found = true
			return inner
		case opened || closed:
			u.half = true
		}
	}
	return v
}
