package openai

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Caps on counts (security X9). They are far above what any provider accepts.
const (
	maxFields   = 256
	maxMessages = 16384
	maxTools    = 1024
	maxModel    = 256 // bytes
)

// The fields the gateway reads. Each may occur once, in exact case (security
// X9): two readers that pick different ones of two `model` fields would see two
// different requests.
const (
	fModel = iota
	fMessages
	fStream
	fStreamOptions
	fTools
	fToolChoice
	fUser
	fN
	fMaxTokens
	fMaxCompletionTokens
	fMaxOutputTokens
	fTemperature
	fTopP
	fPresencePenalty
	fFrequencyPenalty
	fTopLogprobs
	fLogprobs
	fStop
	fReasoningEffort
	fResponseFormat
	fInput
	fPrompt

	knownFields
)

var fieldNames = [knownFields]string{
	"model", "messages", "stream", "stream_options", "tools", "tool_choice", "user", "n", "max_tokens", "max_completion_tokens",
	"max_output_tokens", "temperature", "top_p", "presence_penalty", "frequency_penalty", "top_logprobs", "logprobs", "stop",
	"reasoning_effort", "response_format", "input", "prompt",
}

// fieldsByLength finds candidates for a key without hashing it. Keys that differ
// from a name in length can still fold to it (U+017F is two bytes and folds to
// s), so anything beyond ASCII takes the slow way.
var fieldsByLength = func() (t [32][]int8) {
	for f, name := range fieldNames {
		t[len(name)] = append(t[len(name)], int8(f))
	}
	return
}()

// lookUp returns the known field that key names, -1 for none. exact is false for
// a variant in case.
func lookUp(key []byte) (f int, exact bool) {
	simple := true
	for _, c := range key {
		if c >= utf8.RuneSelf || c == '\\' {
			simple = false
			break
		}
	}
	if simple {
		if len(key) >= len(fieldsByLength) {
			return -1, false
		}
		for _, f := range fieldsByLength[len(key)] {
			if string(key) == fieldNames[f] {
				return int(f), true
			}
			if strings.EqualFold(string(key), fieldNames[f]) {
				return int(f), false
			}
		}
		return -1, false
	}
	name := unquote(key)
	for f, known := range fieldNames {
		if name == known {
			return f, true
		}
		if strings.EqualFold(name, known) {
			return f, false
		}
	}
	return -1, false
}

// means reports whether a key, as it stands between its quotes, is name.
func means(key []byte, name string) bool {
	if bytes.IndexByte(key, '\\') >= 0 {
		return unquote(key) == name
	}
	return string(key) == name
}

// unquote decodes what stands between the quotes of a valid JSON string.
func unquote(b []byte) string {
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b)
	}
	return string(AppendUnquoted(nil, b))
}

// ranges are OpenAI's, from the reference of its API.
var ranges = [knownFields]struct {
	lo, hi  float64
	integer bool
}{
	fN:                   {1, 128, true},
	fMaxTokens:           {0, 1 << 31, true}, // completions score a prompt with 0
	fMaxCompletionTokens: {1, 1 << 31, true},
	fMaxOutputTokens:     {1, 1 << 31, true},
	fTemperature:         {0, 2, false},
	fTopP:                {0, 1, false},
	fPresencePenalty:     {-2, 2, false},
	fFrequencyPenalty:    {-2, 2, false},
	fTopLogprobs:         {0, 20, true},
}

// read checks the value of a known field and goes over it.
func (r *Request) read(f int, s *scanner) *Error {
	switch f {
	case fModel:
		return r.readModel(s)
	case fMessages:
		if r.Endpoint == Chat {
			return r.readMessages(s)
		}
	case fStream:
		v := s.value()
		r.Stream = string(v) == "true"
		if !r.Stream && s.fault == "" && string(v) != "false" && string(v) != "null" {
			return InvalidRequest("stream", "Invalid type for 'stream': expected a boolean.")
		}
		return nil
	case fPrompt:
		if r.Endpoint == Completions {
			r.prompts = countPrompts(s)
			return nil
		}
	case fStreamOptions:
		return r.readStreamOptions(s)
	case fTools:
		return readTools(s)
	}
	if ranges[f].hi != 0 {
		x, e := readNumber(f, s)
		if f == fN && x > 0 {
			r.Choices = int(x)
		}
		return e
	}
	s.skip()
	return nil
}

// mistyped refuses the next value for its type. When it is no value at all that
// is a fault of syntax instead, and stays in s.
func mistyped(param, want string, s *scanner) *Error {
	if !s.skip() {
		return nil
	}
	return InvalidRequest(param, "Invalid type for '%s': expected %s.", param, want)
}

func (r *Request) readModel(s *scanner) *Error {
	if s.peek() != '"' {
		return mistyped("model", "a string", s)
	}
	v := s.value()
	if s.fault != "" {
		return nil
	}
	r.Model = unquote(v[1 : len(v)-1])
	if r.Model == "" {
		return InvalidRequest("model", "You must provide a model parameter.")
	}
	if err := CheckModel(r.Model); err != nil {
		return InvalidRequest("model", "Invalid 'model': %v.", err)
	}
	return nil
}

