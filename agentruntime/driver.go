package agentruntime

import (
	"context"
	"errors"
	"io"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
	"github.com/universal-ai-gateway/magicproxy/rotation"
)

// driver reads what a model says in one way of saying it, and writes the history
// in the same. It belongs to its run.
type driver interface {
	// begin is called before a model call, also before another try of one.
	begin()

	// delta takes a piece of the model's answer; true says that nothing of what
	// follows is wanted.
	delta(d *openai.Delta) (enough bool)

	// end returns what the model has said.
	end(finish string) *turn

	// record adds a turn to the history, with the results of its calls.
	record(t *turn, results []string)

	// correct adds a turn whose call could not be read, and what was wrong.
	correct(t *turn)

	// more asks for what is missing behind a turn that has more to say, reminder
	// for the form of an answer.
	more() string
	reminder() string

	// said is what the model has written since begin, as far as it is known to be
	// text.
	said() string

	// size is how much the model has written since begin, in bytes.
	size() int
}

// turn is what a model said in one call.
type turn struct {
	text   string     // for the history
	calls  []toolCall // of our tools, and those that cannot be run
	client []openai.ToolCall
	fault  string // the model meant a call, but it cannot be read: what is wrong
	answer bool   // there is an answer
	more   bool   // there is no answer yet, but work was done
	draft  string // an answer that has not been given
	shape  bool   // there is an answer that has to be given once more, in a format
	finish string // the provider's reason
}

// ask makes model calls until one has an answer of any kind. A call that broke off
// goes on with the next target as long as the client has not seen content of it
// (contract S5).
func (r *Run) ask() (*turn, error) {
	var tries rotation.Tries
	notes, hurried := *r.notes, r.hurried
	if r.turns > 0 && r.box.kit != noTools { // a breaker may have opened or closed
		r.box.kit = r.a.tools(r.ctx)
	}
	for {
		if r.out.gone {
			return nil, errGone
		}
		body := r.appendBody(make([]byte, 0, r.size))
		r.size = len(body) + 1<<10 // the next one is longer
		req, e := openai.ParseRequest(openai.Chat, body)
		if e != nil {
			return nil, e
		}
		r.notes.Phase, r.notes.Notebook, r.hurried = notes.Phase, notes.Notebook, hurried // not what a broken try has made of them
		r.drv.begin()
		r.out.turn()
		t, target, err := r.once(req, &tries)
		switch {
		case err == nil:
			r.refused = 0
			r.out.settle()
			return t, nil
		case r.out.gone || r.ctx.Err() != nil:
			return nil, err
		}
		failure, _ := errors.AsType[*provider.Error](err)
		switch {
		case failure == nil, target == nil: // nothing could be tried, or nothing answered
			return nil, err
		case failure.ToolUse:
			if t := r.generation(failure); t != nil {
				r.refused = 0
				r.out.settle()
				return t, nil
			}
			if r.refused++; r.refused == 1 {
				// The next request differs, so it may go where this one went.
				tries = rotation.Tries{}
				if r.out.given { // the model goes on where it was
					r.talk.say("assistant", r.drv.said())
				}
				r.hint = "Your last tool call was refused: " + openai.Cut(failure.Message, 512) + " Call the tool again with arguments that its schema allows, or answer without it."
				continue
			}
			if r.out.given {
				return nil, &rotation.Error{Cause: failure, API: rotation.Broken(failure)}
			}
			tries.Fail(target, failure)
		case r.out.given:
			return nil, &rotation.Error{Cause: failure, API: rotation.Broken(failure)}
		default:
			tries.Fail(target, failure)
		}
	}
}

// maxTurn bounds what a model may write in one turn, in bytes (security X10): all
// of it goes into the history.
const maxTurn = 4 << 20

// once makes one model call. The target is that of an answer which had begun, or of
// one whose tool call was refused.
func (r *Run) once(req *openai.Request, tries *rotation.Tries) (t *turn, _ *rotation.Target, _ error) {
	var trace rotation.Trace
	asked := len(req.Body()) // no more of it: it is let go of while the answer comes
	defer func() { r.account(&trace, asked, t != nil) }()
	stream, err := r.m.Caller.Stream(r.ctx, rotation.Call{Route: r.route, Own: r.own, Request: req, Trace: &trace, Tries: tries})
	if err != nil {
		if failure, ok := errors.AsType[*provider.Error](err); ok && failure.ToolUse {
			return nil, trace.Target, err
		}
		return nil, nil, err
	}
	defer stream.Close()
	r.trace.Target = stream.Target() // the client may be told with the first event
	var d openai.Delta
	finish := ""
	for {
		ev, err := stream.Next()
		switch {
		case err == io.EOF:
			return r.drv.end(finish), stream.Target(), nil
		case err != nil:
			return nil, stream.Target(), err
		case len(ev.Data) == 0 || ev.Done:
			continue
		}
		if err := d.Scan(ev.Data); err != nil {
			failure := &provider.Error{Kind: provider.KindBroken, Message: "upstream sent an event that is not a chunk", Err: err}
			return nil, stream.Target(), failure
		}
		if d.Finish != "" {
			finish = d.Finish
		}
		if r.drv.delta(&d) {
			return r.drv.end(finish), stream.Target(), nil
		}
		if r.drv.size() > maxTurn {
			return r.drv.end(finishLength), stream.Target(), nil
		}
		if r.out.gone {
			return nil, nil, errGone
		}
		if err := context.Cause(r.ctx); err != nil {
			return nil, nil, err
		}
	}
}

// account adds a model call to the run's figures. Of turns that tell no usage, or
// that we have cut off before they could, it is estimated: the client's bound must
// hold all the same. Tries that broke off count what their upstreams said of them.
func (r *Run) account(t *rotation.Trace, asked int, whole bool) {
	u := t.Usage
	if u.Total == 0 && whole {
		u.Prompt, u.Completion = int64(asked/4), int64(r.drv.size()/4)
		u.Total = u.Prompt + u.Completion
	}
	r.usage.Add(u)
	r.trace.Usage = r.usage
	r.trace.Attempts += t.Attempts
	r.trace.Waited += t.Waited
	if t.Target != nil {
		r.trace.Target = t.Target
	}
	if r.trace.First.IsZero() {
		r.trace.First = t.First
	}
}

// appendBody appends the request of the next model call.
func (r *Run) appendBody(b []byte) []byte {
	final := r.last != notYet || r.shaping
	b = openai.AppendString(append(b, `{"model":`...), r.a.Name)
	b = append(b, `,"messages":`...)
	b = r.talk.appendJSON(b, r.dynamic(final), r.instruction())
	b = append(b, `,"stream":true`...)
	b = append(b, r.req.fields...)
	b = r.req.appendBound(b, max(r.req.bound-r.usage.Completion, 1))
	if !r.a.tags() && !final && !r.box.none() {
		b = r.req.appendTools(b, r.box, r.steps == 0)
	}
	if r.req.format != nil && (!r.a.tags() || r.shaping) {
		b = append(append(b, `,"response_format":`...), r.req.format...)
	}
	return append(b, '}')
}

// instruction is what the next turn is told besides the history.
func (r *Run) instruction() string {
	if r.hint != "" {
		return r.hint
	}
	switch r.last {
	case endSteps:
		return "There are no steps left. Answer now, as well as you can with what you know, and call no tools." + r.drv.reminder()
	case endFailing:
		return "The same call has failed three times. Answer now without it, as well as you can, and call no tools." + r.drv.reminder()
	}
	return ""
}
