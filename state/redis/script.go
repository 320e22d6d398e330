package redis

import (
	"fmt"
	"strconv"

	goredis "github.com/redis/go-redis/v9"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// limitScript checks all limits of one caller, and counts one request in each of
// them if all have room. It is state.GCRA's arithmetic, with the server's clock.
//
// KEYS are the limits. ARGV holds, for each, the microseconds of one request and
// those of the window. It returns the time, and for each limit 1 or 0 (no room) and
// its tat. Numbers are strings: as integers they would lose their fractions.
var limitScript = goredis.NewScript(`
local t = redis.call('TIME')
local now = (t[1] - 1700000000) * 1000000 + t[2]
local tats, nexts, room = {}, {}, true
for i, key in ipairs(KEYS) do
	local tat = tonumber(redis.call('GET', key) or 0) or 0
	local next = math.max(tat, now) + tonumber(ARGV[2 * i - 1])
	tats[i], nexts[i] = tat, next
	if next - now > tonumber(ARGV[2 * i]) + 0.5 then
		nexts[i], room = false, false
	end
end
local out = {string.format('%.3f', now)}
for i, key in ipairs(KEYS) do
	local ok = '1'
	if not nexts[i] then
		ok = '0'
	end
	if room then
		tats[i] = nexts[i]
		redis.call('SET', key, string.format('%.3f', tats[i]), 'PX', math.ceil((tats[i] - now) / 1000) + 1)
	end
	out[#out + 1] = ok
	out[#out + 1] = string.format('%.3f', tats[i])
end
return out
`)

// limitArgs are the script's ARGV.
func limitArgs(limits []state.Limit) []any {
	args := make([]any, 0, 2*len(limits))
	for _, l := range limits {
		every, burst := state.NewGCRA(l).Micros()
		args = append(args, strconv.FormatFloat(every, 'f', -1, 64), strconv.FormatFloat(burst, 'f', -1, 64))
	}
	return args
}

// readLimits takes the script's answer into account.
func readLimits(reply any, limits []state.Limit, a *state.Admitted) error {
	list, ok := reply.([]any)
	if !ok || len(list) != 1+2*len(limits) {
		return fmt.Errorf("the limit script answered %T", reply)
	}
	number := func(i int) (float64, error) {
		s, _ := list[i].(string)
		return strconv.ParseFloat(s, 64)
	}
	now, err := number(0)
	if err != nil {
		return fmt.Errorf("the limit script's time: %w", err)
	}
	for i, l := range limits {
		tat, err := number(2 + 2*i)
		if err != nil {
			return fmt.Errorf("the limit script's tat: %w", err)
		}
		refused := list[1+2*i] != "1"
		remaining, reset, retry := state.NewGCRA(l).Report(tat, now, refused)
		a.Tightest(l, refused, remaining, reset, retry)
	}
	return nil
}
