package caddymodule

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Handler answers OpenAI's API: /v1/chat/completions, /v1/completions,
// /v1/embeddings, /v1/responses and /v1/models, and beside it the sessions of agents
// at /v1/sessions and users' own affairs at /v1/user and /v1/auth/register. Every other
// path that reaches it is answered with OpenAI's 404.
//
// It sets these placeholders:
//
// Placeholder | Description
// ------------|---------------
// `{http.ai_gateway.request_id}` | The request's id, also in the x-request-id header
// `{http.ai_gateway.user}` | Who called, by name; empty for anybody
// `{http.ai_gateway.model}` | The model asked for
// `{http.ai_gateway.target}` | The provider/model that answered, or was tried last
// `{http.ai_gateway.attempts}` | How many upstream attempts were made
// `{http.ai_gateway.turns}` | How many model calls an agent's run took; 0 for a plain model
// `{http.ai_gateway.tool_calls}` | How many tools it called
// `{http.ai_gateway.outcome}` | ok, canceled, or whose trouble it was: caller, policy, provider, gateway
// `{http.ai_gateway.prompt_tokens}` | Tokens of the prompt, as the upstream counts them
// `{http.ai_gateway.completion_tokens}` | Tokens of the answer
// `{http.ai_gateway.first_content}` | Seconds to the first content
// `{http.ai_gateway.overhead}` | Seconds spent in the gateway, without waiting for upstreams
type Handler struct {
	// Auth says who may call. bearer (default): those with a token of the app's
	// configuration. optional: anybody, but a token must be a good one. off:
	// anybody, and tokens are not read. Whatever it says, an http.auth.user.id
	// that an earlier handler set is believed.
	Auth string `json:"auth,omitempty"`

	// Allow lists the models that may be used, * and ? being wildcards. Default:
	// all.
	Allow []string `json:"allow,omitempty"`

	// KeepAlive is the silence after which a comment is sent into a stream.
	// Default 10s; negative: never.
	KeepAlive caddy.Duration `json:"keep_alive,omitempty"`

	// WriteTimeout is how long a client may take nothing of its answer. Then it is cut
	// off. Default 1m; negative: for ever.
	WriteTimeout caddy.Duration `json:"write_timeout,omitempty"`

	// MaxBody bounds request bodies, in bytes. Default 20 MiB.
	MaxBody int64 `json:"max_body,omitempty"`

	// RateLimits bound the requests of a caller to models, and to its own account. All of
	// them must have room. Default: none.
	RateLimits []RateLimit `json:"rate_limits,omitempty"`

	// Concurrency bounds the requests of a caller that are under way at the same
	// time on this machine. Default 0: no bound.
	Concurrency int `json:"concurrency,omitempty"`

	// Register lets anybody become a user at /v1/auth/register, as often as it says
	// per address. Default: only the admin API makes users.
	Register *RateLimit `json:"register,omitempty"`

	// Health is a path that says how the gateway does. Default: none.
	Health string `json:"health,omitempty"`

	app    *App
	logger *zap.Logger
}

// The values of Handler.Auth, and its other defaults.
const (
	authBearer   = "bearer"
	authOptional = "optional"
	authOff      = "off"

	defaultKeepAlive    = 10 * time.Second
	defaultWriteTimeout = time.Minute
	defaultMaxBody      = 20 << 20
)

func validAuth(s string) bool { return s == authBearer || s == authOptional || s == authOff }

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.ai_gateway", New: func() caddy.Module { return new(Handler) }}
}

// Provision finds the app.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	if h.Auth == "" {
		h.Auth = authBearer
	}
	if !validAuth(h.Auth) {
		return fmt.Errorf("auth: expected bearer, optional or off, not %q", h.Auth)
	}
	if h.KeepAlive == 0 {
		h.KeepAlive = caddy.Duration(defaultKeepAlive)
	}
	if h.WriteTimeout == 0 {
		h.WriteTimeout = caddy.Duration(defaultWriteTimeout)
	}
	if h.MaxBody == 0 {
		h.MaxBody = defaultMaxBody
	}
	if h.MaxBody < 0 || h.MaxBody > 1<<30 {
		return fmt.Errorf("max_body: %d is not between 1 and 1 GiB", h.MaxBody)
	}
	if err := h.checkLimits(); err != nil {
		return err
	}
	app, err := ctx.App("ai_gateway")
	if err != nil {
		return err
	}
	h.app = app.(*App)
	if h.Auth == authBearer && h.app.tokens.Len() == 0 && h.Register == nil && h.app.Users == nil {
		h.logger.Warn("the configuration gives nobody a token: unless users are registered or an earlier handler says who calls, every request is answered with 401 (token <user> <secret> in the global options, register here, or auth off)")
	}
	for _, glob := range h.Allow {
		if !strings.ContainsAny(glob, "*?/") && !h.app.named(glob) {
			h.logger.Warn("allow names a model that the configuration does not have", zap.String("model", glob))
		}
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler. It answers every request
// itself.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	h.app.enter()
	defer h.app.leave()
	x := newExchange(h, w, r)
	defer x.end()
	x.serve()
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
