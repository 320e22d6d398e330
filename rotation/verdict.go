package rotation

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
)

// Error is a call that came to nothing.
type Error struct {
	// Cause is the failure that decided, nil when nothing could be tried.
	Cause *provider.Error

	// Resting says what the targets are waiting for when nothing could be tried,
	// for the log.
	Resting string

	// API is what the client is told, nil when the client has left.
	API *openai.Error
}

// Error implements error.
func (e *Error) Error() string {
	switch {
	case e.Cause != nil:
		return e.Cause.Error()
	case e.API != nil:
		return e.API.Message
	}
	return "canceled"
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error {
	if e.Cause == nil {
		return nil
	}
	return e.Cause
}

// Canceled reports whether the call ended because the client left.
func (e *Error) Canceled() bool { return e.API == nil }

// causes counts the kinds of the failures behind a verdict: of the attempts, or
// of what the targets wait for when there was none.
type causes struct{ all, limited, missing, timeouts int }

func (c *causes) add(k provider.Kind) {
	c.all++
	switch k {
	case provider.KindRateLimited:
		c.limited++
	case provider.KindNotFound:
		c.missing++
	case provider.KindTimeout:
		c.timeouts++
	}
}

// only reports whether there are failures, and n is the number of them all.
func (c *causes) only(n int) bool { return c.all > 0 && n == c.all }

// verdict is the end of a call that nothing answered (contracts F4, R4).
func (r *run) verdict(plan []*Target) error {
	if r.ctx.Err() != nil {
		return r.canceled()
	}
	now := time.Now().UnixNano()
	retry, waiting := r.retryAfter(plan, now)
	e := &Error{Cause: r.last}
	tried, why := r.causes.all > 0, r.causes
	if !tried {
		e.Resting = resting(plan, now)
		why = waiting
	}
	name := r.Route.Chain.Name
	switch {
	case !tried && len(r.full) > 0:
		e.API = openai.Unavailable(time.Second, "Too many requests at once for the model `%s`. Try again shortly.", name)
		e.API.Class = openai.ClassPolicy
	case why.only(why.limited):
		e.API = openai.RateLimited(retry, "The upstreams of the model `%s` are rate limited.", name)
		e.API.Class = openai.ClassProvider
	case r.Route.Chain.Direct && why.only(why.missing):
		e.API = openai.ModelNotFound(name)
	case !tried:
		e.API = openai.Unavailable(retry, "No upstream of the model `%s` can answer now.", name)
	case why.only(why.timeouts):
		e.API = openai.UpstreamTimeout("The upstream of the model `%s` did not answer in time.", name)
	default:
		e.API = r.failed502(retry)
	}
	return e
}

// failed502 reads the last failure. What an upstream says of our keys stays with
// us (contract R4).
func (r *run) failed502(retry time.Duration) *openai.Error {
	name, last := r.Route.Chain.Name, r.last
	switch last.Kind {
	case provider.KindUnauthorized, provider.KindPayment, provider.KindForbidden:
		return openai.BadGateway("An upstream of the model `%s` refused the gateway's credentials.", name)
	case provider.KindNotFound:
		return openai.BadGateway("An upstream of the model `%s` does not know it.", name)
	case provider.KindRateLimited:
		return openai.Unavailable(retry, "No upstream of the model `%s` can answer now.", name)
	case provider.KindTimeout:
		return openai.UpstreamTimeout("The upstream of the model `%s` did not answer in time.", name)
	}
	switch last.Status {
	case http.StatusServiceUnavailable, http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly, provider.StatusOverloaded:
		return openai.Unavailable(max(last.RetryAfter, time.Second), "The upstream of the model `%s` is overloaded.%s", name, said(last))
	}
	return openai.BadGateway("The upstream of the model `%s` failed.%s", name, said(last))
}

// said quotes an upstream, or says what we saw of it.
func said(e *provider.Error) string {
	switch {
	case e.Kind == provider.KindDial, e.Kind == provider.KindBroken:
		return " The reason: " + e.Message + "."
	case e.Message == "":
		return ""
	}
	return " It says: " + e.Message
}

// rejected passes on an upstream's own refusal of the request.
func rejected(e *provider.Error) *openai.Error {
	api := openai.InvalidRequest(e.Param, "%s", e.Message)
	api.Code = e.Code
	if e.Status >= http.StatusBadRequest { // else it was an event of a stream
		api.Status = e.Status
	}
	if e.Message == "" {
		api.Message = "The upstream refused the request without saying why."
	}
	return api
}

// resting describes what a plan's targets are waiting for.
func resting(plan []*Target, now int64) string {
	var b strings.Builder
	for i, t := range plan {
		at, cause := t.due()
		if cause == provider.KindOK || slices.Contains(plan[:i], t) {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s: %s, due in %s", openai.Cut(t.String(), 128), cause, max(0, time.Duration(at-now)).Round(time.Second))
	}
	return openai.Cut(b.String(), openai.MaxMessage)
}

// retryAfter returns how long until the first of the plan's targets is due, and
// what the targets are waiting for.
func (r *run) retryAfter(plan []*Target, now int64) (time.Duration, causes) {
	var soonest int64
	var waiting causes
	for i, t := range plan {
		at, cause := t.due()
		waiting.add(cause)
		if i == 0 || at < soonest {
			soonest = at
		}
	}
	d := time.Duration(soonest - now)
	if d <= 0 && r.last != nil {
		d = r.last.RetryAfter // nothing cools where quarantine is off
	}
	return max(d, time.Second), waiting
}

// due returns when the target can serve again with any of its keys, and why not
// before.
func (t *Target) due() (at int64, cause provider.Kind) {
	for i := range t.Provider.Keys {
		kat, _, kcause := t.Provider.Keys[i].state.due(t.Model)
		if i == 0 || kat < at {
			at, cause = kat, kcause
		}
	}
	if tat, _, tcause := t.state.due(); tat > at {
		return tat, tcause
	}
	return at, cause
}

// Broken is the error of a stream that broke off after its first content: what
// the client is told in the event that ends it (contract S4).
func Broken(err *provider.Error) *openai.Error {
	if err.Kind == provider.KindTimeout {
		return openai.UpstreamTimeout("The upstream stopped sending: %s.", err.Message)
	}
	e := openai.BadGateway("The upstream's answer broke off.")
	if err.Kind == provider.KindErrorEvent || err.Kind == provider.KindRejected {
		e.Message = "The upstream ended its answer with an error." + said(err)
	}
	return e
}
