package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Simulation is a tool server in process, for mock mode: its tools are there at once,
// and say what they were called with. It does no I/O, and is safe for concurrent use.
type Simulation struct {
	name  string
	offer Offer
}

// simulated is the schema of all simulated tools.
const simulated = `{"type":"object","properties":{"query":{"type":"string","description":"What to look for."}},"required":["query"]}`

// Simulate makes a server with the tools named, or one named lookup. Names that are
// patterns stand for no tool.
func Simulate(name string, tools []string) *Simulation {
	s := &Simulation{name: name}
	names := slices.DeleteFunc(slices.Clone(tools), func(t string) bool { return t == "" || strings.ContainsAny(t, "*?") })
	if len(names) == 0 {
		names = []string{"lookup"}
	}
	slices.Sort(names)
	for _, tool := range slices.Compact(names) {
		s.offer.Tools = append(s.offer.Tools, &Tool{
			Server: name, Name: tool, Schema: json.RawMessage(simulated),
			Description: "A simulated tool: it answers with what it was asked.",
		})
	}
	return s
}

// has reports whether there is such a tool.
func (s *Simulation) has(tool string) bool {
	return slices.ContainsFunc(s.offer.Tools, func(t *Tool) bool { return t.Name == tool })
}

// Name returns the server's name.
func (s *Simulation) Name() string { return s.name }

// Offer returns the tools.
func (s *Simulation) Offer(context.Context) Offer { return s.offer }

// Call answers with the tool's name and its arguments. As a server's, an error is an
// *Error.
func (s *Simulation) Call(ctx context.Context, c Call) (*Result, error) {
	args := bytes.TrimSpace(c.Arguments)
	if len(args) == 0 {
		args = []byte("{}")
	}
	var compact bytes.Buffer
	switch {
	case ctx.Err() != nil:
		return nil, &Error{Kind: KindCanceled, Server: s.name, Message: "the call was given up", Err: ctx.Err()}
	case !s.has(c.Tool):
		return nil, &Error{Kind: KindUnknown, Server: s.name, Message: "has no tool " + strconv.Quote(short(c.Tool))}
	case args[0] != '{' || json.Compact(&compact, args) != nil:
		return nil, &Error{Kind: KindRejected, Server: s.name, Message: "the arguments are not a JSON object"}
	}
	text := "Simulated result of " + s.name + "::" + c.Tool + " for " + strings.ToValidUTF8(compact.String(), "\uFFFD")
	return capped(text, c.Limit, false), nil
}

// Refresh does nothing: the tools do not change.
func (s *Simulation) Refresh() {}

// Approve accepts what there is.
func (s *Simulation) Approve(tool string) error {
	if !s.has(tool) {
		return fmt.Errorf("tool server %s: %w: %s", s.name, ErrNoTool, short(tool))
	}
	return nil
}

// Status returns a snapshot.
func (s *Simulation) Status() Status {
	st := Status{
		Name: s.name, Breaker: new(Breaker).State(time.Now().UnixNano()), Connected: true,
		Transport: "simulation", Pin: PinOff.String(), Tools: []ToolStatus{},
	}
	for _, t := range s.offer.Tools {
		st.Tools = append(st.Tools, ToolStatus{
			Name: t.Name, Description: t.Description, State: "offered",
			Hash: definitionHash(t.Name, t.Description, t.Schema)[:shownHash],
		})
	}
	return st
}

// Close does nothing.
func (s *Simulation) Close() {}
