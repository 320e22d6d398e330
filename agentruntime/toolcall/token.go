package toolcall

import "strings"

// special reads the special token of a model that begins at i: <|name|>, with
// the bars and spaces that tokenizers and copies of them use. The name has
// underscores. end is i when there is none.
func special(s string, i int) (name string, end int) {
	j, ok := bars(s, i+1)
	if !strings.HasPrefix(s[i:], "<") || !ok {
		return "", i
	}
	from := j
	for j < len(s) && j-from < 64 {
		if k, ok := bars(s, j); ok {
			if k < len(s) && s[k] == '>' && j > from {
				return underscored(s[from:j]), k + 1
			}
			return "", i
		}
		if c := s[j]; c == '<' || c == '>' || c == '\n' || c == '"' {
			return "", i
		}
		j++
	}
	return "", i
}

var underscore = strings.NewReplacer("▁", "_", " ", "_", "-", "_")

func underscored(name string) string { return strings.ToLower(underscore.Replace(name)) }

// bars goes over the bars of a special token: ASCII, full width or double.
func bars(s string, i int) (end int, ok bool) {
	for end = i; end < len(s); {
		switch rest := s[end:]; {
		case rest[0] == '|':
			end++
		case strings.HasPrefix(rest, "｜"), strings.HasPrefix(rest, "‖"):
			end += 3
		default:
			return end, end > i
		}
	}
	return end, end > i
}

// tag is an XML-like tag as models write it: <parameter=k>, <invoke name="k">,
// with a namespace before the name or DeepSeek's <｜DSML｜ in its place.
type tag struct {
	local   string // lower case, without namespace
	value   string // of = or of the attribute name
	kind    string // of the attribute string
	closing bool
	empty   bool // <x/>
	end     int
}

// maxTag bounds a tag in bytes.
const maxTag = 512

// tagAt reads the tag that begins at i.
func tagAt(s string, i int) (t tag, ok bool) {
	if i >= len(s) || s[i] != '<' {
		return t, false
	}
	j := i + 1
	if j < len(s) && s[j] == '/' {
		t.closing = true
		j++
	}
	if k, ok := bars(s, j); ok {
		if !strings.HasPrefix(s[k:], "DSML") {
			return t, false
		}
		if j, ok = bars(s, k+len("DSML")); !ok {
			return t, false
		}
		if j < len(s) && s[j] == '/' {
			t.closing = true
			j++
		}
	}
	from := j
	for j < len(s) && j-from < 64 && (letter(s[j]) || digit(s[j]) || s[j] == '-' || s[j] == ':') {
		j++
	}
	name := s[from:j]
	if n := strings.LastIndexByte(name, ':'); n >= 0 {
		name = name[n+1:]
	}
	if t.local = strings.ToLower(name); name == "" || j >= len(s) {
		return t, false
	}
	return t.attributes(s, j, i+maxTag)
}

func (t tag) attributes(s string, j, limit int) (tag, bool) {
	if s[j] == '=' {
		end := strings.IndexByte(s[j:min(len(s), limit)], '>')
		if end < 0 {
			return t, false
		}
		t.value = unquoted(strings.TrimSpace(s[j+1 : j+end]))
		t.end = j + end + 1
		return t, t.value != "" && !strings.ContainsAny(t.value, "<\n{\"")
	}
	for j < len(s) && j < limit {
		switch c := s[j]; {
		case c == '>':
			t.end = j + 1
			return t, true
		case c == '/' && j+1 < len(s) && s[j+1] == '>':
			t.empty = true
			t.end = j + 2
			return t, true
		case c == ' ' || c == '\n' || c == '\t' || c == '\r':
			j++
		case letter(c):
			from := j
			for j < len(s) && letter(s[j]) {
				j++
			}
			key := s[from:j]
			if j+1 >= len(s) || s[j] != '=' {
				return t, false
			}
			value, end, ok := attribute(s, j+1)
			if !ok {
				return t, false
			}
			switch key {
			case "name":
				t.value = value
			case "string":
				t.kind = value
			}
			j = end
		default:
			return t, false
		}
	}
	return t, false
}

