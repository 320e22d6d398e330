package caddymodule

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/universal-ai-gateway/magicproxy/rotation"
)

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

// adminProviders answers below /ai_gateway/providers.
func (a *App) adminProviders(w http.ResponseWriter, r *http.Request, parts []string) error {
	providers := a.table.Providers()
	if len(parts) == 0 {
		if err := need(r, http.MethodGet); err != nil {
			return err
		}
		all := []providerStatus{}
		for _, name := range slices.Sorted(maps.Keys(providers)) {
			all = append(all, statusOf(a.table, providers[name]))
		}
		return reply(w, all)
	}
	p := providers[parts[0]]
	if p == nil {
		return apiError(http.StatusNotFound, "unknown provider %q", parts[0])
	}
	switch {
	case len(parts) == 1:
		if err := need(r, http.MethodGet); err != nil {
			return err
		}
	case len(parts) == 2 && parts[1] == "reset":
		if err := need(r, http.MethodPost); err != nil {
			return err
		}
		a.tellReset(p, "")
		p.Reset("")
	case len(parts) == 4 && parts[1] == "keys" && parts[3] == "reset":
		if err := need(r, http.MethodPost); err != nil {
			return err
		}
		a.tellReset(p, parts[2])
		if parts[2] == "" || !p.Reset(parts[2]) {
			return apiError(http.StatusNotFound, "provider %s has no key %q", p.Name, parts[2])
		}
	default:
		return apiError(http.StatusNotFound, "unknown path %s", r.URL.Path)
	}
	return reply(w, statusOf(a.table, p))
}
