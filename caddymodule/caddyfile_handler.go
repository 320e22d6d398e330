package caddymodule

import (
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func parseHandler(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	if err := handler.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return handler, nil
}

var handlerWords = []string{"auth", "allow", "keep_alive", "write_timeout", "max_body", "rate_limit", "concurrency", "register", "health"}

// UnmarshalCaddyfile sets up the handler. Syntax:
//
//	ai_gateway [<matcher>] {
//		auth       bearer|optional|off
//		allow      <glob...>
//		keep_alive <duration>|off
//		write_timeout <duration>|off
//		max_body   <size>
//		rate_limit <n> <window> [by user|ip]
//		concurrency <n>
//		register   [<n> <window>]
//		health     [<path>]
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // ai_gateway
	if d.NextArg() {
		return d.Errf("directive ai_gateway: unexpected '%s': a matcher is *, or begins with / or @; options go into a block", d.Val())
	}
	r := &reader{Dispenser: d}
	for d.NextBlock(0) {
		var err error
		switch d.Val() {
		case "auth":
			if h.Auth, err = r.arg("bearer, optional or off"); err == nil && !validAuth(h.Auth) {
				return d.Errf("auth: expected bearer, optional or off, not '%s'", h.Auth)
			}
		case "allow":
			var globs []string
			globs, err = r.args(1, many, "at least one model, * and ? being wildcards")
			h.Allow = append(h.Allow, globs...)
		case "keep_alive":
			h.KeepAlive, err = r.duration(true)
		case "write_timeout":
			h.WriteTimeout, err = r.duration(true)
		case "max_body":
			h.MaxBody, err = r.size()
		case "rate_limit":
			err = h.unmarshalRateLimit(r)
		case "concurrency":
			h.Concurrency, err = r.count()
		case "register":
			err = h.unmarshalRegister(r)
		case "health":
			err = h.unmarshalHealth(r)
		default:
			err = unknownWord(d, handlerPlace, handlerWords)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (h *Handler) unmarshalRateLimit(r *reader) (err error) {
	args, err := r.args(2, 4, "a number of requests, a window such as 1m and, if wanted, by user or by ip")
	if err != nil {
		return err
	}
	var l RateLimit
	if l.N, err = r.number("rate_limit", args[0], 1); err != nil {
		return err
	}
	if l.Window, err = r.parseDuration("rate_limit", args[1], "a window above zero such as 1m"); err != nil {
		return err
	}
	if len(args) > 2 {
		if args[2] != "by" || len(args) == 3 || args[3] != byUser && args[3] != byIP {
			return r.Err("rate_limit: expected by user or by ip behind the window")
		}
		l.By = args[3]
	}
	if err := l.check(); err != nil {
		return r.Errf("rate_limit: %v", err)
	}
	for _, other := range h.RateLimits {
		if other.Window == l.Window && (other.By == byIP) == (l.By == byIP) {
			return r.Errf("rate_limit: already specified for %s", args[1])
		}
	}
	h.RateLimits = append(h.RateLimits, l)
	return nil
}

// Registrations are few: ten an hour from one address, if nothing else is said.
const (
	defaultRegistrations = 10
	defaultRegisterTime  = time.Hour
)

func (h *Handler) unmarshalRegister(r *reader) (err error) {
	if err = r.once(); err != nil {
		return err
	}
	args, err := r.args(0, 2, "nothing, or a number of registrations and a window such as 1h, per address")
	if err != nil {
		return err
	}
	l := &RateLimit{N: defaultRegistrations, Window: caddy.Duration(defaultRegisterTime)}
	switch len(args) {
	case 1:
		return r.Err("register: expected a window behind the number, such as 1h")
	case 2:
		if l.N, err = r.number("register", args[0], 1); err != nil {
			return err
		}
		if l.Window, err = r.parseDuration("register", args[1], "a window above zero such as 1h"); err != nil {
			return err
		}
	}
	h.Register = l
	return nil
}

const defaultHealth = prefix + "/health"

func (h *Handler) unmarshalHealth(r *reader) (err error) {
	if err = r.once(); err != nil {
		return err
	}
	args, err := r.args(0, 1, "nothing, or a path")
	if err != nil {
		return err
	}
	h.Health = defaultHealth
	if len(args) == 1 {
		if h.Health = args[0]; h.Health[0] != '/' {
			return r.Errf("health: '%s' is no path", h.Health)
		}
	}
	return nil
}
