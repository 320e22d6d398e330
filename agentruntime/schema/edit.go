package schema

import "github.com/universal-ai-gateway/magicproxy/openai"

// absent takes the place of a member that is left out.
var absent = &value{}

// change puts another value in the place of a part.
type change struct {
	part int
	v    *value
}

// with returns v with some parts changed, in their order. All other bytes stay.
func (v *value) with(changes []change) *value {
	w := &value{kind: v.kind, size: 1}
	object, array := map[string]any{}, []any{}
	end := 0
	for i, p := range v.parts {
		gap := v.raw[end:p.key]
		end = p.end()
		if len(changes) > 0 && changes[0].part == i {
			p.v = changes[0].v
			if changes = changes[1:]; p.v == absent {
				continue
			}
		}
		if len(w.parts) == 0 { // without the comma, if it is no longer the second
			gap = v.raw[:v.parts[0].key]
		}
		w.raw = append(w.raw, gap...)
		key := len(w.raw)
		w.raw = append(w.raw, v.raw[p.key:p.at]...)
		p.key, p.at = key, len(w.raw)
		w.raw = append(w.raw, p.v.raw...)
		w.parts = append(w.parts, p)
		w.size += p.v.size
		if v.kind == '{' {
			object[p.name] = p.v.plain
		} else {
			array = append(array, p.v.plain)
		}
	}
	if len(w.parts) == 0 {
		w.raw = append(w.raw, v.raw[0])
	}
	w.raw = append(w.raw, v.raw[end:]...)
	if w.plain = array; v.kind == '{' {
		w.plain = object
	}
	return w
}

func textOf(text []byte) *value {
	return &value{kind: '"', raw: openai.AppendString(nil, text), text: string(text), plain: string(text), size: 1}
}

func booleanOf(b bool) *value {
	v := &value{kind: 't', raw: []byte("false"), plain: b, size: 1}
	if b {
		v.raw = []byte("true")
	}
	return v
}

func arrayOf(items []*value) *value {
	a := &value{kind: '[', raw: []byte{'['}, size: 1}
	plain := []any{}
	for i, item := range items {
		if i > 0 {
			a.raw = append(a.raw, ',')
		}
		a.parts = append(a.parts, part{key: len(a.raw), at: len(a.raw), v: item})
		a.raw = append(a.raw, item.raw...)
		a.size += item.size
		plain = append(plain, item.plain)
	}
	a.raw = append(a.raw, ']')
	a.plain = plain
	return a
}
