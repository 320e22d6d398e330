package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/universal-ai-gateway/magicproxy/agentruntime"
	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/state"
)

// run answers with an agent's run.
func (x *exchange) run(agent *agentruntime.Agent, req *openai.Request, start uint64) {
	key, given, ok := x.sessionKey()
	if !ok {
		return
	}
	x.session = key.ID
	x.recordRequest(req)
	ctx := x.callContext(x.r.Context())
	lease, session, ok := x.begin(ctx, agent, key, given)
	if !ok {
		return
	}
	// Before the end leaves: whoever sees it may begin the next run at once.
	keep := sync.OnceFunc(func() { x.keep(ctx, lease, &session) })
	defer keep()
	if req.Stream {
		// From here on a silence is filled, also that of tools not listed yet.
		metrics.streams.Inc()
		defer metrics.streams.Dec()
		x.stream = x.newStream()
	}
	ctx, span := beginRun(lease.Context(), agent)
	defer span.End()
	run, refusal := x.h.app.manager.Run(ctx, agentruntime.Call{
		Agent: agent, Request: req, Start: start, Own: x.ownKeys(), Session: &session, Quiet: !req.Stream, Trace: &x.trace,
	})
	if refusal != nil {
		x.fail(refusal)
		return
	}
	x.agentRun = run
	answer := openai.Completion{ID: "chatcmpl-" + strings.TrimPrefix(x.id, "req_"), Created: time.Now().Unix(), Model: req.Model}
	if req.Stream {
		x.streamRun(run, &answer, req.IncludeUsage, keep)
	} else {
		x.collectRun(run, &answer, keep)
	}
}

// streamRun gives a run's events to the client as one message (contract S1).
func (x *exchange) streamRun(run *agentruntime.Run, a *openai.Completion, usage bool, keep func()) {
	enc := openai.ChunkEncoder{ID: a.ID, Created: a.Created, Model: a.Model}
	var buf []byte
	begun, calls, overhears := false, 0, x.overhears()
	for ev, err := range run.Events() {
		if err != nil {
			keep()
			x.failRun(err)
			return
		}
		x.pieceOf(&ev)
		if overhears {
			x.said.hear(&ev)
		}
		if ev.Hidden {
			continue
		}
		buf = buf[:0]
		if !x.stream.Committed() && x.trace.Target != nil {
			x.stream.SetHeader(HeaderTarget, headerText(x.trace.Target.String()))
		}
		if !begun && ev.Kind != agentruntime.Notice {
			begun = true
			buf = enc.AppendRole(buf)
		}
		switch ev.Kind {
		case agentruntime.Reasoning:
			buf = enc.AppendReasoning(buf, ev.Text)
		case agentruntime.Content:
			buf = enc.AppendContent(buf, ev.Text)
		case agentruntime.Notice:
			buf = appendComment(buf, ev.Text)
		case agentruntime.ToolCall:
			buf = enc.AppendToolCall(buf, calls, ev.Call.ID, ev.Call.Name, ev.Call.Arguments)
			calls++
		case agentruntime.Finish:
			keep()
			x.said.finish, a.Usage = ev.Reason, ev.Usage
			x.keepSaid(a)
			buf = enc.AppendFinish(buf, ev.Reason)
			if usage {
				buf = enc.AppendUsage(buf, ev.Usage)
			}
			buf = append(buf, openai.Done...)
		}
		if !x.write(buf) {
			return
		}
	}
}

// appendComment appends a comment of one line.
func appendComment(dst []byte, text string) []byte {
	dst = append(dst, ": "...)
	dst = append(dst, strings.Join(strings.Fields(text), " ")...)
	return append(dst, "\n\n"...)
}

// collectRun gives a run's answer in one piece (contract S10).
func (x *exchange) collectRun(run *agentruntime.Run, a *openai.Completion, keep func()) {
	var m openai.Message
	var content, reasoning strings.Builder
	overhears := x.overhears()
	for ev, err := range run.Events() {
		if err != nil {
			keep()
			x.failRun(err)
			return
		}
		x.pieceOf(&ev)
		if ev.Hidden {
			if overhears {
				x.said.hear(&ev)
			}
			continue
		}
		switch ev.Kind {
		case agentruntime.Reasoning:
			reasoning.WriteString(ev.Text)
		case agentruntime.Content:
			content.WriteString(ev.Text)
		case agentruntime.ToolCall:
			m.ToolCalls = append(m.ToolCalls, ev.Call)
		case agentruntime.Finish:
			keep()
			m.FinishReason, a.Usage = ev.Reason, ev.Usage
		case agentruntime.Notice: // nobody waits for one
		}
	}
	m.Content, m.Reasoning = content.String(), reasoning.String()
	a.Choices = []openai.Message{m}
	body := a.AppendJSON(nil)
	if x.said.finish = m.FinishReason; overhears {
		x.said.read(openai.Chat, body)
		x.keepAnswer(body)
	}
	if x.trace.Target != nil {
		x.w.Header()[HeaderTarget] = []string{headerText(x.trace.Target.String())}
	}
	x.answer(body)
}

