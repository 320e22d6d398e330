package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind says how an attempt ended. The set is closed: it labels metrics and
// decides what a failure marks (contract F2).
type Kind uint8

// The kinds of F2, grouped by what they hit.
const (
	KindOK Kind = iota

	// The key.
	KindRateLimited  // 429
	KindUnauthorized // 401
	KindPayment      // 402

	// This key for this model.
	KindForbidden // 403
	KindNotFound  // 404

	// The target: provider, base URL and model.
	KindDial        // no connection
	KindTimeout     // one of the three timers of S6
	KindServerError // 5xx, or a redirect nobody should follow
	KindErrorEvent  // an error as the first event of a 200
	KindBroken      // truncated, garbage, too large

	// The caller: nothing is marked and nothing else is tried.
	KindRejected // 400, 413, 422

	// Worth another try elsewhere; nothing is marked.
	KindRetryable // 408, 409, 425, 529 and statuses nobody expects

	// The client left. Nothing is marked.
	KindCanceled

	// We refused: too many at once. Nothing is marked.
	KindBusy

	kinds
)

var kindNames = [kinds]string{
	"ok", "rate_limited", "unauthorized", "payment_required", "forbidden", "not_found", "dial", "timeout",
	"server_error", "error_event", "broken", "rejected", "retryable", "canceled", "busy",
}

// Blame says what a failure is held against (contract F2).
type Blame uint8

// What a failure can be held against.
const (
	BlameNothing Blame = iota
	BlameKey
	BlamePair // this key for this model
	BlameTarget
)

// Blame returns what failures of the kind are held against.
func (k Kind) Blame() Blame {
	switch k {
	case KindRateLimited, KindUnauthorized, KindPayment:
		return BlameKey
	case KindForbidden, KindNotFound:
		return BlamePair
	case KindDial, KindTimeout, KindServerError, KindErrorEvent, KindBroken:
		return BlameTarget
	}
	return BlameNothing
}

// String returns the kind as metrics and logs spell it.
func (k Kind) String() string { return kindNames[k] }

// ParseKind returns the kind of a name that String has given.
func ParseKind(name string) (Kind, bool) {
	i := slices.Index(kindNames[:], name)
	return Kind(max(i, 0)), i >= 0 //nolint:gosec // an index
}

// Error is a failed attempt.
type Error struct {
	Kind Kind

	// Status is the upstream's, 0 when there was none.
	Status int

	// RetryAfter is what the upstream asked for, 0 when it named nothing.
	RetryAfter time.Duration

	// Message is the upstream's own text, scrubbed of secrets and cut, or ours.
	Message string

	// Param and Code are the upstream's, for errors the caller should see.
	Param, Code string

	// ToolUse says that the model's own tool call is what failed (contract A9);
	// Generation is what the model wrote, if the upstream tells. It is a model's
	// output: not for logs.
	ToolUse    bool
	Generation string

	// Err is the cause of a transport failure. Its text may name the upstream's
	// address, never a secret.
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	switch {
	case e.Status != 0 && e.Message != "":
		return fmt.Sprintf("upstream answered %d: %s", e.Status, e.Message)
	case e.Status != 0:
		return fmt.Sprintf("upstream answered %d", e.Status)
	case e.Message != "":
		return e.Message
	case e.Err != nil:
		return e.Err.Error()
	}
	return e.Kind.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// The causes with which an attempt's context ends; they tell our timers apart
// from a client that left.
var (
	ErrFirstTimeout = errors.New("no content within first_timeout")
	ErrIdleTimeout  = errors.New("nothing received within idle_timeout")
	ErrTotalTimeout = errors.New("not finished within timeout")
)

// AsError reads err as a failed attempt. ctx is the attempt's: when it has
// ended, its cause decides, because every error then is only an echo of it.
func AsError(ctx context.Context, err error) *Error {
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, ErrFirstTimeout) || errors.Is(cause, ErrIdleTimeout) || errors.Is(cause, ErrTotalTimeout) {
			return &Error{Kind: KindTimeout, Message: cause.Error(), Err: cause}
		}
		return &Error{Kind: KindCanceled, Message: "canceled", Err: cause}
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Kind: KindBroken, Message: "upstream answer was cut off", Err: err}
}

// StatusOverloaded is what Anthropic and others answer for a 503; no RFC names it.
const StatusOverloaded = 529

// KindOfStatus maps a status to what it hits (F2).
func KindOfStatus(status int) Kind {
	switch status {
	case http.StatusUnauthorized:
		return KindUnauthorized
	case http.StatusPaymentRequired:
		return KindPayment
	case http.StatusForbidden:
		return KindForbidden
	case http.StatusNotFound:
		return KindNotFound
	case http.StatusTooManyRequests:
		return KindRateLimited
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return KindRejected
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly, StatusOverloaded:
		return KindRetryable
	}
	switch {
	case status >= 200 && status < 300:
		return KindOK
	case status >= 400 && status < 500:
		return KindRetryable
	}
	return KindServerError
}

// maxRetryAfter bounds what an upstream can ask for; a day is longer than any
// quota window we know of.
const maxRetryAfter = 24 * time.Hour

// ParseRetryAfter reads a Retry-After header: delta seconds (also fractional,
// as some providers send them) or an HTTP date. 0 means absent or useless.
func ParseRetryAfter(v string, now time.Time) time.Duration {
	if v == "" {
		return 0
	}
	var d time.Duration
	if strings.Trim(v, "0123456789.") == "" { // nothing else of what ParseFloat takes
		s, err := strconv.ParseFloat(v, 64)
		if err != nil {
			return 0
		}
		d = time.Duration(min(s, maxRetryAfter.Seconds()) * float64(time.Second))
	} else if t, err := http.ParseTime(v); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}
