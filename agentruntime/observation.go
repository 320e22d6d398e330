package agentruntime

import (
	"regexp"
	"strings"

	"github.com/universal-ai-gateway/magicproxy/openai"
)

// ours finds what could be taken for a tag of ours, opening or closing, in any
// case.
var ours = regexp.MustCompile(`(?i)<(/?\s*(?:thought|action|observation|draft|final_answer|think|context)\b)`)

// neutral returns text in which nothing is a tag of ours: what tools say is never
// protocol (contract A7).
func neutral(text string) string {
	if strings.IndexByte(text, '<') < 0 {
		return text
	}
	return ours.ReplaceAllString(text, "&lt;$1")
}

// actionTag is a call as a model that writes tags would write it.
func actionTag(name, args string) string {
	b := openai.AppendString([]byte("<ACTION>{\"tool_name\": "), name)
	b = append(b, `, "arguments": `...)
	b = append(b, args...)
	return string(append(b, "}</ACTION>"...))
}

// unquoted leaves out what would end an attribute.
var unquoted = strings.NewReplacer(`"`, "", "<", "", ">", "")

// observationTag is a result for a model that writes tags.
func observationTag(name, text string) string {
	var b strings.Builder
	b.WriteString("<OBSERVATION")
	if name != "" {
		b.WriteString(` tool="` + unquoted.Replace(name) + `"`)
	}
	b.WriteString(">\n")
	b.WriteString(text)
	b.WriteString("\n</OBSERVATION>")
	return b.String()
}