// failRun answers with what a run's error says.
func (x *exchange) failRun(err error) {
	if e, ok := errors.AsType[*openai.Error](err); ok {
		x.fail(e)
		return
	}
	x.failCall(err)
}

// headerSession names the session in requests and answers (contract A12).
const headerSession = "X-Session-Id"

// begin takes the session that the client names, or a fresh one.
func (x *exchange) begin(ctx context.Context, agent *agentruntime.Agent, key state.SessionKey, given bool) (state.Lease, state.Session, bool) {
	var none state.Session
	lease, err := x.h.app.store.Sessions().Begin(ctx, key, state.Opening{Agent: agent.Name, Issued: !given})
	if err != nil {
		x.failSession(err)
		return nil, none, false
	}
	x.w.Header()[headerSession] = []string{key.ID}
	s := lease.Session()
	x.recordSession(&s)
	return lease, s, true
}

// sessionKey reads the request's session; given says that the client names one.
func (x *exchange) sessionKey() (key state.SessionKey, given, ok bool) {
	key = state.SessionKey{User: x.user}
	values := x.r.Header[headerSession]
	if len(values) == 0 || len(values) == 1 && values[0] == "" {
		key.ID = state.NewSessionID()
		return key, false, true
	}
	if len(values) > 1 || !state.ValidSessionID(values[0]) {
		x.fail(openai.InvalidRequest("", "Invalid %s: expected 16 to 128 of A-Z, a-z, 0-9, _ and -.", headerSession))
		return key, true, false
	}
	key.ID = values[0]
	return key, true, true
}

// keep saves the session and gives it back, also when the client has left.
func (x *exchange) keep(ctx context.Context, lease state.Lease, s *state.Session) {
	x.kept = s
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), sessionPatience)
	defer stop()
	if err := lease.Save(ctx, *s); err != nil {
		x.h.logger.Warn("a session could not be saved", zap.String("request_id", x.id), zap.Error(err))
	}
	if err := lease.Release(ctx); err != nil && !errors.Is(err, state.ErrLost) {
		x.h.logger.Warn("a session could not be given back", zap.String("request_id", x.id), zap.Error(err))
	}
}

// sessionPatience bounds the saving of a session.
const sessionPatience = 2 * time.Second

// failSession answers with what is wrong with a session.
func (x *exchange) failSession(err error) {
	refuse := func(status int, code, message string) {
		x.fail(&openai.Error{Status: status, Class: openai.ClassCaller, Type: "invalid_request_error", Code: code, Message: message})
	}
	switch {
	case errors.Is(err, state.ErrBusy):
		refuse(http.StatusConflict, "session_busy", "Another run of this session is under way.")
	case errors.Is(err, state.ErrUnknown):
		refuse(http.StatusNotFound, "session_not_found", "There is no such session.")
	case errors.Is(err, state.ErrFull):
		e := openai.Unavailable(time.Second, "Too many sessions are in use. Try again shortly.")
		e.Class = openai.ClassPolicy
		x.fail(e)
	case errors.Is(err, state.ErrUnavailable):
		x.fail(openai.Unavailable(time.Second, "The gateway's shared state cannot be reached. Try again shortly."))
	case x.r.Context().Err() != nil:
		x.left = true
	default:
		x.h.logger.Error("a session could not be used", zap.String("request_id", x.id), zap.Error(err))
		x.fail(openai.Internal())
	}
}

// sessions answers GET /v1/sessions/{id} and POST /v1/sessions/{id}/cancel.
func (x *exchange) sessions(rest string) {
	x.endpoint = "sessions"
	id, verb, deeper := strings.Cut(rest, "/")
	method := http.MethodGet
	if verb != "" {
		method = http.MethodPost
	}
	if deeper && verb != "cancel" {
		x.fail(openai.UnknownURL(openai.Cut(x.r.Method, 32), openai.Cut(x.r.URL.Path, 256)))
		return
	}
	if !x.method(method) || !x.identify() {
		return
	}
	if !state.ValidSessionID(id) {
		x.fail(openai.InvalidRequest("", "Invalid session id: expected 16 to 128 of A-Z, a-z, 0-9, _ and -."))
		return
	}
	key, sessions := state.SessionKey{User: x.user, ID: id}, x.h.app.store.Sessions()
	if verb == "cancel" {
		if err := sessions.Cancel(x.r.Context(), key); err != nil {
			x.failSession(err)
			return
		}
	}
	s, err := sessions.Get(x.r.Context(), key)
	if err != nil {
		x.failSession(err)
		return
	}
	x.json(struct {
		ID     string `json:"id"`
		Object string `json:"object"`
		state.Session
	}{id, "session", s})
}
