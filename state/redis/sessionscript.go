package redis

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// A session is a hash; the sessions of a user are also in a sorted set, by when they
// are forgotten. Both have the user for their hash tag, so a script may touch them all.
//
//	user, agent, phase, steps, notebook (JSON), created, used (microseconds), ttl (ms)
//	owner   the lease's secret; none without one
//	until   the lease's end, milliseconds
//	fence   counts leases
//	cancel  the fence of a lease that is to end
//	seq     counts what the lease has saved
//	saved   when something was saved last, microseconds; none if nothing ever was
//
// Scripts use the server's clock. One that runs twice, because its answer was lost, or
// late, because the server stood still, does no harm: only the owner is heard, and of two
// saves the one that was made last is kept, whichever comes last.

// sessionScripts are the scripts, with one idea of the time.
type sessionScripts struct{ begin, hold, look *goredis.Script }

// serverClock is the Lua that sets t as TIME does.
const serverClock = `local t = redis.call('TIME')`

var theSessionScripts = newSessionScripts(serverClock)

func newSessionScripts(clock string) *sessionScripts {
	clock += `
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local us = t[1] .. string.format('%06d', t[2])
`
	return &sessionScripts{
		begin: goredis.NewScript(clock + beginBody),
		hold:  goredis.NewScript(clock + holdBody),
		look:  goredis.NewScript(clock + lookBody),
	}
}

// beginBody takes a session's lease. It returns what has become of it, and if that is
// ok the fence and the session.
//
// KEYS: the session, the user's set. ARGV: owner, lease (ms), ttl (ms), agent, whether a
// session may be made, user, id, how many sessions the user may have, what the keys of
// sessions begin with.
const beginBody = `
local h = redis.call('HMGET', KEYS[1], 'created', 'owner', 'until')
if h[1] then
	if h[2] and h[2] ~= ARGV[1] and tonumber(h[3]) > now then
		return {'busy'}
	end
elseif ARGV[5] == '0' then
	return {'unknown'}
else
	if ARGV[6] ~= '' then
		redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
		if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[8]) then
			local room = false
			for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, 15)) do
				local other = redis.call('HMGET', ARGV[9] .. id, 'owner', 'until')
				if not other[1] or tonumber(other[2]) <= now then
					redis.call('DEL', ARGV[9] .. id)
					redis.call('ZREM', KEYS[2], id)
					room = true
					break
				end
			end
			if not room then
				return {'full'}
			end
		end
	end
	redis.call('HSET', KEYS[1], 'user', ARGV[6], 'agent', ARGV[4], 'phase', 0, 'steps', 0, 'notebook', '', 'created', us)
end
if h[2] ~= ARGV[1] then
	redis.call('HINCRBY', KEYS[1], 'fence', 1)
	redis.call('HDEL', KEYS[1], 'cancel', 'seq')
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'until', now + ARGV[2], 'used', us, 'ttl', ARGV[3])
local keep = math.max(tonumber(ARGV[2]), tonumber(ARGV[3]))
redis.call('PEXPIRE', KEYS[1], keep)
if ARGV[6] ~= '' then
	redis.call('ZADD', KEYS[2], now + keep, ARGV[7])
	redis.call('PEXPIRE', KEYS[2], keep + 86400000)
end
return {'ok', unpack(redis.call('HMGET', KEYS[1], 'fence', 'agent', 'phase', 'steps', 'notebook', 'created', 'used', 'saved'))}
`

// What holdBody does, in any combination.
const (
	doRenew    = "r" // also a lease that has run out, if nobody has taken it
	doSave     = "s"
	doGiveBack = "g"
	doLate     = "l" // even if the lease has run out, if nobody has taken it
)

// holdBody does for a lease what is asked.
//
// KEYS: the session, the user's set. ARGV: owner, fence, lease (ms), ttl (ms), user, id,
// created, what to do, and agent, phase, steps, notebook, seq. It returns ok, cancel (ok,
// and the run is to end), lost or gone. A session that Redis has forgotten, as it does when
// it is restarted, is made again, for nobody else has begun it: gone asks for what is to be
// in it. Not so for a lease without a fence, of which nobody knows that it was taken.
const holdBody = `
local function says(c) return string.find(ARGV[8], c, 1, true) end
local h = redis.call('HMGET', KEYS[1], 'created', 'owner', 'until', 'cancel', 'fence', 'seq')
local ends = tonumber(h[3] or 0)
if not h[1] and ARGV[2] ~= '' then
	if not says('s') then
		return 'gone'
	end
	ends = now + ARGV[3]
	redis.call('HSET', KEYS[1], 'user', ARGV[5], 'agent', ARGV[9], 'phase', ARGV[10], 'steps', ARGV[11], 'notebook', ARGV[12],
		'created', ARGV[7], 'used', us, 'saved', us, 'owner', ARGV[1], 'until', ends, 'fence', ARGV[2], 'seq', ARGV[13])
elseif h[2] ~= ARGV[1] or ends <= now and not says('r') and not says('l') then
	return 'lost'
end
local told = 'ok'
if h[4] and h[4] == h[5] then
	told = 'cancel'
end
redis.call('HSET', KEYS[1], 'ttl', ARGV[4])
if says('r') then
	ends = now + ARGV[3]
	redis.call('HSET', KEYS[1], 'until', ends)
end
if says('s') then
	redis.call('HSET', KEYS[1], 'used', us)
	if tonumber(ARGV[13]) > tonumber(h[6] or 0) then
		redis.call('HSET', KEYS[1], 'agent', ARGV[9], 'phase', ARGV[10], 'steps', ARGV[11], 'notebook', ARGV[12], 'seq', ARGV[13], 'saved', us)
	end
end
if says('g') then
	ends = now
	redis.call('HSET', KEYS[1], 'used', us)
	redis.call('HDEL', KEYS[1], 'owner', 'until', 'cancel')
end
local keep = math.max(ends - now, tonumber(ARGV[4]))
redis.call('PEXPIRE', KEYS[1], keep)
if ARGV[5] ~= '' then
	redis.call('ZADD', KEYS[2], now + keep, ARGV[6])
	redis.call('PEXPIRE', KEYS[2], keep + 86400000)
end
return told
`

// lookBody returns a session: whether it runs, then its fields; nothing if there is
// none. With ARGV[1] it also says that the run is to end.
const lookBody = `
local h = redis.call('HMGET', KEYS[1], 'agent', 'phase', 'steps', 'notebook', 'created', 'used', 'owner', 'until', 'fence', 'user')
if not h[5] then
	return false
end
local running = '0'
if h[7] and tonumber(h[8]) > now then
	running = '1'
	if ARGV[1] == 'cancel' then
		redis.call('HSET', KEYS[1], 'cancel', h[9])
	end
end
return {running, h[1], h[2], h[3], h[4], h[5], h[6], h[9], h[10]}
`

// readLook reads what lookBody returns.
func readLook(reply []any) (s state.Session, fence, user string, err error) {
	if len(reply) != 9 {
		return s, "", "", fmt.Errorf("the session script answered %d values", len(reply))
	}
	s, err = readSession(reply[1:7])
	s.Running = reply[0] == "1"
	fence, _ = reply[7].(string)
	user, _ = reply[8].(string)
	return s, fence, user, err
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
