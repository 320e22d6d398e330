package agentruntime

import (
	"crypto/rand"
	"errors"
	"strings"

	"github.com/universal-ai-gateway/magicproxy/agentruntime/toolcall"
	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
)

// toolCall is one call of a turn.
type toolCall struct {
	id    string
	name  string // as the model wrote it
	args  string // a JSON object
	raw   string // as the model wrote it, of a call that cannot be run
	tool  *tool  // nil if there is none of that name
	fault string // why it cannot be run, for the model
}

// label is the call's name for people and models.
func (c *toolCall) label() string {
	if c.tool != nil {
		return c.tool.ID()
	}
	return openai.Cut(c.name, 128)
}

// shown is the function's name in the history: providers refuse what is none.
func (c *toolCall) shown() string {
	if c.tool != nil {
		return c.tool.name
	}
	name := strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, c.name)
	if name == "" {
		return "unknown"
	}
	return name[:min(len(name), 64)]
}

// newCallID returns an id that every provider takes: Mistral wants nine letters and
// digits.
func newCallID() string { return rand.Text()[:9] }

// recovered counts a call that was not as it should be.
func (r *Run) recovered(rung toolcall.Rung) {
	if r.m.Observer != nil && rung != toolcall.RungClean {
		r.m.Observer.Recovered(rung.String())
	}
}

// native takes a function call of the model.
func (r *Run) native(t *turn, c openai.ToolCall) {
	id := c.ID
	if id == "" || r.ids[id] { // some providers give the same ids in every turn
		id = newCallID()
	}
	if r.ids == nil {
		r.ids = make(map[string]bool)
	}
	r.ids[id] = true
	if r.box.ofClient(c.Name) != nil { // what the client gets is for the client to judge
		t.client = append(t.client, openai.ToolCall{ID: id, Name: c.Name, Arguments: c.Arguments})
		return
	}
	calls, rung, err := toolcall.Native(c.Name, c.Arguments, r.box.known)
	if err = complete(t, rung, err); err == nil && t.finish == finishLength && strings.TrimSpace(c.Arguments) == "" {
		err = errCut // there may have been more to come than nothing
	}
	if err != nil {
		call := r.unread(id, c.Name, c.Arguments, err)
		if objects, _, err := toolcall.Arguments(c.Arguments); err == nil && len(objects) == 1 {
			call.args = string(objects[0])
		}
		t.calls = append(t.calls, call)
		return
	}
	r.recovered(rung)
	for i, call := range calls {
		if i > 0 {
			id = newCallID()
		}
		r.add(t, id, call)
	}
}

// unread is a call that could not be read, or has a name that no tool has.
func (r *Run) unread(id, name, raw string, err error) toolCall {
	if e, ok := errors.AsType[*toolcall.Error](err); ok && errors.Is(e, toolcall.ErrUnknown) {
		return toolCall{id: id, name: e.Name, raw: raw, args: "{}"}
	}
	return toolCall{id: id, name: name, raw: raw, args: "{}", tool: r.box.find(name), fault: unreadable(err.Error())}
}

// found takes calls that the model wrote as text.
func (r *Run) found(t *turn, calls []toolcall.Call) {
	for _, c := range calls {
		r.add(t, newCallID(), c)
	}
}

// add takes a call that has been read.
func (r *Run) add(t *turn, id string, c toolcall.Call) {
	if r.box.ofClient(c.Name) != nil {
		t.client = append(t.client, openai.ToolCall{ID: id, Name: c.Name, Arguments: string(c.Arguments)})
		return
	}
	t.calls = append(t.calls, toolCall{id: id, name: c.Name, args: string(c.Arguments), tool: r.box.find(c.Name)})
}

// action takes the body of an ACTION. It is meant as a call, so prose and fences
// around it do not count, and a name that nothing has is told.
func (r *Run) action(t *turn, body string) {
	calls, _, rung, err := toolcall.Text(body, r.box.known)
	if err == nil && len(calls) == 0 {
		calls, rung, err = r.wrapped(body)
	}
	if err = complete(t, rung, err); err != nil {
		t.calls = append(t.calls, r.unread("", "", body, err))
		return
	}
	r.recovered(rung)
	r.found(t, calls)
}

// wrapped reads calls that have text around them.
func (r *Run) wrapped(body string) (calls []toolcall.Call, rung toolcall.Rung, err error) {
	objects, rung, err := toolcall.Arguments(body)
	if err != nil {
		return nil, rung, err
	}
	for _, o := range objects {
		more, _, _, err := toolcall.Text(string(o), r.box.known)
		if err != nil {
			return nil, rung, err
		}
		calls = append(calls, more...)
	}
	if len(calls) == 0 {
		return nil, rung, errNoAction
	}
	return calls, rung, nil
}

// complete refuses what was read of a turn that was cut off: what seems to lack no
// more than a brace may lack anything.
func complete(t *turn, rung toolcall.Rung, err error) error {
	if err == nil && t.finish == finishLength && rung == toolcall.RungUnclosed {
		return errCut
	}
	return err
}

var errCut = errors.New("it is cut off")

var errNoAction = errors.New(`an ACTION holds {"tool_name": "…", "arguments": {…}}`)

// generation reads the tool call that a provider refused to read (contract A9); nil
// if that cannot be done either.
func (r *Run) generation(failure *provider.Error) *turn {
	if failure.Generation == "" || r.last != notYet || r.box.none() {
		return nil
	}
	calls, prose, rung, err := toolcall.Text(failure.Generation, r.box.known)
	if err != nil || len(calls) == 0 {
		return nil
	}
	r.recovered(rung)
	t := &turn{text: strings.TrimSpace(prose), finish: finishCalls}
	if r.a.tags() {
		t.text = strings.TrimSpace(failure.Generation)
	} else {
		r.out.content(prose)
	}
	r.found(t, calls)
	return t
}
