package toolcall

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// bare reads calls that are the whole text, without a marker: JSON, or a list of
// calls in Python.
func (t *scan) bare(i int) ([]Call, Rung, error) {
	s := t.s
	if s[i] == '[' {
		if j := skipSpace(s, i+1); j < len(s) && s[j] != '{' {
			return t.bareList(i)
		}
	}
	var calls []Call
	rung := RungClean
	for n := 0; ; n++ {
		v, err := parse(s, i, reader{marks: true})
		if err != nil {
			if n == 0 && !meant(s[i:]) {
				return nil, 0, nil
			}
			return nil, 0, err
		}
		if !v.clean {
			rung = RungLenient
		}
		more, err := envelope(v.json, t.known, false)
		if errors.Is(err, errNotCall) {
			return nil, 0, nil
		}
		if err != nil {
			return nil, 0, err
		}
		calls = append(calls, more...)
		if i = closers(s, v.end); i < len(s) && (s[i] == ',' || s[i] == ';') {
			i = skipSpace(s, i+1)
		}
		switch {
		case i >= len(s), observation(s, i), halfCloser(s, i), strings.Trim(s[i:], "}] \n\r\t") == "":
			if n > 0 {
				rung = max(rung, RungConcatenated)
			}
			return calls, rung, nil
		case s[i] != '{':
			return nil, 0, nil // prose follows: a quote
		}
	}
}

func (t *scan) bareList(i int) ([]Call, Rung, error) {
	calls, end, err := t.pythonic(i)
	if errors.Is(err, errNotCall) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	if end = closers(t.s, end); end < len(t.s) && !observation(t.s, end) {
		return nil, 0, nil
	}
	return calls, RungDialect, nil
}

// meant reports whether JSON that can't be read was to be a call: its first key
// tells.
func meant(s string) bool {
	s = strings.TrimLeft(s, "{[ \n\r\t")
	key := strings.TrimLeft(s, "\"'")
	n := strings.IndexAny(key, "\"'=: ")
	if n < 0 {
		return len(key) < 16 && key != ""
	}
	key = key[:n]
	return slices.Contains(nameKeys, key) || slices.Contains(argsKeys, key) || slices.Contains(listKeys, key) ||
		slices.Contains([]string{"function", "id", "type"}, key)
}

// nameFirst reads a text that is nothing but the name of an offered tool and its
// arguments: name{…}, name[ARGS]{…}, name(k=v), call:name{…}. JSON behind a name
// may stand on the next line, as in GLM's older models.
func (t *scan) nameFirst(i int) ([]Call, error) {
	s := t.s
	if strings.HasPrefix(s[i:], "call:") {
		calls, end, err := t.gemma(i)
		return t.whole(calls, end, err)
	}
	written, j := t.pythonName(i)
	name, ok := numbered(written, t.known)
	if bare, cut := strings.CutSuffix(written, ".call"); cut && !ok {
		name, ok = resolve(bare, t.known)
	}
	if !ok {
		return nil, nil
	}
	k := skipSpace(s, j)
	var args json.RawMessage
	var end int
	var err error
	switch {
	case strings.HasPrefix(s[k:], mistralArgs) || strings.HasPrefix(s[k:], mistralID):
		calls, end, err := t.namedJSON(i)
		return t.whole(calls, end, err)
	case k < len(s) && s[k] == '{':
		args, end, err = t.jsonBody(k)
	case j < len(s) && s[j] == '(':
		args, end, err = t.keywords(j + 1)
	default:
		return nil, nil
	}
	return t.whole([]Call{{name, args}}, end, err)
}

// whole keeps calls that end where the text does.
func (t *scan) whole(calls []Call, end int, err error) ([]Call, error) {
	if errors.Is(err, errNotCall) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if end = closers(t.s, end); end < len(t.s) && !observation(t.s, end) && !halfCloser(t.s, end) {
		return nil, nil
	}
	return calls, nil
}
