package toolcall

import (
	"encoding/json"
	"strings"
)

// Arguments reads the arguments of one native call: the string in
// function.arguments, or an object's bytes. A valid object keeps its bytes
// (RungClean). Several objects one after the other are several calls; equal ones
// count once, an empty one beside a fuller one not at all.
//
// An empty text, white space and null are {}: that is how providers write a call
// without arguments. So call it only for a call that its provider finished, not
// for one whose turn ended with finish_reason "length". The same goes for
// RungUnclosed, which supplies a forgotten last brace.
//
// Errors are of type *Error.
func Arguments(raw string) (objects []json.RawMessage, rung Rung, err error) {
	if err := valid(raw); err != nil {
		return nil, 0, err
	}
	if t := strings.TrimSpace(raw); t == "" || t == "null" {
		return []json.RawMessage{json.RawMessage("{}")}, RungClean, nil
	}
	objects, rung, err = objectsOf(raw, true, 0)
	if err != nil {
		return nil, 0, err
	}
	if len(objects) > 1 {
		calls := make([]Call, len(objects))
		for i, o := range objects {
			calls[i].Arguments = o
		}
		objects = objects[:0]
		for _, c := range once(calls) {
			objects = append(objects, c.Arguments)
		}
		rung = max(rung, RungConcatenated)
	}
	return objects, rung, nil
}

// maxEncodings bounds how often JSON may be a string within JSON.
const maxEncodings = 3

// objectsOf reads the objects that raw is made of. finished says that whoever
// wrote it had come to an end.
func objectsOf(raw string, finished bool, encodings int) ([]json.RawMessage, Rung, error) {
	start, end, rung := payload(raw)
	if start == end {
		return nil, 0, fail(ErrNotObject, 0, "")
	}
	text := raw[:end]
	switch text[start] {
	case '{':
		if inner, ok := escapedOnce(text[start:]); ok {
			return encoded(inner, finished, encodings)
		}
	case '[':
		v, err := parse(text, start, reader{})
		if err != nil {
			return nil, 0, err
		}
		one, ok := only(v.json)
		if !ok {
			return nil, 0, fail(ErrNotObject, start, "a list")
		}
		if err := stray(text, v.end); err != nil {
			return nil, 0, err
		}
		return []json.RawMessage{one}, RungLenient, nil
	case '"', '\'':
		v, err := parse(text, start, reader{})
		if err != nil {
			return nil, 0, err
		}
		if strings.TrimSpace(text[v.end:]) != "" {
			return nil, 0, fail(ErrNotObject, v.end, "text after the string")
		}
		var inner string
		if json.Unmarshal(v.json, &inner) != nil {
			return nil, 0, fail(ErrDamaged, start, "")
		}
		return encoded(inner, finished, encodings)
	default:
		return nil, 0, fail(ErrNotObject, start, "")
	}
	objects, r, err := sequence(text, start, finished)
	return objects, max(rung, r), err
}

// encoded reads what was a string within JSON.
func encoded(inner string, finished bool, encodings int) ([]json.RawMessage, Rung, error) {
	if encodings++; encodings > maxEncodings {
		return nil, 0, fail(ErrNotObject, 0, "a string in a string in a string")
	}
	objects, rung, err := objectsOf(inner, finished, encodings)
	return objects, max(rung, RungDoubleEncoded), err
}

