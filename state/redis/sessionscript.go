package redis

import goredis "github.com/redis/go-redis/v9"

// A session is a hash; the sessions of a user are also in a sorted set, by when they
// are forgotten. Both have the user for their hash tag, so a script may touch them all.
//
//	user, agent, phase, steps, notebook (JSON), created, used (microseconds), ttl (ms)
//	owner   the lease's secret; none without one
//	until   the lease's end, milliseconds
//	fence   counts leases
//	cancel  the fence of a lease that is to end
//
// Scripts use the server's clock, and a script that is run twice because its answer was
// lost does nothing the second time: the owner is there already.

// beginScript takes a session's lease. It returns what has become of it, and if that is
// ok the fence and the session.
//
// KEYS: the session, the user's set. ARGV: owner, lease (ms), ttl (ms), agent, whether a
// session may be made, user, id, how many sessions the user may have, what the keys of
// sessions begin with.
var beginScript = goredis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local us = t[1] .. string.format('%06d', t[2])
local h = redis.call('HMGET', KEYS[1], 'created', 'owner', 'until', 'fence')
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
	redis.call('HDEL', KEYS[1], 'cancel')
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'until', now + ARGV[2], 'used', us, 'ttl', ARGV[3])
local keep = math.max(tonumber(ARGV[2]), tonumber(ARGV[3]))
redis.call('PEXPIRE', KEYS[1], keep)
if ARGV[6] ~= '' then
	redis.call('ZADD', KEYS[2], now + keep, ARGV[7])
	redis.call('PEXPIRE', KEYS[2], keep + 86400000)
end
return {'ok', unpack(redis.call('HMGET', KEYS[1], 'fence', 'agent', 'phase', 'steps', 'notebook', 'created', 'used'))}
`)

// holdScript renews a lease, saves, gives back, or several of these.
//
// KEYS: the session, the user's set. ARGV: owner, fence, lease (ms), ttl (ms), user, id,
// created, what to do: a text with r (renew), s (save), g (give back), and for s agent,
// phase, steps, notebook. It returns ok, cancel (ok, and the run is to end) or lost. A
// session that Redis has forgotten, as it does when it is restarted, is made again: nobody
// else can have it.
var holdScript = goredis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local us = t[1] .. string.format('%06d', t[2])
local h = redis.call('HMGET', KEYS[1], 'owner', 'until', 'cancel', 'fence')
if redis.call('EXISTS', KEYS[1]) == 0 then
	redis.call('HSET', KEYS[1], 'user', ARGV[5], 'agent', ARGV[9], 'phase', ARGV[10], 'steps', ARGV[11], 'notebook', ARGV[12],
		'created', ARGV[7], 'fence', ARGV[2])
elseif h[1] ~= ARGV[1] or tonumber(h[2]) <= now then
	return 'lost'
end
local told = 'ok'
if h[3] and h[3] == h[4] then
	told = 'cancel'
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'used', us, 'ttl', ARGV[4])
if string.find(ARGV[8], 'r') or not h[2] then
	redis.call('HSET', KEYS[1], 'until', now + ARGV[3])
end
if string.find(ARGV[8], 's') then
	redis.call('HSET', KEYS[1], 'agent', ARGV[9], 'phase', ARGV[10], 'steps', ARGV[11], 'notebook', ARGV[12])
end
if string.find(ARGV[8], 'g') then
	redis.call('HDEL', KEYS[1], 'owner', 'until', 'cancel')
end
local keep = math.max(tonumber(ARGV[3]), tonumber(ARGV[4]))
redis.call('PEXPIRE', KEYS[1], keep)
if ARGV[5] ~= '' then
	redis.call('ZADD', KEYS[2], now + keep, ARGV[6])
	redis.call('PEXPIRE', KEYS[2], keep + 86400000)
end
return told
`)

// lookScript returns a session: whether it runs, then its fields; nothing if there is
// none. With ARGV[1] set it cancels the run first, and returns its fence before all else.
var lookScript = goredis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
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
`)
