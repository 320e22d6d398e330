package redis

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// lease is a run's right to a session in Redis.
type lease struct {
	m     *sessions
	key   state.SessionKey
	keys  []string // the session's in Redis, and its user's set
	owner string   // its secret
	fence string
	ttl   time.Duration
	asked time.Time
	was   state.Session

	ctx    context.Context // nil: it is not known to have been taken
	cancel context.CancelCauseFunc
	unhook func() bool

	mu       sync.Mutex
	saved    state.Session // what the session is to be
	seq      int64         // counts what was saved
	dirty    bool          // Redis is not known to have it
	renewed  time.Time     // when it was asked for what was renewed last
	used     time.Time     // when something was saved or given back
	ended    time.Time     // when its context did; zero while that lives
	released bool
}

// start begins to hold the lease.
func (l *lease) start(ctx context.Context) {
	l.renewed = l.asked
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	l.m.mu.Lock()
	l.m.held[l.keys[0]] = l
	l.m.mu.Unlock()
	// From its end on the lease is not renewed: then it runs out.
	l.unhook = context.AfterFunc(l.ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ended = l.m.now()
	})
}

// leave ends the holding of the lease.
func (l *lease) leave() {
	l.unhook()
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.m.held[l.keys[0]] == l {
		delete(l.m.held, l.keys[0])
	}
}

// over reports whether the time is over that the run has after its context's end.
func (l *lease) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.ended.IsZero() && l.m.now().Sub(l.ended) >= l.m.leaseTTL
}

// lost reports whether the lease is known not to hold any more.
func (l *lease) lost() bool { return l.over() || errors.Is(context.Cause(l.ctx), state.ErrLost) }

func (l *lease) lastUse() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.used
}

// Session implements state.Lease.
func (l *lease) Session() state.Session { return detached(l.was) }

func detached(s state.Session) state.Session {
	s.Notebook = slices.Clone(s.Notebook)
	return s
}

// shown is the session as one sees it who looks at it without Redis.
func (l *lease) shown() state.Session {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := detached(l.saved)
	s.Created, s.Used, s.Running = l.was.Created, l.used.UTC(), !l.released
	return s
}

// Context implements state.Lease.
func (l *lease) Context() context.Context { return l.ctx }

// call is something to tell Redis about a lease.
type call struct {
	l   *lease
	do  string
	s   state.Session
	seq int64

	told string
	err  error
}

// script is what the call runs.
func (c *call) script() *scripted {
	l, s, notes := c.l, c.s, ""
	if !c.does(doSave) {
		s = state.Session{}
	}
	if len(s.Notebook) > 0 {
		b, _ := json.Marshal(s.Notebook) // strings can be marshalled
		notes = string(b)
	}
	return &scripted{script: l.m.scripts.hold, keys: l.keys, args: []any{
		l.owner, l.fence, l.m.leaseTTL.Milliseconds(), l.ttl.Milliseconds(), l.key.User, l.key.ID,
		strconv.FormatInt(l.was.Created.UnixMicro(), 10), c.do, s.Agent, s.Phase, s.Steps, notes, c.seq,
	}}
}

func (c *call) does(what string) bool { return strings.Contains(c.do, what) }

// bulky is from what size on a session does not travel with other requests, which would
// wait for it.
const bulky = 32 << 10

// tell tells Redis now, for somebody who waits.
func (c *call) tell(ctx context.Context) error {
	m := c.l.m
	if c.does(doSave) && c.s.Size() >= bulky && m.s.breaker.up() {
		m.ask(ctx, []*call{c})
		return c.err
	}
	q, asked := c.script(), m.now()
	reply, err := m.s.run(ctx, q.script, nil, q.keys, q.args...)
	if err != nil {
		return err
	}
	c.told, _ = reply.(string)
	c.heard(asked)
	return nil
}

// Save implements state.Lease. That Redis has not got it is only said in ModeClosed:
// renewals, or the release, try again.
func (l *lease) Save(ctx context.Context, s state.Session) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case s.Size() > state.MaxSessionBytes:
		return state.ErrTooLarge
	case l.lost():
		return state.ErrLost
	}
	s = detached(s)
	l.mu.Lock()
	if l.released {
		l.mu.Unlock()
		return state.ErrLost
	}
	l.seq++
	l.saved, l.dirty, l.used = s, true, l.m.now()
	c := call{l: l, do: doSave, s: s, seq: l.seq}
	l.mu.Unlock()
	switch err := c.tell(ctx); {
	case err == nil && c.told == "lost":
		return state.ErrLost
	case err == nil:
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case l.m.mode() == state.ModeClosed:
		return state.ErrUnavailable
	}
	return nil
}

// Release implements state.Lease. If Redis does not answer it is told later.
func (l *lease) Release(ctx context.Context) error {
	l.mu.Lock()
	if l.released {
		l.mu.Unlock()
		return nil
	}
	l.released = true
	l.used = l.m.now()
	c := call{l: l, do: doGiveBack, s: l.saved, seq: l.seq}
	if l.dirty {
		c.do += doSave
	}
	l.mu.Unlock()
	lost := l.lost()
	l.leave()
	defer l.cancel(nil)
	if lost {
		return state.ErrLost
	}
	ctx = context.WithoutCancel(ctx)
	err := c.tell(ctx)
	if err == nil && c.told == "gone" {
		c.do = doGiveBack + doSave
		err = c.tell(ctx)
	}
	switch {
	case err == nil && c.told == "lost":
		return state.ErrLost
	case err != nil:
		l.m.owe(l)
	}
	return nil
}

// Interface guards
var _ state.Lease = (*lease)(nil)
