package agentruntime

import (
	"context"
	"errors"
	"time"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/rotation"
	"github.com/universal-ai-gateway/magicproxy/state"
)

// Manager starts runs. It is safe for concurrent use.
type Manager struct {
	Caller *rotation.Caller

	// Observer hears of what runs do; nil for nobody.
	Observer Observer
}

// Observer hears of what runs do. Its methods are called concurrently, on the
// goroutines of runs, and must not block.
type Observer interface {
	// Recovered is told how a call that was not as it should be was read: a word
	// of a closed set.
	Recovered(how string)

	// Tool is told that a tool is about to be called; the context it returns is the
	// call's. What it returns with it is told the outcome, which is ok, failed, or the
	// name of an mcp.Kind, and what the model is told. It is also called on other
	// goroutines than the run's.
	Tool(ctx context.Context, use ToolUse) (context.Context, func(outcome, text string))

	// Ended is told of the end of a run: by its finish_reason, canceled, or error.
	Ended(a *Agent, reason string, turns, calls int)
}

// ToolUse is one call of a tool, as observers see it.
type ToolUse struct {
	// ID is the call's in the run's conversation.
	ID           string
	Server, Tool string
	Arguments    string // JSON
}

// Call is what a client asks an agent.
type Call struct {
	Agent   *Agent
	Request *openai.Request

	// Start is where the agent's chain begins, see rotation.Chain's Route; Own are
	// the user's own keys.
	Start uint64
	Own   *rotation.OwnKeys

	// Session, if set, is what is remembered of earlier runs: the run begins with
	// it and adds to it. It belongs to the run until that has ended.
	Session *state.Session

	// Quiet says that nobody waits for notices, whatever the agent's Progress.
	Quiet bool

	// Trace, if set, is filled in as the run goes on. It belongs to the run.
	Trace *rotation.Trace
}

// Bounds of a notebook.
const (
	maxNotes     = 8
	maxNoteBytes = 16 << 10 // all of them
)

var errTimeout = errors.New("the agent's timeout has passed")

// Cancelled is the error of a run that somebody has cancelled (contract A12). Its
// status is none that clients try again.
func Cancelled() *openai.Error {
	return &openai.Error{Status: 499, Class: openai.ClassCaller, Type: "invalid_request_error", Code: "cancelled", Message: "The run was cancelled."}
}

// Run checks a request and prepares its run. ctx is the client's: when it ends the
// run does, within one event.
func (m *Manager) Run(ctx context.Context, c Call) (*Run, *openai.Error) {
	q, e := newRequest(c.Agent, c.Request)
	if e != nil {
		return nil, e
	}
	r := &Run{m: m, a: c.Agent, ctx: ctx, req: q, notes: c.Session, trace: c.Trace, failed: make(map[string]int)}
	if r.notes == nil {
		r.notes = new(state.Session)
	}
	if r.notes.Agent != r.a.Name { // phases are those of a pattern
		r.notes.Agent, r.notes.Phase = r.a.Name, 0
	}
	if r.trace == nil {
		r.trace = new(rotation.Trace)
	}
	// No quotation stands before JSON that somebody is going to parse.
	r.out = answer{hide: r.a.HideReasoning, markdown: r.a.Markdown && q.format == nil, stop: q.stop}
	r.progress = r.a.Progress && !c.Quiet
	r.box = &toolbox{kit: noTools}
	if q.choice != choiceNone {
		r.box.client = q.clients
		if r.a.acts() {
			from := time.Now()
			r.box.kit = r.a.tools(ctx)
			r.trace.Waited += time.Since(from)
		}
	}
	if q.choice == choiceNamed && !r.box.known(q.choose) || q.choice == choiceRequired && r.box.none() {
		return nil, openai.InvalidRequest("tool_choice", "Invalid 'tool_choice': there is no such tool.")
	}
	if r.notes.Phase >= len(r.phases()) || !r.a.Pattern.Resumes {
		r.notes.Phase = 0
	}
	r.size = len(c.Request.Body()) + 4<<10
	r.talk = newConversation(r.a.system(), c.Request.Field("messages"), r.a.tags())
	if r.a.tags() {
		r.drv = &tags{run: r}
	} else {
		r.drv = &functions{run: r}
	}
	r.route, r.own = r.a.Chain.Route(c.Start), c.Own
	return r, nil
}
