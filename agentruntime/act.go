package agentruntime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/universal-ai-gateway/magicproxy/mcp"
	"github.com/universal-ai-gateway/magicproxy/openai"
)

// maxParallel bounds the calls of one turn that run at the same time.
const maxParallel = 8

// act runs the calls of a turn and returns what the model is told, in their order
// (contract A5).
func (r *Run) act(calls []toolCall) []string {
	from := time.Now()
	results := make([]string, len(calls))
	var jobs []int
	for i := range calls {
		c := &calls[i]
		if results[i] = r.refuse(c); results[i] == "" {
			if r.calls >= r.a.MaxToolCalls {
				results[i] = fmt.Sprintf("Not run: the limit of %d tool calls is reached.", r.a.MaxToolCalls)
				r.last = endSteps
				continue
			}
			r.calls++
			jobs = append(jobs, i)
		}
	}
	failed := make([]bool, len(calls))
	for i := range calls {
		failed[i] = results[i] != ""
	}
	if len(jobs) == 1 && !r.progress {
		i := jobs[0]
		results[i], failed[i] = r.execute(r.ctx, &calls[i], nil)
	} else if len(jobs) > 0 {
		r.parallel(calls, jobs, results, failed)
	}
	told := make(map[string]bool)
	for i := range calls {
		if key := calls[i].key(); failed[i] && !told[key] { // calls of one turn know nothing of each other
			told[key] = true
			results[i] += r.again(key)
		}
	}
	r.trace.Waited += time.Since(from)
	return results
}

// refuse says why a call is not run, and checks its arguments on the way.
func (r *Run) refuse(c *toolCall) string {
	switch {
	case c.fault != "":
		return c.fault
	case c.tool == nil && r.box.away(c.name):
		return "The tool's server is not available for now. Answer without it, or use another tool."
	case c.tool == nil && r.box.none():
		return "There are no tools to call."
	case c.tool == nil:
		return fmt.Sprintf("There is no tool named %q. The nearest names are: %s.", openai.Cut(c.name, 128), r.box.nearest(c.name))
	}
	args, coerced, err := c.tool.check([]byte(c.args))
	if err != nil {
		return "The arguments do not fit the tool's schema: " + neutral(openai.Cut(err.Error(), 1024))
	}
	if coerced {
		if r.m.Observer != nil {
			r.m.Observer.Recovered("coerced")
		}
		c.args = string(args)
	}
	return ""
}

// parallel runs the calls named by jobs at the same time, at most maxParallel of
// them, and passes notices on while they run. One that fails cancels nobody.
func (r *Run) parallel(calls []toolCall, jobs []int, results []string, failed []bool) {
	var notices chan string
	if r.progress {
		notices = make(chan string, 16)
	}
	done := make(chan struct{})
	slots := make(chan struct{}, maxParallel)
	var all sync.WaitGroup
	for _, i := range jobs {
		if notices != nil {
			r.out.notice("Calling " + calls[i].label() + ".")
		}
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			results[i], failed[i] = r.execute(r.ctx, &calls[i], notices)
		})
	}
	go func() { all.Wait(); close(done) }()
	for {
		select {
		case text := <-notices:
			r.out.notice(text)
		case <-done:
			return
		}
	}
}

// maxNotices bounds what one call tells whoever waits: a tool may say anything, as
// often as it likes.
const maxNotices = 100

// execute runs one call. failed says that the result is the news of a failure.
func (r *Run) execute(ctx context.Context, c *toolCall, notices chan<- string) (text string, failed bool) {
	outcome := "failed"
	if o := r.m.Observer; o != nil {
		var ended func(outcome, text string)
		ctx, ended = o.Tool(ctx, ToolUse{ID: c.id, Server: c.tool.Server, Tool: c.tool.Name, Arguments: c.args})
		defer func() { ended(outcome, text) }()
	}
	// A panic in somebody's code is that call's failure (contract A5).
	defer func() {
		if v := recover(); v != nil {
			text, failed = fmt.Sprintf("The tool failed: a panic of type %T.", v), true
		}
	}()
	call := mcp.Call{Tool: c.tool.Name, Arguments: json.RawMessage(c.args), Limit: r.a.ToolOutput}
	if notices != nil {
		label := c.label()
		var said atomic.Int32
		call.Progress = func(text string) {
			if said.Add(1) > maxNotices {
				return
			}
			select {
			case notices <- label + ": " + text:
			default: // nobody waits for a notice
			}
		}
	}
	res, err := c.tool.server.Call(ctx, call)
	if err != nil {
		e, ok := errors.AsType[*mcp.Error](err)
		if !ok {
			return "The tool failed.", true
		}
		outcome = e.Kind.String()
		return "The tool could not be used: " + neutral(e.Error()) + ".", true
	}
	text = neutral(res.Text)
	if res.Cut > 0 {
		text += fmt.Sprintf("\n[cut: %d further bytes are not shown]", res.Cut)
	}
	if res.Failed {
		return "The tool reports a failure: " + text, true
	}
	outcome = "ok"
	if text == "" {
		text = "(The tool returned nothing.)"
	}
	return text, false
}

// key is the same for calls that are.
func (c *toolCall) key() string {
	return c.label() + "\x00" + oneLine([]byte(c.args)) + "\x00" + c.raw
}

// again says that a call has failed before, and ends the run's tools when it has
// failed too often (contract A6).
func (r *Run) again(key string) string {
	r.failed[key]++
	switch n := r.failed[key]; {
	case n == 2:
		return "\nThis very call has failed before. Do not repeat it: change the arguments, use another tool, or answer without it."
	case n >= 3 && r.last == notYet:
		r.last = endFailing
		return "\nThis very call has failed three times."
	}
	return ""
}
