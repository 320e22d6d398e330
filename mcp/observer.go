package mcp

import "time"

// Observer hears what happens to servers. Its methods are called from many
// goroutines, and must not block: a call waits for them.
type Observer interface {
	// Called hears of each call's end: ok, failed (the tool itself says so), or the
	// name of a Kind. tool is one that the server has, or empty.
	Called(server, tool, outcome string, took time.Duration)

	// Breaker hears of a change of state: closed, open, half_open.
	Breaker(server, from, to string, cause Kind)

	// Changed hears once of each change of a tool's definition. disabled says that
	// it needs an approval.
	Changed(server, tool string, disabled bool)

	// Listed hears of each listing: how many tools, or why not.
	Listed(server string, tools int, err *Error, took time.Duration)

	// Said hears of a line that a command wrote to its standard error, or of other
	// news for the log: short, without control characters.
	Said(server, line string)
}

// NoObserver hears nothing. Embed it to hear of some things only.
type NoObserver struct{}

// Called implements Observer.
func (NoObserver) Called(string, string, string, time.Duration) {}

// Breaker implements Observer.
func (NoObserver) Breaker(string, string, string, Kind) {}

// Changed implements Observer.
func (NoObserver) Changed(string, string, bool) {}

// Listed implements Observer.
func (NoObserver) Listed(string, int, *Error, time.Duration) {}

// Said implements Observer.
func (NoObserver) Said(string, string) {}

// Interface guard
var _ Observer = NoObserver{}
