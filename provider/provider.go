// Package provider holds what can answer a completion: the contract every
// upstream protocol fulfils, and the one reading of how an attempt failed.
//
// A provider makes exactly one attempt per call. It neither retries nor picks
// keys nor keeps state about failures: package rotation does that, the same way
// for every protocol. An in-process provider hands out the same bytes that an
// HTTP upstream would send, so that one path reads both.
//
//	p, err := openaihttp.New(openaihttp.Options{BaseURL: u, Transport: http.DefaultTransport})
//	res, err := p.Do(ctx, &provider.Call{Request: req, Model: "gpt-4o-mini", Secret: key})
package provider

import (
	"context"
	"io"
	"net/http"

	"github.com/universal-ai-gateway/magicproxy/openai"
)

// A Provider answers one kind of upstream. Implementations are safe for
// concurrent use.
type Provider interface {
	// Do sends one attempt and returns when the response header is there. A
	// non-2xx status is a Response, not an error. The error is an *Error where
	// the kind of the failure is known, anything else counts as KindBroken.
	// Cancelling ctx ends the attempt at any time, also while the body is read.
	Do(ctx context.Context, c *Call) (*Response, error)
}

// A Call is one attempt's input. A provider must not change it.
type Call struct {
	// Request is the client's, shared by all attempts.
	Request *openai.Request

	// Model is the upstream's id of the model.
	Model string

	// AskUsage says that the gateway wants the usage of a stream although the
	// client may not have asked (contract S2).
	AskUsage bool

	// Secret is the API key, empty for none. It goes into the request's
	// authorization and nowhere else.
	Secret string
}

// A Response is an upstream's answer whose body has not been read. The caller
// closes the body, which also cancels what is still to come.
type Response struct {
	Status int
	Header http.Header

	// Body carries server-sent events when the status is 2xx and the request
	// asked for a stream, one JSON document otherwise.
	Body io.ReadCloser
}
