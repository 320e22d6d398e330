package toolcall

import (
	"encoding/json"
	"strings"
)

const (
	keyOpen, keyClose     = "<arg_key>", "</arg_key>"
	valueOpen, valueClose = "<arg_value>", "</arg_value>"
	callOpen, callClose   = "<tool_call>", "</tool_call>"
)

// glm reads name<arg_key>k</arg_key><arg_value>v</arg_value>…</tool_call>, of
// GLM and LongCat, in which single tags go missing. It begins behind <tool_call>.
func (t *scan) glm(i int) ([]Call, int, error) {
	i = skipSpace(t.s, i)
	n := strings.IndexByte(t.s[i:], '<')
	if n < 0 {
		return nil, 0, t.glmPlain(i, len(t.s))
	}
	written := strings.TrimSpace(t.s[i : i+n])
	j := i + n
	var key string
	switch {
	case strings.HasPrefix(t.s[j:], keyClose):
		// name and key run into each other
		var err error
		if written, key, err = t.splitName(written, i); err != nil {
			return nil, 0, err
		}
	case strings.HasPrefix(t.s[j:], callOpen):
		// a second <tool_call> for the first <arg_key>
		rest := t.s[j+len(callOpen):]
		k := strings.Index(rest, keyClose)
		if k <= 0 || strings.ContainsAny(rest[:k], "<\n ") {
			return nil, 0, fail(ErrDamaged, j, "a call within a call")
		}
		key = rest[:k]
		j += len(callOpen) + k
	case strings.HasPrefix(t.s[j:], keyOpen), strings.HasPrefix(t.s[j:], callClose):
	case strings.HasPrefix(callClose, t.s[j:]), strings.HasPrefix(keyOpen, t.s[j:]):
		return nil, 0, fail(ErrCut, len(t.s), "the call is not closed")
	default:
		return nil, 0, t.glmPlain(i, j)
	}
	if strings.ContainsAny(written, "\n{}\"") || written == "" {
		return nil, 0, errNotCall
	}
	args, end, err := t.glmArguments(j, key)
	if err != nil {
		return nil, 0, err
	}
	name, ok := resolve(written, t.known)
	if !ok {
		return nil, 0, unknown(written)
	}
	return []Call{{name, args}}, end, nil
}

// glmPlain says what a body without any argument markup is: a name whose end is
// missing, or prose.
func (t *scan) glmPlain(from, to int) error {
	if _, ok := resolve(t.s[from:to], t.known); ok || to == len(t.s) && !strings.ContainsAny(t.s[from:to], " ") {
		return fail(ErrCut, len(t.s), "the call is not closed")
	}
	return errNotCall
}

// splitName takes a name and the first key apart that lost the tag between them.
func (t *scan) splitName(s string, at int) (name, key string, err error) {
	if fields := strings.Fields(s); len(fields) == 2 {
		return fields[0], fields[1], nil
	}
	for i := 1; i < len(s) && i < 256; i++ {
		if !t.known(s[:i]) || !letter(s[i]) {
			continue
		}
		if name != "" {
			return "", "", fail(ErrAmbiguous, at, "the name runs into the first key")
		}
		name, key = s[:i], s[i:]
	}
	if name == "" {
		return "", "", unknown(s)
	}
	return name, key, nil
}

// glmArguments reads the pairs from i on. first is a key that was read already,
// up to its closing tag.
func (t *scan) glmArguments(i int, first string) (json.RawMessage, int, error) {
	var o object
	s := t.s
	for key := first; ; key = "" {
		if key == "" {
			i = skipSpace(s, i)
			if i >= len(s) {
				if t.finished && o.seen != nil {
					return o.json(), i, nil
				}
				return nil, 0, fail(ErrCut, i, "the call is not closed")
			}
			if strings.HasPrefix(s[i:], callClose) {
				return o.json(), i + len(callClose), nil
			}
			if observation(s, i) && o.seen != nil {
				return o.json(), i, nil
			}
			for strings.HasPrefix(s[i:], keyOpen) {
				i = skipSpace(s, i+len(keyOpen))
			}
			n := strings.IndexByte(s[i:], '<')
			if n < 0 {
				return nil, 0, fail(ErrCut, len(s), "a key is not closed")
			}
			key = s[i : i+n]
			i += n
		}
		at := i
		opened, ok := t.glmKeyEnd(&i)
		if !ok {
			return nil, 0, t.glmDamage(i)
		}
		end, next, err := t.glmValue(i, opened)
		if err != nil {
			return nil, 0, err
		}
		if err := o.text(key, s[i:end], at); err != nil {
			return nil, 0, err
		}
		i = next
	}
}

