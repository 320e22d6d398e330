package mcp

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
)

// PinMode says what becomes of a tool whose definition is not the one first seen
// (contract X8).
type PinMode uint8

// The modes.
const (
	PinWarn PinMode = iota // the change is told to the Observer, once
	PinOn                  // it is also disabled until Approve
	PinOff                 // nothing
)

var pinNames = [...]string{"warn", "on", "off"}

// String returns the mode as the configuration spells it.
func (p PinMode) String() string { return pinNames[p] }

// ParsePinMode reads what String writes.
func ParsePinMode(s string) (PinMode, error) {
	for i, name := range pinNames {
		if s == name {
			return PinMode(i), nil
		}
	}
	return 0, fmt.Errorf("pin is %q, want off, warn or on", s)
}

// PinStore keeps the hashes of the tools of servers over restarts. Its methods may
// block, as they are not called by requests; never two at once for a server.
type PinStore interface {
	// Load returns a server's pins, none if it has never saved any.
	Load(server string) (map[string]string, error)

	// Save replaces a server's pins. The map is the store's to keep.
	Save(server string, pins map[string]string) error
}

// maxPins bounds the pins of a server, most of them then of tools that are gone.
const maxPins = 4096

// definitionHash is the hash of all that a model sees of a tool. What only looks
// different, such as the order of members, is the same.
func definitionHash(name, description string, schema json.RawMessage) string {
	if n, err := normal(schema); err == nil {
		schema = n
	}
	h := sha256.New()
	for _, part := range [][]byte{[]byte(name), []byte(description), schema} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// check compares new entries with the pins, pins those never seen, and says of which
// the definition has changed. It is called with pinMu held.
func (st *State) check(s *Server, entries []*entry) {
	if s.o.Pin == PinOff {
		return
	}
	if st.loadPins(s) != nil && s.o.Pin == PinOn {
		// Without the pins, everything may have changed.
		for _, e := range entries {
			e.changed = true
		}
		return
	}
	saved := false
	for _, e := range entries {
		if e.refused != "" {
			continue
		}
		switch pin, ok := st.pins[e.tool.Name]; {
		case ok && pin == e.hash:
		case !ok && len(st.pins) < maxPins:
			st.pins[e.tool.Name] = e.hash
			saved = true
		case s.o.Pin == PinOn:
			e.changed = true
			if old := st.entry(e.tool.Name); old == nil || !old.changed || old.hash != e.hash {
				s.o.Observer.Changed(s.o.Name, e.tool.Name, true)
			}
		case ok:
			st.pins[e.tool.Name] = e.hash
			saved = true
			s.o.Observer.Changed(s.o.Name, e.tool.Name, false)
		}
	}
	if saved {
		st.savePins(s)
	}
}

// loadPins reads the store once it can be read. It is called with pinMu held.
func (st *State) loadPins(s *Server) error {
	if st.pins == nil && s.o.Pins != nil {
		pins, err := s.o.Pins.Load(s.o.Name)
		if err != nil {
			st.pinsFailed(s, "loading", err)
			return err
		}
		st.pins = maps.Clone(pins)
	}
	if st.pins == nil {
		st.pins = make(map[string]string)
	}
	return nil
}

func (st *State) savePins(s *Server) {
	if s.o.Pins == nil {
		return
	}
	if err := s.o.Pins.Save(s.o.Name, maps.Clone(st.pins)); err != nil {
		st.pinsFailed(s, "saving", err)
	}
}

func (st *State) pinsFailed(s *Server, what string, err error) {
	s.o.Observer.Said(s.o.Name, s.scrub.line("pins: "+what+": "+err.Error(), maxSaid))
}

// ErrNoTool is what Approve says of a tool that the server does not list.
var ErrNoTool = errors.New("no such tool")

// Approve pins a tool's definition as it is now.
func (s *Server) Approve(tool string) error {
	st := s.state
	st.pinMu.Lock()
	defer st.pinMu.Unlock()
	e := st.entry(tool)
	if e == nil {
		return fmt.Errorf("tool server %s: %w: %s", s.o.Name, ErrNoTool, short(tool))
	}
	if e.refused != "" {
		return fmt.Errorf("tool server %s: %s is refused: %s", s.o.Name, short(tool), e.refused)
	}
	if err := st.loadPins(s); err != nil {
		return fmt.Errorf("tool server %s: loading pins: %w", s.o.Name, err)
	}
	pins := maps.Clone(st.pins)
	pins[tool] = e.hash
	if s.o.Pins != nil {
		if err := s.o.Pins.Save(s.o.Name, maps.Clone(pins)); err != nil {
			return fmt.Errorf("tool server %s: saving pins: %w", s.o.Name, err)
		}
	}
	st.pins = pins
	st.approved(tool, e.hash)
	return nil
}
