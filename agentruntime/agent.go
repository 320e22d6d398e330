// Package agentruntime runs agents: it asks the model, runs the tools it calls,
// and asks again, until there is an answer. To a client an agent is a model.
//
// An Agent is what a configuration says; it is immutable apart from what it
// remembers of its tools. A Manager starts runs, a Run is one of them and belongs
// to one goroutine. The run's events come in the order in which a client may see
// them: reasoning, then content, then the end.
//
//	run, refusal := manager.Run(ctx, agentruntime.Call{Agent: a, Request: req})
//	for ev, err := range run.Events() {
//		…
//	}
package agentruntime

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"github.com/universal-ai-gateway/magicproxy/mcp"
	"github.com/universal-ai-gateway/magicproxy/rotation"
)

// A ToolServer has tools. Its methods are called concurrently, by runs; that of
// mcp.Server and mcp.Simulation says more.
type ToolServer interface {
	Name() string

	// Offer returns what there is for a request. It does not wait for the network,
	// but for a moment before the server's first list is there.
	Offer(ctx context.Context) mcp.Offer

	// Call calls a tool. It returns when ctx ends at the latest; the error is an
	// *mcp.Error.
	Call(ctx context.Context, c mcp.Call) (*mcp.Result, error)
}

// Agent is a model that thinks and acts. It must not be changed after its first
// run, nor copied.
type Agent struct {
	// Name is the agent's in prompts and metrics. A variant has one of its own.
	Name string

	// Chain is where the model's answers come from.
	Chain *rotation.Chain

	// Pattern says how the agent works. Without one it calls functions if it has
	// tools, and is plain chat if not.
	Pattern *Pattern

	// Servers are where tools may come from, Tools the globs over server::tool
	// that choose among them.
	Servers []ToolServer
	Tools   []string

	// MaxSteps bounds the turns without an answer, those in which tools are called
	// most of all; one more follows, for the best answer so far. MaxToolCalls bounds the calls of all of them.
	MaxSteps, MaxToolCalls int

	// MaxTokens bounds the completion tokens of a run, 0 for no bound. A request may
	// ask for less.
	MaxTokens int64

	// Timeout bounds a run.
	Timeout time.Duration

	// Sampling are fields of the request that the client may override, such as
	// temperature.
	Sampling []Field

	// System is the operator's text for the model, the same in every request.
	System string

	// HideReasoning keeps the reasoning from clients; Markdown gives it as quoted
	// text of the answer, for clients that show nothing else. Progress adds short
	// notices of what the tools do.
	HideReasoning, Markdown, Progress bool

	// ToolOutput bounds what one call's output adds to the history, in bytes.
	ToolOutput int

	kit    atomic.Pointer[kit]
	prompt sync.Once
	static []byte // the system message, nil for none
}

// Field is a top-level field of a request.
type Field struct {
	Name  string
	Value json.RawMessage
}

// The defaults of an Agent.
const (
	DefaultMaxSteps     = 10
	DefaultMaxToolCalls = 32
	DefaultTimeout      = 5 * time.Minute
	DefaultToolOutput   = mcp.DefaultLimit
)

// Variant returns the same agent under another name and pattern.
func (a *Agent) Variant(name string, p *Pattern) *Agent {
	return &Agent{
		Name: name, Chain: a.Chain, Pattern: p, Servers: a.Servers, Tools: a.Tools,
		MaxSteps: a.MaxSteps, MaxToolCalls: a.MaxToolCalls, MaxTokens: a.MaxTokens, Timeout: a.Timeout, Sampling: a.Sampling,
		System: a.System, HideReasoning: a.HideReasoning, Markdown: a.Markdown, Progress: a.Progress, ToolOutput: a.ToolOutput,
	}
}

// tags reports whether the model writes tags, instead of calling functions.
func (a *Agent) tags() bool { return a.Pattern != nil && !a.Pattern.Native }

// acts reports whether the agent has tools of its own.
func (a *Agent) acts() bool {
	return len(a.Tools) > 0 && len(a.Servers) > 0 && (a.Pattern == nil || !a.Pattern.NoTools)
}
