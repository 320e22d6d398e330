package redis

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// topicCancel carries cancelled runs: the session's key and the lease's fence.
const topicCancel = "session_cancel"

// maxPerUser bounds the sessions of one user, running ones included.
const maxPerUser = 1000

// sessions are state.Sessions over Redis. While it is away they go on as the store's
// mode says: locally, in nobody's memory, or not at all.
//
// What is begun while Redis is away stays on this machine and ends there; what was begun
// before is saved when Redis is back, if that is within the lease's time.
type sessions struct {
	s        *Store
	leaseTTL time.Duration
	max      int
	once     sync.Once

	mu    sync.Mutex
	held  map[*lease]bool
	later map[*lease]bool // to be given back when Redis is there again
}

func newSessions(s *Store) *sessions {
	return &sessions{s: s, leaseTTL: state.LeaseTTL, max: maxPerUser, held: make(map[*lease]bool), later: make(map[*lease]bool)}
}

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

// keys are the session's, and the user's set.
func (m *sessions) keys(key state.SessionKey) []string {
	t := tag(key)
	return []string{m.start(t) + key.ID, m.s.prefix + "sessions:{" + t + "}"}
}

// start begins the keys of a user's sessions.
func (m *sessions) start(tag string) string { return m.s.prefix + "session:{" + tag + "}" }

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
	l := &lease{m: m, key: state.SessionKey{User: strings.Clone(key.User), ID: strings.Clone(key.ID)}, owner: rand.Text(), ttl: o.TTL}
	may := "1"
	if key.User == "" && !o.Issued {
		may = "0"
	}
	asked := time.Now()
	answer, err := m.s.run(ctx, beginScript, func() { // it came too late for us
		l.was.Created = time.Now()
		_, _ = l.run(m.s.ctx, "g", state.Session{})
	}, m.keys(key), l.owner, m.leaseTTL.Milliseconds(), o.TTL.Milliseconds(), o.Agent, may, key.User, key.ID, m.max, m.start(tag(key)))
	switch {
	case ctx.Err() != nil && err != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return m.alone(ctx, key, o)
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
	if len(reply) != 8 {
		return nil, fmt.Errorf("the session script answered %d values", len(reply))
	}
	l.fence, _ = reply[1].(string)
	if l.was, err = readSession(reply[2:]); err != nil {
		return nil, err
	}
	l.start(ctx, asked)
	return l, nil
}

// alone begins a session without Redis.
func (m *sessions) alone(ctx context.Context, key state.SessionKey, o state.Opening) (state.Lease, error) {
	switch m.s.modes[state.UseSessions] {
	case state.ModeClosed:
		return nil, state.ErrUnavailable
	case state.ModeOpen: // in a store that nobody looks into
		return state.NewMemorySessions(state.Bounds{}).Begin(ctx, key, state.Opening{Agent: o.Agent, Issued: true, TTL: o.TTL})
	}
	return m.s.local.Sessions().Begin(ctx, key, o)
}

// Get implements state.Sessions.
func (m *sessions) Get(ctx context.Context, key state.SessionKey) (state.Session, error) {
	s, _, err := m.look(ctx, key, "")
	return s, err
}

// Cancel implements state.Sessions.
func (m *sessions) Cancel(ctx context.Context, key state.SessionKey) error {
	s, fence, err := m.look(ctx, key, "cancel")
	if err == nil && s.Running {
		m.s.bus.Publish(topicCancel, []byte(fence+" "+m.keys(key)[0]))
	}
	return err
}