// sequence reads objects up to the end of s.
func sequence(s string, i int, finished bool) ([]json.RawMessage, Rung, error) {
	var objects []json.RawMessage
	var rung Rung
	for {
		v, err := parse(s, i, reader{finished: finished})
		if err != nil {
			return nil, 0, err
		}
		if len(objects) > 0 && v.closed {
			return nil, 0, fail(ErrCut, len(s), "the object is not closed")
		}
		objects = append(objects, v.json)
		switch {
		case v.closed:
			rung = max(rung, RungUnclosed)
		case !v.clean:
			rung = max(rung, RungLenient)
		}
		r := reader{s: s, i: v.end}
		r.space()
		if i = r.i; i < len(s) && (s[i] == ',' || s[i] == ';') {
			r.i++
			r.space()
			i = r.i
		}
		if i >= len(s) || s[i] != '{' {
			rest := strings.TrimSpace(s[v.end:])
			if rest != "" {
				rung = max(rung, RungFence)
			}
			if strings.Trim(rest, "}],; \n\r\t") == "" {
				return objects, rung, nil // {…}, as if another were to follow
			}
			return objects, rung, stray(s, v.end)
		}
	}
}

// stray checks what follows the last object: a bracket too many and words on a
// line of their own harm nothing, but anything else may belong to what was read.
func stray(s string, i int) error {
	rest := strings.TrimLeft(s[i:], "}] \r\t")
	words := strings.TrimSpace(rest)
	if words == "" {
		return nil
	}
	if rest[0] != '\n' || strings.ContainsAny(words, "{}[]\":") {
		return fail(ErrDamaged, i, "text after the object")
	}
	return nil
}

// only returns the single object that a list holds.
func only(list []byte) (json.RawMessage, bool) {
	var elements []json.RawMessage
	if json.Unmarshal(list, &elements) != nil || len(elements) != 1 || elements[0][0] != '{' {
		return nil, false
	}
	return elements[0], true
}

// escapedOnce undoes {\"a\": 1}: an encoded string that lost its own quotes.
func escapedOnce(s string) (string, bool) {
	r := reader{s: s, i: 1}
	r.space()
	if !strings.HasPrefix(s[r.i:], `\"`) {
		return "", false
	}
	var inner string
	quoted := `"` + strings.NewReplacer("\n", `\n`, "\t", `\t`, "\r", `\r`).Replace(s) + `"`
	if json.Unmarshal([]byte(quoted), &inner) != nil {
		return "", false
	}
	return inner, true
}

// payload finds the JSON in what surrounds it: a code fence, a sentence before
// it, closing markers behind it. start is end when there is none.
func payload(raw string) (start, end int, rung Rung) {
	end = len(raw)
	start = skipSpace(raw, 0)
	if body, from, ok := fenced(raw[start:]); ok {
		start, end, rung = start+from, start+from+len(body), RungFence
		start = skipSpace(raw, start)
	}
	for end > start {
		t := len(strings.TrimRight(raw[:end], " \n\r\t"))
		at := strings.LastIndexAny(raw[start:t], "<[")
		if at < 0 || closer(raw[:t], start+at) != t {
			break
		}
		end, rung = start+at, RungFence
	}
	if start >= end {
		return 0, 0, rung
	}
	switch raw[start] {
	case '{', '[', '"', '\'':
		return start, end, rung
	}
	if raw[start] == '<' {
		return start, end, rung
	}
	at := strings.IndexByte(raw[start:end], '{')
	if at < 0 || strings.ContainsAny(raw[start:start+at], "}[]\"<>=(") {
		return start, end, rung
	}
	return start + at, end, max(rung, RungFence)
}

// fenced returns what a code fence holds that s is, and where in s it begins. A
// missing closing fence is no harm: the JSON within tells whether it is whole.
func fenced(s string) (body string, from int, ok bool) {
	mark := "```"
	if !strings.HasPrefix(s, mark) {
		return "", 0, false
	}
	from = len(mark)
	for from < len(s) && (letter(s[from]) || s[from] == '-') {
		from++
	}
	body = s[from:]
	if n := strings.LastIndex(body, mark); n >= 0 {
		if strings.TrimSpace(body[n+len(mark):]) != "" {
			return "", 0, false
		}
		body = body[:n]
	}
	return body, from, true
}

func skipSpace(s string, i int) int {
	for i < len(s) && strings.IndexByte(" \n\r\t", s[i]) >= 0 {
		i++
	}
	return i
}
