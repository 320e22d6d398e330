package toolcall

import "strings"

// marker kinds: what announces a call.
type markerKind uint8

const (
	noMarker markerKind = iota
	wrapperMarker
	wrapperToken
	functionMarker
	invokeMarker
	mistralMarker
	gemmaMarker
	toolCodeMarker
	pythonMarker
	callTokenMarker
	separatorMarker
	lfmMarker
	harmonyMarker
	bareHarmonyMarker
	functoolsMarker
	requestMarker
)

var (
	wrapperTags = set("tool_call", "tool_calls", "toolcall", "tool-call", "tool-use", "tool_use", "tools", "function_call", "function_calls", "function-call", "tool_code")

	openingTokens = map[string]markerKind{
		"python_tag": pythonMarker, "python_start": pythonMarker,
		"tool_calls_begin": wrapperToken, "tool_calls_section_begin": wrapperToken, "tool_call_section_begin": wrapperToken,
		"tool_call": wrapperToken, "tool_calls": wrapperToken, "tool_calls_start": wrapperToken, "function_call": wrapperToken,
		"start_action": wrapperToken, "action_start": wrapperToken, "plugin": wrapperToken,
		"tool_call_begin": callTokenMarker, "tool_call_start": lfmMarker,
		"start": harmonyMarker, "channel": harmonyMarker,
	}
	gemmaOpen      = []string{"<start_function_call>", "<|tool_call>"}
	toolCodeOpen   = []string{"```tool_code", "```tool_calls", "```tool_call"}
	bareHarmony    = []string{"assistantcommentary to=", "commentary to=", "assistant to=functions.", "to=functions."}
	separatorToken = []string{"function<｜tool▁sep｜>", "function<|tool_sep|>"}
)

// functools stands before the list of calls of some Phi and Firefunction models.
const functools = "functools"

// minimaxMark stands before each tag that MiniMax-M3 writes.
const minimaxMark = "]<]minimax[>["

// marker returns what kind of marker begins at i.
func (t *scan) marker(i int) markerKind {
	if i >= len(t.s) {
		return noMarker
	}
	s := t.s[i:]
	switch s[0] {
	case '<':
		if name, end := special(s, 0); end > 0 {
			return openingTokens[name]
		}
		if hasAny(s, gemmaOpen) > 0 {
			return gemmaMarker
		}
		if rest, ok := strings.CutPrefix(s, "<function"); ok && rest != "" && (rest[0] == '=' || rest[0] == '(' || rest[0] == '>' || strings.HasPrefix(rest, " name=")) {
			return functionMarker
		}
		g, ok := tagAt(s, 0)
		switch {
		case !ok || g.closing || g.empty:
		case g.local == "invoke" && g.value != "", wrapperTags[g.local] && g.value != "":
			return invokeMarker
		case wrapperTags[g.local]:
			return wrapperMarker
		}
	case '[':
		if strings.HasPrefix(s, mistralCalls) {
			return mistralMarker
		}
		if strings.HasPrefix(s, toolRequest) {
			return requestMarker
		}
	case '`':
		if hasAny(s, toolCodeOpen) > 0 {
			return toolCodeMarker
		}
	case 'a', 'c', 't':
		if hasAny(s, bareHarmony) > 0 {
			return bareHarmonyMarker
		}
	case 'f':
		if strings.HasPrefix(s, functools+"[") {
			return functoolsMarker
		}
		if hasAny(s, separatorToken) > 0 {
			return separatorMarker
		}
	}
	return noMarker
}

// hasAny returns the length of the prefix that s begins with, 0 for none.
func hasAny(s string, prefixes []string) int {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return len(p)
		}
	}
	return 0
}

