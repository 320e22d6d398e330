package state

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"
)

const (
	limitShards = 64

	// maxLimitsPerShard bounds what is remembered: callers by their addresses may be
	// very many. About 100 bytes each.
	maxLimitsPerShard = 4096
)

// limits are rate limits in memory.
type limits struct {
	seed   maphash.Seed
	epoch  time.Time // times count from here: small numbers, and a clock that nobody sets
	shards [limitShards]limitShard
}

type limitShard struct {
	mu   sync.Mutex
	tats map[string]float64
}

func newLimits() *limits { return &limits{seed: maphash.MakeSeed(), epoch: time.Now().Add(-time.Hour)} }

// take counts one request in all of the limits, or in none.
func (l *limits) take(all []Limit, a *Admitted) {
	var room [8]uint8
	shards := room[:0]
	for i := range all {
		shards = append(shards, uint8(maphash.String(l.seed, all[i].Key)%limitShards))
	}
	var order [8]uint8
	locked := append(order[:0], shards...)
	slices.Sort(locked)
	locked = slices.Compact(locked)
	for _, s := range locked { // in order: nobody waits for whom waits for him
		l.shards[s].mu.Lock()
	}
	now := float64(time.Since(l.epoch)) / float64(time.Microsecond)
	refused := false
	var before [8]float64
	tats := before[:0]
	for i, lim := range all {
		tats = append(tats, l.shards[shards[i]].tats[lim.Key])
		if _, ok := NewGCRA(lim).Step(tats[i], now); !ok {
			refused = true
		}
	}
	for i, lim := range all {
		g, s := NewGCRA(lim), &l.shards[shards[i]]
		tat := tats[i] // not as it is by now: the same limit twice counts once
		next, ok := g.Step(tat, now)
		if !refused {
			tat = next
			s.put(lim.Key, tat, now)
		}
		remaining, reset, retry := g.Report(tat, now, !ok)
		a.Tightest(lim, !ok, remaining, reset, retry)
	}
	for _, s := range locked {
		l.shards[s].mu.Unlock()
	}
}

// put remembers a tat, and forgets another to make room.
func (s *limitShard) put(key string, tat, now float64) {
	if s.tats == nil {
		s.tats = make(map[string]float64)
	}
	if _, ok := s.tats[key]; !ok && len(s.tats) >= maxLimitsPerShard {
		s.forget(now)
	}
	s.tats[key] = tat
}

// forget makes room for one: of some, which the map's order picks at random, those go
// that are whole, or else the one that is closest to it. Whoever fills a shard with
// callers makes nobody wait for a look at all of them.
func (s *limitShard) forget(now float64) {
	const some = 64
	var first string
	least, looked, found := 0.0, 0, false
	for key, tat := range s.tats {
		switch {
		case tat <= now:
			delete(s.tats, key)
			found = true
		case looked == 0 || tat < least:
			first, least = key, tat
		}
		if looked++; looked == some {
			break
		}
	}
	if !found {
		delete(s.tats, first)
	}
}
