package toolcall

import (
	"errors"
	"strings"
)

// react reads
//
//	Thought: …
//	Action: name
//	Action Input: {…}
//
// What follows the input is not the model's to say: a result it made up, and
// what it thought of that.
func (t *scan) react() (calls []Call, said string, err error) {
	i, line := t.action()
	if i < 0 {
		return nil, "", nil
	}
	said = t.s[:line]
	for i >= 0 {
		more, end, err := t.step(i)
		if errors.Is(err, errNotCall) {
			return calls, said, nil
		}
		if err != nil {
			return nil, "", err
		}
		calls = append(calls, more...)
		// Another action may follow at once.
		i = -1
		end = closers(t.s, end)
		switch name, at, ok := label(t.s[end:]); {
		case ok && name == "action":
			i = end + at
		case !ok && !pause(t.s[end:]):
			return nil, "", fail(ErrTrailing, end, "an action ends the message")
		}
	}
	return calls, said, nil
}

// pause reports whether s is what models write while they wait for a result.
func pause(s string) bool {
	return s == "" || strings.IndexByte("([`-", s[0]) >= 0 || strings.HasPrefix(s, "PAUSE") || strings.HasPrefix(s, "Observation") || observation(s, 0)
}

// action finds the first Action: outside of fences, before any final answer; i
// is behind the colon, line where its line begins.
func (t *scan) action() (i, line int) {
	i = -1
	line = t.lineOutside(0, func(text string) bool {
		switch name, at, _ := label(text); name {
		case "action":
			i = at
			return true
		case "final answer":
			return true
		}
		return false
	})
	if i < 0 {
		return -1, -1
	}
	return line + i, line
}

// label reads the label that s begins with, bold or not; at is behind its colon.
func label(s string) (name string, at int, ok bool) {
	i := 0
	for i < len(s) && strings.IndexByte(" \t*", s[i]) >= 0 {
		i++
	}
	from := i
	for i < len(s) && i-from < 16 && (letter(s[i]) || s[i] == ' ') {
		i++
	}
	name = strings.ToLower(strings.TrimSpace(s[from:i]))
	for i < len(s) && s[i] == '*' {
		i++
	}
	if i >= len(s) || s[i] != ':' || name == "" {
		return "", 0, false
	}
	i++
	for i < len(s) && s[i] == '*' {
		i++
	}
	return name, i, true
}

// step reads one action from behind its colon.
func (t *scan) step(i int) ([]Call, int, error) {
	s := t.s
	i = skipSpace(s, i)
	if i >= len(s) {
		return nil, 0, fail(ErrCut, i, "the action has no name")
	}
	if s[i] == '{' {
		return t.jsonCalls(i)
	}
	if strings.HasPrefix(s[i:], "```") {
		return t.insideFence(i)
	}
	n := strings.IndexByte(s[i:], '\n')
	if n < 0 {
		n = len(s) - i
	}
	line := strings.TrimSpace(s[i : i+n])
	name, ok := t.actionName(line)
	next := skipSpace(s, i+n)
	if key, at, labelled := label(s[next:]); labelled && (key == "action input" || key == "action_input" || key == "input") {
		if !ok {
			return nil, 0, unknown(strings.Trim(line, "*`\"' "))
		}
		return t.input(name, next+at)
	}
	if ok {
		return nil, 0, fail(ErrCut, next, "the action has no input")
	}
	return t.inline(i, i+n)
}

// actionName returns the tool that an action names, in the quotes, brackets and
// empty parentheses it may come with.
func (t *scan) actionName(line string) (string, bool) {
	name := strings.Trim(line, "*`\"' ")
	if inner, ok := strings.CutPrefix(name, "["); ok {
		name = strings.TrimSuffix(inner, "]")
	}
	if found, ok := resolve(name, t.known); ok {
		return found, true
	}
	if bare, cut := strings.CutSuffix(name, "()"); cut {
		return resolve(bare, t.known)
	}
	return "", false
}

// input reads the arguments of an action.
func (t *scan) input(name string, i int) ([]Call, int, error) {
	s := t.s
	i = skipSpace(s, i)
	fence := strings.HasPrefix(s[i:], "```")
	if fence {
		i += len("```")
		for i < len(s) && letter(s[i]) {
			i++
		}
		i = skipSpace(s, i)
	}
	if i >= len(s) {
		return nil, 0, fail(ErrCut, i, "the input is missing")
	}
	tick := s[i] == '`' && !fence
	if tick {
		i++
	}
	if i >= len(s) || strings.IndexByte("{[\"", s[i]) < 0 {
		return nil, 0, fail(ErrNotObject, i, "the input of "+name)
	}
	args, end, err := t.jsonBody(i)
	if err != nil {
		return nil, 0, err
	}
	if tick && strings.HasPrefix(s[end:], "`") {
		end++
	}
	if k := skipSpace(s, end); fence && strings.HasPrefix(s[k:], "```") {
		end = k + len("```")
	}
	if observation(s, end) {
		return []Call{{name, args}}, end, nil
	}
	line, _, _ := strings.Cut(s[end:], "\n")
	if rest := strings.Trim(line, "}` \t\r"); rest != "" && closers(s, end) < end+len(line) {
		return nil, 0, fail(ErrDamaged, end, "text after the input")
	}
	return []Call{{name, args}}, end + len(line), nil
}

// inline reads the arguments that stand on the line of the action: name({…}),
// name(k=v), name {…}, name[{…}].
func (t *scan) inline(i, end int) ([]Call, int, error) {
	line := strings.Trim(strings.TrimSpace(t.s[i:end]), "*`")
	inner := &scan{s: line, known: t.known}
	written, j := inner.pythonName(0)
	name, ok := resolve(written, t.known)
	if !ok {
		return nil, 0, errNotCall
	}
	if k := skipSpace(line, j); k > j && k < len(line) && line[k] == '(' {
		inner.s = written + line[k:] // name ({…})
	}
	if j < len(line) && line[j] == '[' {
		if j = skipSpace(line, j+1); j >= len(line) || line[j] != '{' {
			return nil, 0, fail(ErrNotObject, i, "the input of "+name)
		}
		v, err := parse(line, j, reader{})
		if err != nil {
			return nil, 0, err
		}
		if strings.TrimSpace(line[v.end:]) != "]" {
			return nil, 0, fail(ErrDamaged, i, "the input of "+name)
		}
		return []Call{{name, v.json}}, end, nil
	}
	calls, err := inner.nameFirst(0)
	if err == nil && len(calls) == 0 {
		err = fail(ErrDamaged, i, "the action "+name+" has no input")
	}
	return calls, end, err
}
