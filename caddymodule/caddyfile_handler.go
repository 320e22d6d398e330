package caddymodule

import (
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

var handlerWords = []string{"auth", "allow", "keep_alive", "max_body"}

// UnmarshalCaddyfile sets up the handler. Syntax:
//
//	ai_gateway [<matcher>] {
//		auth       bearer|optional|off
//		allow      <glob...>
//		keep_alive <duration>|off
//		max_body   <size>
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
		case "max_body":
			h.MaxBody, err = r.size()
		default:
			err = unknownWord(d, handlerPlace, handlerWords)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
