package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

// contract: F2
func TestKindOfStatus(t *testing.T) {
	for status, want := range map[int]Kind{
		200: KindOK, 201: KindOK, 204: KindOK, 299: KindOK,
		401: KindUnauthorized, 402: KindPayment, 403: KindForbidden, 404: KindNotFound, 429: KindRateLimited,
		400: KindRejected, 413: KindRejected, 422: KindRejected,
		408: KindRetryable, 409: KindRetryable, 425: KindRetryable, 529: KindRetryable,
		405: KindRetryable, 418: KindRetryable, 451: KindRetryable, 499: KindRetryable,
		500: KindServerError, 501: KindServerError, 502: KindServerError, 503: KindServerError, 504: KindServerError, 599: KindServerError,
		// Redirects are not followed, and nothing sensible is below 200 or above 599.
		301: KindServerError, 307: KindServerError, 304: KindServerError, 101: KindServerError, 0: KindServerError, -1: KindServerError, 999: KindServerError,
	} {
		if got := KindOfStatus(status); got != want {
			t.Errorf("%d is %v, want %v", status, got, want)
		}
	}
}

func TestKindsHaveNames(t *testing.T) {
	seen := make(map[string]Kind)
	for k := range kinds {
		name := k.String()
		if name == "" {
			t.Errorf("kind %d has no name", k)
		}
		if other, twice := seen[name]; twice {
			t.Errorf("%q names both %d and %d", name, other, k)
		}
		seen[name] = k
	}
	// Spelled out where a slip in the order of names would hurt most.
	for k, want := range map[Kind]string{KindOK: "ok", KindRateLimited: "rate_limited", KindErrorEvent: "error_event", KindBusy: "busy"} {
		if k.String() != want {
			t.Errorf("%d is %q, want %q", k, k, want)
		}
	}
}

// contract: R4
func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2025, 11, 24, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for value, want := range map[string]time.Duration{
		"":                                 0,
		"0":                                0,
		"1":                                time.Second,
		"120":                              2 * time.Minute,
		"0.25":                             250 * time.Millisecond,
		"7.66":                             7660 * time.Millisecond,
		"1e1":                              0, // digits with a fraction, no other number
		"-5":                               0,
		"-0.1":                             0,
		"NaN":                              0,
		"Inf":                              0,
		"0x10p3":                           0,
		"1.5.2":                            0,
		".":                                0,
		"-Inf":                             0,
		"86400":                            day,
		"86401":                            day,
		"1e300":                            0,
		"9223372036854775808":              day,
		"1e400":                            0, // out of range of what it is read as
		"soon":                             0,
		"10s":                              0,
		" ":                                0,
		"Mon, 24 Nov 2025 12:00:30 GMT":    30 * time.Second,
		"Monday, 24-Nov-25 12:01:00 GMT":   time.Minute,
		"Mon Nov 24 12:00:05 2025":         5 * time.Second,
		"Mon, 24 Nov 2025 11:59:59 GMT":    0,
		"Thu, 24 Nov 2033 12:00:00 GMT":    day,
		"Mon, 24 Nov 2025 12:00:30 +0100x": 0,
	} {
		if got := ParseRetryAfter(value, now); got != want {
			t.Errorf("%q is %v, want %v", value, got, want)
		}
	}
}

// ended returns a context that ended with cause, nil for one that goes on.
func ended(t *testing.T, cause error) context.Context {
	ctx, cancel := context.WithCancelCause(t.Context())
	t.Cleanup(func() { cancel(nil) })
	if cause != nil {
		cancel(cause)
	}
	return ctx
}

// contract: S6, S9, F2
func TestAsError(t *testing.T) {
	limited := &Error{Kind: KindRateLimited, Status: 429}
	left := errors.New("client left")
	reset := errors.New("connection reset by peer")
	for name, c := range map[string]struct {
		cause, err error
		kind       Kind
		is         error // what the result must wrap
	}{
		"first_timeout":               {ErrFirstTimeout, context.Canceled, KindTimeout, ErrFirstTimeout},
		"idle_timeout":                {ErrIdleTimeout, io.ErrUnexpectedEOF, KindTimeout, ErrIdleTimeout},
		"timeout":                     {ErrTotalTimeout, reset, KindTimeout, ErrTotalTimeout},
		"a wrapped timer":             {fmt.Errorf("attempt 2: %w", ErrIdleTimeout), reset, KindTimeout, ErrIdleTimeout},
		"the timer beats a status":    {ErrTotalTimeout, limited, KindTimeout, ErrTotalTimeout},
		"the client left":             {left, context.Canceled, KindCanceled, left},
		"a plain cancel":              {context.Canceled, reset, KindCanceled, context.Canceled},
		"leaving beats a status":      {left, limited, KindCanceled, left},
		"a foreign deadline":          {context.DeadlineExceeded, reset, KindCanceled, context.DeadlineExceeded},
		"a known failure":             {nil, limited, KindRateLimited, limited},
		"a wrapped known failure":     {nil, fmt.Errorf("target 1: %w", limited), KindRateLimited, limited},
		"a cut connection":            {nil, io.ErrUnexpectedEOF, KindBroken, io.ErrUnexpectedEOF},
		"a reset connection":          {nil, reset, KindBroken, reset},
		"somebody else's cancelation": {nil, context.Canceled, KindBroken, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			e := AsError(ended(t, c.cause), c.err)
			if e.Kind != c.kind || !errors.Is(e, c.is) || e.Error() == "" {
				t.Errorf("got %v: %v", e.Kind, e)
			}
			if c.err == error(limited) && c.cause == nil && e != limited {
				t.Error("a known failure is not passed on as it is")
			}
		})
	}
}

func TestAsErrorOfAnExpiredContext(t *testing.T) {
	ctx, cancel := context.WithTimeoutCause(t.Context(), 0, ErrTotalTimeout)
	defer cancel()
	<-ctx.Done()
	if e := AsError(ctx, ctx.Err()); e.Kind != KindTimeout || !errors.Is(e, ErrTotalTimeout) {
		t.Errorf("got %v: %v", e.Kind, e)
	}
}

func TestErrorText(t *testing.T) {
	cause := errors.New("dial tcp 192.0.2.1:443: refused")
	for want, e := range map[string]*Error{
		"upstream answered 429: slow down": {Kind: KindRateLimited, Status: 429, Message: "slow down", Err: cause},
		"upstream answered 500":            {Kind: KindServerError, Status: 500},
		"canceled":                         {Kind: KindCanceled, Message: "canceled", Err: cause},
		cause.Error():                      {Kind: KindDial, Err: cause},
		"busy":                             {Kind: KindBusy},
	} {
		if got := e.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
