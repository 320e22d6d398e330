// Package mock answers like an OpenAI-compatible upstream without leaving the
// process.
//
// A Provider hands out the very bytes an HTTP upstream would send, at the pace
// and with the failures its Options ask for. The same request to the same model
// gets the same bytes, apart from the creation time. Nothing runs in the
// background: an answer is encoded while its body is read, each token when it
// is due and not before. Tokens are due at absolute times, so a slow reader or a
// coarse timer does not make the whole answer late.
//
// What it says is readable and means nothing, except that it calls the first
// tool it is offered, once, with arguments that fit the tool's schema, and that
// it obeys response_format, n, max_tokens and reasoning_effort. It calls
// functions, or writes tags when a system message speaks of <FINAL_ANSWER>: its
// tools, and the phases it has to write, then come from the context block of the
// last user message that has one.
//
//	p := mock.New(mock.Options{TokenDelay: 10 * time.Millisecond})
//	res, err := p.Do(ctx, &provider.Call{Request: req, Model: "any"})
package mock

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
)

// Options are the mock's behaviour; the zero value answers at once with 8
// tokens. Fail goes before ErrorFirst, and both before the others.
type Options struct {
	// TokenDelay is the time between tokens: the k-th is due k delays after the
	// call. An answer without stream comes as a whole when its last token is due;
	// embeddings count as one token.
	TokenDelay time.Duration

	// Tokens is the length of an answer, 8 if it is 0. Reasoning, when a request
	// asks for it, comes on top with half of that.
	Tokens int

	// Answer is a fixed text instead of generated words; each of its words is one
	// token then.
	Answer string

	// Fail is the status to answer with instead, 0 for none.
	Fail int

	// RetryAfter goes with Fail as a header in whole seconds, 0 for none.
	RetryAfter time.Duration

	// ErrorFirst makes a 200 whose first event is an error; without stream, whose
	// body is an error object.
	ErrorFirst bool

	// Cut ends the connection abruptly after so many tokens, 0 for never. A
	// shorter answer is cut before its end; without stream the JSON is cut.
	Cut int

	// Stall is a silence after StallAfter tokens, or before the end of a shorter
	// answer.
	StallAfter int
	Stall      time.Duration
}

const defaultTokens = 8

// Provider is the mock. It is immutable and safe for concurrent use.
type Provider struct {
	o      Options
	pieces []string // of Answer
	now    func() time.Time
}

// New returns a provider that behaves as o says.
func New(o Options) *Provider {
	if o.Tokens <= 0 {
		o.Tokens = defaultTokens
	}
	return &Provider{o: o, pieces: words(o.Answer), now: time.Now}
}

// Do implements provider.Provider. Without stream it returns when the whole
// answer is due, as a model's header comes with its answer.
func (p *Provider) Do(ctx context.Context, c *provider.Call) (*provider.Response, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	r := c.Request
	switch {
	case p.o.Fail != 0:
		return p.fail(ctx), nil
	case p.o.ErrorFirst:
		return p.errorFirst(ctx, r), nil
	case r.Endpoint == openai.Embeddings:
		return p.embed(ctx, c)
	}
	a, refusal := p.answer(c)
	if refusal != nil {
		return refuse(ctx, refusal), nil
	}
	var s speaker
	switch r.Endpoint {
	case openai.Chat:
		s = newChat(a)
	case openai.Completions:
		s = &completion{a}
	case openai.Responses:
		s = newResponse(a, r)
	}
	pace := p.pace(a.tokens)
	if r.Stream {
		return &provider.Response{Status: http.StatusOK, Header: eventStream(), Body: newStream(ctx, s, pace)}, nil
	}
	if err := waitUntil(ctx, pace.due(pace.last())); err != nil {
		return nil, err
	}
	body := s.document(nil)
	rest := body
	if pace.cuts {
		// Where the token would be if the document had nothing else in it.
		rest = body[:len(body)*pace.cut/(a.tokens+1)]
	}
	d := &document{ctx: ctx, rest: rest, end: pace.end()}
	return &provider.Response{Status: http.StatusOK, Header: jsonHeader(len(body)), Body: d}, nil
}

func (p *Provider) pace(tokens int) pace {
	return pace{
		start: time.Now(), delay: p.o.TokenDelay, tokens: tokens,
		cuts: p.o.Cut > 0, cut: min(p.o.Cut, tokens), stall: p.o.Stall, stallAfter: min(max(p.o.StallAfter, 0), tokens),
	}
}

func eventStream() http.Header { return http.Header{"Content-Type": {"text/event-stream"}} }

func jsonHeader(length int) http.Header {
	return http.Header{"Content-Type": {"application/json"}, "Content-Length": {strconv.Itoa(length)}}
}

// Interface guards
var _ provider.Provider = (*Provider)(nil)
