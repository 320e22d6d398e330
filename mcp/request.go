package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// Request asks the server for what is no tool, which the gateway never does: resources
// and prompts, for an embedder that has a use for them. method is resources/list,
// resources/templates/list, resources/read, prompts/list or prompts/get; params and
// the result are objects as the protocol has them for the version that is spoken (see
// Status), a page of a list at a time.
//
// The result is the server's, without secrets, up to 8 MiB, and not to be trusted.
// Session, time, breaker and Input are those of calls; Allow, Deny, Idempotent, pins
// and Observer.Called are for tools only. An error is an *Error. It returns when ctx
// ends, whatever the server does.
func (s *Server) Request(ctx context.Context, method string, params json.RawMessage) (json.RawMessage, error) {
	s.attach()
	if len(params) == 0 {
		params = json.RawMessage("{}")
	}
	var send send
	err := errors.New("it is none of the methods known here")
	if prepare := requests[method]; prepare != nil {
		send, err = prepare(params)
	}
	if err != nil {
		return nil, s.fail(&fault{kind: KindRejected, text: "is not asked for " + strconv.Quote(short(method)), cause: err})
	}
	var out json.RawMessage
	f := s.pose(ctx, &inquiry{send: send, take: func(result json.RawMessage) (err error) {
		if t := resultType(result); t != "" && t != "complete" {
			return &fault{kind: KindRejected, text: "asks for input that nobody can give"}
		}
		out, err = s.scrub.document(result)
		return err
	}})
	if f != nil {
		return nil, s.fail(f)
	}
	return out, nil
}

// requests are what Request can ask for.
var requests = map[string]func(json.RawMessage) (send, error){
	"resources/list":           asks((*sdk.ClientSession).ListResources, nil),
	"resources/templates/list": asks((*sdk.ClientSession).ListResourceTemplates, nil),
	"resources/read": asks((*sdk.ClientSession).ReadResource, func(p *sdk.ReadResourceParams, r round) {
		p.InputResponses, p.RequestState = r.responses, r.state
	}),
	"prompts/list": asks((*sdk.ClientSession).ListPrompts, nil),
	"prompts/get": asks((*sdk.ClientSession).GetPrompt, func(p *sdk.GetPromptParams, r round) {
		p.InputResponses, p.RequestState = r.responses, r.state
	}),
}

// asks prepares a request that do makes. Where there may be rounds, again tells the
// parameters of them. What do returns is of no use: the exchange has the result.
func asks[P, R any](do func(*sdk.ClientSession, context.Context, *P) (R, error), again func(*P, round)) func(json.RawMessage) (send, error) {
	return func(params json.RawMessage) (send, error) {
		if err := json.Unmarshal(params, new(P)); err != nil {
			return nil, err
		}
		return func(ctx context.Context, cs *sdk.ClientSession, r round, _ string) error {
			p := new(P) // the SDK writes into it
			if err := json.Unmarshal(params, p); err != nil {
				return err
			}
			if again != nil {
				again(p, r)
			}
			_, err := do(cs, ctx, p)
			return err
		}, nil
	}
}
