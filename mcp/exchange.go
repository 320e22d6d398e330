package mcp

import (
	"context"
	"encoding/json"
	"sync"
)

// exchange is one request of ours and its answer. It travels in the request's
// context to where the bytes are: the SDK's session is shared by all calls, and is
// told no more of an answer than that there is one, so that none can break it.
//
// A nil exchange is one that nobody asks about.
type exchange struct {
	token    string            // of progress notices, empty for none wanted
	progress func(text string) // set with token
	cursor   *string           // of tools/list; the SDK has no word for one that is empty
	canned   json.RawMessage   // the result that the SDK is given without asking the server
	asking   *asking           // what the server may ask for meanwhile, nil for nothing

	mu      sync.Mutex
	over    bool // nobody listens any more
	id      string
	method  string
	sent    bool
	result  json.RawMessage
	fault   *fault
	resumed int // how often the stream of the answer was picked up again
}

type exchangeKey struct{}

// with returns a context that carries x.
func (x *exchange) with(ctx context.Context) context.Context {
	return context.WithValue(ctx, exchangeKey{}, x)
}

// exchangeOf returns what a context carries, nil if nothing.
func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// begin notes the request that goes out now.
func (x *exchange) begin(id, method string) {
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.id, x.method, x.sent, x.result, x.fault, x.resumed = id, method, false, nil, nil, 0
}

// leave notes that the request may have reached the server from now on.
func (x *exchange) leave() {
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sent = true
}

// stay takes leave back: nothing has been sent after all.
func (x *exchange) stay() {
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sent = false
}

// answered keeps the result.
func (x *exchange) answered(result json.RawMessage) {
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.over && x.fault == nil {
		x.result = result
	}
}

// fail keeps the first fault.
func (x *exchange) fail(f *fault) {
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.over && x.fault == nil {
		x.fault = f
	}
}

// note passes a notice on if it is meant for this exchange.
func (x *exchange) note(token, text string) {
	if x == nil || x.token == "" || x.token != token || text == "" {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.over {
		x.progress(text)
	}
}

// resume counts another try to pick the stream up, and reports whether there are
// any left.
func (x *exchange) resume() bool {
	if x == nil {
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.resumed++
	return x.resumed <= maxResumes
}

// current returns the request under way.
func (x *exchange) current() (id, method string) {
	if x == nil {
		return "", ""
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.id, x.method
}

// end stops listening and returns what there is. Nothing is heard after it.
func (x *exchange) end() (result json.RawMessage, f *fault, sent bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over = true
	return x.result, x.fault, x.sent
}
