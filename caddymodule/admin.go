package caddymodule

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

func init() {
	caddy.RegisterModule(new(Admin))
}

// Admin adds the gateway to Caddy's admin API:
//
//	GET  /ai_gateway/providers                           the states of all
//	GET  /ai_gateway/providers/<name>                    of one
//	POST /ai_gateway/providers/<name>/reset              make its keys and models healthy
//	POST /ai_gateway/providers/<name>/keys/<id>/reset    make one key healthy
//	GET  /ai_gateway/agents                              the agents and their tools
//	GET  /ai_gateway/mcp                                 tool servers: breakers, tools, pins
//	GET  /ai_gateway/mcp/<server>                        one of them
//	POST /ai_gateway/mcp/refresh                         list the tools of all anew
//	POST /ai_gateway/mcp/tools/<server>/<tool>/approve   accept a tool's changed definition
//	GET  /ai_gateway/health/live                         200 as long as the gateway runs
//	GET  /ai_gateway/health/ready                        how the parts do; 503 if one that is needed is away
//	GET  /ai_gateway/users[?after=<name>&limit=<n>]      registered users
//	POST /ai_gateway/users                               make one: {"username"}
//	GET  /ai_gateway/users/<name>                        one of them, and the ids of its tokens
//	POST /ai_gateway/users/<name>/disable, …/enable      refuse its tokens, or accept them again
//	PUT  /ai_gateway/users/<name>/overrides              what it may use: {"allow", "rate_limits", "concurrency"}
//	POST /ai_gateway/users/<name>/tokens                 a further token
//	DELETE /ai_gateway/users/<name>/tokens/<id>          revoke one
//	DELETE /ai_gateway/users/<name>                      forget the user
//	GET  /ai_gateway/sessions[?user=<id>&limit=<n>]      sessions of agents
//	POST /ai_gateway/sessions/<id>/cancel[?user=<id>]    end the run that holds one
//	GET  /ai_gateway/audit                               what has become of audit events
//
// Keys show as the beginning of their SHA-256. Every request looks the running
// configuration up: the admin endpoint is replaced before a new configuration
// is known to be good, so what it would hold on to might never run.
type Admin struct{}

// CaddyModule returns the Caddy module information.
func (*Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.ai_gateway", New: func() caddy.Module { return new(Admin) }}
}

const adminPath = "/ai_gateway/"

// Routes implements caddy.AdminRouter.
func (a *Admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: adminPath, Handler: caddy.AdminHandlerFunc(a.serve)}}
}

func (a *Admin) serve(w http.ResponseWriter, r *http.Request) error {
	app := runningApp()
	if app == nil {
		return apiError(http.StatusNotFound, "the running configuration has no ai_gateway")
	}
	// The names of tools may have slashes in them, escaped.
	parts := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), adminPath), "/")
	for i, p := range parts {
		var err error
		if parts[i], err = url.PathUnescape(p); err != nil {
			return apiError(http.StatusBadRequest, "path: %v", err)
		}
	}
	switch parts[0] {
	case "providers":
		return app.adminProviders(w, r, parts[1:])
	case "mcp":
		return app.adminServers(w, r, parts[1:])
	case "health":
		return app.adminHealth(w, r, parts[1:])
	case "users":
		return app.adminUsers(w, r, parts[1:])
	case "sessions":
		return app.adminSessions(w, r, parts[1:])
	case "audit":
		if len(parts) == 1 {
			return app.adminAudit(w, r)
		}
	case "agents":
		if len(parts) == 1 {
			return app.adminAgents(w, r)
		}
	}
	return apiError(http.StatusNotFound, "unknown path %s", r.URL.Path)
}

func need(r *http.Request, method string) error {
	if r.Method != method {
		return apiError(http.StatusMethodNotAllowed, "%s is not allowed here, %s is", r.Method, method)
	}
	return nil
}

func apiError(status int, format string, args ...any) error {
	return caddy.APIError{HTTPStatus: status, Err: fmt.Errorf(format, args...)}
}

func reply(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

// Interface guards
var _ caddy.AdminRouter = (*Admin)(nil)
