package mcp

import (
	"context"
	"encoding/json"
	"testing"
)

// server is what Server and Simulation have in common.
type server interface {
	Name() string
	Offer(context.Context) Offer
	Call(context.Context, Call) (*Result, error)
	Refresh()
	Approve(string) error
	Status() Status
	Close()
}

// Interface guards
var (
	_ server = (*Server)(nil)
	_ server = (*Simulation)(nil)
)

func TestSimulation(t *testing.T) {
	s := Simulate("docs", []string{"b", "a", "x*", "a"})
	if got := names(s.Offer(t.Context())); got != "a b" {
		t.Errorf("offers %q", got)
	}
	for range 2 {
		res, err := s.Call(t.Context(), Call{Tool: "a", Arguments: json.RawMessage(` {"query": "x"} `)})
		if err != nil || res.Text != `Simulated result of docs::a for {"query":"x"}` {
			t.Errorf("got %+v, %v", res, err)
		}
	}
	res, err := s.Call(t.Context(), Call{Tool: "a", Limit: 9})
	if err != nil || res.Text != "Simulated" || res.Cut == 0 {
		t.Errorf("got %+v, %v", res, err)
	}
	for _, args := range []string{`[]`, `{`, `7`, `"x"`, `{"a":1}x`} {
		_, err := s.Call(t.Context(), Call{Tool: "a", Arguments: json.RawMessage(args)})
		if err == nil || kindOf(t, err) != KindRejected {
			t.Errorf("%s: %v", args, err)
		}
	}
	_, err = s.Call(t.Context(), Call{Tool: "c"})
	if k := kindOf(t, err); k != KindUnknown {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Call(ctx, Call{Tool: "a"})
	if k := kindOf(t, err); k != KindCanceled {
		t.Errorf("got %v", err)
	}
	if got := names(Simulate("docs", []string{"*"}).Offer(t.Context())); got != "lookup" {
		t.Errorf("without names it offers %q", got)
	}
}
