package agentruntime

import "github.com/universal-ai-gateway/magicproxy/openai"

// EventKind says what an Event is.
type EventKind uint8

// The kinds of events: reasoning before content, notices at any time, one Finish at
// the end.
const (
	Reasoning EventKind = iota // Text, before the first content
	Content                    // Text of the answer
	Notice                     // Text for whoever waits, where there can be no reasoning
	ToolCall                   // Call of a client's tool
	Finish                     // Reason and Usage
)

// Event is something that happened in a run.
type Event struct {
	Kind EventKind
	Text string

	// Hidden says that it is for records only: the client is not to see it.
	Hidden bool

	Call   openai.ToolCall
	Reason string
	Usage  openai.Usage
}

// The reasons of a Finish: OpenAI's.
const (
	finishStop     = "stop"
	finishLength   = "length"
	finishCalls    = "tool_calls"
	finishFiltered = "content_filter"
)