// CheckModel says what is wrong with a model's id, from whomever it comes: ids end
// up in headers, logs and terminals (security X11).
func CheckModel(id string) error {
	switch {
	case id == "":
		return errors.New("empty")
	case len(id) > maxModel:
		return fmt.Errorf("longer than %d bytes", maxModel)
	case !utf8.ValidString(id):
		return errors.New("invalid UTF-8")
	case strings.ContainsFunc(id, func(c rune) bool { return unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) }):
		return errors.New("control characters")
	}
	return nil
}

// readNumber reads a number within its field's range; null counts as 0.
func readNumber(f int, s *scanner) (float64, *Error) {
	name, want := fieldNames[f], ranges[f]
	kind := "a number"
	if want.integer {
		kind = "an integer"
	}
	c := s.peek()
	v := s.value()
	if s.fault != "" || string(v) == "null" {
		return 0, nil
	}
	x, err := strconv.ParseFloat(string(v), 64)
	if c != '-' && (c < '0' || c > '9') || want.integer && x != math.Trunc(x) {
		return 0, InvalidRequest(name, "Invalid type for '%s': expected %s.", name, kind)
	}
	if err != nil || x < want.lo || x > want.hi {
		return 0, InvalidRequest(name, "Invalid '%s': expected %s from %.0f to %.0f, got %s.", name, kind, want.lo, want.hi, Cut(string(v), 32))
	}
	return x, nil
}

func readTools(s *scanner) *Error {
	if s.peek() != '[' {
		if string(s.value()) == "null" || s.fault != "" {
			return nil
		}
		return InvalidRequest("tools", "Invalid type for 'tools': expected an array of objects.")
	}
	s.enterArray()
	for n := 0; s.nextElement(&n); s.skip() {
		if n > maxTools {
			return InvalidRequest("tools", "Invalid 'tools': more than %d.", maxTools)
		}
		if s.peek() != '{' {
			return mistyped(fmt.Sprintf("tools[%d]", n-1), "an object", s)
		}
	}
	return nil
}

func (r *Request) readStreamOptions(s *scanner) *Error {
	if s.peek() != '{' {
		if string(s.value()) == "null" || s.fault != "" {
			return nil
		}
		return InvalidRequest("stream_options", "Invalid type for 'stream_options': expected an object.")
	}
	s.enterObject()
	for n := 0; ; {
		key, ok := s.nextMember(&n)
		if !ok {
			return nil
		}
		v := s.value()
		if !means(key, includeUsage) || s.fault != "" {
			continue
		}
		r.IncludeUsage = string(v) == "true"
		if !r.IncludeUsage && string(v) != "false" && string(v) != "null" {
			return InvalidRequest("stream_options.include_usage", "Invalid type for 'stream_options.include_usage': expected a boolean.")
		}
	}
}

func (r *Request) readMessages(s *scanner) *Error {
	if s.peek() != '[' {
		return mistyped("messages", "an array of objects", s)
	}
	s.enterArray()
	n := 0
	for s.nextElement(&n) {
		if n > maxMessages {
			return InvalidRequest("messages", "Invalid 'messages': more than %d.", maxMessages)
		}
		if s.peek() != '{' {
			return mistyped(fmt.Sprintf("messages[%d]", n-1), "an object", s)
		}
		if e := readMessage(s, n-1); e != nil {
			return e
		}
	}
	if n == 0 && s.fault == "" {
		return InvalidRequest("messages", "Invalid 'messages': empty array. Expected an array with minimum length 1.")
	}
	return nil
}

func readMessage(s *scanner, at int) *Error {
	s.enterObject()
	known, seen := false, false
	for n := 0; ; {
		key, ok := s.nextMember(&n)
		if !ok {
			break
		}
		v := s.value()
		if !means(key, "role") || s.fault != "" {
			continue
		}
		if seen {
			return InvalidRequest(fmt.Sprintf("messages[%d].role", at), "The field 'messages[%d].role' occurs more than once.", at)
		}
		seen = true
		known = knownRole(v)
	}
	if known || s.fault != "" {
		return nil
	}
	param := fmt.Sprintf("messages[%d].role", at)
	if !seen {
		return InvalidRequest(param, "Missing required parameter: '%s'.", param)
	}
	return InvalidRequest(param, "Invalid value for '%s': supported are 'system', 'developer', 'user', 'assistant', 'tool' and 'function'.", param)
}

func knownRole(v []byte) bool {
	switch string(v) {
	case `"system"`, `"developer"`, `"user"`, `"assistant"`, `"tool"`, `"function"`:
		return true
	}
	return false
}

// countPrompts goes over a completion's prompt: a text, tokens, or an array of
// either, each of which gets answers of its own.
func countPrompts(s *scanner) int {
	if s.peek() != '[' {
		s.skip()
		return 1
	}
	s.enterArray()
	n, tokens := 0, false
	for s.nextElement(&n) {
		c := s.peek()
		tokens = c != '"' && c != '['
		s.skip()
	}
	if tokens || n == 0 {
		return 1
	}
	return n
}
