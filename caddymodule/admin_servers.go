package caddymodule

import (
	"errors"
	"maps"
	"net/http"
	"slices"

	"github.com/universal-ai-gateway/magicproxy/glob"
	"github.com/universal-ai-gateway/magicproxy/mcp"
)

// adminServers answers below /ai_gateway/mcp.
func (a *App) adminServers(w http.ResponseWriter, r *http.Request, parts []string) error {
	switch {
	case len(parts) == 0:
		if err := need(r, http.MethodGet); err != nil {
			return err
		}
		return reply(w, a.serverStatuses())
	case len(parts) == 1 && parts[0] == "refresh" && r.Method == http.MethodPost:
		for _, s := range a.servers {
			s.Refresh()
		}
		return reply(w, a.serverStatuses())
	case len(parts) == 1 && parts[0] == "refresh" && a.servers["refresh"] == nil:
		return need(r, http.MethodPost)
	case len(parts) == 1:
		s := a.servers[parts[0]]
		if s == nil {
			return apiError(http.StatusNotFound, "unknown tool server %q", parts[0])
		}
		if err := need(r, http.MethodGet); err != nil {
			return err
		}
		return reply(w, s.Status())
	case len(parts) == 4 && parts[0] == "tools" && parts[3] == "approve":
		if err := need(r, http.MethodPost); err != nil {
			return err
		}
		s := a.servers[parts[1]]
		if s == nil {
			return apiError(http.StatusNotFound, "unknown tool server %q", parts[1])
		}
		switch err := s.Approve(parts[2]); {
		case errors.Is(err, mcp.ErrNoTool):
			return apiError(http.StatusNotFound, "%w", err)
		case err != nil: // the pins could not be saved
			return apiError(http.StatusInternalServerError, "%w", err)
		}
		return reply(w, s.Status())
	}
	return apiError(http.StatusNotFound, "unknown path %s", r.URL.Path)
}

func (a *App) serverStatuses() []mcp.Status {
	all := []mcp.Status{}
	for _, name := range slices.Sorted(maps.Keys(a.servers)) {
		all = append(all, a.servers[name].Status())
	}
	return all
}

// agentStatus is what operators see of an agent.
type agentStatus struct {
	Name    string   `json:"name"`
	Models  []string `json:"models"` // all names it answers to
	Pattern string   `json:"pattern"`

	// Tools are those that are known now; none has been listed before its server
	// is used for the first time.
	Tools []string `json:"tools"`
}

// adminAgents answers /ai_gateway/agents.
func (a *App) adminAgents(w http.ResponseWriter, r *http.Request) error {
	if err := need(r, http.MethodGet); err != nil {
		return err
	}
	names := make(map[string][]string)
	for _, name := range slices.Sorted(maps.Keys(a.agents)) {
		of := a.agents[name].Name
		names[of] = append(names[of], name)
	}
	all := []agentStatus{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		agent := a.agents[name]
		s := agentStatus{Name: name, Models: names[name], Pattern: agent.Pattern.Name, Tools: []string{}}
		if agent.Pattern.NoTools {
			all = append(all, s)
			continue
		}
		for _, server := range agent.Servers {
			for _, t := range a.servers[server.Name()].Status().Tools {
				if id := server.Name() + "::" + t.Name; t.State == "offered" && glob.Any(agent.Tools, id) {
					s.Tools = append(s.Tools, id)
				}
			}
		}
		all = append(all, s)
	}
	return reply(w, all)
}
