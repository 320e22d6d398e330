package toolcall

import (
	"bytes"
	"encoding/json"
	"strings"
)

func (r *reader) object() error {
	if err := r.enter(); err != nil {
		return err
	}
	defer func() { r.depth-- }()
	r.i++
	r.space()
	if r.i < len(r.s) && r.s[r.i] == '{' {
		return r.doubled()
	}
	r.out = append(r.out, '{')
	var m members
	for n := 0; ; n++ {
		r.space()
		if r.ended() {
			if err := r.end(false, n); err != nil {
				return err
			}
			break
		}
		if r.s[r.i] == '}' {
			r.i++
			break
		}
		if n > 0 {
			if err := r.comma('}'); err != nil {
				return err
			}
			if r.s[r.i] == '}' {
				r.i++
				break
			}
		}
		if err := r.member(&m); err != nil {
			return err
		}
	}
	r.out = append(r.out, '}')
	return nil
}

// doubled reads {{…}}, which templates with doubled braces teach.
func (r *reader) doubled() error {
	if err := r.object(); err != nil {
		return err
	}
	r.space()
	if r.i < len(r.s) && r.s[r.i] == '}' {
		r.i++
		return nil
	}
	if r.ended() {
		r.closed = true
		return nil
	}
	return r.fail(ErrDamaged, "expected a closing brace")
}

// comma goes over the comma between two members. A forgotten one has one reading
// where what stands before it ends by itself; whether a string does, str has
// found out.
func (r *reader) comma(end byte) error {
	if r.s[r.i] == ',' {
		r.i++
		r.space()
		if r.ended() {
			return r.fail(ErrCut, "nothing follows the comma")
		}
		return nil
	}
	switch c := r.s[r.i]; {
	case c == end, end == '}' && (letter(c) || quoteAt(r, r.i) != nil):
		return nil
	case end == ']' && c == '{' && r.lastByte() == '}': // [{…} {…}]
		return nil
	}
	return r.fail(ErrDamaged, "expected a comma or the end")
}

// members are the keys of one object so far, with where in out their values are.
type members map[string][2]int

// member reads a key and its value. A key that comes twice must have one value.
func (r *reader) member(m *members) error {
	start, from := r.i, len(r.out)
	key, err := r.key()
	if err != nil {
		return err
	}
	if *m == nil {
		*m = members{}
	}
	if from > 0 && r.out[from-1] != '{' {
		r.out = append(r.out, ',')
	}
	r.out = appendString(r.out, key)
	r.out = append(r.out, ':')
	valueFrom := len(r.out)
	if err := r.value(inObject); err != nil {
		return err
	}
	if old, ok := (*m)[key]; ok {
		before, now := r.out[old[0]:old[1]], r.out[valueFrom:]
		if !bytes.Equal(before, now) && canonical(before) != canonical(now) {
			return fail(ErrAmbiguous, start, "the key \""+clip(key, 60)+"\" has two values")
		}
		r.out = r.out[:from]
		return nil
	}
	(*m)[key] = [2]int{valueFrom, len(r.out)}
	return nil
}

// key reads a key and the colon behind it.
func (r *reader) key() (string, error) {
	start := r.i
	var key string
	if quoteAt(r, r.i) != nil {
		from := len(r.out)
		if err := r.str(isKey); err != nil {
			return "", err
		}
		if json.Unmarshal(r.out[from:], &key) != nil {
			return "", fail(ErrDamaged, start, "the key is not readable")
		}
		r.out = r.out[:from]
	} else {
		for r.i < len(r.s) && (letter(r.s[r.i]) || r.i > start && (digit(r.s[r.i]) || r.s[r.i] == '-')) {
			r.i++
		}
		if key = r.s[start:r.i]; key == "" {
			return "", r.fail(ErrDamaged, "expected a key")
		}
		if r.i < len(r.s) && strings.IndexByte(`"'`, r.s[r.i]) >= 0 {
			if c, _ := r.peekFrom(r.i + 1); c == ':' {
				r.i++ // {"a": 1, b": 2}: its first quote is missing
			}
		}
	}
	r.space()
	if r.i >= len(r.s) {
		return "", r.fail(ErrCut, "the key has no value")
	}
	if c := r.s[r.i]; c != ':' && c != '=' {
		// {"name="read", …}: one quote stands for the colon and both quotes.
		if name, ok := strings.CutSuffix(key, "="); ok && name != "" && r.s[r.i-1] == '"' && letter(c) {
			r.i--
			return name, nil
		}
		return "", r.fail(ErrDamaged, "expected a colon after the key")
	}
	r.i++
	return key, nil
}
