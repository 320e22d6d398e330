package state

import (
	"context"
	"time"
)

// memoryLease is a lease of MemorySessions. It holds while its context lives,
// then until a time.
type memoryLease struct {
	m      *MemorySessions
	e      *entry
	was    Session
	ctx    context.Context
	cancel context.CancelCauseFunc
	unhook func() bool // from the end of ctx

	// Guarded by m.mu.
	until    time.Time // zero while ctx lives
	released bool
}

// newMemoryLease returns a lease of e, for e. m.mu is held.
func newMemoryLease(ctx context.Context, m *MemorySessions, e *entry) *memoryLease {
	l := &memoryLease{m: m, e: e, was: e.s}
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	l.unhook = context.AfterFunc(l.ctx, l.end)
	return l
}

// holds reports whether the lease has not run out. m.mu is held.
func (l *memoryLease) holds(now time.Time) bool { return l.until.IsZero() || now.Before(l.until) }

// ours reports whether the lease still is the session's. m.mu is held.
func (l *memoryLease) ours(now time.Time) bool { return l.e.lease == l && l.holds(now) }

// end begins the time that is left when the run's context has ended. From now on
// the session may also be forgotten, as one that is idle.
func (l *memoryLease) end() {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.e.lease != l {
		return
	}
	now := time.Now().UTC()
	l.until = now.Add(LeaseTTL)
	l.m.rest(l.e, now)
}

// Session implements Lease.
func (l *memoryLease) Session() Session { return l.was.clone() }

// Context implements Lease.
func (l *memoryLease) Context() context.Context { return l.ctx }

// Save implements Lease.
func (l *memoryLease) Save(ctx context.Context, s Session) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	size := s.Size()
	if size > MaxSessionBytes {
		return ErrTooLarge
	}
	s = s.detached()
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	now := time.Now().UTC()
	e := l.e
	if !l.ours(now) {
		return ErrLost
	}
	if e.all != nil {
		l.m.rest(e, now)
	}
	if !l.m.room(e, size-e.size) {
		return ErrFull
	}
	s.Created, s.Used, s.Running = e.s.Created, now, false
	l.m.bytes += size - e.size
	e.s, e.size = s, size
	return nil
}

// Release implements Lease.
func (l *memoryLease) Release(context.Context) error {
	l.unhook()
	err := l.release()
	l.cancel(nil)
	return err
}

func (l *memoryLease) release() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.released {
		return nil
	}
	l.released = true
	now := time.Now().UTC()
	if !l.ours(now) {
		return ErrLost
	}
	l.e.lease = nil
	l.m.rest(l.e, now)
	return nil
}

// Interface guards
var _ Lease = (*memoryLease)(nil)
