package caddymodule

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/universal-ai-gateway/magicproxy/rotation"
)

func init() {
	caddy.RegisterModule(new(Admin))
}

// Admin adds the gateway to Caddy's admin API:
//
//	GET  /ai_gateway/providers                        the states of all
//	GET  /ai_gateway/providers/<name>                 of one
//	POST /ai_gateway/providers/<name>/reset           make its keys and models healthy
//	POST /ai_gateway/providers/<name>/keys/<id>/reset make one key healthy
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

// providerStatus is what operators see of a provider.
type providerStatus struct {
	Name    string                     `json:"name"`
	Active  int                        `json:"active"`
	Waiting int                        `json:"waiting"`
	Keys    []rotation.KeyStatus       `json:"keys"`
	Models  map[string]rotation.Status `json:"models"`
}

func statusOf(table *rotation.Table, p *rotation.Provider) providerStatus {
	now := time.Now()
	named := func(model string) bool { return table.Named(p.Name + "/" + model) }
	s := providerStatus{Name: p.Name, Keys: p.KeyStatuses(now), Models: p.TargetStatuses(now, named)}
	s.Active, s.Waiting = p.Load()
	return s
}

func (a *Admin) serve(w http.ResponseWriter, r *http.Request) error {
	app := runningApp()
	if app == nil {
		return apiError(http.StatusNotFound, "the running configuration has no ai_gateway")
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, adminPath), "/")
	if parts[0] != "providers" {
		return apiError(http.StatusNotFound, "unknown path %s", r.URL.Path)
	}
	providers := app.table.Providers()
	if len(parts) == 1 {
		if err := need(r, http.MethodGet); err != nil {
			return err
		}
		all := []providerStatus{}
		for _, name := range slices.Sorted(maps.Keys(providers)) {
			all = append(all, statusOf(app.table, providers[name]))
		}
		return reply(w, all)
	}
	p := providers[parts[1]]
	if p == nil {
		return apiError(http.StatusNotFound, "unknown provider %q", parts[1])
	}
	switch {
	case len(parts) == 2:
		if err := need(r, http.MethodGet); err != nil {
			return err
		}
	case len(parts) == 3 && parts[2] == "reset":
		if err := need(r, http.MethodPost); err != nil {
			return err
		}
		p.Reset("")
	case len(parts) == 5 && parts[2] == "keys" && parts[4] == "reset":
		if err := need(r, http.MethodPost); err != nil {
			return err
		}
		if parts[3] == "" || !p.Reset(parts[3]) {
			return apiError(http.StatusNotFound, "provider %s has no key %q", p.Name, parts[3])
		}
	default:
		return apiError(http.StatusNotFound, "unknown path %s", r.URL.Path)
	}
	return reply(w, statusOf(app.table, p))
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