// behind reads what a marker of that kind announces. No calls and no error mean
// that it wraps what follows.
func (t *scan) behind(kind markerKind, i int) ([]Call, int, error) {
	s := t.s
	switch kind {
	case functionMarker:
		return t.function(i)
	case mistralMarker:
		return t.mistral(i + len(mistralCalls))
	case gemmaMarker:
		return t.gemma(i + hasAny(s[i:], gemmaOpen))
	case toolCodeMarker:
		return t.toolCode(i + hasAny(s[i:], toolCodeOpen))
	case bareHarmonyMarker:
		return t.bareHarmony(i)
	case separatorMarker:
		return t.callToken(i)
	case functoolsMarker:
		return t.jsonCalls(i + len(functools))
	case requestMarker:
		return nil, i + len(toolRequest), nil
	}
	if name, end := special(s, i); end > i {
		switch openingTokens[name] {
		case pythonMarker:
			return t.python(end)
		case callTokenMarker:
			return t.callToken(end)
		case lfmMarker:
			return t.lfm(end)
		}
		return nil, end, nil
	}
	g, _ := tagAt(s, i)
	if kind == invokeMarker {
		return t.invoke(g)
	}
	return nil, g.end, nil
}

// candidate returns where the first marker from i on stands that begins a line
// outside of fences, -1 for nowhere. Some also count behind the end of a sentence.
func (t *scan) candidate(from int) int {
	at := -1
	begin := skipSpace(t.s, 0)
	t.lines(from, func(first, end, indent int, quoted bool) bool {
		if !quoted && (first == begin || indent < codeIndent) && t.marker(first) != noMarker {
			at = first
		} else if !quoted && indent < codeIndent && strings.IndexByte(">|", t.s[first]) < 0 {
			at = t.midline(first, end)
		}
		return at < 0
	}, func(first int) bool { return t.marker(first) != noMarker })
	return at
}

// lineOutside returns where the first line outside of fences and backticks
// begins that is wanted, -1 for nowhere.
func (t *scan) lineOutside(from int, want func(line string) bool) int {
	at := -1
	t.lines(from, func(first, end, indent int, quoted bool) bool {
		if !quoted && indent < codeIndent && want(t.s[first:end]) {
			at = first
		}
		return at < 0
	}, func(int) bool { return false })
	return at
}

// codeIndent is how far a line is indented that is code in Markdown.
const codeIndent = 4

// lines calls f for each line from i on that is not blank and not in a fence,
// until f says no. A line is quoted within backticks that an earlier line of the
// paragraph opened. A fence that marks wants is a line like any other.
func (t *scan) lines(from int, f func(first, end, indent int, quoted bool) bool, marks func(first int) bool) {
	s := t.s
	fence := fenceAt(s, from)
	ticks := 0
	for i := from; i < len(s); {
		end := strings.IndexByte(s[i:], '\n')
		if end < 0 {
			end = len(s)
		} else {
			end += i + 1
		}
		start := i
		i = end
		if start > 0 && s[start-1] != '\n' {
			continue // the rest of a line is no line
		}
		first, indent := start, 0
		for ; first < end && (s[first] == ' ' || s[first] == '\t'); first++ {
			if indent++; s[first] == '\t' {
				indent += codeIndent
			}
		}
		line := s[first:end]
		switch {
		case strings.TrimSpace(line) == "":
			ticks = 0
		case fence != "":
			if fenceEnds(line, fence) {
				fence = ""
			}
		case fenceOf(line) != "" && (ticks%2 != 0 || !marks(first)):
			fence = fenceOf(line)
		default:
			if !f(first, end, indent, ticks%2 != 0) {
				return
			}
			ticks += strings.Count(line, "`")
		}
	}
}

// fenceOf returns the backticks or tildes that open a fence, "" for none.
func fenceOf(line string) string {
	if !strings.HasPrefix(line, "```") && !strings.HasPrefix(line, "~~~") {
		return ""
	}
	return line[:len(line)-len(strings.TrimLeft(line, line[:1]))]
}

func fenceEnds(line, fence string) bool {
	return strings.HasPrefix(line, fence) && strings.Trim(line, fence[:1]+" \r\n\t") == ""
}

// fenceAt returns the fence that is open at i, "" for none.
func fenceAt(s string, i int) string {
	fence := ""
	for line := range strings.Lines(s[:i]) {
		line = strings.TrimLeft(line, " \t")
		switch {
		case fence != "" && fenceEnds(line, fence):
			fence = ""
		case fence == "":
			fence = fenceOf(line)
		}
	}
	return fence
}
