package toolcall

import (
	"strings"
)

// inside reads what stands in <tool_call> and the like: JSON, Python, GLM's
// pairs, a name and JSON.
func (t *scan) inside(i int) ([]Call, int, error) {
	s := t.s
	switch c := s[i]; {
	case c == '{':
		return t.jsonCalls(i)
	case c == '[':
		if j := skipSpace(s, i+1); j < len(s) && s[j] != '{' {
			return t.pythonic(i)
		}
		return t.jsonCalls(i)
	case strings.HasPrefix(s[i:], "```"):
		return t.insideFence(i)
	case c == '<':
		return t.elements(i)
	case !nameByte(c):
		return nil, 0, errNotCall
	}
	_, j := t.pythonName(i)
	k := skipSpace(s, j)
	switch {
	case strings.HasPrefix(s[i:], "print("):
		return t.statement(i)
	case k < len(s) && s[k] == '{', strings.HasPrefix(s[k:], mistralArgs):
		return t.namedJSON(i)
	case j < len(s) && s[j] == '(':
		return t.pythonCall(i)
	}
	return t.glm(i)
}

// insideFence reads JSON in a fence in a wrapper.
func (t *scan) insideFence(i int) ([]Call, int, error) {
	n := strings.IndexByte(t.s[i:], '\n')
	if n < 0 || n > 20 {
		return nil, 0, errNotCall
	}
	j := skipSpace(t.s, i+n)
	if j >= len(t.s) {
		return nil, 0, fail(ErrCut, j, "nothing follows the marker")
	}
	if t.s[j] != '{' && t.s[j] != '[' {
		return nil, 0, errNotCall
	}
	calls, end, err := t.jsonCalls(j)
	if err == nil {
		if k := skipSpace(t.s, end); strings.HasPrefix(t.s[k:], "```") {
			end = k + len("```")
		}
	}
	return calls, end, err
}

// elements reads <name>x</name><arguments>{…}</arguments>.
func (t *scan) elements(i int) ([]Call, int, error) {
	g, ok := tagAt(t.s, i)
	if !ok {
		if len(t.s)-i < 40 && !strings.ContainsAny(t.s[i:], "> \n") {
			return nil, 0, fail(ErrCut, len(t.s), "a tag is not closed")
		}
		return nil, 0, errNotCall
	}
	if g.closing || g.local != "name" && g.local != "tool_name" && g.local != "function_name" {
		return nil, 0, errNotCall
	}
	n := strings.IndexByte(t.s[g.end:], '<')
	if n < 0 {
		return nil, 0, fail(ErrCut, len(t.s), "the name is not closed")
	}
	written := strings.TrimSpace(t.s[g.end : g.end+n])
	h, ok := tagAt(t.s, g.end+n)
	if !ok || !h.closing || h.local != g.local {
		return nil, 0, t.noTag(g.end + n)
	}
	j := skipSpace(t.s, h.end)
	if j >= len(t.s) {
		return nil, 0, fail(ErrCut, j, "the call has no arguments yet")
	}
	a, ok := tagAt(t.s, j)
	if !ok || a.closing {
		return nil, 0, t.noTag(j)
	}
	k := skipSpace(t.s, a.end)
	if k >= len(t.s) {
		return nil, 0, fail(ErrCut, k, "the call has no arguments yet")
	}
	if t.s[k] != '{' {
		return nil, 0, fail(ErrNotObject, k, "the arguments")
	}
	args, end, err := t.jsonBody(k)
	if err != nil {
		return nil, 0, err
	}
	if b, ok := tagAt(t.s, skipSpace(t.s, end)); ok && b.closing && b.local == a.local {
		end = b.end
	}
	name, ok := resolve(written, t.known)
	if !ok {
		return nil, 0, unknown(written)
	}
	return []Call{{name, args}}, end, nil
}
