package state

import (
	"context"
	"time"
)

// Sessions keep what the runs of an agent leave for the next one (contract A12),
// each for one user only (security X6).
//
// Runs begin and hold them, endpoints look and cancel; all methods may be called
// concurrently. They fail with the context's cause when that has ended, with the
// errors of this package as each method says, and with others when the backend is
// in trouble. A key whose ID is not a valid one is unknown to every method. A
// Session given or returned is the caller's to change.
//
// A session is forgotten when it has not been used for its time to live. A store
// bounds its size: to make room it forgets the session that has been idle
// longest, never one that a run holds.
type Sessions interface {
	// Begin takes the session's lease for one run, and makes the session if there
	// is none. ctx is the run's, not only the call's: it is the parent of the
	// lease's context. How long the call may take is the backend's own matter, and
	// short. ErrBusy: another run holds it. ErrUnknown: an anonymous
	// caller names a session that does not exist, and o does not say that we have
	// just made up its id. ErrFull: there is no room for a new session.
	Begin(ctx context.Context, key SessionKey, o Opening) (Lease, error)

	// Get returns the session as it was saved last. ErrUnknown if there is none.
	Get(ctx context.Context, key SessionKey) (Session, error)

	// Cancel ends the run that holds the session: its lease's context ends with
	// ErrCancelled, soon but not necessarily before Cancel returns. Without a run
	// it does nothing, and later runs are not concerned. ErrUnknown if there is no
	// such session.
	Cancel(ctx context.Context, key SessionKey) error
}

// Opening says how a session is begun.
type Opening struct {
	// Agent is the name that a new session starts with.
	Agent string

	// Issued says that the id is fresh from NewSessionID and has never come from a
	// client. Only with it may an anonymous caller have a new session: ids that
	// clients choose could be chosen twice.
	Issued bool

	// TTL is how long the session is kept after its last use, SessionTTL if 0.
	TTL time.Duration
}

// Lease is a run's right to a session: as long as it holds, there is no other
// run. It belongs to the run, whose goroutines may share it.
//
// A store renews its leases by itself while their context lives. Once that has
// ended, whatever the cause, the run has LeaseTTL left to save and to release;
// then the session is free again, and what the run still saves is refused. So a
// run that dies, or a machine, blocks a session for LeaseTTL at most.
type Lease interface {
	// Session returns the session as it was when the run began.
	Session() Session

	// Context is what the run works under. It ends when the context that was given
	// to Begin does, with its cause; with ErrCancelled when the run is cancelled;
	// with ErrLost when the lease could not be renewed in time or another run has
	// it; and on Release.
	Context() context.Context

	// Save keeps s for the next run; of its fields Created, Used and Running are
	// ignored. It works as long as the lease holds, also for a run that has been
	// cancelled, but not with a context that has ended: derive one that has not.
	// ErrTooLarge and ErrFull: the former state stays. ErrLost: it is not ours.
	Save(ctx context.Context, s Session) error

	// Release gives the session back, once; later calls do nothing. Of ctx only the
	// values count: a release must not fail because the client has left. ErrLost:
	// the lease had not held to the end; whoever has it now keeps it.
	Release(ctx context.Context) error
}

// Lister is implemented by sessions that operators can look through.
type Lister interface {
	// List returns up to limit sessions, of one user unless that is empty, in no
	// order.
	List(ctx context.Context, user string, limit int) ([]Listed, error)
}

// Listed is a session and whose it is.
type Listed struct {
	Key     SessionKey
	Session Session
}
