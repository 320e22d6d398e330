package toolcall

import (
	"strings"
)

// The parts of a call of Mistral's models.
const (
	mistralCalls = "[TOOL_CALLS]"
	mistralArgs  = "[ARGS]"
	mistralID    = "[CALL_ID]"
)

// toolRequest opens a call in JSON of models that LM Studio tells how to call.
const toolRequest = "[TOOL_REQUEST]"

// mistral reads what follows [TOOL_CALLS]: a list of calls in JSON, or
// name[CALL_ID]id[ARGS]{…} with parts left out.
func (t *scan) mistral(i int) ([]Call, int, error) {
	i = skipSpace(t.s, i)
	if i >= len(t.s) {
		return nil, 0, fail(ErrCut, i, "nothing follows the marker")
	}
	if c := t.s[i]; c == '{' || c == '[' {
		return t.jsonCalls(i)
	}
	if _, j := t.pythonName(i); j > i && j < len(t.s) && t.s[j] == '(' {
		return t.pythonCall(i)
	}
	return t.namedJSON(i)
}

// namedJSON reads name{…}, name[ARGS]{…} and name[CALL_ID]id[ARGS]{…}.
func (t *scan) namedJSON(i int) ([]Call, int, error) {
	written, j := t.pythonName(i)
	j = skipSpace(t.s, j)
	if written == "" {
		return nil, 0, errNotCall
	}
	if rest, ok := strings.CutPrefix(t.s[j:], mistralID); ok {
		n := strings.IndexAny(rest, "[{\n ")
		if n < 0 {
			return nil, 0, fail(ErrCut, len(t.s), "the call has no arguments yet")
		}
		j = skipSpace(t.s, j+len(mistralID)+n)
	}
	if strings.HasPrefix(t.s[j:], mistralArgs) {
		j = skipSpace(t.s, j+len(mistralArgs))
	}
	if j >= len(t.s) || strings.HasPrefix(mistralArgs, t.s[j:]) || strings.HasPrefix(mistralID, t.s[j:]) {
		return nil, 0, fail(ErrCut, len(t.s), "the call has no arguments yet")
	}
	if t.s[j] != '{' {
		return nil, 0, errNotCall
	}
	args, end, err := t.jsonBody(j)
	if err != nil {
		return nil, 0, err
	}
	name, ok := resolve(written, t.known)
	if !ok {
		return nil, 0, unknown(written)
	}
	return []Call{{name, args}}, end, nil
}

// gemma reads call:name{k:<escape>v<escape>,n:1}, of FunctionGemma and Gemma 4.
func (t *scan) gemma(i int) ([]Call, int, error) {
	i = skipSpace(t.s, i)
	const mark = "call:"
	rest, ok := strings.CutPrefix(t.s[i:], mark)
	if !ok {
		if i >= len(t.s) || len(t.s)-i < len(mark) && t.s[i:] == mark[:len(t.s)-i] {
			return nil, 0, fail(ErrCut, i, "nothing follows the marker")
		}
		if t.s[i] == '{' || t.s[i] == '[' {
			return t.jsonCalls(i)
		}
		return nil, 0, errNotCall
	}
	from := skipSpace(t.s, len(t.s)-len(rest))
	written, j := t.pythonName(from)
	if j < len(t.s) && t.s[j] == '(' {
		return t.pythonCall(from)
	}
	j = skipSpace(t.s, j)
	if j >= len(t.s) {
		return nil, 0, fail(ErrCut, j, "the call has no arguments yet")
	}
	if t.s[j] != '{' || written == "" {
		return nil, 0, errNotCall
	}
	v, err := parse(t.s, j, reader{marks: true, gemma: true})
	if err != nil {
		return nil, 0, err
	}
	name, ok := resolve(written, t.known)
	if !ok {
		return nil, 0, unknown(written)
	}
	return []Call{{name, v.json}}, v.end, nil
}
