package caddymodule

import (
	"context"
	"encoding/hex"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/universal-ai-gateway/magicproxy/agentruntime"
	"github.com/universal-ai-gateway/magicproxy/audit"
	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/rotation"
	"github.com/universal-ai-gateway/magicproxy/state"
)

// An exchange records what happens in it on its trail: the request, then what models
// and tools did, then the answer or the error, and what it took. Without audit the
// trail is nil and nothing of this costs anything.

// blaze begins the trail, once it is known who asks whom.
func (x *exchange) blaze() {
	log := x.h.app.recorder.log()
	if log == nil || x.trail != nil {
		return
	}
	s := audit.Subject{Request: x.id, Session: x.session, User: x.user, TraceParent: traceParent(x.r)}
	if x.agent != nil {
		s.Agent = x.agent.Name
	}
	x.trail = log.Trail(s)
}

// recordRequest records what is asked.
func (x *exchange) recordRequest(req *openai.Request) {
	x.blaze()
	if x.trail == nil {
		return
	}
	p := audit.Request{Endpoint: x.endpoint, Stream: req.Stream, Bytes: len(req.Body())}
	if x.h.app.recorder.content {
		p.Body = req.Body()
	}
	x.trail.Record(audit.Event{Model: x.logModel(), Payload: p})
}

// recordEnd records how the exchange has ended.
func (x *exchange) recordEnd() {
	answered := x.failure == nil && !x.left
	var unrecorded int64
	if x.trail == nil {
		if answered || x.endpoint == "unknown" {
			return
		}
		if x.h.app.recorder.log() == nil {
			return
		}
		if x.cheap() { // leaves a trace, too, within bounds
			var ok bool
			if unrecorded, ok = x.h.app.recorder.strangers.admit(x.r.Context(), x.whom()); !ok {
				return
			}
		}
		x.blaze()
	}
	model := x.logModel()
	switch e := x.failure; {
	case x.left:
		x.trail.Record(audit.Event{Model: model, Payload: audit.Error{Status: statusClientLeft, Class: x.outcome(), Seconds: x.took.Seconds(), Unrecorded: unrecorded}})
	case e != nil:
		p := audit.Error{Status: e.Status, Class: x.outcome(), Code: openai.Cut(e.Code, 64), Seconds: x.took.Seconds(), Unrecorded: unrecorded}
		// An upstream's words may quote what was asked (contract U4).
		if x.h.app.recorder.content || x.cause == nil && x.agentRun == nil {
			p.Message = openai.Cut(e.Message, 1024)
		}
		x.trail.Record(audit.Event{Model: model, Payload: p})
	default:
		a := audit.Answer{Finish: x.said.finish, Status: x.status, Target: x.target(), Cached: x.cached, Seconds: x.took.Seconds(), Bytes: x.sent}
		if x.h.app.recorder.content {
			a.Content, a.Reasoning = string(x.said.content), string(x.said.reasoning)+string(x.said.unseen)
		}
		x.trail.Record(audit.Event{Model: model, Payload: a})
	}
	if x.trace.Attempts > 0 {
		u := audit.Usage{Prompt: x.trace.Usage.Prompt, Completion: x.trace.Usage.Completion, Total: x.trace.Usage.Total, Attempts: x.trace.Attempts}
		if x.agentRun != nil {
			u.Turns, u.ToolCalls = x.agentRun.Turns(), x.agentRun.Calls()
		}
		x.trail.Record(audit.Event{Model: model, Payload: u})
	}
	if x.kept != nil {
		x.trail.Record(audit.Event{Model: model, Payload: audit.SessionEnd{Phase: x.kept.Phase, Steps: x.kept.Steps}})
	}
}

// cheap reports whether the request was refused without having cost anything: nobody was
// let in, or one who has used up a limit. What is our own trouble, or an upstream's, is
// not.
func (x *exchange) cheap() bool {
	e := x.failure
	return e != nil && (x.user == "" && e.Class == openai.ClassCaller || e.Class == openai.ClassPolicy)
}

