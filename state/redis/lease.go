package redis

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// lease is a run's right to a session in Redis.
type lease struct {
	m     *sessions
	key   state.SessionKey
	owner string // its secret
	fence string
	ttl   time.Duration
	was   state.Session

	ctx    context.Context
	cancel context.CancelCauseFunc
	unhook func() bool

	mu       sync.Mutex
	saved    state.Session // what the session is to be
	dirty    bool          // Redis does not have it yet
	renewed  time.Time     // when the lease was renewed last, as far as is known
	released bool
}

// start begins to hold the lease, which was asked for at asked.
func (l *lease) start(ctx context.Context, asked time.Time) {
	l.saved, l.renewed = l.was, asked
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	l.m.mu.Lock()
	l.m.held[l] = true
	l.m.mu.Unlock()
	// From its end on the lease is not renewed: then it runs out.
	l.unhook = context.AfterFunc(l.ctx, l.drop)
}

// drop lets go of the renewals.
func (l *lease) drop() {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.held, l)
}

// Session implements state.Lease.
func (l *lease) Session() state.Session { return detached(l.was) }

func detached(s state.Session) state.Session {
	s.Notebook = slices.Clone(s.Notebook)
	return s
}

// Context implements state.Lease.
func (l *lease) Context() context.Context { return l.ctx }

// run renews, saves or gives back, as do says.
func (l *lease) run(ctx context.Context, do string, s state.Session) (told string, err error) {
	notes := ""
	if len(s.Notebook) > 0 {
		b, err := json.Marshal(s.Notebook)
		if err != nil {
			return "", err
		}
		notes = string(b)
	}
	reply, err := l.m.s.run(ctx, holdScript, nil, l.m.keys(l.key), l.owner, l.fence, l.m.leaseTTL.Milliseconds(), l.ttl.Milliseconds(), l.key.User, l.key.ID,
		strconv.FormatInt(l.was.Created.UnixMicro(), 10), do, s.Agent, s.Phase, s.Steps, notes)
	told, _ = reply.(string)
	return told, err
}

// Save implements state.Lease.
func (l *lease) Save(ctx context.Context, s state.Session) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if s.Size() > state.MaxSessionBytes {
		return state.ErrTooLarge
	}
	l.mu.Lock()
	if l.released {
		l.mu.Unlock()
		return state.ErrLost
	}
	s = detached(s)
	l.saved, l.dirty = s, true
	l.mu.Unlock()
	told, err := l.run(ctx, "s", s)
	switch {
	case err != nil && l.m.s.modes[state.UseSessions] == state.ModeClosed:
		return state.ErrUnavailable
	case err != nil:
		return nil //nolint:nilerr // Release, or who goes on after it, tries again
	case told == "lost":
		return state.ErrLost
	}
	l.mu.Lock()
	l.dirty = false
	l.mu.Unlock()
	return nil
}

// Release implements state.Lease.
func (l *lease) Release(ctx context.Context) error {
	l.mu.Lock()
	if l.released {
		l.mu.Unlock()
		return nil
	}
	l.released = true
	do, s := "g", l.saved
	if l.dirty {
		do = "sg"
	}
	l.mu.Unlock()
	l.unhook()
	l.drop()
	defer l.cancel(nil)
	told, err := l.run(context.WithoutCancel(ctx), do, s)
	switch {
	case err != nil:
		l.m.postpone(l)
		return nil
	case told == "lost":
		return state.ErrLost
	}
	return nil
}

// postpone gives a lease back when Redis is there again. Until then the session is this
// machine's.
func (m *sessions) postpone(l *lease) {
	m.mu.Lock()
	m.later[l] = true
	m.mu.Unlock()
	if m.s.modes[state.UseSessions] != state.ModeLocal {
		return
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(l.ctx), time.Second)
	defer stop()
	here, err := m.s.local.Sessions().Begin(ctx, l.key, state.Opening{Agent: l.saved.Agent, Issued: true, TTL: l.ttl})
	if err != nil {
		return
	}
	_ = here.Save(ctx, l.saved)
	_ = here.Release(ctx)
}

// renew renews all leases of this process, and gives back what could not be, until ctx
// ends.
func (m *sessions) renew(ctx context.Context) {
	t := time.NewTicker(m.leaseTTL / 30)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if !m.s.breaker.up() {
			m.expire()
			continue
		}
		for _, l := range m.due() {
			m.renewOne(ctx, l)
		}
		m.finish(ctx)
	}
}

// due are the leases of which a third of the time has passed.
func (m *sessions) due() (some []*lease) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for l := range m.held {
		l.mu.Lock()
		if time.Since(l.renewed) >= m.leaseTTL/3 {
			some = append(some, l)
		}
		l.mu.Unlock()
	}
	return some
}

func (m *sessions) renewOne(ctx context.Context, l *lease) {
	l.mu.Lock()
	s, do := l.saved, "r"
	if l.dirty {
		do = "rs"
	}
	l.mu.Unlock()
	asked := time.Now()
	told, err := l.run(ctx, do, s)
	switch {
	case err != nil: // the next time
	case told == "lost":
		l.cancel(state.ErrLost)
	case told == "cancel":
		l.cancel(state.ErrCancelled)
	default:
		l.mu.Lock()
		l.renewed = asked
		l.mu.Unlock()
	}
}

// expire ends the runs whose leases could not be renewed in time, if sessions are not to
// be kept without Redis.
func (m *sessions) expire() {
	if m.s.modes[state.UseSessions] != state.ModeClosed {
		return // they go on, and are told when Redis is back
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for l := range m.held {
		l.mu.Lock()
		over := time.Since(l.renewed) > m.leaseTTL
		l.mu.Unlock()
		if over {
			l.cancel(state.ErrLost)
		}
	}
}

// finish gives back what could not be when its run ended. After the lease's time it is
// no longer ours.
func (m *sessions) finish(ctx context.Context) {
	m.mu.Lock()
	var some []*lease
	for l := range m.later {
		some = append(some, l)
	}
	m.mu.Unlock()
	for _, l := range some {
		if _, err := l.run(ctx, "sg", l.saved); err != nil {
			return
		}
		m.mu.Lock()
		delete(m.later, l)
		m.mu.Unlock()
		m.s.local.Sessions().(*state.MemorySessions).Forget(l.key)
	}
}

// Interface guards
var _ state.Lease = (*lease)(nil)
