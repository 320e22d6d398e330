package state

import (
	"container/list"
	"context"
	"strings"
	"sync"
	"time"
)

// Bounds are the size of MemorySessions.
type Bounds struct {
	// Total bounds the sessions in all, 100,000 if it is 0.
	Total int

	// PerUser bounds those of one user that no run holds, 1,000 if it is 0: how many
	// runs there may be is not for the room to say that they leave behind. Anonymous
	// callers are not one user: only Total bounds them.
	PerUser int

	// Bytes bounds the sum of all Sizes, 256 MiB if it is 0. What a session costs
	// without its text comes on top: about 400 bytes, 1 KiB while it runs.
	Bytes int
}

const (
	defaultTotal   = 100_000
	defaultPerUser = 1_000
	defaultBytes   = 256 << 20
)

// MemorySessions keep sessions within one process. Nothing runs in the
// background: what has expired is forgotten when it is asked for, and a few at
// each Begin. A lease is never lost while its context lives, and needs no
// renewal.
type MemorySessions struct {
	bounds Bounds

	mu     sync.Mutex
	byKey  map[SessionKey]*entry
	owners map[string]*owner // of entries; anonymous ones have none
	idle   list.List         // of *entry without a running run, the longest unused first
	bytes  int
}

// NewMemorySessions returns an empty store.
func NewMemorySessions(b Bounds) *MemorySessions {
	if b.Total <= 0 {
		b.Total = defaultTotal
	}
	if b.PerUser <= 0 {
		b.PerUser = defaultPerUser
	}
	if b.Bytes <= 0 {
		b.Bytes = defaultBytes
	}
	return &MemorySessions{bounds: b, byKey: make(map[SessionKey]*entry), owners: make(map[string]*owner)}
}

// owner is a user with sessions.
type owner struct {
	count int
	idle  list.List // of *entry, in the order of MemorySessions.idle
}

// entry is a session in the store.
type entry struct {
	key   SessionKey
	owner *owner  // nil: anonymous
	s     Session // replaced as a whole, its notebook never changes
	size  int
	ttl   time.Duration
	lease *memoryLease // that holds, or has run out since; nil: none

	all, own *list.Element // in the idle lists; nil while a run is running
}

// held reports whether a lease holds at now.
func (e *entry) held(now time.Time) bool { return e.lease != nil && e.lease.holds(now) }

func (e *entry) expired(now time.Time) bool { return !e.held(now) && !now.Before(e.s.Used.Add(e.ttl)) }