// recordSession records that a run has taken its session.
func (x *exchange) recordSession(s *state.Session) {
	x.trail.Record(audit.Event{Model: x.logModel(), Payload: audit.SessionStart{New: s.Steps == 0}})
}

// piece records a piece of an answer, if pieces are wanted.
func (x *exchange) piece(kind string, text []byte, hidden bool) {
	c := x.h.app.recorder
	if x.trail == nil || !c.chunks || len(text) == 0 {
		return
	}
	p := audit.Chunk{Kind: kind, Bytes: len(text), Hidden: hidden}
	if c.content {
		p.Text = string(text)
	}
	x.trail.Record(audit.Event{Model: x.logModel(), Payload: p})
}

// pieceOf records what a run's event says.
func (x *exchange) pieceOf(ev *agentruntime.Event) {
	if x.trail == nil || !x.h.app.recorder.chunks {
		return
	}
	switch ev.Kind {
	case agentruntime.Reasoning:
		x.piece("reasoning", []byte(ev.Text), ev.Hidden)
	case agentruntime.Content:
		x.piece("content", []byte(ev.Text), ev.Hidden)
	case agentruntime.Notice:
		x.piece("notice", []byte(ev.Text), ev.Hidden)
	case agentruntime.ToolCall, agentruntime.Finish:
	}
}

type trailKey struct{}

// trailOf returns the trail of the request that a call is made for.
func trailOf(ctx context.Context) *audit.Trail {
	t, _ := ctx.Value(trailKey{}).(*audit.Trail)
	return t
}

// recordAttempt records one try at one model.
func (c *recorder) recordAttempt(ctx context.Context, a rotation.Attempt) {
	t := trailOf(ctx)
	if t == nil {
		return
	}
	p := audit.LLMCall{
		Outcome: kindOf(a).String(), Key: a.KeyID, Own: a.Own, Seconds: a.Took.Seconds(), First: a.First.Seconds(),
		Prompt: a.Usage.Prompt, Completion: a.Usage.Completion,
	}
	if a.Err != nil {
		p.Status = a.Err.Status
		if c.content { // it may quote what was asked (contract U4)
			p.Error = openai.Cut(a.Err.Error(), 1024)
		}
	}
	t.Record(audit.Event{Provider: a.Target.Provider.Name, Model: openai.Cut(a.Target.Model, 256), Payload: p})
}

// recordTool records a call of a tool, and returns what records its result.
func (c *recorder) recordTool(ctx context.Context, use agentruntime.ToolUse) func(outcome, text string) {
	t := trailOf(ctx)
	if t == nil {
		return nil
	}
	from := time.Now()
	call := audit.ToolCall{ID: use.ID, Server: use.Server, Tool: use.Tool, Bytes: len(use.Arguments)}
	if c.content {
		call.Arguments = use.Arguments
	}
	t.Record(audit.Event{Payload: call})
	return func(outcome, text string) {
		r := audit.ToolResult{ID: use.ID, Server: use.Server, Tool: use.Tool, Outcome: outcome, Seconds: time.Since(from).Seconds(), Bytes: len(text)}
		if c.content {
			r.Text = text
		}
		t.Record(audit.Event{Payload: r})
	}
}

// traceParent is the request's W3C trace context: that of Caddy's span, else what the
// client has sent, if it is one.
func traceParent(r *http.Request) string {
	if sc := trace.SpanContextFromContext(r.Context()); sc.IsValid() {
		return "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-" + sc.TraceFlags().String()
	}
	v := r.Header["Traceparent"]
	if len(v) != 1 || !validTraceParent(v[0]) {
		return ""
	}
	return v[0]
}

// validTraceParent checks the form of version 00: 00-<32 hex>-<16 hex>-<2 hex>.
func validTraceParent(s string) bool {
	if len(s) != 55 || s[:3] != "00-" || s[35] != '-' || s[52] != '-' {
		return false
	}
	for _, part := range []string{s[3:35], s[36:52], s[53:]} {
		if _, err := hex.DecodeString(part); err != nil {
			return false
		}
	}
	return true
}
