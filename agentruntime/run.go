package agentruntime

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
	"github.com/universal-ai-gateway/magicproxy/rotation"
	"github.com/universal-ai-gateway/magicproxy/state"
)

// Run is one answer in the making. It belongs to one goroutine.
type Run struct {
	m     *Manager
	a     *Agent
	ctx   context.Context
	req   *request
	notes *state.Session
	trace *rotation.Trace
	route rotation.Route
	own   *rotation.OwnKeys
	talk  *conversation
	box   *toolbox
	out   answer
	drv   driver

	usage    openai.Usage
	turns    int // model calls that counted
	steps    int // turns that were not the last: with calls, read or not, or with work only
	calls    int // tools called
	last     ending
	hint     string // for the next turn only
	empty    int    // turns without any answer
	refused  int    // turns whose calls the provider could not read, in a row
	failed   map[string]int
	ids      map[string]bool // of calls
	progress bool            // notices are wanted
	drafted  bool            // there is a draft of this run in the notebook
	hurried  bool            // an answer has come too early once
	shaping  bool            // the answer is known, and takes its form in the turn to come
	size     int             // of the next request, as a guess
}

// ending says why the next turn is the last one.
type ending uint8

const (
	notYet     ending = iota
	endSteps          // of max_steps or max_tool_calls
	endFailing        // the same call has failed three times
)

// Turns is how many model calls the run took so far.
func (r *Run) Turns() int { return r.turns }

// Calls is how many tool calls the run took so far.
func (r *Run) Calls() int { return r.calls }

// Events runs. Events end with one Finish, or with an error, which is the last:
// an *openai.Error of the agent's own, or the *rotation.Error of a model call. Who
// breaks off ends the run.
func (r *Run) Events() iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		ctx, stop := context.WithCancel(r.ctx)
		defer stop()
		if r.a.Timeout > 0 {
			var end context.CancelFunc
			ctx, end = context.WithTimeoutCause(ctx, r.a.Timeout, errTimeout)
			defer end()
		}
		r.ctx = ctx
		r.out.yield, r.out.leave = yield, stop
		reason, err := r.loop()
		r.notes.Steps += r.turns
		if o := r.m.Observer; o != nil {
			o.Ended(r.a, r.outcome(reason, err), r.turns, r.calls)
		}
		switch {
		case r.out.gone:
		case err != nil:
			yield(Event{}, r.ended(err))
		default:
			r.out.emit(Event{Kind: Finish, Reason: reason, Usage: r.usage})
		}
	}
}

// outcome is the run's end in one word.
func (r *Run) outcome(reason string, err error) string {
	switch {
	case err == nil:
		return reason
	case r.out.gone, r.ctx.Err() != nil && !errors.Is(context.Cause(r.ctx), errTimeout):
		return "canceled"
	}
	return "error"
}

// ended is the error of a run whose context may have ended it.
func (r *Run) ended(err error) error {
	switch cause := context.Cause(r.ctx); {
	case cause == nil:
		return err
	case errors.Is(cause, errTimeout):
		e := openai.UpstreamTimeout("The agent did not finish within %s.", r.a.Timeout)
		e.Class = openai.ClassGateway
		return e
	case errors.Is(cause, state.ErrCancelled):
		return Cancelled()
	case errors.Is(cause, state.ErrLost):
		return &openai.Error{Status: http.StatusConflict, Class: openai.ClassGateway, Type: "invalid_request_error", Code: "session_lost", Message: "Another run has taken the session over."}
	default: // the client has left, and every error is an echo of it
		return &rotation.Error{Cause: &provider.Error{Kind: provider.KindCanceled, Message: "canceled", Err: cause}}
	}
}

var errGone = errors.New("nobody listens any more")

// loop asks, acts and asks again. It returns the reason of the answer's end.
func (r *Run) loop() (string, error) {
	for {
		t, err := r.ask()
		if err != nil {
			return "", err
		}
		r.turns++
		r.hint = ""
		switch {
		case r.out.ended:
			return finishStop, nil
		case r.last != notYet && (len(t.client) > 0 || len(t.calls) > 0 || t.fault != ""):
			return r.reason(t), nil // with the text it has
		case len(t.client) > 0:
			for _, c := range t.client {
				r.out.call(c)
			}
			if t.finish == finishLength && !json.Valid([]byte(t.client[len(t.client)-1].Arguments)) {
				return finishLength, nil // the client sees that it is cut off
			}
			return finishCalls, nil
		case t.answer || t.finish == finishFiltered:
			return r.reason(t), nil
		case r.spent():
			r.out.content(t.draft) // not in its format, but there is no more
			r.out.settle()
			return finishLength, nil
		case r.last != notYet && r.out.begun:
			return r.reason(t), nil
		case len(t.calls) > 0:
			r.drv.record(t, r.act(t.calls))
			r.step()
		case t.fault != "":
			r.drv.correct(t)
			r.step()
		case t.shape:
			r.shaping = true
			r.hint = "Now give the final answer in the format that the request asks for: only that, without any tag around it."
		case t.more && r.last == notYet:
			r.drv.record(t, nil)
			r.step()
			r.hint = r.drv.more()
		case t.finish == finishLength && t.text == "": // all of it went into reasoning
			return finishLength, nil
		case r.empty > 0 && r.out.begun:
			return r.reason(t), nil // with the text it has
		case r.empty > 0 && r.drafted:
			r.out.content(r.notes.Notebook[len(r.notes.Notebook)-1]) // the best so far
			r.out.settle()
			return finishLength, nil
		case r.empty > 0:
			return "", openai.BadGateway("The model gave no answer.")
		default:
			r.empty++
			r.hint = "Your last message had no answer in it. Answer now."
			if !r.shaping {
				r.hint += r.drv.reminder()
			}
		}
	}
}

// step counts a turn that was not the last.
func (r *Run) step() {
	r.empty = 0
	if r.steps++; r.steps >= r.a.MaxSteps && r.last == notYet {
		r.last = endSteps
	}
}

// spent reports whether the run's tokens are used up.
func (r *Run) spent() bool { return r.req.bound > 0 && r.usage.Completion >= r.req.bound }

// reason is that of an answer whose last turn is t.
func (r *Run) reason(t *turn) string {
	switch {
	case t.finish == finishLength, t.finish == finishFiltered:
		return t.finish
	case r.last == endSteps:
		return finishLength
	}
	return finishStop
}
