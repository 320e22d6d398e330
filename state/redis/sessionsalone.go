package redis

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// alone begins a session without Redis.
func (m *sessions) alone(ctx context.Context, key state.SessionKey, o state.Opening) (state.Lease, error) {
	switch {
	case m.mode() == state.ModeClosed:
		return nil, state.ErrUnavailable
	case m.holder(key) != nil:
		return nil, state.ErrBusy
	case m.mode() == state.ModeOpen: // in a store that nobody looks into
		return state.NewMemorySessions(state.Bounds{}).Begin(ctx, key, state.Opening{Agent: o.Agent, Issued: true, TTL: o.TTL})
	}
	m.bring(key)
	l, err := m.local.Begin(ctx, key, o)
	if errors.Is(err, state.ErrUnknown) {
		err = state.ErrUnavailable // who knows
	}
	return l, err
}

// bring makes a session this machine's that Redis has not got back.
func (m *sessions) bring(key state.SessionKey) {
	ctx := context.Background()
	if _, err := m.local.Get(ctx, key); err == nil {
		return
	}
	for _, p := range m.owed(key) {
		if p.ctx == nil {
			continue
		}
		if l, err := m.local.Begin(ctx, key, state.Opening{Agent: p.saved.Agent, Issued: true, TTL: p.ttl}); err == nil {
			_ = l.Save(ctx, p.saved)
			_ = l.Release(ctx)
		}
	}
}

// holder returns the lease that a run of this process has of a session in Redis, nil if
// there is none.
func (m *sessions) holder(key state.SessionKey) *lease {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.held[m.name(key)]; l != nil && !l.over() {
		return l
	}
	return nil
}

// owe notes a lease that is to be given back, and is not known to have been.
func (m *sessions) owe(l *lease) {
	m.mu.Lock()
	m.later[l] = true
	m.mu.Unlock()
	m.poke()
}

// owed returns what is to be given back of a session.
func (m *sessions) owed(key state.SessionKey) (some []*lease) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for l := range m.later {
		if l.key == key {
			some = append(some, l)
		}
	}
	return some
}

// settle gives back what is owed of a session. It reports whether there was any.
func (m *sessions) settle(ctx context.Context, key state.SessionKey) bool {
	some := m.owed(key)
	m.giveBack(ctx, some)
	return len(some) > 0
}

// giveBack tells Redis what is owed. What it has answered is no longer.
func (m *sessions) giveBack(ctx context.Context, some []*lease) {
	calls := make([]*call, 0, len(some))
	for _, l := range some {
		c := &call{l: l, do: doGiveBack + doLate}
		if l.ctx != nil { // else it is not known to have been taken
			l.mu.Lock()
			c.s, c.seq = l.saved, l.seq
			l.mu.Unlock()
			c.do += doSave
			here, err := m.local.Get(ctx, l.key)
			if err == nil && here.Running {
				continue // once that has ended
			}
			if err == nil { // it has gone on here
				c.s, c.seq = here, c.seq+1
			}
		}
		calls = append(calls, c)
	}
	m.ask(ctx, calls)
	for _, c := range calls {
		if c.err != nil {
			continue
		}
		m.mu.Lock()
		delete(m.later, c.l)
		m.mu.Unlock()
		if c.l.ctx != nil {
			m.local.Forget(c.l.key)
		}
	}
}

// carry takes along what this machine knows of a session that was just begun: from a
// lease that Redis has not got back, or from a time without Redis. Not if another machine
// has saved something meanwhile. unsaved says that nobody has ever.
func (m *sessions) carry(l *lease, unsaved bool) {
	here, err := m.local.Get(context.Background(), l.key)
	known := err == nil && !here.Running
	for _, p := range m.owed(l.key) {
		if p.ctx == nil {
			continue
		}
		if fence, _ := strconv.ParseUint(p.fence, 10, 64); strconv.FormatUint(fence+1, 10) == l.fence {
			unsaved = true
			if !known {
				here, known = p.saved, true
			}
		}
		m.mu.Lock()
		delete(m.later, p)
		m.mu.Unlock()
	}
	if !known {
		return
	}
	if unsaved && (here.Phase > 0 || here.Steps > 0 || len(here.Notebook) > 0) {
		l.was.Agent, l.was.Phase, l.was.Steps, l.was.Notebook = here.Agent, here.Phase, here.Steps, here.Notebook
		l.saved, l.dirty, l.seq = l.was, true, 1
	}
	m.local.Forget(l.key)
}

// forget drops what has no use any more: the leases of runs that ended without giving them
// back, and what is owed of sessions that would be forgotten by now.
func (m *sessions) forget(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, l := range m.held {
		if l.over() {
			delete(m.held, name)
		}
	}
	for l := range m.later {
		if now.Sub(l.lastUse()) > max(l.ttl, m.leaseTTL) {
			delete(m.later, l)
		}
	}
}
