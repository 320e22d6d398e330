// Package audit records what happened in requests, for those who must be able to
// show it later: one JSON object an event (contracts U1–U4).
//
// A Log takes events without ever making a request wait: it appends them to a
// journal on the local disk. A Sender, such as Kafka, ships the journal in order,
// at least once; without one the journal itself is the record.
//
//	log, err := audit.Open(dir, audit.Options{})
//	trail := log.Trail(audit.Subject{Request: id, User: user})
//	trail.Record(audit.Event{Payload: audit.Request{Endpoint: "chat", …}})
package audit

// Type says what an event is about.
type Type string

// The types of events. What belongs to a request comes in the order it happened.
const (
	TypeRequest      Type = "request"       // a caller asks for something
	TypeLLMCall      Type = "llm_call"      // one try at one model has ended
	TypeToolCall     Type = "tool_call"     // an agent calls a tool
	TypeToolResult   Type = "tool_result"   // the tool has answered, or failed
	TypeChunk        Type = "chunk"         // a piece of an answer (chunks on)
	TypeAnswer       Type = "answer"        // the answer is complete
	TypeUsage        Type = "usage"         // what it took
	TypeError        Type = "error"         // the request failed, or the client left
	TypeSessionStart Type = "session_start" // a run takes a session
	TypeSessionEnd   Type = "session_end"   // and gives it back
	TypeKeyState     Type = "key_state"     // a provider's key, or a model for it, rests, or is well again
	TypeBreakerState Type = "breaker_state" // a tool server's breaker has changed
)

// Types are all types.
var Types = []Type{
	TypeRequest, TypeLLMCall, TypeToolCall, TypeToolResult, TypeChunk, TypeAnswer, TypeUsage, TypeError,
	TypeSessionStart, TypeSessionEnd, TypeKeyState, TypeBreakerState,
}

// Subject is what the events of one request have in common.
type Subject struct {
	Request string // its id
	Session string // the session's id, empty without one
	User    string // the user's id, empty for anybody
	Agent   string // the agent that answers, empty for a plain model

	// TraceParent is the W3C trace context, empty without one.
	TraceParent string
}

// Event is one thing that happened.
type Event struct {
	// Provider and Model are the upstream's, where the event concerns one; Model is
	// what was asked for in the others.
	Provider, Model string

	// Payload is one of the types of this package.
	Payload Payload
}

// Payload is what an event says beside who and when.
type Payload interface {
	// Type is the event's.
	Type() Type

	// AppendJSON appends the payload as one JSON object. Text that is too long is
	// cut, and the object says so with "truncated": true.
	AppendJSON(dst []byte) []byte
}

// Request is the payload of TypeRequest.
type Request struct {
	Endpoint string `json:"endpoint"` // chat, completions, embeddings, responses
	Stream   bool   `json:"stream"`
	Bytes    int    `json:"bytes"` // of the body

	// Body is the request as it came, JSON; nil unless content is recorded.
	Body []byte `json:"body,omitempty"`
}

// LLMCall is the payload of TypeLLMCall.
type LLMCall struct {
	Outcome    string  `json:"outcome"` // ok, or the kind of the failure
	Status     int     `json:"status,omitempty"`
	Key        string  `json:"key,omitempty"`     // the beginning of the key's hash
	Own        bool    `json:"own_key,omitempty"` // it is the user's own
	Seconds    float64 `json:"seconds"`
	First      float64 `json:"first_content_seconds,omitempty"`
	Prompt     int64   `json:"prompt_tokens,omitempty"`
	Completion int64   `json:"completion_tokens,omitempty"`
	Error      string  `json:"error,omitempty"`
}

// ToolCall is the payload of TypeToolCall.
type ToolCall struct {
	ID     string `json:"id"`
	Server string `json:"server"`
	Tool   string `json:"tool"`
	Bytes  int    `json:"bytes"` // of the arguments

	// Arguments is JSON; empty unless content is recorded.
	Arguments string `json:"arguments,omitempty"`
}

// ToolResult is the payload of TypeToolResult.
type ToolResult struct {
	ID      string  `json:"id"`
	Server  string  `json:"server"`
	Tool    string  `json:"tool"`
	Outcome string  `json:"outcome"`
	Seconds float64 `json:"seconds"`
	Bytes   int     `json:"bytes"` // of the text

	// Text is empty unless content is recorded.
	Text string `json:"text,omitempty"`
}

// Chunk is the payload of TypeChunk: a piece of text in the order of the stream.
type Chunk struct {
	Kind  string `json:"kind"`  // reasoning, content, notice
	Bytes int    `json:"bytes"` // of the text

	// Text is empty unless content is recorded.
	Text string `json:"text,omitempty"`

	// Hidden: the client has not seen it.
	Hidden bool `json:"hidden,omitempty"`
}

// Answer is the payload of TypeAnswer.
type Answer struct {
	Finish  string  `json:"finish_reason,omitempty"`
	Status  int     `json:"status"`
	Target  string  `json:"target,omitempty"` // provider/model that answered
	Cached  bool    `json:"cached,omitempty"`
	Seconds float64 `json:"seconds"`
	Bytes   int     `json:"bytes"` // of the body that was sent

	// Content and Reasoning are empty unless content is recorded. The reasoning may be
	// more than the client has seen (contract S3).
	Content   string `json:"content,omitempty"`
	Reasoning string `json:"reasoning,omitempty"`
}

// Usage is the payload of TypeUsage.
type Usage struct {
	Prompt     int64 `json:"prompt_tokens"`
	Completion int64 `json:"completion_tokens"`
	Total      int64 `json:"total_tokens"`
	Attempts   int   `json:"attempts"`
	Turns      int   `json:"turns,omitempty"`
	ToolCalls  int   `json:"tool_calls,omitempty"`
}

// Error is the payload of TypeError.
type Error struct {
	Status  int     `json:"status"`
	Class   string  `json:"class"` // caller, policy, provider, gateway, or canceled
	Code    string  `json:"code,omitempty"`
	Message string  `json:"message,omitempty"`
	Seconds float64 `json:"seconds"`

	// Unrecorded counts callers who were not let in before this one, and left no event:
	// there were too many.
	Unrecorded int64 `json:"unrecorded,omitempty"`
}

// SessionStart is the payload of TypeSessionStart.
type SessionStart struct {
	New bool `json:"new"`
}

// SessionEnd is the payload of TypeSessionEnd.
type SessionEnd struct {
	Phase int `json:"phase"`
	Steps int `json:"steps"`
}

// KeyState is the payload of TypeKeyState.
type KeyState struct {
	Key   string `json:"key"`   // the beginning of the key's hash
	State string `json:"state"` // cooling, retired, healthy
	Cause string `json:"cause,omitempty"`
	Until string `json:"until,omitempty"` // RFC 3339
}

// BreakerState is the payload of TypeBreakerState.
type BreakerState struct {
	Server string `json:"server"`
	State  string `json:"state"` // closed, open, half_open
	Cause  string `json:"cause,omitempty"`
}
