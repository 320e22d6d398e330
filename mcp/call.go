package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/universal-ai-gateway/magicproxy/glob"
)

// Call calls a tool. An error is an *Error. It returns when ctx ends, whatever the
// server does.
func (s *Server) Call(ctx context.Context, c Call) (*Result, error) {
	s.attach()
	start := time.Now()
	res, f := s.call(ctx, c)
	name := c.Tool
	if s.state.entry(name) == nil {
		name = "" // a made-up name is no label
	}
	switch {
	case f != nil:
		s.o.Observer.Called(s.o.Name, name, f.kind.String(), time.Since(start))
		return nil, s.fail(f)
	case res.Failed:
		s.o.Observer.Called(s.o.Name, name, "failed", time.Since(start))
	default:
		s.o.Observer.Called(s.o.Name, name, "ok", time.Since(start))
	}
	return res, nil
}

func (s *Server) call(ctx context.Context, c Call) (res *Result, f *fault) {
	if f := s.mayCall(&c); f != nil {
		return nil, f
	}
	f = s.pose(ctx, &inquiry{
		tool:     c.Tool,
		progress: c.Progress,
		send: func(ctx context.Context, cs *sdk.ClientSession, r round, token string) error {
			p := &sdk.CallToolParams{Name: c.Tool, Arguments: c.Arguments, InputResponses: r.responses, RequestState: r.state}
			if token != "" {
				p.SetProgressToken(token)
			}
			_, err := cs.CallTool(ctx, p)
			return err
		},
		take: func(result json.RawMessage) (err error) {
			res, err = decodeResult(result, c.Limit, s.scrub)
			return err
		},
	})
	return res, f
}

// settle tells the breaker how a call has ended. A JSON-RPC error is as good a sign
// of life as a result.
func (s *Server) settle(p Permit, f *fault) {
	switch b := &s.state.breaker; {
	case f == nil || f.kind == KindRejected || f.kind == KindUnknown:
		b.Succeed(p, now())
	case f.kind.Blames():
		b.Fail(p, now(), f.kind)
	default:
		b.Release(p, now())
	}
}

// mayCall checks what can be without the server.
func (s *Server) mayCall(c *Call) *fault {
	args := bytes.TrimSpace(c.Arguments)
	switch {
	case len(args) == 0:
		c.Arguments = json.RawMessage("{}")
	case args[0] != '{' || !json.Valid(args):
		return &fault{kind: KindRejected, text: "the arguments are not a JSON object"}
	}
	if !s.allowed(c.Tool) {
		return &fault{kind: KindUnknown, text: "the tool " + strconv.Quote(short(c.Tool)) + " is not allowed here"}
	}
	if s.state.list.Load() == nil {
		if s.o.Pin == PinOn {
			return &fault{kind: KindPinned, text: "its tools have not been listed yet"}
		}
		return nil
	}
	e := s.state.entry(c.Tool)
	switch {
	case e == nil:
		s.state.refresh(s, false)
		return &fault{kind: KindUnknown, text: "has no tool " + strconv.Quote(short(c.Tool))}
	case e.refused != "":
		return &fault{kind: KindUnknown, text: "the tool " + strconv.Quote(short(c.Tool)) + " is refused: " + e.refused}
	case e.changed && s.o.Pin == PinOn:
		return &fault{kind: KindPinned, text: "the definition of " + strconv.Quote(short(c.Tool)) + " has changed, and nobody has approved it"}
	}
	return nil
}

// short cuts a name that may be anything.
func short(name string) string {
	if len(name) > 64 {
		return name[:runeStart(name, 61)] + "…"
	}
	return name
}

// allowed reports whether the configuration lets a tool be called.
func (s *Server) allowed(tool string) bool {
	return glob.Any(s.o.Allow, tool) && (len(s.o.Deny) == 0 || !glob.Any(s.o.Deny, tool))
}

// again reports whether a call may be repeated (contract M3): the server has done
// nothing yet and a new session may help, or doing it twice does no harm.
func (s *Server) again(ctx context.Context, f *fault, tool string) bool {
	switch {
	case ctx.Err() != nil:
		return false
	case f.lost:
		return true
	case f.unsent:
		return f.kind == KindProtocol // the session has ended before
	}
	return len(s.o.Idempotent) > 0 && glob.Any(s.o.Idempotent, tool) && slices.Contains([]Kind{KindServer, KindProtocol}, f.kind)
}

// blame says whose fault it is that a call has ended early.
func blame(ctx context.Context, f *fault) *fault {
	switch {
	case ctx.Err() == nil:
	case left(ctx):
		return &fault{kind: KindCanceled, text: "the call was given up", cause: context.Cause(ctx)}
	case f.kind != KindDial:
		return &fault{kind: KindTimeout, text: "did not answer in time", cause: f.cause}
	}
	return f
}

// callFault is the fault of a call that the SDK alone knows about.
func (s *Server) callFault(ctx context.Context, err error, sent bool) *fault {
	var f *fault
	var rpc *jsonrpc.Error
	switch {
	case errors.As(err, &f):
		return f
	case err == nil:
		return garbage("answered without an answer")
	case ctx.Err() != nil:
		return &fault{kind: KindTimeout, text: "did not answer in time", cause: err}
	case errors.Is(err, sdk.ErrConnectionClosed):
		return &fault{kind: KindProtocol, text: "ended the connection", unsent: !sent, cause: err}
	case errors.As(err, &rpc):
		return s.scrub.rejection(&rpcError{Code: rpc.Code, Message: rpc.Message}, methodCall)
	}
	return &fault{kind: KindProtocol, text: "ended the connection", unsent: !sent, cause: err}
}

// unknownTool reports whether a JSON-RPC error says that there is no such tool.
// Servers agree on neither the code nor the words.
func unknownTool(code int64, text string) bool {
	if code != jsonrpc.CodeInvalidParams && code != jsonrpc.CodeMethodNotFound {
		return false
	}
	text = strings.ToLower(text)
	return strings.Contains(text, "unknown tool") || strings.Contains(text, "tool") && strings.Contains(text, "not found")
}
