// Package mcp reaches tool servers over the Model Context Protocol: it finds
// their tools, calls them, and keeps a server that fails away from requests.
//
// A Server is made from a configuration and immutable; what outlives it (the
// breaker, the tools found, their pins) lives in a State. Both are safe for
// concurrent use. One server's trouble is that call's trouble only: other calls
// and other servers never notice.
//
//	s, err := mcp.New(mcp.Options{Name: "docs", URL: "https://docs.internal/mcp"}, new(mcp.State))
//	offer := s.Offer(ctx)
//	res, err := s.Call(ctx, mcp.Call{Tool: "read_file", Arguments: json.RawMessage(`{"path":"a.txt"}`)})
package mcp

import (
	"encoding/json"
	"fmt"
)

// Tool is a tool as its server describes it. It is immutable.
type Tool struct {
	Server, Name string

	// Description tells a model what the tool is for.
	Description string

	// Schema is the JSON Schema of the arguments, an object; never empty.
	Schema json.RawMessage
}

// ID is the tool's name outside of its server.
func (t *Tool) ID() string { return t.Server + "::" + t.Name }

// Offer is what a server has for a request.
type Offer struct {
	// Tools are sorted by name. The slice must not be changed.
	Tools []*Tool

	// Down says why there are none, empty if there are or should be.
	Down string
}

// Call is one call of a tool.
type Call struct {
	// Tool is the name without the server's.
	Tool string

	// Arguments is a JSON object.
	Arguments json.RawMessage

	// Limit bounds the text of the result in bytes; what is beyond is not kept.
	// 0 means DefaultLimit.
	Limit int

	// Progress, if set, hears the server's notices while the call runs: short text
	// that is not to be trusted. It is called on another goroutine, never after
	// the call has returned, and must not block.
	Progress func(text string)
}

// DefaultLimit is the bound of a result's text.
const DefaultLimit = 64 << 10

// Result is what a tool said.
type Result struct {
	// Text is valid UTF-8. Parts that are no text are described in it.
	Text string

	// Cut is the size of the part of the text that was left out, in bytes.
	Cut int

	// Failed says that the tool itself reports a failure (isError).
	Failed bool
}

// Kind says why a call came to nothing. The set is closed: it labels metrics.
type Kind uint8

// The kinds of failure. Those up to KindProtocol are held against the server.
const (
	KindDial     Kind = iota // no connection, or the process did not start
	KindTimeout              // not finished in time
	KindServer               // 5xx
	KindProtocol             // garbage, too large, cut off, the process ended

	KindRefused  // 4xx: credentials, size
	KindLimited  // 429
	KindRejected // a JSON-RPC error: bad arguments, most often
	KindUnknown  // the server has no such tool, or it is not allowed
	KindPinned   // its definition has changed, and nobody has approved
	KindOpen     // the breaker is open, or its probe is under way
	KindCanceled // the caller has left, or its Input was still at work when the time was up

	kinds
)

var kindNames = [kinds]string{
	"dial", "timeout", "server_error", "protocol", "refused", "rate_limited", "rejected", "unknown_tool", "pinned", "breaker_open", "canceled",
}

// String returns the kind as metrics and logs spell it.
func (k Kind) String() string { return kindNames[k] }

// Blames reports whether failures of the kind count for the breaker (contract
// M4).
func (k Kind) Blames() bool { return k <= KindProtocol }

// Error is a call that came to nothing. Its text is fit for logs and models: short,
// and without secrets.
type Error struct {
	Kind    Kind
	Server  string
	Message string

	// Err is the cause, for the log; nil when the message says all.
	Err error
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("tool server %s: %s", e.Server, e.Message) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
