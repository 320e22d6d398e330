package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// inquiry is a request of ours with a result that is ours to read: a call of a tool,
// or what Request asks for.
type inquiry struct {
	tool     string // that is called, else empty
	progress func(string)
	asking   *asking

	// send makes the request once, with a token for progress if that is wanted.
	send send

	// take reads the result. What it returns is held against the server, unless it is
	// a fault of another kind.
	take func(result json.RawMessage) error
}

// send has the SDK make a request.
type send func(ctx context.Context, cs *sdk.ClientSession, r round, token string) error

// round is what goes along when a request is made again with what the server wanted.
type round struct {
	responses sdk.InputResponseMap
	state     string // the server's own, as it was
}

// wants is what a server of the newer era answers in the place of a result.
type wants struct {
	Type     string `json:"resultType"`
	Requests map[string]struct {
		Method string          `json:"method"`
		Params json.RawMessage `json:"params"`
	} `json:"inputRequests"`
	State string `json:"requestState"`
}

// inputRequired is the type of such a result.
const inputRequired = "input_required"

// pose puts an inquiry to the server, unless the breaker is open.
func (s *Server) pose(ctx context.Context, q *inquiry) *fault {
	permit, ok := s.state.breaker.Allow(now())
	if !ok {
		return &fault{kind: KindOpen, text: "is left alone after failures; try again later, or do without"}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.o.Timeout, errTimeout)
	defer cancel()
	q.asking = s.asking(ctx, q.tool)
	f := s.rounds(ctx, q)
	if f != nil && f.kind == KindTimeout && q.asking.waited() {
		f = unheard()
	}
	s.settle(permit, f)
	if f != nil && (f.kind == KindUnknown || f.code == sdk.CodeHeaderMismatch) { // what we know of its tools is old
		s.state.refresh(s, false)
	}
	return f
}

// unheard is the fault of a call whose time has gone into an answer of Input's.
func unheard() *fault {
	return &fault{kind: KindCanceled, text: "did not get the input it asked for in time"}
}

// rounds asks until there is a result: a server of the newer era may want something
// first, and gets it with the same request made anew (contract M3 holds for each).
func (s *Server) rounds(ctx context.Context, q *inquiry) *fault {
	var r round
	for n := 1; ; n++ {
		result, f := s.attempt(ctx, q, r)
		if f != nil && s.again(ctx, f, q.tool) {
			result, f = s.attempt(ctx, q, r)
		}
		if f != nil || result == nil {
			return f
		}
		var w wants
		if err := json.Unmarshal(result, &w); err != nil {
			return unreadable(err)
		}
		if n < maxRounds {
			var ok bool
			if r, ok = q.asking.fulfil(&w); ok {
				continue
			}
			if ctx.Err() != nil {
				return blame(ctx, unheard())
			}
		}
		return taken(q.take(result))
	}
}

// fulfil answers what a server wants, all of it or nothing: Input hears of no question
// whose answer would be in vain.
func (a *asking) fulfil(w *wants) (r round, ok bool) {
	if len(w.Requests) == 0 && w.State == "" || len(w.Requests) > maxQuestions {
		return round{}, false
	}
	r = round{responses: make(sdk.InputResponseMap, len(w.Requests)), state: w.State}
	var questions []string
	for id, req := range w.Requests {
		switch {
		case req.Method == methodElicit && a.answers():
			questions = append(questions, id)
		case req.Method == methodRoots && len(a.roots) > 0:
			r.responses[id] = rootsResult(a.roots)
		default:
			return round{}, false
		}
	}
	slices.Sort(questions)
	for _, id := range questions {
		res, err := elicit([]*asking{a}, w.Requests[id].Params)
		if err != nil || a.ctx.Err() != nil {
			return round{}, false
		}
		r.responses[id] = res
	}
	return r, true
}

// attempt is one try of one round. A result that it returns is one in which the
// server wants something that we may have; all others have been taken.
func (s *Server) attempt(ctx context.Context, q *inquiry, r round) (json.RawMessage, *fault) {
	ss, f := s.acquire(ctx)
	if f != nil {
		return nil, blame(ctx, f)
	}
	defer s.release(ss)
	ended := ss.iso.calls.add(q.asking)
	defer ended()
	x := &exchange{asking: q.asking}
	if q.progress != nil {
		x.token, x.progress = "p"+strconv.FormatUint(s.tokens.Add(1), 10), q.progress
	}
	// It always ends with the call: what is left of the answer is not waited for.
	cctx, cancel := context.WithCancel(x.with(ctx))
	err := q.send(cctx, ss.cs, r, x.token)
	result, f, sent := x.end()
	cancel()
	switch {
	case f == nil && result == nil:
		f = s.callFault(ctx, err, sent)
	case f != nil && !sent && !f.unsent:
		g := *f
		g.unsent = true
		f = &g
	}
	if f != nil {
		if f.lost || f.unsent && f.kind == KindProtocol || errors.Is(err, sdk.ErrConnectionClosed) {
			s.drop(ss)
		}
		return nil, blame(ctx, f)
	}
	if q.asking != nil && resultType(result) == inputRequired {
		return result, nil
	}
	return nil, taken(q.take(result))
}

// resultType returns the type of a result, empty for the one of all results once.
func resultType(result json.RawMessage) string {
	var r struct {
		Type string `json:"resultType"`
	}
	_ = json.Unmarshal(result, &r) // whoever takes it says so
	return r.Type
}

// taken is the fault of a result that could not be taken.
func taken(err error) *fault {
	var f *fault
	if err == nil || errors.As(err, &f) {
		return f
	}
	return unreadable(err)
}

func unreadable(err error) *fault {
	return &fault{kind: KindProtocol, text: "answered with a result that can't be read", cause: err}
}