// glmKeyEnd goes from the end of a key to where its value begins. One of the two
// tags may be missing, and a tag may come twice.
func (t *scan) glmKeyEnd(i *int) (opened, ok bool) {
	s := t.s
	for strings.HasPrefix(s[*i:], keyClose) {
		ok = true
		*i += len(keyClose)
	}
	j := skipSpace(s, *i)
	if j < len(s) && s[j] == ':' && strings.HasPrefix(s[skipSpace(s, j+1):], valueOpen) {
		j = skipSpace(s, j+1)
	}
	if strings.HasPrefix(s[j:], valueOpen) {
		*i = j + len(valueOpen)
		return true, true
	}
	return false, ok
}

func (t *scan) glmDamage(i int) error {
	rest := t.s[i:]
	for _, mark := range []string{keyClose, valueOpen, keyOpen, callClose} {
		if strings.HasPrefix(mark, rest) {
			return fail(ErrCut, len(t.s), "a tag is not closed")
		}
	}
	return fail(ErrDamaged, i, "expected a key and its value")
}

// glmValue finds where the value that begins at i ends and what follows begins.
// opened tells whether its opening tag was there: with neither tag there is no
// value.
func (t *scan) glmValue(i int, opened bool) (end, next int, err error) {
	s := t.s
	last := strings.LastIndex(s, valueClose)
	for j := i; ; j++ {
		n := strings.IndexByte(s[j:], '<')
		if n < 0 {
			return 0, 0, fail(ErrCut, len(s), "a value is not closed")
		}
		j += n
		switch rest := s[j:]; {
		case strings.HasPrefix(rest, valueClose):
			k := skipSpace(s, j+len(valueClose))
			for strings.HasPrefix(s[k:], valueClose) {
				k = skipSpace(s, k+len(valueClose))
			}
			if k >= len(s) || t.glmPair(k) || strings.HasPrefix(s[k:], callClose) || strings.HasPrefix(callClose, s[k:]) || observation(s, k) {
				return j, k, nil
			}
		case opened && j > i && t.glmPair(j):
			// The closing tag is missing, unless the value quotes another pair.
			if t.repairs++; t.repairs > maxRepairs {
				return 0, 0, fail(ErrAmbiguous, j, "a key within a value")
			}
			if k := strings.Index(rest, valueClose); k < 0 || !t.glmPair(skipSpace(s, j+k+len(valueClose))) &&
				!strings.HasPrefix(s[skipSpace(s, j+k+len(valueClose)):], callClose) {
				return 0, 0, fail(ErrAmbiguous, j, "a key within a value")
			}
			return j, j, nil
		case opened && j > last && strings.HasPrefix(rest, callClose):
			if closers(s, j) == len(s) {
				return j, j, nil
			}
			return 0, 0, fail(ErrAmbiguous, j, "a value is not closed")
		}
	}
}

// glmPair reports whether a key with its closing tag stands at i.
func (t *scan) glmPair(i int) bool {
	rest, ok := strings.CutPrefix(t.s[i:], keyOpen)
	if !ok {
		return false
	}
	n := strings.IndexAny(rest, "<\n")
	return n > 0 && rest[n] == '<' && (strings.HasPrefix(rest[n:], keyClose) || strings.HasPrefix(rest[n:], valueOpen))
}
