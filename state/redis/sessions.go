package redis

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// topicCancel carries cancelled runs: the lease's fence and the session's key.
const topicCancel = "session_cancel"

// maxPerUser bounds the sessions of one user, running ones included.
const maxPerUser = 1000

// sessions are state.Sessions over Redis.
//
// While it is away nobody fails who has a session: a run goes on, without being renewed,
// and what it saves is told to Redis afterwards. If another run has the session by then,
// what was saved is lost, and a run still under way ends with ErrLost. In ModeClosed a
// run ends so as soon as it could not be renewed for the lease's time.
//
// What begins while Redis is away begins as the mode says. In ModeLocal that is on this
// machine, which does not know the sessions of Redis: they begin anew. When Redis is back
// such a run stays here to its end; the next one carries what it left to Redis, unless
// Redis has something. An anonymous caller's session can't go on, for nobody can tell
// whether its id was issued.
//
// A Redis that has lost its data gets the sessions back whose runs are under way; those
// that nobody holds are gone.
type sessions struct {
	s        *Store
	local    *state.MemorySessions
	scripts  *sessionScripts
	now      func() time.Time
	leaseTTL time.Duration
	max      int
	once     sync.Once

	wake   chan struct{} // a round is due
	missed atomic.Bool   // news may have been missed: all leases are to be renewed

	mu    sync.Mutex
	held  map[string]*lease // by the session's key: what runs of this process hold
	later map[*lease]bool   // what is to be given back when Redis answers
}

func newSessions(s *Store) *sessions {
	return &sessions{
		s: s, local: s.local.Sessions().(*state.MemorySessions), scripts: theSessionScripts, now: time.Now,
		leaseTTL: state.LeaseTTL, max: maxPerUser, wake: make(chan struct{}, 1),
		held: make(map[string]*lease), later: make(map[*lease]bool),
	}
}

func (m *sessions) mode() state.Mode { return m.s.modes[state.UseSessions] }

// begin starts the work in the background.
func (m *sessions) begin() {
	m.once.Do(func() {
		cancel := m.s.bus.Subscribe(topicCancel, m.hear)
		if !m.s.start(func() {
			defer cancel()
			m.renew(m.s.ctx)
		}) {
			cancel()
		}
	})
}

// poke asks for a round.
func (m *sessions) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// tag names a user in keys, so that all of one user's are in one slot. Anonymous callers
// are not one user.
func tag(key state.SessionKey) string {
	who := "user " + key.User
	if key.User == "" {
		who = "session " + key.ID
	}
	sum := sha256.Sum256([]byte(who))
	return hex.EncodeToString(sum[:12])
}

// start begins the keys of a user's sessions.
func (m *sessions) start(tag string) string { return m.s.prefix + "session:{" + tag + "}" }

// set is the key of a user's set.
func (m *sessions) set(tag string) string { return m.s.prefix + "sessions:{" + tag + "}" }

// name is the session's key.
func (m *sessions) name(key state.SessionKey) string { return m.start(tag(key)) + key.ID }

// Begin implements state.Sessions.
func (m *sessions) Begin(ctx context.Context, key state.SessionKey, o state.Opening) (state.Lease, error) {
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case !state.ValidSessionID(key.ID):
		return nil, state.ErrUnknown
	}
	m.begin()
	if o.TTL <= 0 {
		o.TTL = state.SessionTTL
	}
	if s, err := m.local.Get(ctx, key); err == nil && s.Running {
		return nil, state.ErrBusy // since Redis was away
	}
	l, err := m.take(ctx, key, o)
	if errors.Is(err, state.ErrBusy) && m.settle(ctx, key) { // it was ourselves
		l, err = m.take(ctx, key, o)
	}
	switch {
	case errors.Is(err, errAway) && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, errAway):
		return m.alone(ctx, key, o)
	case err != nil:
		return nil, err
	}
	return l, nil
}

