package toolcall

import (
	"encoding/json"
	"slices"
	"strings"
)

// The members of a call written as a JSON object, in the spellings of models and
// frameworks.
var (
	nameKeys  = []string{"name", "tool_name", "function_name", "tool", "action", "recipient_name"}
	argsKeys  = []string{"arguments", "parameters", "args", "input", "params", "tool_input", "tool_args", "action_input"}
	aboutKeys = []string{"id", "type", "index", "call_id", "tool_call_id", "thought", "thoughts", "reasoning", "explanation", "status"}
	listKeys  = []string{"tool_calls", "tool_call", "tool_uses", "calls", "function_call"}
)

// errNotCall says that JSON is not of the form of a call.
var errNotCall = fail(ErrDamaged, -1, "not of the form of a call")

// envelope reads the calls of a JSON value. marked says that a marker announced
// a call: then a form that is not one is an error of its own, and arguments may
// be left out.
func envelope(raw json.RawMessage, known func(string) bool, marked bool) ([]Call, error) {
	return unwrap(raw, known, marked, 0)
}

func unwrap(raw json.RawMessage, known func(string) bool, marked bool, depth int) ([]Call, error) {
	if depth++; depth > 4 || len(raw) == 0 {
		return nil, errNotCall
	}
	if raw[0] == '[' {
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
			return nil, errNotCall
		}
		var calls []Call
		for _, element := range list {
			more, err := unwrap(element, known, marked, depth)
			if err != nil {
				return nil, err
			}
			calls = append(calls, more...)
		}
		return calls, nil
	}
	var m map[string]json.RawMessage
	if raw[0] != '{' || json.Unmarshal(raw, &m) != nil {
		return nil, errNotCall
	}
	for _, key := range listKeys {
		if list, ok := m[key]; ok {
			if others(m, append([]string{key}, "content", "role", "thought", "reasoning")...) != "" {
				return nil, errNotCall
			}
			return unwrap(list, known, true, depth)
		}
	}
	return call(m, known, marked)
}

// call reads the one call that an object is.
func call(m map[string]json.RawMessage, known func(string) bool, marked bool) ([]Call, error) {
	if inner, ok := m["function"]; ok && len(inner) > 0 && inner[0] == '{' {
		var f map[string]json.RawMessage
		if json.Unmarshal(inner, &f) != nil {
			return nil, errNotCall
		}
		// Arguments are misplaced beside the function now and then.
		for key, value := range m {
			if key == "function" {
				continue
			}
			if old, ok := f[key]; ok && slices.Contains(argsKeys, key) && canonical(old) != canonical(value) && !empty(old) {
				return nil, fail(ErrAmbiguous, -1, "the call has its arguments twice")
			} else if ok && !slices.Contains(argsKeys, key) {
				continue
			}
			f[key] = value
		}
		m, marked = f, true
	}
	name, nameKey, ok := nameOf(m)
	if !ok {
		return nil, errNotCall
	}
	args, argsKey, err := argsOf(m)
	if err != nil {
		return nil, err
	}
	if extra := others(m, append(append([]string{nameKey}, argsKeys...), aboutKeys...)...); extra != "" {
		if !marked {
			return nil, errNotCall
		}
		return nil, fail(ErrAmbiguous, -1, "the call has a member beside its arguments: "+clip(extra, 40))
	}
	if argsKey == "" && !marked {
		return nil, errNotCall
	}
	resolved, ok := resolve(name, known)
	if !ok {
		if !marked && (nameKey != "name" || argsKey != "arguments" && argsKey != "parameters" || args[0] != '{') {
			return nil, errNotCall // an answer in JSON, more likely
		}
		return nil, unknown(name)
	}
	if argsKey == "" || string(args) == "null" {
		args = json.RawMessage("{}")
	}
	switch args[0] {
	case '{':
		return []Call{{resolved, args}}, nil
	case '"':
		var inner string
		if json.Unmarshal(args, &inner) != nil {
			return nil, errNotCall
		}
		if strings.TrimSpace(inner) == "" {
			return []Call{{resolved, json.RawMessage("{}")}}, nil
		}
		objects, _, err := objectsOf(inner, false, 1)
		if err != nil {
			return nil, err
		}
		var calls []Call
		for _, o := range objects {
			calls = append(calls, Call{resolved, o})
		}
		return calls, nil
	}
	return nil, fail(ErrNotObject, -1, "the arguments of "+clip(resolved, 60))
}

func nameOf(m map[string]json.RawMessage) (name, key string, ok bool) {
	for _, key := range append(nameKeys, "function") {
		raw, ok := m[key]
		if !ok {
			continue
		}
		var name string
		if json.Unmarshal(raw, &name) != nil || name == "" {
			return "", "", false
		}
		return name, key, true
	}
	return "", "", false
}

// argsOf returns the arguments; of two, an empty one does not count.
func argsOf(m map[string]json.RawMessage) (args json.RawMessage, key string, err error) {
	for _, k := range argsKeys {
		raw, ok := m[k]
		if !ok {
			continue
		}
		if key != "" && !hollow(raw) {
			if !hollow(args) && canonical(args) != canonical(raw) {
				return nil, "", fail(ErrAmbiguous, -1, "the call has its arguments twice")
			}
			args, key = raw, k
		}
		if key == "" {
			args, key = raw, k
		}
	}
	return args, key, nil
}

func hollow(raw json.RawMessage) bool {
	return empty(raw) || string(raw) == "null" || string(raw) == `""`
}

// others returns a key of m that is none of these, "" for none.
func others(m map[string]json.RawMessage, keys ...string) string {
	found := ""
	for key := range m {
		if !slices.Contains(keys, key) && (found == "" || key < found) {
			found = key
		}
	}
	return found
}

// The prefixes that dialects put before a tool's name.
var prefixes = []string{"functions.", "function.", "default_api.", "tools.", "tool.", "functions::", "functions:"}

// resolve finds the offered tool that a name means: as it stands, or without
// what a dialect adds to it. It never corrects a spelling.
func resolve(name string, known func(string) bool) (string, bool) {
	name = strings.TrimSpace(name)
	if name == "" {
		return "", false
	}
	if known(name) {
		return name, true
	}
	for _, prefix := range prefixes {
		if bare, ok := strings.CutPrefix(name, prefix); ok && bare != "" && known(bare) {
			return bare, true
		}
	}
	return "", false
}
