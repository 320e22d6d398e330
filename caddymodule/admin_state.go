package caddymodule

import (
	"context"
	"errors"
	"net/http"

	"github.com/universal-ai-gateway/magicproxy/audit"
	"github.com/universal-ai-gateway/magicproxy/state"
)

// adminSessions lists sessions, or cancels one's run:
//
//	GET  /ai_gateway/sessions[?user=<id>&limit=<n>]
//	POST /ai_gateway/sessions/<id>/cancel[?user=<id>]
func (a *App) adminSessions(w http.ResponseWriter, r *http.Request, rest []string) error {
	ctx, stop := context.WithTimeout(r.Context(), sessionPatience)
	defer stop()
	if len(rest) == 2 && rest[1] == "cancel" {
		if err := need(r, http.MethodPost); err != nil {
			return err
		}
		key := state.SessionKey{User: r.URL.Query().Get("user"), ID: rest[0]}
		if err := a.store.Sessions().Cancel(ctx, key); err != nil {
			if errors.Is(err, state.ErrUnknown) {
				return apiError(http.StatusNotFound, "%w", err)
			}
			return apiError(http.StatusServiceUnavailable, "the store: %w", err)
		}
		return reply(w, map[string]string{"cancelled": rest[0]})
	}
	if len(rest) != 0 {
		return apiError(http.StatusNotFound, "unknown path %s", r.URL.Path)
	}
	if err := need(r, http.MethodGet); err != nil {
		return err
	}
	limit, err := pageSize(r)
	if err != nil {
		return err
	}
	lister, ok := a.store.Sessions().(state.Lister)
	if !ok {
		return apiError(http.StatusNotImplemented, "this store does not list its sessions")
	}
	all, err := lister.List(ctx, r.URL.Query().Get("user"), limit)
	if err != nil {
		return apiError(http.StatusServiceUnavailable, "the store: %w", err)
	}
	type listed struct {
		User string `json:"user"`
		ID   string `json:"id"`
		state.Session
	}
	list := make([]listed, len(all))
	for i, s := range all {
		list[i] = listed{s.Key.User, s.Key.ID, s.Session}
		list[i].Notebook = nil // what is in it is the user's
	}
	return reply(w, list)
}

// adminAudit answers GET /ai_gateway/audit.
func (a *App) adminAudit(w http.ResponseWriter, r *http.Request) error {
	if err := need(r, http.MethodGet); err != nil {
		return err
	}
	type status struct {
		Sink    string       `json:"sink"`
		Journal string       `json:"journal,omitempty"`
		Content bool         `json:"content"`
		Chunks  bool         `json:"chunks"`
		Stats   *audit.Stats `json:"stats,omitempty"`
	}
	c := a.recorder
	if c == nil {
		return reply(w, status{Sink: auditOff})
	}
	s := status{Sink: c.sink, Journal: c.dir, Content: c.content, Chunks: c.chunks}
	if l := c.log(); l != nil {
		st := l.Stats()
		s.Stats = &st
	}
	return reply(w, s)
}
