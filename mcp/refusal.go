package mcp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// refusal says what an answer with another status than 2xx means.
func (t *isolate) refusal(resp *http.Response, session bool) *fault {
	code := resp.StatusCode
	f := &fault{kind: KindRefused, status: code, text: fmt.Sprintf("answered %d %s", code, http.StatusText(code))}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	rpc := rpcErrorIn(body)
	switch {
	case code >= 500:
		f.kind = KindServer
	case code == http.StatusTooManyRequests:
		f.kind = KindLimited
	case code/100 == 3:
		f.text += ": redirects are not followed"
	case code/100 == 1:
		f.kind = KindProtocol
	case code == http.StatusNotFound:
		f.lost = session || t.modern.Load() && rpc == nil
	case code == http.StatusBadRequest:
		// 404 is what the specification says, and some answer 400.
		said := strings.ToLower(string(body))
		f.lost = session && strings.Contains(said, "session") || strings.Contains(said, "not initialized")
	}
	if rpc == nil {
		return f
	}
	f.code = rpc.Code
	if f.kind == KindRefused && !f.lost && (code == http.StatusBadRequest || code == http.StatusNotFound || code == http.StatusOK) {
		f.kind, f.text = KindRejected, t.scrub.line(rpc.Message, maxSaid)
	}
	if rpc.Code == codeUnsupported {
		f.cause = rpc
	}
	return f
}

// Error implements error.
func (e *rpcError) Error() string { return e.Message }

// rpcErrorIn returns the JSON-RPC error in the body of an answer that is none.
func rpcErrorIn(body []byte) *rpcError {
	var m message
	_ = json.Unmarshal(body, &m) // most are not JSON at all
	return m.Error
}

// unsupported returns the error with which the server names the versions it speaks,
// nil if f is none.
func (f *fault) unsupported() *rpcError {
	var rpc *rpcError
	if errors.As(f.cause, &rpc) && rpc.Code == codeUnsupported {
		return rpc
	}
	return nil
}
