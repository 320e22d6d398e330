package openai

import (
	"encoding/json"
	"strings"
)

// ErrorDetail is what an upstream says of a failure in its own words. Whoever
// shows it to anybody scrubs and cuts it first.
type ErrorDetail struct {
	Message, Type, Param, Code string

	// ToolUse says that the upstream could not read, or did not accept, the tool
	// call its model wrote; Generation is what the model wrote, if it is told.
	ToolUse    bool
	Generation string
}

// ParseErrorBody reads the body of an upstream's refusal. Besides OpenAI's error
// object it knows the shapes of the servers that are nearly compatible:
// {"error":"text"}, {"message":…} and {"detail":…}. false means that the body is
// none of these: HTML, plain text, nothing.
func ParseErrorBody(body []byte) (ErrorDetail, bool) {
	var doc struct {
		Error, Message, Detail json.RawMessage
		Type, Code             json.RawMessage
	}
	if json.Unmarshal(body, &doc) != nil {
		// Some wrap the object into an array, as Gemini's endpoint does.
		var list []json.RawMessage
		if json.Unmarshal(body, &list) == nil && len(list) == 1 && len(list[0]) > 0 && list[0][0] == '{' {
			return ParseErrorBody(list[0])
		}
		return ErrorDetail{}, false
	}
	if !vacant(doc.Error) {
		return ParseErrorObject(doc.Error)
	}
	d := ErrorDetail{Message: text(doc.Message), Type: text(doc.Type), Code: text(doc.Code)}
	if d.Message == "" {
		d.Message = text(doc.Detail)
	}
	return d, d.Message != ""
}

// ParseErrorObject reads the value of an error member: an object, or a text.
func ParseErrorObject(raw []byte) (ErrorDetail, bool) {
	var o struct {
		Message, Type, Param, Code json.RawMessage
		Generation                 json.RawMessage `json:"failed_generation"`
	}
	if json.Unmarshal(raw, &o) != nil {
		s := text(raw)
		return ErrorDetail{Message: s}, s != ""
	}
	d := ErrorDetail{Message: text(o.Message), Type: text(o.Type), Param: text(o.Param), Code: text(o.Code), Generation: text(o.Generation)}
	d.ToolUse = o.Generation != nil || d.Code == toolUseFailed || strings.HasPrefix(d.Message, "tool call validation failed")
	if d.Generation == "" && len(o.Generation) > 0 && (o.Generation[0] == '{' || o.Generation[0] == '[') {
		d.Generation = string(o.Generation) // not even wrapped into a text
	}
	return d, true
}

// toolUseFailed is Groq's code for a model's tool call that could not be read.
const toolUseFailed = "tool_use_failed"

// text returns a JSON string's text, a number's digits, and nothing for all else.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var n json.Number
	if json.Unmarshal(raw, &n) == nil {
		return n.String()
	}
	return ""
}
