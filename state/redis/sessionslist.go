package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// scanned is how many keys a node looks at in one step.
const scanned = 500

// listing collects sessions, each once.
type listing struct {
	m     *sessions
	limit int

	mu   sync.Mutex // nodes of a cluster are asked at the same time
	all  []state.Listed
	seen map[state.SessionKey]bool
}

// List implements state.Lister. While Redis is away these are the sessions that this
// machine has begun since.
func (m *sessions) List(ctx context.Context, user string, limit int) ([]state.Listed, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if limit <= 0 {
		return nil, nil
	}
	m.begin()
	l := &listing{m: m, limit: limit, seen: make(map[state.SessionKey]bool)}
	here, err := m.local.List(ctx, user, limit)
	if err != nil {
		return nil, err
	}
	for _, s := range here {
		l.put(s)
	}
	if !m.s.breaker.up() {
		if m.mode() != state.ModeLocal {
			return nil, state.ErrUnavailable
		}
		return l.all, nil
	}
	if user != "" {
		err = l.user(ctx, user)
	} else {
		err = l.everybody(ctx)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		m.s.failed(err)
		return nil, fmt.Errorf("%w: %w", state.ErrUnavailable, err)
	}
	return l.all, nil
}

// put adds a session, if there is room. mu is held, or nobody else is there.
func (l *listing) put(s state.Listed) {
	if len(l.all) < l.limit && !l.seen[s.Key] {
		l.seen[s.Key] = true
		l.all = append(l.all, s)
	}
}

func (l *listing) user(ctx context.Context, user string) error {
	t := tag(state.SessionKey{User: user})
	ids, err := l.m.s.steady.ZRevRange(ctx, l.m.set(t), 0, int64(l.limit)-1).Result()
	if err != nil {
		return err
	}
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = l.m.start(t) + id
	}
	return l.read(ctx, names)
}

// literal makes a pattern of Redis of a text.
var literal = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`, `^`, `\^`)

func (l *listing) everybody(ctx context.Context) error {
	if c, ok := l.m.s.steady.(*goredis.ClusterClient); ok {
		return c.ForEachMaster(ctx, func(ctx context.Context, c *goredis.Client) error { return l.scan(ctx, c) })
	}
	return l.scan(ctx, l.m.s.steady)
}

// scan goes through the keys of one node.
func (l *listing) scan(ctx context.Context, c goredis.Cmdable) error {
	pattern := literal.Replace(l.m.s.prefix) + "session:{*"
	for cursor := uint64(0); ; {
		names, next, err := c.Scan(ctx, cursor, pattern, scanned).Result()
		if err == nil {
			err = l.read(ctx, names)
		}
		l.mu.Lock()
		full := len(l.all) == l.limit
		l.mu.Unlock()
		if err != nil || full || next == 0 {
			return err
		}
		cursor = next
	}
}

// read looks at the sessions with these keys. Some may be gone meanwhile.
func (l *listing) read(ctx context.Context, names []string) error {
	for len(names) > 0 {
		n := min(len(names), atOnce)
		scripts := make([]*scripted, n)
		for i, name := range names[:n] {
			scripts[i] = &scripted{script: l.m.scripts.look, keys: []string{name}, args: []any{""}}
		}
		l.m.runAll(ctx, scripts)
		l.mu.Lock()
		for i, q := range scripts {
			reply, err := q.cmd.Slice()
			if errors.Is(err, goredis.Nil) {
				continue
			}
			if err == nil {
				at := strings.LastIndexByte(names[i], '}')
				item := state.Listed{Key: state.SessionKey{ID: names[i][at+1:]}}
				if item.Session, _, item.Key.User, err = readLook(reply); err == nil {
					l.put(item)
				}
			}
			if err != nil {
				l.mu.Unlock()
				return err
			}
		}
		l.mu.Unlock()
		names = names[n:]
	}
	return nil
}
