package toolcall

import (
	"strings"
)

// callToken reads what follows <|tool_call_begin|>, which two families write:
//
//	DeepSeek  function<｜tool▁sep｜>name, a fence with JSON, or name<｜tool▁sep｜>{…}
//	Kimi      functions.name:0<|tool_call_argument_begin|>{…}
//
// Single tokens of these go missing, so what counts is the first brace.
func (t *scan) callToken(i int) ([]Call, int, error) {
	brace := strings.IndexByte(t.s[i:], '{')
	head := t.s[i:]
	if brace >= 0 {
		head = head[:brace]
	}
	if len(head) > maxTag {
		return nil, 0, fail(ErrDamaged, i, "the call has no arguments")
	}
	written, err := t.headName(head, i)
	if err != nil {
		return nil, 0, err
	}
	if brace < 0 {
		return nil, 0, fail(ErrCut, len(t.s), "the call has no arguments yet")
	}
	args, end, err := t.jsonBody(i + brace)
	if err != nil {
		return nil, 0, err
	}
	if k := skipSpace(t.s, end); strings.HasPrefix(t.s[k:], "```") {
		end = k + len("```")
	}
	name, ok := numbered(written, t.known)
	if !ok {
		return nil, 0, unknown(written)
	}
	return []Call{{name, args}}, end, nil
}

// headName finds the name in what stands before the arguments. Where no name can
// be, somebody writes about the token.
func (t *scan) headName(head string, at int) (string, error) {
	var parts []string
	from := 0
	for j := 0; j < len(head); {
		name, end := special(head, j)
		if end == j {
			j++
			continue
		}
		if name != "tool_sep" && name != "tool_call_argument_begin" {
			return "", fail(ErrDamaged, at+j, "expected the arguments of the call")
		}
		parts = append(parts, head[from:j])
		from, j = end, end
	}
	parts = append(parts, head[from:])
	kind := strings.TrimSpace(parts[0])
	name := kind
	if kind == "function" && len(parts) > 1 {
		name = parts[1]
	}
	name, _, _ = strings.Cut(strings.TrimSpace(name), "```")
	if name, _, _ = strings.Cut(name, "\n"); strings.ContainsAny(strings.TrimSpace(name), " <>\"") {
		return "", errNotCall
	}
	return strings.TrimSpace(name), nil
}

// numbered is resolve for a name that Kimi's call number may follow:
// functions.name:0, which servers that want plain names make functions_name_0 of.
func numbered(written string, known func(string) bool) (string, bool) {
	for _, name := range []string{written, withoutIndex(written)} {
		if found, ok := resolve(name, known); ok {
			return found, true
		}
	}
	bare, ok := strings.CutPrefix(strings.TrimSpace(written), "functions_")
	if !ok {
		bare, ok = strings.CutPrefix(strings.TrimSpace(written), "functions.")
	}
	short := strings.TrimRight(bare, "0123456789")
	if !ok || short == bare || !strings.HasSuffix(short, "_") {
		return "", false
	}
	short = strings.TrimRight(short, "_")
	return short, known(short) && !known(bare)
}

// withoutIndex drops Kimi's call number: name:0.
func withoutIndex(name string) string {
	n := strings.LastIndexByte(name, ':')
	if n <= 0 || n+1 == len(name) {
		return name
	}
	for _, c := range []byte(name[n+1:]) {
		if !digit(c) {
			return name
		}
	}
	return name[:n]
}

// lfm reads what follows <|tool_call_start|>, of LFM2: Python or JSON.
func (t *scan) lfm(i int) ([]Call, int, error) {
	i = skipSpace(t.s, i)
	if i >= len(t.s) {
		return nil, 0, fail(ErrCut, i, "nothing follows the marker")
	}
	return t.statement(i)
}

// harmony reads a turn of gpt-oss from its first token on: segments of a header
// and a body, of which those addressed to a function are calls. What the model
// says beside them is returned.
func (t *scan) harmony(i int) (calls []Call, said string, end int, err error) {
	s := t.s
	for {
		i = closers(s, i)
		if i >= len(s) || observation(s, i) {
			break
		}
		name, j := special(s, i)
		if name != "start" && name != "channel" && name != "message" {
			break
		}
		from := i
		header, body, err := t.header(j)
		if err != nil {
			return nil, "", 0, err
		}
		if to := recipient(header); to != "" {
			call, end, err := t.addressed(to, body)
			if err != nil {
				return nil, "", 0, err
			}
			calls = append(calls, call)
			i = end
			continue
		}
		if len(calls) > 0 && from > 0 && strings.Contains(header, "final") {
			return calls, said, len(s), nil // an answer beside a call does not count
		}
		n := strings.Index(s[body:], "<|")
		if n < 0 {
			n = len(s) - body
		}
		if !strings.Contains(header, "analysis") {
			said = strings.TrimSpace(said + "\n\n" + s[body:body+n])
		}
		i = body + n
	}
	return calls, said, i, nil
}

// header reads a segment's header, which begins at i, up to its body.
func (t *scan) header(i int) (header string, body int, err error) {
	s := t.s
	for j := i; j < len(s) && j-i < maxTag; j++ {
		if s[j] == '{' {
			return s[i:j], j, nil // without <|message|>
		}
		if name, end := special(s, j); end > j {
			switch name {
			case "message":
				return s[i:j], end, nil
			case "channel", "constrain":
			default:
				return "", 0, fail(ErrDamaged, j, "a header without a message")
			}
		}
	}
	return "", 0, fail(ErrCut, len(s), "the header of the call is not whole")
}

// recipient returns whom a header addresses, "" for nobody.
func recipient(header string) string {
	_, to, _ := strings.Cut(header, "to=")
	if n := strings.IndexAny(to, " <\n\t"); n >= 0 {
		to = to[:n]
	}
	return to
}

// addressed reads the call whose arguments begin at i.
func (t *scan) addressed(to string, i int) (Call, int, error) {
	i = skipSpace(t.s, i)
	if i >= len(t.s) {
		return Call{}, 0, fail(ErrCut, i, "the call has no arguments yet")
	}
	if strings.IndexByte(`{["`, t.s[i]) < 0 {
		return Call{}, 0, fail(ErrNotObject, i, "the arguments of "+clip(to, 60))
	}
	args, end, err := t.jsonBody(i)
	if err != nil {
		return Call{}, 0, err
	}
	name, ok := resolve(to, t.known)
	for _, glued := range []string{"json", "code"} {
		if bare, cut := strings.CutSuffix(to, glued); cut && !ok {
			name, ok = resolve(bare, t.known)
		}
	}
	if !ok {
		return Call{}, 0, unknown(to)
	}
	return Call{name, args}, end, nil
}

// bareHarmony reads a header that lost its tokens: commentary to=functions.name
// json{…}.
func (t *scan) bareHarmony(i int) ([]Call, int, error) {
	brace := strings.IndexByte(t.s[i:], '{')
	if brace < 0 {
		if len(t.s)-i > maxTag {
			return nil, 0, errNotCall
		}
		return nil, 0, fail(ErrCut, len(t.s), "the call has no arguments yet")
	}
	header := t.s[i : i+brace]
	words := strings.Fields(header)
	to := recipient(header)
	if len(header) > maxTag || len(words) > 4 || to == "" {
		return nil, 0, errNotCall
	}
	call, end, err := t.addressed(to, i+brace)
	if err != nil {
		return nil, 0, err
	}
	return []Call{call}, end, nil
}
