package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/rotation"
	"github.com/universal-ai-gateway/magicproxy/state"
)

// RateLimit lets a number of requests through per window, smoothly: a burst of that
// many, and then one every window/number.
type RateLimit struct {
	// N requests in Window.
	N      int            `json:"n"`
	Window caddy.Duration `json:"window"`

	// By says whom it counts: user (default; anonymous callers count by their
	// addresses) or ip.
	By string `json:"by,omitempty"`
}

const (
	byUser = "user"
	byIP   = "ip"

	maxWindow = 366 * 24 * time.Hour
)

func (l RateLimit) check() error {
	switch {
	case l.N < 1:
		return errors.New("the number of requests must be above zero")
	case l.Window <= 0 || time.Duration(l.Window) > maxWindow:
		return errors.New("the window must be above zero, and at most 366 days")
	}
	return checkChoice("by", l.By, []string{byUser, byIP})
}

// limits appends the rate limits that a request falls under: those by the caller
// first, then those by its address.
func (x *exchange) limits(dst []state.Limit) []state.Limit {
	own := x.overrides().Limits
	whom := ""
	for _, l := range own {
		if whom == "" {
			whom = x.whom()
		}
		dst = append(dst, limitOf(whom, l.N, l.Window))
	}
	for i := range x.h.RateLimits {
		l := &x.h.RateLimits[i]
		if l.By == byIP || own != nil {
			continue
		}
		if whom == "" {
			whom = x.whom()
		}
		dst = append(dst, limitOf(whom, l.N, time.Duration(l.Window)))
	}
	for i := range x.h.RateLimits {
		if l := &x.h.RateLimits[i]; l.By == byIP {
			dst = append(dst, limitOf("ip:"+x.address(), l.N, time.Duration(l.Window)))
		}
	}
	return dst
}

func limitOf(whom string, n int, window time.Duration) state.Limit {
	return state.Limit{Key: whom + "|" + strconv.Itoa(n) + "/" + strconv.FormatInt(int64(window), 36), N: n, Window: window}
}

// whom names the caller to limits.
func (x *exchange) whom() string {
	if x.user == "" {
		return "ip:" + x.address()
	}
	return "user:" + x.user
}

// address is the client's, as Caddy's trusted_proxies make it out; of IPv6 the
// network, for one client has all of it.
func (x *exchange) address() string {
	text, _ := caddyhttp.GetVar(x.r.Context(), caddyhttp.ClientIPVarKey).(string)
	if text == "" {
		text = x.r.RemoteAddr
		if ap, err := netip.ParseAddrPort(text); err == nil {
			text = ap.Addr().String()
		}
	}
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return openai.Cut(text, 64)
	}
	if ip = ip.Unmap().WithZone(""); ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}

// admit settles what the request needs of the store: room under its limits, the
// chain's next start, and an answer that may be there already. false: it has been
// refused.
func (x *exchange) admit(chain *rotation.Chain, cacheKey string) (state.Admitted, bool) {
	var room [4]state.Limit
	a := state.Admission{Limits: x.limits(room[:0]), Cache: cacheKey}
	if chain != nil && chain.Rotates() {
		a.Chain = chain.Name
	}
	if len(a.Limits) == 0 && a.Chain == "" && a.Cache == "" {
		return state.Admitted{}, true
	}
	ctx := x.r.Context()
	if ctx.Err() != nil { // what was begun counts all the same
		ctx = context.WithoutCancel(ctx)
	}
	got := x.h.app.store.Admit(ctx, a)
	if x.left { // it is counted, and nobody is there to be told
		return got, false
	}
	x.showLimit(&got)
	switch {
	case got.Refused:
		x.refuseLimit("rate_limit", openai.RateLimited(got.Retry, "Rate limit reached: %d requests per %s. Try again in %s.", got.Limit.N, got.Limit.Window, rounded(got.Retry)))
		return got, false
	case got.Closed:
		x.refuseClosed()
		return got, false
	}
	return got, true
}

// admitted counts a request that needs nothing of the store but room under its limits.
// false: it has been refused.
func (x *exchange) admitted() bool {
	_, ok := x.admit(nil, "")
	return ok
}

// refuseLimit answers whoever a limit of ours holds back; reason is the metric's.
func (x *exchange) refuseLimit(reason string, e *openai.Error) {
	metrics.refusals.WithLabelValues(reason).Inc()
	e.Class = openai.ClassPolicy
	x.fail(e)
}

// refuseClosed answers where limits cannot be counted and are not to be passed uncounted.
func (x *exchange) refuseClosed() {
	metrics.refusals.WithLabelValues("store").Inc()
	x.fail(openai.Unavailable(time.Second, "The gateway's shared state cannot be reached. Try again shortly."))
}

// showLimit tells the client where it stands (contract R3).
func (x *exchange) showLimit(a *state.Admitted) {
	if a.Limit.N == 0 {
		return
	}
	h := x.w.Header()
	h["X-Ratelimit-Limit-Requests"] = []string{strconv.Itoa(a.Limit.N)}
	h["X-Ratelimit-Remaining-Requests"] = []string{strconv.Itoa(a.Remaining)}
	h["X-Ratelimit-Reset-Requests"] = []string{rounded(a.Reset)}
}

// rounded is a duration as OpenAI's headers have it: 120ms, 1s, 6m0s.
func rounded(d time.Duration) string {
	switch {
	case d <= 0:
		return "0s"
	case d < time.Second:
		return strconv.Itoa(int(math.Ceil(float64(d)/1e6))) + "ms"
	}
	return (d + time.Second - 1).Truncate(time.Second).String()
}

// occupy takes one of the caller's places for requests at the same time. They are
// counted on this machine.
func (x *exchange) occupy() bool {
	n := x.h.Concurrency
	if o := x.overrides().Concurrency; o > 0 {
		n = o
	}
	if n <= 0 {
		return true
	}
	key := x.whom()
	if !running.Acquire(key, n) {
		metrics.refusals.WithLabelValues("concurrency").Inc()
		e := openai.RateLimited(time.Second, "Too many requests at the same time: %d are allowed.", n)
		e.Class = openai.ClassPolicy
		x.fail(e)
		return false
	}
	x.place = key
	return true
}

// running counts requests by their callers. It outlives configurations, as requests
// do.
var running state.Concurrency

// check refuses what JSON may get wrong about limits.
func (h *Handler) checkLimits() error {
	for i, l := range h.RateLimits {
		if err := l.check(); err != nil {
			return fmt.Errorf("rate_limit %d: %w", i+1, err)
		}
	}
	if h.Concurrency < 0 {
		return errors.New("concurrency: must not be negative")
	}
	if h.Register != nil {
		if err := h.Register.check(); err != nil {
			return fmt.Errorf("register: %w", err)
		}
	}
	if h.Health != "" && h.Health[0] != '/' {
		return fmt.Errorf("health: %q is no path", h.Health)
	}
	return nil
}
