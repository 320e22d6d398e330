package redis

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/universal-ai-gateway/magicproxy/state"
	"github.com/universal-ai-gateway/magicproxy/state/statetest"
)

// age takes time from what the keys have to live.
var age = goredis.NewScript(`
local d = tonumber(ARGV[2])
redis.call('INCRBY', ARGV[1] .. 'passed', d)
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. 'session*')) do
	local left = redis.call('PTTL', key)
	if left <= d then
		redis.call('DEL', key)
	else
		redis.call('PEXPIRE', key, left - d)
	end
end
return 1
`)

// timed is a store whose sessions believe that time passes.
type timed struct {
	*Store
	passed atomic.Int64
}

func newTimed(t *testing.T) *timed {
	t.Helper()
	s := &timed{Store: shared(t, Options{Wait: calm})}
	m := s.sessions.(*sessions)
	m.now = func() time.Time { return time.Now().Add(time.Duration(s.passed.Load())) }
	m.scripts = newSessionScripts(serverClock + fmt.Sprintf(`
t[1] = string.format('%%.0f', t[1] + (redis.call('GET', %q) or 0) / 1000)`, s.prefix+"passed"))
	return s
}

// pass lets time pass in steps, with a round of renewals in each.
func (s *timed) pass(t *testing.T, d time.Duration) {
	const step = state.LeaseTTL / 6
	m := s.sessions.(*sessions)
	for d > 0 {
		await(t, "ends are known", func() bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			for _, l := range m.held {
				l.mu.Lock()
				late := l.ctx.Err() != nil && l.ended.IsZero()
				l.mu.Unlock()
				if late {
					return false
				}
			}
			return true
		})
		n := min(d, step)
		if err := age.Run(t.Context(), s.steady, nil, s.prefix, n.Milliseconds()).Err(); err != nil {
			t.Fatal(err)
		}
		s.passed.Add(int64(n))
		m.round(t.Context())
		d -= n
	}
}

// contract: A12 (renewed while running, 30 min life)
func TestSessionsInTime(t *testing.T) {
	var s *timed // of the scenario
	var in *testing.T
	statetest.SessionsInTime(t, func(t *testing.T) state.Sessions {
		s, in = newTimed(t), t
		return s.Sessions()
	}, statetest.Clock{
		Run:  func(t *testing.T, scenario func(*testing.T)) { t.Helper(); scenario(t) },
		Pass: func(d time.Duration) { s.pass(in, d) },
	})
}