// look asks for a session, here first if Redis is away, or was when it was begun.
func (m *sessions) look(ctx context.Context, key state.SessionKey, verb string) (s state.Session, fence string, err error) {
	switch {
	case ctx.Err() != nil:
		return s, "", context.Cause(ctx)
	case !state.ValidSessionID(key.ID):
		return s, "", state.ErrUnknown
	}
	m.begin()
	here := m.s.local.Sessions()
	if s, err = here.Get(ctx, key); err == nil {
		if verb == "cancel" {
			err = here.Cancel(ctx, key)
		}
		return s, "", err
	}
	if !m.s.breaker.up() {
		return s, "", m.away()
	}
	reply, err := lookScript.Run(ctx, m.s.steady, m.keys(key)[:1], verb).Slice()
	switch {
	case errors.Is(err, goredis.Nil):
		return s, "", state.ErrUnknown
	case err != nil && ctx.Err() != nil:
		return s, "", context.Cause(ctx)
	case err != nil:
		m.s.failed(err)
		return s, "", m.away()
	case len(reply) != 9:
		return s, "", fmt.Errorf("the session script answered %d values", len(reply))
	}
	s, err = readSession(reply[1:])
	s.Running = reply[0] == "1"
	fence, _ = reply[7].(string)
	return s, fence, err
}

// away is what is said of a session that cannot be looked at.
func (m *sessions) away() error {
	if m.s.modes[state.UseSessions] == state.ModeClosed {
		return state.ErrUnavailable
	}
	return state.ErrUnknown
}

// hear ends a run of this process that was cancelled anywhere. A nil message says that
// something was missed: renewals tell of that, too.
func (m *sessions) hear(message []byte) {
	fence, name, ok := strings.Cut(string(message), " ")
	if !ok {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for l := range m.held {
		if l.fence == fence && m.keys(l.key)[0] == name {
			l.cancel(state.ErrCancelled)
		}
	}
}

// List implements state.Lister.
func (m *sessions) List(ctx context.Context, user string, limit int) ([]state.Listed, error) {
	var all []state.Listed
	add := func(key string) error {
		at := strings.LastIndexByte(key, '}')
		reply, err := lookScript.Run(ctx, m.s.steady, []string{key}, "").Slice()
		if errors.Is(err, goredis.Nil) || err == nil && len(reply) != 9 {
			return nil // gone meanwhile
		}
		if err != nil {
			return err
		}
		s, err := readSession(reply[1:])
		s.Running = reply[0] == "1"
		owner, _ := reply[8].(string)
		all = append(all, state.Listed{Key: state.SessionKey{User: owner, ID: key[at+1:]}, Session: s})
		return err
	}
	if user != "" {
		t := tag(state.SessionKey{User: user})
		ids, err := m.s.steady.ZRange(ctx, m.s.prefix+"sessions:{"+t+"}", 0, int64(limit)-1).Result()
		for _, id := range ids {
			err = errors.Join(err, add(m.start(t)+id))
		}
		return all, err
	}
	var mu sync.Mutex // nodes of a cluster are asked at the same time
	scan := func(ctx context.Context, c goredis.Cmdable) error {
		for it := c.Scan(ctx, 0, m.s.prefix+"session:{*", 500).Iterator(); it.Next(ctx); {
			mu.Lock()
			full := len(all) >= limit
			var err error
			if !full {
				err = add(it.Val())
			}
			mu.Unlock()
			if err != nil || full {
				return err
			}
		}
		return nil
	}
	if c, ok := m.s.steady.(*goredis.ClusterClient); ok {
		return all, c.ForEachMaster(ctx, func(ctx context.Context, c *goredis.Client) error { return scan(ctx, c) })
	}
	err := scan(ctx, m.s.steady)
	return all, err
}

// readSession reads agent, phase, steps, notebook, created and used.
func readSession(reply []any) (s state.Session, err error) {
	text := func(i int) string { v, _ := reply[i].(string); return v }
	number := func(i int) int64 {
		n, e := strconv.ParseInt(text(i), 10, 64)
		err = errors.Join(err, e)
		return n
	}
	s.Agent = text(0)
	s.Phase, s.Steps = int(number(1)), int(number(2))
	if notes := text(3); notes != "" {
		err = errors.Join(err, json.Unmarshal([]byte(notes), &s.Notebook))
	}
	s.Created, s.Used = time.UnixMicro(number(4)).UTC(), time.UnixMicro(number(5)).UTC()
	if err != nil {
		return s, fmt.Errorf("a session in redis cannot be read: %w", err)
	}
	return s, nil
}

// Interface guards
var (
	_ state.Sessions = (*sessions)(nil)
	_ state.Lister   = (*sessions)(nil)
)
