package caddymodule

import (
	"net/http"

	"github.com/universal-ai-gateway/magicproxy/audit"
	"github.com/universal-ai-gateway/magicproxy/state"
)

// The words of a readiness report.
const (
	ready       = "ok"
	degraded    = "degraded"    // answers, but a part goes on without its backend
	unavailable = "unavailable" // what needs that part is refused
)

// readiness is how the gateway and its parts are. It is put together without I/O.
type readiness struct {
	Status string         `json:"status"`
	Parts  readinessParts `json:"parts"`
}

type readinessParts struct {
	Store part `json:"store"`
	Users part `json:"users"`
	Audit part `json:"audit"`
}

type part struct {
	Backend string `json:"backend"`
	Status  string `json:"status"`

	// Detail is for operators only.
	Detail any `json:"detail,omitempty"`
}

// readiness says how things are; with details only for operators.
func (a *App) readiness(details bool) readiness {
	s, u := a.store.Health(), a.people.store.Health()
	r := readiness{Status: ready, Parts: readinessParts{
		Store: part{Backend: s.Backend, Status: ready}, Users: part{Backend: u.Backend, Status: ready}, Audit: part{Backend: auditOff, Status: ready},
	}}
	if !s.Up && !s.Since.IsZero() {
		r.Parts.Store.Status = degraded
		for _, mode := range s.Modes {
			if mode == string(state.ModeClosed) {
				r.Parts.Store.Status = unavailable
			}
		}
	}
	if !u.Up && !u.Since.IsZero() {
		r.Parts.Users.Status = degraded // those who are known go on
	}
	if details {
		r.Parts.Store.Detail, r.Parts.Users.Detail = s, u
	}
	if a.recorder != nil {
		r.Parts.Audit.Backend = a.recorder.sink
		if l := a.recorder.log(); l == nil {
			r.Parts.Audit.Status = unavailable
		} else {
			st := l.Stats()
			// That files are kept for so long only is no loss.
			if st.Error != "" || st.Dropped > st.DroppedBy[audit.DroppedExpired] {
				r.Parts.Audit.Status = degraded
			}
			if details {
				r.Parts.Audit.Detail = st
			}
		}
	}
	for _, p := range []part{r.Parts.Store, r.Parts.Users, r.Parts.Audit} {
		switch {
		case p.Status == unavailable:
			r.Status = unavailable
		case p.Status == degraded && r.Status == ready:
			r.Status = degraded
		}
	}
	return r
}

// health answers on the handler's own path: anybody may ask, a load balancer above
// all, and learns no more than what works.
func (x *exchange) health() {
	x.endpoint = "health"
	if !x.method(http.MethodGet, http.MethodHead) {
		return
	}
	r := x.h.app.readiness(false)
	status := http.StatusOK
	if r.Status == unavailable {
		status = http.StatusServiceUnavailable
	}
	x.respond(status, r)
}

// adminHealth answers /ai_gateway/health/live and /ready.
func (a *App) adminHealth(w http.ResponseWriter, r *http.Request, rest []string) error {
	if len(rest) != 1 || rest[0] != "live" && rest[0] != "ready" {
		return apiError(http.StatusNotFound, "unknown path %s (known: health/live, health/ready)", r.URL.Path)
	}
	if err := need(r, http.MethodGet); err != nil {
		return err
	}
	if rest[0] == "live" {
		return reply(w, map[string]string{"status": ready})
	}
	all := a.readiness(true)
	w.Header().Set("Content-Type", "application/json")
	if all.Status == unavailable {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	return reply(w, all)
}
