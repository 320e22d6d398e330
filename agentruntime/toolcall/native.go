package toolcall

import (
	"encoding/json"
	"strings"
)

// Native reads a native call, given its name and its arguments as the provider
// has them. It repairs what dialects leak into either: argument markup or a
// whole call in the name (read<arg_key>path</arg_key><arg_value>…), special
// tokens behind it, prefixes, a name said several times; tags in place of the
// arguments. For arguments alone it is Arguments, with all that says.
//
// A name that is no offered tool is an ErrUnknown.
func Native(name, arguments string, known func(name string) bool) (calls []Call, rung Rung, err error) {
	if err := valid(name); err != nil {
		return nil, 0, err
	}
	found, times, ok := nativeName(name, known)
	if !ok {
		if strings.ContainsAny(name, "<{([") {
			return leaked(name, arguments, known)
		}
		return nil, 0, unknown(name)
	}
	objects, rung, err := Arguments(arguments)
	if err != nil {
		args, e := tagged(arguments, known)
		switch {
		case e != nil:
			return nil, 0, e
		case args != nil:
			return []Call{{found, args}}, RungDialect, nil
		}
		return nil, 0, err
	}
	for _, o := range objects {
		o, repaired, err := untag(o)
		if err != nil {
			return nil, 0, err
		}
		o, unquoted, err := unquote(o)
		if err != nil {
			return nil, 0, err
		}
		repaired = repaired || unquoted
		if inner, ok := unwrapped(found, o, known); ok {
			o, repaired = inner, true
		}
		if repaired {
			rung = RungDialect
		}
		calls = append(calls, Call{found, o})
	}
	if times > 1 {
		if len(objects) != 1 && len(objects) != times {
			return nil, 0, fail(ErrAmbiguous, -1, "the name comes more often than the arguments")
		}
		rung = max(rung, RungConcatenated)
	}
	return calls, rung, nil
}

// unwrapped returns the arguments of a call that stands in the arguments of a
// call of the same tool, as a whole. One of the two may name the tool's server
// besides: only one offered tool has a bare name.
func unwrapped(name string, raw json.RawMessage, known func(string) bool) (json.RawMessage, bool) {
	var said struct{ Name string }
	if json.Unmarshal(raw, &said) != nil {
		return nil, false
	}
	if found, ok := resolve(said.Name, known); !ok || !sameTool(found, name) {
		return nil, false
	}
	calls, err := envelope(raw, known, false)
	if err != nil || len(calls) != 1 || !sameTool(calls[0].Name, name) {
		return nil, false
	}
	return calls[0].Arguments, true
}

// sameTool reports whether two names that are known mean one tool.
func sameTool(a, b string) bool {
	if len(a) < len(b) {
		a, b = b, a
	}
	a, b = strings.Replace(a, "::", "__", 1), strings.Replace(b, "::", "__", 1)
	return a == b || strings.HasSuffix(a, "__"+b)
}

// nativeName finds the tool that the name of a native call means, and how often
// it is said.
func nativeName(name string, known func(string) bool) (found string, times int, ok bool) {
	if known(name) {
		return name, 1, true
	}
	plain := strings.Trim(strings.TrimSpace(name), "\"'`")
	for i := 0; i < len(plain); i++ {
		if token, end := special(plain, i); end > i && i > 0 {
			switch token {
			case "channel", "constrain", "message", "call", "end", "tool_sep", "tool_call_argument_begin":
				plain = plain[:i]
			}
		}
	}
	plain = strings.TrimSuffix(strings.TrimSpace(plain), "()")
	if found, ok := numbered(plain, known); ok {
		return found, 1, true
	}
	for n := 1; n <= len(plain)/2 && n <= 128; n++ {
		if len(plain)%n == 0 && strings.Repeat(plain[:n], len(plain)/n) == plain && known(plain[:n]) {
			return plain[:n], len(plain) / n, true
		}
	}
	return "", 0, false
}

// leaked reads a call that stands in the name as a whole.
func leaked(name, arguments string, known func(string) bool) ([]Call, Rung, error) {
	if a := strings.TrimSpace(arguments); a != "" && a != "null" && !empty(json.RawMessage(a)) {
		return nil, 0, fail(ErrAmbiguous, -1, "the call has arguments in its name and besides")
	}
	t := &scan{s: strings.TrimSpace(name), known: known, finished: true}
	if n := strings.IndexByte(t.s, '<'); n > 0 && (strings.HasPrefix(t.s[n:], keyOpen) || strings.HasPrefix(t.s[n:], keyClose)) {
		calls, end, err := t.glm(0)
		if err != nil {
			return nil, 0, err
		}
		if closers(t.s, end) != len(t.s) {
			return nil, 0, fail(ErrDamaged, -1, "text after the arguments in the name")
		}
		return calls, RungDialect, nil
	}
	// name>…, name=…: the tag lost its beginning
	text := t.s
	if n := strings.IndexAny(text, "<>={"); n > 0 && text[0] != '[' {
		if _, ok := resolve(text[:n], known); ok {
			text = "<function=" + text
		}
	}
	calls, prose, _, err := Text(text, known)
	if err != nil {
		return nil, 0, err
	}
	if len(calls) == 0 || prose != "" {
		return nil, 0, unknown(name)
	}
	return calls, RungDialect, nil
}

// tagged reads arguments written in tags. Neither value is there when they are
// not.
func tagged(arguments string, known func(string) bool) (json.RawMessage, error) {
	t := &scan{s: strings.TrimSpace(arguments), known: known, finished: true}
	var args json.RawMessage
	var end int
	var err error
	switch g, ok := tagAt(t.s, 0); {
	case ok && paramTags[g.local] && !g.closing && g.value != "":
		args, end, err = t.block(0, "function")
	case strings.HasPrefix(t.s, keyOpen):
		args, end, err = t.glmArguments(0, "")
	default:
		return nil, nil
	}
	if err == nil && closers(t.s, end) != len(t.s) {
		err = fail(ErrDamaged, end, "text after the arguments")
	}
	if err != nil {
		return nil, err
	}
	return args, nil
}
