package mcp

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// message is a JSON-RPC message.
type message struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
	Result  json.RawMessage `json:"result"`
	Error   *rpcError       `json:"error"`
}

type rpcError struct {
	Code    int64           `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// The methods and notifications that get attention of their own.
const (
	methodInitialize = "initialize"
	methodDiscover   = "server/discover"
	methodListen     = "subscriptions/listen"
	methodList       = "tools/list"
	methodCall       = "tools/call"
	methodPing       = "ping"
	methodElicit     = "elicitation/create"
	methodRoots      = "roots/list"
	noticeProgress   = "notifications/progress"
	noticeChanged    = "notifications/tools/list_changed"
)

// codeUnsupported is the SDK's code of a protocol version the server does not speak:
// the one error whose data are read.
const codeUnsupported = -32022

// codeGateway is the code of the errors that we put in the place of an answer.
const codeGateway = -32603

var (
	errNoMessage = errors.New("not a JSON-RPC message")
	errTooDeep   = errors.New("nested too deeply")
)

// parse reads a message, or a batch of them as 2025-03-26 has it.
func parse(data []byte) ([]message, error) {
	data = bytes.TrimSpace(data)
	if len(data) == 0 {
		return nil, errNoMessage
	}
	if data[0] == '[' {
		var batch []message
		if err := json.Unmarshal(data, &batch); err != nil {
			return nil, err
		}
		for i := range batch {
			if !batch[i].valid() {
				return nil, errNoMessage
			}
		}
		return batch, nil
	}
	var m message
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, err
	}
	if !m.valid() {
		return nil, errNoMessage
	}
	return []message{m}, nil
}

// valid reports whether m is a request, a notification, or a response with a result
// that is an object or an error.
func (m *message) valid() bool {
	if string(m.ID) == "null" {
		m.ID = nil
	}
	if m.Version != "2.0" {
		return false
	}
	if m.ID != nil && m.ID[0] != '"' && m.ID[0] != '-' && (m.ID[0] < '0' || m.ID[0] > '9') {
		return false
	}
	if m.Method != "" {
		return true
	}
	return m.Error != nil || len(m.Result) > 0 && m.Result[0] == '{'
}

// request reports whether m wants an answer.
func (m *message) request() bool { return m.Method != "" && m.ID != nil }

// response reports whether m is an answer.
func (m *message) response() bool { return m.Method == "" }

// quoted returns s as a JSON string.
func quoted(s string) []byte {
	b, _ := json.Marshal(s) //nolint:errchkjson // strings have a form
	return b
}

// errorMessage answers a request with an error.
func errorMessage(id string, code int64, text string, data json.RawMessage) []byte {
	b := append([]byte(`{"jsonrpc":"2.0","id":`), id...)
	b = append(b, `,"error":{"code":`...)
	b = strconv.AppendInt(b, code, 10)
	b = append(b, `,"message":`...)
	b = append(b, quoted(text)...)
	if len(data) > 0 {
		b = append(b, `,"data":`...)
		b = append(b, data...)
	}
	return append(b, "}}"...)
}

// resultMessage answers a request with as much of the result as the SDK needs, which
// of all that is not for itself is nothing. What Request asks for it would keep, so
// that it is told of an error.
func resultMessage(id, method string, result json.RawMessage) ([]byte, error) {
	switch method {
	case methodCall:
		result = json.RawMessage(`{"resultType":"complete","content":[]}`)
	case methodList:
		result = json.RawMessage(noTools)
	case methodInitialize, methodDiscover, methodListen:
		var err error
		if result, err = normal(result); err != nil {
			return nil, err
		}
	default:
		return errorMessage(id, codeGateway, "is none of the SDK's business", nil), nil
	}
	return answerMessage(id, result), nil
}

// answerMessage answers a request.
func answerMessage(id string, result json.RawMessage) []byte {
	b := append([]byte(`{"jsonrpc":"2.0","id":`), id...)
	b = append(b, `,"result":`...)
	b = append(b, result...)
	return append(b, '}')
}

// requestMessage is a request of the server's. Its parameters are of no use: all but
// a ping are refused.
func requestMessage(id json.RawMessage, method string) []byte {
	b := append([]byte(`{"jsonrpc":"2.0","id":`), id...)
	b = append(b, `,"method":`...)
	b = append(b, quoted(method)...)
	return append(b, '}')
}

// withCursor writes a request of tools/list anew, with the cursor if there is one.
func withCursor(m message, cursor *string) ([]byte, error) {
	params := map[string]json.RawMessage{}
	if len(m.Params) > 0 {
		if err := json.Unmarshal(m.Params, &params); err != nil {
			return nil, err
		}
	}
	if cursor != nil {
		params["cursor"] = quoted(*cursor)
	}
	p, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]json.RawMessage{
		"jsonrpc": json.RawMessage(`"2.0"`), "id": m.ID, "method": quoted(m.Method), "params": p,
	})
}

// maxDepth is how deep anything may be nested that a decoder other than ours reads.
const maxDepth = 200

// normal writes a document anew, its members sorted: two that mean the same become
// equal, and every decoder reads it alike.
func normal(doc json.RawMessage) (json.RawMessage, error) { return scrubber{}.document(doc) }

// document is normal without secrets, however they are written in it.
func (s scrubber) document(doc json.RawMessage) (json.RawMessage, error) {
	if tooDeep(doc) {
		return nil, errTooDeep
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return json.Marshal(s.value(v))
}

func (s scrubber) value(v any) any {
	if s.r == nil {
		return v
	}
	switch v := v.(type) {
	case string:
		return s.text(v)
	case json.Number:
		if t := s.text(v.String()); t != v.String() {
			return t
		}
	case []any:
		for i := range v {
			v[i] = s.value(v[i])
		}
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, e := range v {
			out[s.text(name)] = s.value(e)
		}
		return out
	}
	return v
}

func tooDeep(doc []byte) bool {
	depth, str := 0, false
	for i := 0; i < len(doc); i++ {
		switch c := doc[i]; {
		case str && c == '\\':
			i++
		case c == '"':
			str = !str
		case str:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// progressText reads a progress notice: whom it is for, and a short text.
func (s scrubber) progressText(params json.RawMessage) (token, text string) {
	var p struct {
		Token    any          `json:"progressToken"`
		Progress json.Number  `json:"progress"`
		Total    *json.Number `json:"total"`
		Message  string       `json:"message"`
	}
	if json.Unmarshal(params, &p) != nil {
		return "", ""
	}
	token, _ = p.Token.(string)
	text = p.Message
	if strings.TrimSpace(text) == "" {
		text = p.Progress.String()
		if p.Total != nil && text != "" {
			text += " of " + p.Total.String()
		}
	}
	return token, s.line(text, maxNotice)
}

// maxNotice bounds a progress notice in bytes.
const maxNotice = 200
