package toolcall

import (
	"encoding/json"
	"strings"
)

// function reads Llama's <function=name>{…}</function> with all that goes wrong
// in it, and Qwen3-Coder's <function=name><parameter=k>v</parameter></function>.
// It begins at i.
func (t *scan) function(i int) ([]Call, int, error) {
	if rest, ok := strings.CutPrefix(t.s[i:], "<function>"); ok && strings.HasPrefix(strings.TrimSpace(rest), "{") {
		return t.jsonCalls(skipSpace(t.s, i+len("<function>")))
	}
	written, j, err := t.functionName(i + len("<function"))
	if err != nil {
		return nil, 0, err
	}
	name, ok := resolve(written, t.known)
	args, end, err := t.functionBody(j)
	if err != nil {
		return nil, 0, err
	}
	if !ok {
		return nil, 0, unknown(written)
	}
	return []Call{{name, args}}, end, nil
}

func (t *scan) functionName(j int) (name string, end int, err error) {
	s := t.s
	if j < len(s) && s[j] == ' ' { // <function name="x">
		g, ok := tagAt(s, j-len("<function"))
		if !ok || g.value == "" {
			return "", 0, t.noTag(j - len("<function"))
		}
		return g.value, g.end, nil
	}
	if j >= len(s) || strings.IndexByte("=(>", s[j]) < 0 {
		return "", 0, errNotCall
	}
	j = skipSpace(s, j+1)
	quote := byte(0)
	if j < len(s) && (s[j] == '"' || s[j] == '\'') {
		quote = s[j]
		j++
	}
	from := j
	for j < len(s) && nameByte(s[j]) {
		j++
	}
	name = s[from:j]
	if j >= len(s) {
		return "", 0, fail(ErrCut, j, "the name may go on")
	}
	if quote != 0 {
		if s[j] != quote {
			return "", 0, fail(ErrDamaged, j, "the name is not closed")
		}
		j++
	}
	if name = strings.TrimRight(name, ":."); name == "" {
		return "", 0, fail(ErrDamaged, from, "the call has no name")
	}
	return name, j, nil
}

// functionBody reads what follows the name: one or two of > = ) , and the
// arguments.
func (t *scan) functionBody(j int) (json.RawMessage, int, error) {
	s := t.s
	closed := s[j-1] == '>'
	if strings.HasPrefix(s[j:], "[]") { // <function=name[]{…}
		j += len("[]")
	}
	for j < len(s) && strings.IndexByte(">=),: \n\r\t(", s[j]) >= 0 {
		closed = closed || s[j] == '>'
		j++
	}
	if j >= len(s) {
		return nil, 0, fail(ErrCut, j, "the call has no arguments yet")
	}
	if strings.IndexByte(`{["`, s[j]) >= 0 {
		args, end, err := t.jsonBody(j)
		if err != nil {
			return nil, 0, err
		}
		// The opening tag is closed late, or <function> stands for </function>.
		k := skipSpace(s, end)
		if k < len(s) && s[k] == ')' {
			end = k + 1
			k = skipSpace(s, end)
		}
		if k < len(s) && s[k] == '>' {
			end = k + 1
		}
		if k = skipSpace(s, end); strings.HasPrefix(s[k:], "<function>") {
			end = k + len("<function>")
		}
		return args, end, nil
	}
	if !closed {
		return nil, 0, fail(ErrDamaged, j, "expected the arguments")
	}
	return t.block(j, "function")
}

// nameByte reports whether c may be in a tool's name.
func nameByte(c byte) bool {
	return letter(c) || digit(c) || c == '-' || c == '.' || c == ':' || c == '/' || c == '+'
}

// python reads what follows Llama's <|python_tag|>: calls in JSON, separated by
// semicolons, or one in Python. Any other code is for an interpreter.
func (t *scan) python(i int) ([]Call, int, error) {
	i = skipSpace(t.s, i)
	if i >= len(t.s) {
		return nil, 0, fail(ErrCut, i, "nothing follows the marker")
	}
	switch {
	case t.s[i] == '{':
		return t.jsonCalls(i)
	case t.marker(i) != noMarker: // which announces a call once more
		return nil, i, nil
	}
	return t.pythonic(i)
}

// jsonCalls reads one value of JSON that is a call, or a list of calls.
func (t *scan) jsonCalls(i int) ([]Call, int, error) {
	v, err := parse(t.s, i, reader{marks: true})
	if err != nil {
		return nil, 0, err
	}
	calls, err := envelope(v.json, t.known, true)
	if err != nil {
		return nil, 0, err
	}
	return calls, t.strays(v.end), nil
}
