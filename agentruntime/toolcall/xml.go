package toolcall

import (
	"encoding/json"
	"strings"
)

// scan is a text being read, with the tools that are offered.
type scan struct {
	s     string
	known func(string) bool

	// finished: whoever wrote the text had come to an end, so what could have
	// gone on did not.
	finished bool

	// repairs counts closing tags that were missing.
	repairs int
}

// maxRepairs bounds the missing closing tags of a text, and with them the work.
const maxRepairs = 32

// object collects the members of a call whose values are not JSON.
type object struct {
	out  []byte
	seen map[string]string
}

// add adds a member whose value is JSON.
func (o *object) add(key string, value []byte, at int) error {
	if key = strings.TrimSpace(key); key == "" || strings.ContainsAny(key, "<>\n{}") {
		return fail(ErrDamaged, at, "a parameter without a readable name")
	}
	if old, ok := o.seen[key]; ok {
		if old != string(value) {
			return fail(ErrAmbiguous, at, "the parameter "+clip(key, 60)+" has two values")
		}
		return nil
	}
	if o.seen == nil {
		o.seen = map[string]string{}
		o.out = append(o.out, '{')
	} else {
		o.out = append(o.out, ',')
	}
	o.seen[key] = string(value)
	o.out = appendString(o.out, key)
	o.out = append(o.out, ':')
	o.out = append(o.out, value...)
	return nil
}

// text adds a member whose value is text, without the line breaks that set it
// off from its tags.
func (o *object) text(key, value string, at int) error {
	value = strings.TrimPrefix(strings.TrimPrefix(value, "\r"), "\n")
	value = strings.TrimSuffix(strings.TrimSuffix(value, "\n"), "\r")
	return o.add(key, appendString(nil, value), at)
}

func (o *object) json() json.RawMessage {
	if o.seen == nil {
		return json.RawMessage("{}")
	}
	return json.RawMessage(append(o.out, '}'))
}

var paramTags = set("parameter", "param", "arg", "argument")

// block reads what stands in <function=x> or <invoke name="x"> behind the
// opening tag, up to the closing one.
func (t *scan) block(i int, local string) (json.RawMessage, int, error) {
	var o object
	for {
		i = skipSpace(t.s, i)
		if i >= len(t.s) {
			if t.finished && o.seen != nil {
				return o.json(), i, nil
			}
			return nil, 0, fail(ErrCut, i, "<"+local+"> is not closed")
		}
		g, ok := tagAt(t.s, i)
		if end := closer(t.s, i); end > i && (o.seen != nil || ok && g.local == local) {
			return o.json(), end, nil
		}
		switch {
		case !ok && o.seen == nil && (t.s[i] == '{' || t.s[i] == '"'):
			return t.jsonBody(i)
		case !ok:
			return nil, 0, t.noTag(i)
		case paramTags[g.local] && !g.closing && g.value != "":
			end, err := t.parameter(&o, g, i, local)
			if err != nil {
				return nil, 0, err
			}
			i = end
		case local == "invoke" && !g.closing && g.value == "" && !g.empty && !paramTags[g.local]:
			end, err := t.named(&o, g, i)
			if err != nil {
				return nil, 0, err
			}
			i = end
		case g.local == local && !g.closing && g.value == "" && o.seen != nil:
			return o.json(), g.end, nil // <function> in place of </function>
		default:
			return nil, 0, fail(ErrDamaged, i, "unexpected tag within <"+local+">")
		}
	}
}

// noTag says what is wrong where a tag should begin: the text may be cut off
// within it.
func (t *scan) noTag(i int) error {
	if rest := t.s[i:]; rest[0] == '<' && len(rest) < maxTag && !strings.Contains(rest, ">") {
		return fail(ErrCut, len(t.s), "a tag is not closed")
	}
	return fail(ErrDamaged, i, "expected a parameter or the closing tag")
}

// jsonBody reads the arguments that stand at i as JSON.
func (t *scan) jsonBody(i int) (json.RawMessage, int, error) {
	v, err := parse(t.s, i, reader{marks: true})
	if err != nil {
		return nil, 0, err
	}
	switch v.json[0] {
	case '{':
		return v.json, t.strays(v.end), nil
	case '[':
		if one, ok := only(v.json); ok {
			return one, v.end, nil
		}
	case '"':
		var inner string
		if json.Unmarshal(v.json, &inner) == nil {
			objects, _, err := objectsOf(inner, false, 1)
			if err != nil {
				return nil, 0, err
			}
			if len(objects) == 1 {
				return objects[0], v.end, nil
			}
		}
	}
	return nil, 0, fail(ErrNotObject, i, "the arguments")
}

// strays goes over brackets too many, between JSON and a closing marker.
func (t *scan) strays(i int) int {
	j := i
	for j < len(t.s) && strings.IndexByte("}] \n\r\t", t.s[j]) >= 0 {
		j++
	}
	if j > i && (j == len(t.s) || closer(t.s, j) > j) {
		return j
	}
	return i
}

// invoke reads <invoke name="x">…, of MiniMax, of DeepSeek's DSML and others.
func (t *scan) invoke(g tag) ([]Call, int, error) {
	name, ok := resolve(g.value, t.known)
	if g.empty {
		return nil, 0, fail(ErrDamaged, g.end, "a call without arguments")
	}
	args, end, err := t.block(g.end, g.local)
	if err != nil {
		return nil, 0, err
	}
	if !ok {
		return nil, 0, unknown(g.value)
	}
	return []Call{{name, args}}, end, nil
}
