package mcp

import (
	"strings"
	"time"
)

// Status is what operators see of a server.
type Status struct {
	Name    string        `json:"name"`
	Breaker BreakerStatus `json:"breaker"`

	// Transport and Version are how it is spoken to, empty until the first time.
	Transport string `json:"transport,omitempty"`
	Version   string `json:"protocol_version,omitempty"`

	// Connected reports whether there is a session.
	Connected bool `json:"connected"`

	Pin   string       `json:"pin"`
	Tools []ToolStatus `json:"tools"`

	// Cut reports that the server lists more tools than are taken.
	Cut bool `json:"tools_cut,omitempty"`

	// Listed is when the tools were listed last, nil for never. Stale reports that
	// they are due for it.
	Listed *time.Time `json:"listed,omitempty"`
	Stale  bool       `json:"stale,omitempty"`

	// Error is what the last listing has failed with, empty if it has not.
	Error   string     `json:"error,omitempty"`
	ErrorAt *time.Time `json:"error_at,omitempty"`
}

// ToolStatus is what operators see of a tool.
type ToolStatus struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"` // the beginning
	Hash        string `json:"hash"`                  // the beginning of the definition's

	// State is offered, denied (by the configuration), changed (until approved), or
	// refused.
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"` // of refused
}

// Bounds of what is shown.
const (
	shownDescription = 160
	shownHash        = 12
)

// Status returns a snapshot.
func (s *Server) Status() Status {
	st := s.state
	out := Status{Name: s.o.Name, Breaker: st.breaker.State(now()), Pin: s.o.Pin.String(), Tools: []ToolStatus{}}
	s.mu.Lock()
	out.Connected = s.current != nil
	s.mu.Unlock()
	l := st.list.Load()
	st.mu.Lock()
	out.Transport, out.Version = st.route.transport, st.route.version
	if st.failed != nil {
		at := st.failedAt.UTC()
		out.Error, out.ErrorAt = st.failed.Message, &at
	}
	out.Stale = st.stale
	st.mu.Unlock()
	if l == nil {
		return out
	}
	at := l.at.UTC()
	out.Listed, out.Cut = &at, l.cut
	out.Stale = out.Stale || time.Since(l.at) > l.ttl
	for _, e := range l.entries {
		out.Tools = append(out.Tools, s.toolStatus(e))
	}
	return out
}

func (s *Server) toolStatus(e *entry) ToolStatus {
	t := ToolStatus{
		Name: s.scrub.line(e.tool.Name, maxName), Description: s.scrub.line(e.tool.Description, shownDescription),
		Hash: e.hash[:shownHash], State: "offered",
	}
	switch {
	case e.refused != "":
		t.State, t.Reason = "refused", e.refused
	case !s.allowed(e.tool.Name):
		t.State = "denied"
	case e.changed && s.o.Pin == PinOn:
		t.State = "changed"
	}
	t.Description = strings.TrimSpace(t.Description)
	return t
}