// attribute reads the value of an attribute, quoted or not.
func attribute(s string, i int) (value string, end int, ok bool) {
	if q := s[i]; q == '"' || q == '\'' {
		n := strings.IndexByte(s[i+1:min(len(s), i+maxTag)], q)
		if n < 0 {
			return "", 0, false
		}
		return s[i+1 : i+1+n], i + n + 2, true
	}
	end = i
	for end < len(s) && strings.IndexByte(" >\n\t\"'<", s[end]) < 0 {
		end++
	}
	return s[i:end], end, end > i && end < len(s)
}

func unquoted(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

// The tags and tokens that close a call, a section of calls or the turn.
var (
	closingTags = set("tool_call", "tool_calls", "toolcall", "tool-call", "tool-calls", "function", "function_call", "function_calls",
		"function-call", "tool-use", "tool_use", "tools", "invoke", "tool", "s", "call", "tool_code")
	closingTokens = set("tool_call_end", "tool_calls_end", "tool_calls_section_end", "tool_call_section_end", "call", "end", "return",
		"im_end", "eot_id", "eom_id", "eot", "eom", "end_of_text", "endoftext", "python_end", "end_of_sentence", "end_of_turn", "/tool_call", "/tool_calls", "eos", "end_action", "action_end")
	closingWords = []string{"[/TOOL_CALLS]", "[END_TOOL_REQUEST]", "<end_function_call>", "<tool_call|>", "<end_of_turn>", "<eos>", "<turn|>"}
	nextTokens   = set("tool_outputs_begin", "tool_output_begin", "observation", "user", "im_start", "start_header_id", "eot_header", "tool_response", "header_start")
	nextWords    = []string{"<tool_response>", "<tool_response|", "<|tool_response>", "<function_results>", "<function_result>", "<tool_result", "[TOOL_RESULTS]",
		"<start_of_turn>", "<start_function_response>", "Observation:", "OBSERVATION:", "```tool_output", "<|start|>functions", "<|start|>tool", "<|start|>user"}
)

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, name := range names {
		m[name] = true
	}
	return m
}

// closer returns where the closing marker that begins at i ends; i for none.
func closer(s string, i int) int {
	if i >= len(s) || s[i] != '<' && s[i] != '[' && s[i] != ']' {
		return i
	}
	for _, word := range closingWords {
		if strings.HasPrefix(s[i:], word) {
			return i + len(word)
		}
	}
	if s[i] != '<' {
		return i
	}
	if name, end := special(s, i); end > i {
		if closingTokens[name] {
			return end
		}
		return i
	}
	if t, ok := tagAt(s, i); ok && t.closing && t.value == "" && closingTags[t.local] {
		return t.end
	}
	return i
}

// closers goes over white space and closing markers.
func closers(s string, i int) int {
	for {
		i = skipSpace(s, i)
		end := closer(s, i)
		if end == i {
			return i
		}
		i = end
	}
}

// halfCloser reports whether s ends at i within a closing marker.
func halfCloser(s string, i int) bool {
	rest := s[i:]
	if len(rest) < 2 || len(rest) > 40 {
		return false
	}
	for _, word := range []string{"</tool_call>", "</function>", "</tool_calls>", "</invoke>", "</tool_use>", "</tool-use>", "</tools>", "</function_calls>",
		"</minimax:tool_call>", "[/TOOL_CALLS]", "[END_TOOL_REQUEST]", "<end_function_call>", "<tool_call|>", "<|tool_call_end|>", "<|tool_calls_section_end|>", "<|call|>",
		"<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>", "</｜DSML｜invoke>", "</｜DSML｜function_calls>", "</｜DSML｜tool_calls>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>"} {
		if strings.HasPrefix(word, rest) {
			return true
		}
	}
	return false
}

// observation reports whether the text at i is the start of somebody else's
// turn, which a model writes itself when nobody stops it: it is cut there
// (contract A7).
func observation(s string, i int) bool {
	if i >= len(s) {
		return false
	}
	for _, word := range nextWords {
		if strings.HasPrefix(s[i:], word) {
			return true
		}
	}
	name, end := special(s, i)
	return end > i && nextTokens[name]
}
