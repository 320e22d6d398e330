package audit

import (
	"context"
	"errors"
)

// Record is one event on its way to a Sender.
type Record struct {
	// Key is the session's id, or the request's without one. Order holds within it.
	Key []byte

	// Value is the event: one JSON object, without the checksum of the journal.
	Value []byte

	// TraceParent is the W3C trace context, empty without one.
	TraceParent string
}

// Sender takes events to where they stay.
//
// One goroutine calls Send, one call at a time; Close comes when no Send is under way.
type Sender interface {
	// Send ships the batch in order and returns what became of it: nil if all of it has
	// arrived for good, else one result a record: nil if it has, an error matching
	// ErrRejected if it never will, any other if it is to be sent again. What is sent
	// again comes in the same order, in front of what is new, so of one key nothing may
	// arrive behind a record that has not.
	//
	// Send returns soon after ctx has ended, keeps nothing of the batch, and does not
	// retry by itself. Errors are shown to operators: no secret is in them.
	Send(ctx context.Context, batch []Record) []error

	// Close lets go of connections. It does not wait for the network.
	Close() error
}

// ErrRejected is what the result of a record matches that will never be taken: it is
// dropped, and counted.
var ErrRejected = errors.New("rejected for good")
