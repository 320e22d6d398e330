package openai

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Class says whose trouble a failure is (contract F1). Metrics, logs and audits
// use the same four words.
type Class uint8

// The classes of failure.
const (
	ClassCaller   Class = iota // the request is wrong
	ClassPolicy                // the request is fine, but not allowed or too much
	ClassProvider              // an upstream failed
	ClassGateway               // we failed
)

// String returns the class's word.
func (c Class) String() string {
	return [...]string{"caller", "policy", "provider", "gateway"}[c]
}

// Error is OpenAI's error object and the status it travels under. It is a value
// of its maker: do not change one that has been handed on.
type Error struct {
	Status        int
	Class         Class
	Message, Type string

	// Param and Code are null on the wire when empty.
	Param, Code string

	// RetryAfter becomes the Retry-After header, rounded up to whole seconds.
	RetryAfter time.Duration

	// Allow becomes the Allow header of a 405.
	Allow string
}

// The error types of OpenAI's API that we use.
const (
	typeInvalid   = "invalid_request_error"
	typeRateLimit = "rate_limit_exceeded"
	typeServer    = "server_error"
)

// MaxMessage bounds an error message in bytes, whoever wrote it.
const MaxMessage = 1024

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("%d %s", e.Status, e.Message) }

// InvalidRequest is a 400 that names the field at fault, "" for the body as a
// whole.
func InvalidRequest(param, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Class: ClassCaller, Type: typeInvalid, Param: param, Message: fmt.Sprintf(format, args...)}
}

// InvalidKey is the one answer to a missing, malformed, unknown or revoked
// token (security X2).
func InvalidKey() *Error {
	return &Error{
		Status: http.StatusUnauthorized, Class: ClassPolicy, Type: typeInvalid, Code: "invalid_api_key",
		Message: "Incorrect API key provided. Send it as 'Authorization: Bearer <key>'.",
	}
}

// NotAllowed is a 403 for a model that exists but that this caller may not use;
// the code is the one OpenAI answers for a model outside of a project.
func NotAllowed(model string) *Error {
	return &Error{
		Status: http.StatusForbidden, Class: ClassPolicy, Type: typeInvalid, Param: "model", Code: "model_not_found",
		Message: fmt.Sprintf("You do not have access to the model `%s`.", model),
	}
}

// ModelNotFound is a 404 for a model that nothing answers.
func ModelNotFound(model string) *Error {
	return &Error{
		Status: http.StatusNotFound, Class: ClassCaller, Type: typeInvalid, Param: "model", Code: "model_not_found",
		Message: fmt.Sprintf("The model `%s` does not exist or you do not have access to it.", model),
	}
}

// UnknownURL is a 404 for a path the gateway does not serve.
func UnknownURL(method, path string) *Error {
	return &Error{
		Status: http.StatusNotFound, Class: ClassCaller, Type: typeInvalid, Code: "unknown_url",
		Message: fmt.Sprintf("Unknown request URL: %s %s. Check it for typos.", method, path),
	}
}

// MethodNotAllowed is a 405; allow lists the methods the path has.
func MethodNotAllowed(method, allow string) *Error {
	return &Error{
		Status: http.StatusMethodNotAllowed, Class: ClassCaller, Type: typeInvalid, Code: "method_not_allowed", Allow: allow,
		Message: fmt.Sprintf("Not allowed to %s here (allowed: %s).", method, allow),
	}
}

// RequestTimeout is a 408 for a body that did not come in time.
func RequestTimeout() *Error {
	return &Error{
		Status: http.StatusRequestTimeout, Class: ClassCaller, Type: typeInvalid, Code: "request_timeout",
		Message: "The request body did not arrive in time.",
	}
}

// TooLarge is a 413 for a body above limit bytes.
func TooLarge(limit int64) *Error {
	return &Error{
		Status: http.StatusRequestEntityTooLarge, Class: ClassCaller, Type: typeInvalid, Code: "request_too_large",
		Message: fmt.Sprintf("The request body is larger than %d bytes.", limit),
	}
}

// UnsupportedMedia is a 415.
func UnsupportedMedia(format string, args ...any) *Error {
	return &Error{
		Status: http.StatusUnsupportedMediaType, Class: ClassCaller, Type: typeInvalid, Code: "unsupported_media_type",
		Message: fmt.Sprintf(format, args...),
	}
}

// RateLimited is a 429.
func RateLimited(retry time.Duration, format string, args ...any) *Error {
	return &Error{
		Status: http.StatusTooManyRequests, Class: ClassPolicy, Type: typeRateLimit, Code: typeRateLimit,
		Message: fmt.Sprintf(format, args...), RetryAfter: max(retry, time.Second),
	}
}

// Unavailable is a 503: nothing can answer now, come back after retry.
func Unavailable(retry time.Duration, format string, args ...any) *Error {
	return &Error{
		Status: http.StatusServiceUnavailable, Class: ClassProvider, Type: typeServer, Code: "overloaded",
		Message: fmt.Sprintf(format, args...), RetryAfter: max(retry, time.Second),
	}
}

// BadGateway is a 502: upstreams were asked and failed.
func BadGateway(format string, args ...any) *Error {
	return &Error{
		Status: http.StatusBadGateway, Class: ClassProvider, Type: typeServer, Code: "upstream_error",
		Message: fmt.Sprintf(format, args...),
	}
}

// UpstreamTimeout is a 504.
func UpstreamTimeout(format string, args ...any) *Error {
	return &Error{
		Status: http.StatusGatewayTimeout, Class: ClassProvider, Type: typeServer, Code: "upstream_timeout",
		Message: fmt.Sprintf(format, args...),
	}
}

// Internal is a 500. It says nothing about its cause: that is for the log.
func Internal() *Error {
	return &Error{
		Status: http.StatusInternalServerError, Class: ClassGateway, Type: typeServer, Code: "internal_error",
		Message: "The gateway had an internal error. The x-request-id header names it in the log.",
	}
}

// AppendJSON appends {"error":{…}} with all four fields (contract R2).
func (e *Error) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"error":`...)
	dst = e.appendObject(dst)
	return append(dst, '}')
}

func (e *Error) appendObject(dst []byte) []byte {
	dst = append(dst, `{"message":`...)
	dst = AppendString(dst, Cut(e.Message, MaxMessage))
	dst = append(dst, `,"type":`...)
	dst = AppendString(dst, e.Type)
	dst = append(dst, `,"param":`...)
	dst = appendNullable(dst, e.Param)
	dst = append(dst, `,"code":`...)
	dst = appendNullable(dst, e.Code)
	return append(dst, '}')
}

// AppendEvent appends the error as the event that ends a broken stream
// (contract S4).
func (e *Error) AppendEvent(dst []byte) []byte {
	dst = append(dst, "event: error\ndata: "...)
	dst = e.AppendJSON(dst)
	return append(dst, "\n\n"...)
}

// WriteTo answers a request with e. Nothing may have been written before.
func (e *Error) WriteTo(w http.ResponseWriter) {
	body := e.AppendJSON(nil)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10))
	}
	if e.Allow != "" {
		h.Set("Allow", e.Allow)
	}
	if e.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(e.Status)
	_, _ = w.Write(body)
}

// Cut makes s valid UTF-8 and shortens it to at most limit bytes without
// splitting a rune.
func Cut(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\uFFFD") // first: it can make s longer
	if len(s) <= limit {
		return s
	}
	ellipsis := "…"
	if limit < len(ellipsis) {
		ellipsis = ""
	}
	n := limit - len(ellipsis)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + ellipsis
}
