// Package openai is the wire: what OpenAI's clients send and expect, byte for
// byte. It views requests without decoding them, splices single fields, writes
// error objects, reads and writes event streams and encodes chunks.
//
// Nothing in here dials, retries, logs or knows a configuration. Values are
// owned by the goroutine that made them unless a type says otherwise, and
// slices handed in are kept, not copied.
//
//	req, e := openai.ParseRequest(openai.Chat, body)
//	if e != nil {
//		e.WriteTo(w)
//		return
//	}
//	upstream := req.Rewrite(openai.Edit{Model: "llama-3.1-8b-instant", AskUsage: true})
package openai

// Endpoint is one of the OpenAI endpoints that name a model.
type Endpoint uint8

// The endpoints the gateway serves (contract R6).
const (
	Chat Endpoint = iota
	Completions
	Embeddings
	Responses

	endpoints
)

// Path returns the endpoint's path below a base URL that ends in /v1.
func (e Endpoint) Path() string {
	return [endpoints]string{"/chat/completions", "/completions", "/embeddings", "/responses"}[e]
}

// String returns the endpoint's short name: a metrics label.
func (e Endpoint) String() string {
	return [endpoints]string{"chat", "completions", "embeddings", "responses"}[e]
}

// EndsWithDone reports whether the endpoint's streams end with [DONE].
func (e Endpoint) EndsWithDone() bool { return e == Chat || e == Completions }

// Endpoints lists every endpoint.
func Endpoints() []Endpoint { return []Endpoint{Chat, Completions, Embeddings, Responses} }
