package agentruntime

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/universal-ai-gateway/magicproxy/openai"
)

// request is what of the client's request goes into every model call, and what the
// run itself heeds (contract A13).
type request struct {
	fields []byte // those passed on as they are, each after a comma

	format   []byte // response_format, nil unless it asks for JSON
	object   bool   // it asks for any object
	parallel []byte // parallel_tool_calls, which only calls with tools may have
	stop     []string

	// The bound of the run's completion tokens, under the names the client uses.
	bound      int64 // 0 for none
	boundNames []string

	choice  choice
	choose  string // the tool of choiceNamed
	clients []clientTool
}

// choice is the client's tool_choice.
type choice uint8

const (
	choiceAuto choice = iota
	choiceNone
	choiceRequired
	choiceNamed
)

const (
	maxTokens           = "max_tokens"
	maxCompletionTokens = "max_completion_tokens"
)

// newRequest reads a client's request to an agent. The error names what an agent
// cannot do.
func newRequest(a *Agent, r *openai.Request) (*request, *openai.Error) {
	q := new(request)
	sent := make(map[string]bool)
	for name, value := range r.Fields() {
		sent[name] = true
		if string(value) == "null" {
			continue
		}
		if e := q.take(name, value, r); e != nil {
			return nil, e
		}
	}
	for _, f := range a.Sampling {
		if !sent[f.Name] {
			q.pass(f.Name, f.Value)
		}
	}
	if a.MaxTokens > 0 && (q.bound == 0 || q.bound > a.MaxTokens) {
		q.bound = a.MaxTokens
	}
	if q.bound > 0 && q.boundNames == nil {
		q.boundNames = []string{maxTokens}
	}
	return q, nil
}

func (q *request) pass(name string, value []byte) {
	q.fields = openai.AppendString(append(q.fields, ','), name)
	q.fields = append(append(q.fields, ':'), value...)
}

func (q *request) take(name string, value []byte, r *openai.Request) (e *openai.Error) {
	switch name {
	case "model", "messages", "stream", "stream_options":
	case "n":
		if r.Choices > 1 {
			return openai.InvalidRequest("n", "Invalid 'n': an agent gives one answer.")
		}
	case "logprobs":
		if string(value) != "false" {
			return openai.InvalidRequest("logprobs", "Invalid 'logprobs': an agent's answer has none.")
		}
	case "top_logprobs":
		if string(value) != "0" {
			return openai.InvalidRequest("top_logprobs", "Invalid 'top_logprobs': an agent's answer has none.")
		}
	case "functions", "function_call":
		return openai.InvalidRequest(name, "Invalid '%s': agents take 'tools' instead.", name)
	case maxTokens, maxCompletionTokens:
		n, _ := strconv.ParseFloat(string(value), 64)
		if bound := max(int64(n), 1); q.bound == 0 || bound < q.bound {
			q.bound = bound
		}
		q.boundNames = append(q.boundNames, name)
	case "response_format":
		var f struct{ Type string }
		if json.Unmarshal(value, &f) != nil {
			return openai.InvalidRequest(name, "Invalid type for 'response_format': expected an object with a type.")
		}
		if f.Type != "text" {
			q.format, q.object = value, f.Type == "json_object"
		}
	case "parallel_tool_calls":
		q.parallel = value
	case "stop":
		q.stop, e = stops(value)
	case "tools":
		q.clients, e = clientTools(value)
	case "tool_choice":
		e = q.takeChoice(value)
	default:
		q.pass(name, value)
	}
	return e
}

// stops reads the sequences that end an answer.
func stops(value []byte) ([]string, *openai.Error) {
	var one string
	var many []string
	if json.Unmarshal(value, &one) == nil {
		many = []string{one}
	} else if json.Unmarshal(value, &many) != nil {
		return nil, openai.InvalidRequest("stop", "Invalid type for 'stop': expected a string or an array of strings.")
	}
	const most = 16
	if len(many) > most {
		return nil, openai.InvalidRequest("stop", "Invalid 'stop': more than %d sequences.", most)
	}
	return slices.DeleteFunc(many, func(s string) bool { return s == "" }), nil
}

func (q *request) takeChoice(value []byte) *openai.Error {
	switch string(value) {
	case `"auto"`:
		return nil
	case `"none"`:
		q.choice = choiceNone
		return nil
	case `"required"`:
		q.choice = choiceRequired
		return nil
	}
	var c struct{ Function struct{ Name string } }
	if err := json.Unmarshal(value, &c); err != nil || c.Function.Name == "" {
		return openai.InvalidRequest("tool_choice", "Invalid 'tool_choice': expected none, auto, required, or an object that names a function.")
	}
	q.choice, q.choose = choiceNamed, c.Function.Name
	return nil
}

// appendBound appends the fields that bound a model call's tokens.
func (q *request) appendBound(dst []byte, left int64) []byte {
	if q.bound == 0 {
		return dst
	}
	for _, name := range q.boundNames {
		dst = append(append(append(dst, `,"`...), name...), `":`...)
		dst = strconv.AppendInt(dst, left, 10)
	}
	return dst
}

// appendTools appends the fields of a model call in which functions may be called.
func (q *request) appendTools(dst []byte, b *toolbox, first bool) []byte {
	dst = append(dst, `,"tools":`...)
	dst = b.appendFunctions(dst)
	if q.parallel != nil {
		dst = append(append(dst, `,"parallel_tool_calls":`...), q.parallel...)
	}
	switch {
	case !first:
	case q.choice == choiceRequired:
		dst = append(dst, `,"tool_choice":"required"`...)
	case q.choice == choiceNamed:
		name := q.choose
		if b.ofClient(name) == nil {
			t := b.find(name)
			if t == nil { // its server has gone away meanwhile
				return dst
			}
			name = t.name
		}
		dst = append(dst, `,"tool_choice":{"type":"function","function":{"name":`...)
		dst = openai.AppendString(dst, name)
		dst = append(dst, "}}"...)
	}
	return dst
}

// must says, for a model that writes tags, what the client's tool_choice demands.
func (q *request) must() string {
	switch q.choice {
	case choiceRequired:
		return "Call at least one tool before you answer."
	case choiceNamed:
		return "Call the tool " + strings.TrimSpace(q.choose) + " first."
	}
	return ""
}