// take takes a session's lease in Redis. errAway: Redis is, or may be.
func (m *sessions) take(ctx context.Context, key state.SessionKey, o state.Opening) (*lease, error) {
	if !m.s.breaker.up() {
		return nil, errAway
	}
	t := tag(key)
	l := &lease{
		m: m, key: state.SessionKey{User: strings.Clone(key.User), ID: strings.Clone(key.ID)}, owner: rand.Text(), ttl: o.TTL,
		keys: []string{m.start(t) + key.ID, m.set(t)}, asked: m.now(),
	}
	l.used = l.asked
	may := "1"
	if key.User == "" && !o.Issued {
		may = "0"
	}
	undo := func() { m.owe(l) } // nobody waits for it, and it may be taken all the same
	answer, err := m.s.run(ctx, m.scripts.begin, undo, l.keys, l.owner, m.leaseTTL.Milliseconds(), o.TTL.Milliseconds(),
		o.Agent, may, key.User, key.ID, m.max, m.start(t))
	if err != nil {
		undo()
		return nil, errAway
	}
	reply, ok := answer.([]any)
	if !ok || len(reply) == 0 {
		return nil, fmt.Errorf("the session script answered %T", answer)
	}
	switch reply[0] {
	case "busy":
		return nil, state.ErrBusy
	case "unknown":
		return nil, state.ErrUnknown
	case "full":
		return nil, state.ErrFull
	}
	if len(reply) != 9 {
		return nil, fmt.Errorf("the session script answered %d values", len(reply))
	}
	l.fence, _ = reply[1].(string)
	if l.was, err = readSession(reply[2:8]); err != nil {
		undo()
		return nil, err
	}
	l.saved = l.was
	m.carry(l, reply[8] == nil)
	l.start(ctx)
	return l, nil
}

// Get implements state.Sessions.
func (m *sessions) Get(ctx context.Context, key state.SessionKey) (state.Session, error) {
	s, _, err := m.find(ctx, key, "")
	return s, err
}

// Cancel implements state.Sessions. Without Redis it finds the runs of this machine only.
func (m *sessions) Cancel(ctx context.Context, key state.SessionKey) error {
	s, fence, err := m.find(ctx, key, "cancel")
	if err == nil && s.Running && fence != "" {
		m.s.bus.Publish(topicCancel, []byte(fence+" "+m.name(key)))
	}
	return err
}

// find looks a session up, and with verb cancel says that its run is to end. It returns
// the run's fence if it is Redis that knows of it.
func (m *sessions) find(ctx context.Context, key state.SessionKey, verb string) (s state.Session, fence string, err error) {
	switch {
	case ctx.Err() != nil:
		return s, "", context.Cause(ctx)
	case !state.ValidSessionID(key.ID):
		return s, "", state.ErrUnknown
	}
	m.begin()
	up := m.s.breaker.up()
	if up {
		m.settle(ctx, key)
	}
	here, err := m.local.Get(ctx, key)
	known := err == nil
	err = errAway
	if up && !(known && here.Running) {
		var reply []any
		reply, err = m.scripts.look.Run(ctx, m.s.steady, []string{m.name(key)}, verb).Slice()
		switch {
		case err == nil:
			s, fence, _, err = readLook(reply)
			return s, fence, err
		case errors.Is(err, goredis.Nil) && !known:
			return s, "", state.ErrUnknown
		case ctx.Err() != nil:
			return s, "", context.Cause(ctx)
		}
		m.s.failed(err)
	}
	l := m.holder(key)
	switch {
	case l != nil && verb == "cancel":
		l.cancel(state.ErrCancelled)
		return l.shown(), "", nil
	case l != nil:
		return l.shown(), "", nil
	case known && verb == "cancel":
		return here, "", m.local.Cancel(ctx, key)
	case known:
		return here, "", nil
	}
	for _, p := range m.owed(key) {
		if p.ctx != nil {
			return p.shown(), "", nil
		}
	}
	return s, "", fmt.Errorf("%w: %w", state.ErrUnavailable, err)
}

// hear ends a run of this process that was cancelled anywhere. After a nil message the
// renewals find out what was missed.
func (m *sessions) hear(message []byte) {
	if message == nil {
		m.missed.Store(true)
		m.poke()
		return
	}
	fence, name, _ := strings.Cut(string(message), " ")
	m.mu.Lock()
	l := m.held[name]
	m.mu.Unlock()
	if l != nil && l.fence == fence {
		l.cancel(state.ErrCancelled)
	}
}

// Interface guards
var (
	_ state.Sessions = (*sessions)(nil)
	_ state.Lister   = (*sessions)(nil)
)
