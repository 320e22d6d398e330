// Package state keeps what requests share beyond one of them: counters, rate limits,
// cached answers, and the sessions of agent runs. One process keeps it in memory; a backend that several machines
// share fulfils the same interfaces, and package statetest says whether it does.
//
// Nothing here knows who a caller is or what a client is told: callers pass the
// user they have authenticated, and turn errors into answers.
//
//	sessions := state.NewMemorySessions(state.Bounds{})
//	lease, err := sessions.Begin(ctx, key, state.Opening{Agent: "helper"})
//	if err != nil {
//		…
//	}
//	defer lease.Release(ctx)
//	s := lease.Session()
//	…
//	err = lease.Save(context.WithoutCancel(ctx), s)
package state

import "errors"

// What may be wrong with a session. Every other error is the backend's trouble.
var (
	// ErrUnknown: no such session, or not this user's: the two are not told apart.
	ErrUnknown = errors.New("unknown session")

	// ErrBusy: another run holds the session.
	ErrBusy = errors.New("another run holds the session")

	// ErrFull: a new session, or a larger one, has no room, because those that hold
	// it are in use.
	ErrFull = errors.New("too many sessions are in use")

	// ErrTooLarge: a session has more than MaxSessionBytes.
	ErrTooLarge = errors.New("the session is too large to be kept")

	// ErrLost: the lease is another run's by now, or has run out.
	ErrLost = errors.New("the lease of the session is lost")

	// ErrUnavailable: the backend is away, and sessions are to be kept there or not at
	// all.
	ErrUnavailable = errors.New("the sessions' backend is away")

	// ErrCancelled is why a run ends that somebody cancelled.
	ErrCancelled = errors.New("the run was cancelled")
)
