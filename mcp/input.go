package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// Input answers what a server asks for during a call (elicitation, in form mode), for
// an agent that may speak for somebody. What it returns, an object that satisfies the
// question's schema, goes to the server unchecked; anything else declines. It is
// called by several goroutines, and has to return when ctx ends, which is with the
// call: the time it takes is the call's, and is not held against the server.
type Input func(ctx context.Context, q *Question) json.RawMessage

// Question is a form to be filled in. All of it is the server's and not to be
// trusted, within the bounds of tools' descriptions and schemas (contract X8).
type Question struct {
	Server string

	// Tool is the one that asks. It is empty if that is not known, or it is none that
	// was called.
	Tool string

	// Message says what for.
	Message string

	// Schema is the JSON Schema of the answer, an object; never empty.
	Schema json.RawMessage
}

// Bounds of what a server may ask for during one call.
const (
	maxQuestions = 16
	maxRounds    = 8 // of asking, in the newer era
)

// asking is what a server asks for during one call.
type asking struct {
	ctx   context.Context //nolint:containedctx // the call's, for questions that come beside it
	input Input           // nil: whatever it is is refused
	scrub scrubber
	from  Question // names server and tool
	roots []string

	count atomic.Int32 // questions
	open  atomic.Int32 // of them, those that Input answers now
	late  atomic.Bool  // one was open when the call ended
}

// asking returns what may be asked for during a call, nil for nothing.
func (s *Server) asking(ctx context.Context, tool string) *asking {
	if s.o.Input == nil && len(s.o.Roots) == 0 {
		return nil
	}
	return &asking{ctx: ctx, input: s.o.Input, scrub: s.scrub, from: Question{Server: s.o.Name, Tool: tool}, roots: s.o.Roots}
}

// answers reports whether questions have somebody to go to.
func (a *asking) answers() bool { return a != nil && a.input != nil }

// calls are those of a session that are under way, and may be asked for something.
type calls struct {
	mu  sync.Mutex
	set map[*asking]struct{}
}

// add adds a call until its end is said.
func (c *calls) add(a *asking) (end func()) {
	if !a.answers() {
		return func() {}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set == nil {
		c.set = make(map[*asking]struct{})
	}
	c.set[a] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.set, a)
	}
}

func (c *calls) all() []*asking {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.set))
}

// waited reports whether the end of the call has found it waiting for Input.
func (a *asking) waited() bool { return a != nil && (a.open.Load() > 0 || a.late.Load()) }

var errTooMany = errors.New("that is one question too many")

// elicit answers a question that one of the calls has brought about: on some
// transports nobody can tell which. It is given up when the last of them has ended.
func elicit(calls []*asking, params json.RawMessage) (*sdk.ElicitResult, error) {
	q, err := calls[0].question(params)
	if err != nil {
		return nil, err
	}
	if len(calls) > 1 {
		q.Tool = ""
	}
	allowed := false
	for _, a := range calls {
		allowed = a.count.Add(1) <= maxQuestions || allowed
	}
	if !allowed {
		return nil, errTooMany
	}
	ctx, end := wait(calls)
	defer end()
	content := calls[0].input(ctx, q)
	if ctx.Err() != nil {
		return &sdk.ElicitResult{Action: "cancel"}, nil
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(content, &members) != nil || members == nil {
		return &sdk.ElicitResult{Action: "decline"}, nil
	}
	res := &sdk.ElicitResult{Action: "accept", Content: make(map[string]any, len(members))}
	for name, v := range members {
		res.Content[name] = v
	}
	return res, nil
}

// wait returns a context that ends when all calls have, and says of each that it waits
// for Input.
func wait(calls []*asking) (ctx context.Context, end func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(calls[0].ctx))
	var left atomic.Int32
	left.Store(int32(len(calls))) //nolint:gosec // as many as calls are under way
	stops := make([]func() bool, len(calls))
	for i, a := range calls {
		a.open.Add(1)
		stops[i] = context.AfterFunc(a.ctx, func() {
			if left.Add(-1) == 0 {
				cancel()
			}
		})
	}
	return ctx, func() {
		for i, a := range calls {
			if !stops[i]() {
				a.late.Store(true)
			}
			a.open.Add(-1)
		}
		cancel()
	}
}

// question reads the parameters of elicitation/create.
func (a *asking) question(params json.RawMessage) (*Question, error) {
	var p struct {
		Mode    string          `json:"mode"`
		Message string          `json:"message"`
		Schema  json.RawMessage `json:"requestedSchema"`
	}
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, errors.New("its parameters can't be read")
	}
	if p.Mode != "" && p.Mode != "form" {
		return nil, errors.New("it is not a form")
	}
	if len(p.Schema) == 0 {
		p.Schema = json.RawMessage(`{"type":"object"}`)
	}
	if !bytes.HasPrefix(p.Schema, []byte("{")) {
		return nil, errors.New("its schema is not an object")
	}
	if why := unfit("", p.Message, p.Schema); why != "" {
		return nil, errors.New(strings.Replace(why, "description", "message", 1))
	}
	q := a.from
	q.Message = a.scrub.text(strings.ToValidUTF8(p.Message, "\uFFFD"))
	if len(q.Message) > maxDescription {
		q.Message = q.Message[:runeStart(q.Message, maxDescription-len("…"))] + "…"
	}
	var err error
	if q.Schema, err = a.scrub.document(p.Schema); err != nil {
		return nil, err
	}
	return &q, nil
}

// reply is the message that answers a question.
func reply(calls []*asking, m *message) []byte {
	res, err := elicit(calls, m.Params)
	if err == nil {
		var result []byte
		if result, err = json.Marshal(res); err == nil {
			return answerMessage(string(m.ID), result)
		}
	}
	return errorMessage(string(m.ID), jsonrpc.CodeInvalidParams, "this can't be asked: "+err.Error(), nil)
}

// rootsResult lists roots, which are deprecated and still in the protocol.
func rootsResult(uris []string) *sdk.ListRootsResult { //nolint:staticcheck // see above
	res := new(sdk.ListRootsResult) //nolint:staticcheck // see above
	for _, uri := range uris {
		res.Roots = append(res.Roots, &sdk.Root{URI: uri}) //nolint:staticcheck // see above
	}
	return res
}