// Begin implements Sessions.
func (m *MemorySessions) Begin(ctx context.Context, key SessionKey, o Opening) (Lease, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if !ValidSessionID(key.ID) {
		return nil, ErrUnknown
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now().UTC()
	m.sweep(now)
	e := m.find(key, now)
	switch {
	case e == nil && key.User == "" && !o.Issued:
		return nil, ErrUnknown
	case e == nil:
		var err error
		if e, err = m.add(key, o.Agent, now); err != nil {
			return nil, err
		}
	case e.held(now):
		return nil, ErrBusy
	}
	m.leave(e)
	e.s.Used = now
	e.ttl = o.TTL
	if e.ttl <= 0 {
		e.ttl = SessionTTL
	}
	e.lease = newMemoryLease(ctx, m, e)
	return e.lease, nil
}

// Get implements Sessions.
func (m *MemorySessions) Get(ctx context.Context, key SessionKey) (Session, error) {
	if ctx.Err() != nil {
		return Session{}, context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	e := m.find(key, now)
	if e == nil {
		return Session{}, ErrUnknown
	}
	s := e.s.clone()
	s.Running = e.held(now)
	return s, nil
}

// Cancel implements Sessions.
func (m *MemorySessions) Cancel(ctx context.Context, key SessionKey) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	e := m.find(key, now)
	switch {
	case e == nil:
		return ErrUnknown
	case e.held(now):
		e.lease.cancel(ErrCancelled)
	}
	return nil
}

// Forget removes a session that no run holds: somebody else keeps it now.
func (m *MemorySessions) Forget(key SessionKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.byKey[key]; e != nil && !e.held(time.Now()) {
		m.drop(e)
	}
}

// List implements Lister.
func (m *MemorySessions) List(ctx context.Context, user string, limit int) ([]Listed, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	var all []Listed
	for key, e := range m.byKey {
		if len(all) == limit {
			break
		}
		if user != "" && key.User != user || e.expired(now) {
			continue
		}
		s := e.s.clone()
		s.Running = e.held(now)
		all = append(all, Listed{key, s})
	}
	return all, nil
}

// find returns the entry of key, nil if there is none that has not expired. mu is
// held, as for all that follow.
func (m *MemorySessions) find(key SessionKey, now time.Time) *entry {
	e := m.byKey[key]
	if e != nil && e.expired(now) {
		m.drop(e)
		return nil
	}
	return e
}

// add makes an entry and the room for it.
func (m *MemorySessions) add(key SessionKey, agent string, now time.Time) (*entry, error) {
	// What a key is cut from may be much larger.
	key = SessionKey{User: strings.Clone(key.User), ID: strings.Clone(key.ID)}
	e := &entry{key: key, s: Session{Agent: strings.Clone(agent), Created: now}}
	e.size = e.s.Size()
	if len(m.byKey) >= m.bounds.Total && !m.dropFirst(&m.idle, e) || !m.room(e, e.size) {
		return nil, ErrFull
	}
	if key.User != "" {
		own := m.owners[key.User]
		if own == nil {
			own = &owner{}
			m.owners[key.User] = own
		}
		own.count++
		e.owner = own
	}
	m.byKey[key] = e
	m.bytes += e.size
	return e, nil
}

// room makes room for so many bytes more of e, and reports whether it could.
func (m *MemorySessions) room(e *entry, bytes int) bool {
	for m.bytes+bytes > m.bounds.Bytes {
		if !m.dropFirst(&m.idle, e) {
			return false
		}
	}
	return true
}

// dropFirst forgets the session that has been idle longest, if it is not e.
func (m *MemorySessions) dropFirst(l *list.List, e *entry) bool {
	first := l.Front()
	if first == nil || first.Value == e {
		return false
	}
	m.drop(first.Value.(*entry))
	return true
}

// sweepMax bounds the work of a sweep. Any number above one makes the sweeps
// faster than what Begin can add.
const sweepMax = 8

// sweep forgets some of what has expired.
func (m *MemorySessions) sweep(now time.Time) {
	for range sweepMax {
		first := m.idle.Front()
		if first == nil || !first.Value.(*entry).expired(now) {
			return
		}
		m.drop(first.Value.(*entry))
	}
}

func (m *MemorySessions) drop(e *entry) {
	m.leave(e)
	e.lease = nil
	delete(m.byKey, e.key)
	m.bytes -= e.size
	if e.owner == nil {
		return
	}
	if e.owner.count--; e.owner.count == 0 {
		delete(m.owners, e.key.User)
	}
}

// rest puts e at the end of the idle lists: it has been used now.
func (m *MemorySessions) rest(e *entry, now time.Time) {
	m.leave(e)
	e.s.Used = now
	e.all = m.idle.PushBack(e)
	if e.owner == nil {
		return
	}
	e.own = e.owner.idle.PushBack(e)
	if e.owner.idle.Len() > m.bounds.PerUser {
		m.dropFirst(&e.owner.idle, e)
	}
}

// leave takes e out of the idle lists.
func (m *MemorySessions) leave(e *entry) {
	if e.all == nil {
		return
	}
	m.idle.Remove(e.all)
	if e.owner != nil {
		e.owner.idle.Remove(e.own)
	}
	e.all, e.own = nil, nil
}

// Interface guards
var (
	_ Sessions = (*MemorySessions)(nil)
	_ Lister   = (*MemorySessions)(nil)
)
