package toolcall

import (
	"encoding/json"
	"errors"
	"strings"
)

// pythonic reads calls in Python: f(a="x"), a list of such calls, several on
// lines of their own. It begins at i.
func (t *scan) pythonic(i int) ([]Call, int, error) {
	if t.s[i] != '[' {
		return t.pythonCall(i)
	}
	var calls []Call
	for n := 0; ; n++ {
		i = skipSpace(t.s, i+1)
		if i < len(t.s) && t.s[i] == ']' && n > 0 {
			return calls, i + 1, nil
		}
		more, end, err := t.pythonCall(i)
		if err != nil {
			return nil, 0, err
		}
		calls = append(calls, more...)
		i = skipSpace(t.s, end)
		if i >= len(t.s) {
			return nil, 0, fail(ErrCut, i, "the list of calls is not closed")
		}
		if t.s[i] == ']' {
			return calls, i + 1, nil
		}
		if t.s[i] != ',' {
			return nil, 0, fail(ErrDamaged, i, "expected a comma or the end of the list of calls")
		}
	}
}

// pythonCall reads name(k=v, …). A single argument that is an object stands for
// all of them; other positional ones can't be told apart.
func (t *scan) pythonCall(i int) ([]Call, int, error) {
	written, j := t.pythonName(i)
	if j >= len(t.s) {
		return nil, 0, fail(ErrCut, j, "the call is not whole")
	}
	if written == "" || t.s[j] != '(' {
		return nil, 0, errNotCall
	}
	name, ok := resolve(written, t.known)
	if bare, cut := strings.CutSuffix(written, ".call"); cut && !ok {
		name, ok = resolve(bare, t.known)
	}
	args, end, err := t.keywords(j + 1)
	if err != nil {
		if !ok && !errors.Is(err, ErrCut) {
			return nil, 0, errNotCall
		}
		return nil, 0, err
	}
	if !ok {
		return nil, 0, unknown(written)
	}
	return []Call{{name, args}}, end, nil
}

func (t *scan) pythonName(i int) (string, int) {
	j := i
	for j < len(t.s) && nameByte(t.s[j]) {
		j++
	}
	return t.s[i:j], j
}

// keywords reads keyword arguments up to the closing parenthesis.
func (t *scan) keywords(i int) (json.RawMessage, int, error) {
	var o object
	r := reader{s: t.s, i: i}
	r.space()
	if r.i < len(t.s) && t.s[r.i] == '{' {
		v, err := parse(t.s, r.i, reader{})
		if err != nil {
			return nil, 0, err
		}
		r.i = v.end
		if r.space(); r.i >= len(t.s) {
			return nil, 0, fail(ErrCut, r.i, "the call is not closed")
		}
		if t.s[r.i] != ')' || v.json[0] != '{' {
			return nil, 0, fail(ErrAmbiguous, r.i, "the arguments have no names")
		}
		return v.json, r.i + 1, nil
	}
	for n := 0; ; n++ {
		r.space()
		if r.i >= len(t.s) {
			return nil, 0, fail(ErrCut, r.i, "the call is not closed")
		}
		if t.s[r.i] == ')' {
			return o.json(), r.i + 1, nil
		}
		if n > 0 {
			if t.s[r.i] != ',' {
				return nil, 0, fail(ErrDamaged, r.i, "expected a comma or the end of the call")
			}
			r.i++
			if r.space(); r.i < len(t.s) && t.s[r.i] == ')' {
				return o.json(), r.i + 1, nil
			}
		}
		if err := r.keyword(&o); err != nil {
			return nil, 0, err
		}
	}
}

// keyword reads k=v.
func (r *reader) keyword(o *object) error {
	from := r.i
	for r.i < len(r.s) && (letter(r.s[r.i]) || r.i > from && digit(r.s[r.i])) {
		r.i++
	}
	key := r.s[from:r.i]
	r.space()
	if r.i >= len(r.s) {
		return r.fail(ErrCut, "an argument is not whole")
	}
	if key == "" || r.s[r.i] != '=' || strings.HasPrefix(r.s[r.i:], "==") {
		return fail(ErrAmbiguous, from, "an argument has no name")
	}
	r.i++
	r.out = r.out[:0]
	if err := r.value(inCall); err != nil {
		return err
	}
	return o.add(key, r.out, from)
}

// toolCode reads the body of Gemma's ```tool_code fence: calls of
// default_api, with or without a print around them, or calls in JSON.
func (t *scan) toolCode(i int) ([]Call, int, error) {
	var calls []Call
	for {
		i = skipSpace(t.s, i)
		if i >= len(t.s) || strings.HasPrefix(t.s[i:], "```") || observation(t.s, i) {
			break
		}
		more, end, err := t.statement(i)
		if err != nil {
			return nil, 0, err
		}
		calls = append(calls, more...)
		i = end
	}
	if len(calls) == 0 {
		return nil, 0, fail(ErrCut, i, "the block has no call")
	}
	if strings.HasPrefix(t.s[i:], "```") && !observation(t.s, i) {
		i += len("```")
	}
	return calls, i, nil
}

func (t *scan) statement(i int) ([]Call, int, error) {
	if c := t.s[i]; c == '{' {
		return t.jsonCalls(i)
	} else if c == '[' {
		if j := skipSpace(t.s, i+1); j < len(t.s) && t.s[j] == '{' {
			return t.jsonCalls(i)
		}
		return t.pythonic(i)
	}
	rest, printed := strings.CutPrefix(t.s[i:], "print(")
	if !printed {
		return t.pythonCall(i)
	}
	calls, end, err := t.pythonCall(skipSpace(t.s, len(t.s)-len(rest)))
	if err != nil {
		return nil, 0, err
	}
	end = skipSpace(t.s, end)
	if end >= len(t.s) {
		return nil, 0, fail(ErrCut, end, "print is not closed")
	}
	if t.s[end] != ')' {
		return nil, 0, fail(ErrDamaged, end, "expected a closing parenthesis")
	}
	return calls, end + 1, nil
}
