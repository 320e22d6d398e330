package users

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// shardCount is how many parts a Directory has, each with a lock of its own.
const shardCount = 64

// shard is what a Directory remembers of a part of the tokens.
type shard struct {
	mu      sync.RWMutex
	known   map[Hash]*entry
	owned   map[string][]Hash      // those of known by the user's id
	unknown map[Hash]time.Duration // refused until then
	flights map[Hash]*flight

	maxKnown, maxUnknown int
}

// entry is a known token. It is replaced when the store has confirmed it.
type entry struct {
	caller *Caller
	asked  time.Duration // when the look-up began: what was revoked since is not in it
	ask    atomic.Int64  // from then on the store has to be asked, a time.Duration
}

// samples is how many entries are looked at for the one that gives way.
const samples = 8

func (s *shard) init(known, unknown int) {
	s.known = make(map[Hash]*entry)
	s.owned = make(map[string][]Hash)
	s.unknown = make(map[Hash]time.Duration)
	s.flights = make(map[Hash]*flight)
	s.maxKnown, s.maxUnknown = known, unknown
}

// shard returns the part that a token belongs to.
func (d *Directory) shard(h Hash) *shard { return &d.shards[h[0]%shardCount] }

// holds reports whether an entry was neither replaced nor forgotten.
func (s *shard) holds(h Hash, e *entry) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.known[h] == e
}

// keep remembers a known token. mu is held, as for all that follow.
func (s *shard) keep(h Hash, e *entry) {
	s.drop(h)
	if len(s.known) >= s.maxKnown {
		s.makeRoom()
	}
	s.known[h] = e
	s.owned[e.caller.ID] = append(s.owned[e.caller.ID], h)
}

// makeRoom drops the entry that was confirmed longest ago of a few: a map's range
// begins anywhere.
func (s *shard) makeRoom() {
	var victim Hash
	var oldest *entry
	n := 0
	for h, e := range s.known {
		if oldest == nil || e.asked < oldest.asked {
			victim, oldest = h, e
		}
		if n++; n == samples {
			break
		}
	}
	s.drop(victim)
}

// drop forgets a known token.
func (s *shard) drop(h Hash) {
	e := s.known[h]
	if e == nil {
		return
	}
	delete(s.known, h)
	id := e.caller.ID
	if rest := slices.DeleteFunc(s.owned[id], func(o Hash) bool { return o == h }); len(rest) > 0 {
		s.owned[id] = rest
	} else {
		delete(s.owned, id)
	}
}

// refuse remembers an unknown token, in place of any other if there are too many.
func (s *shard) refuse(h Hash, until time.Duration) {
	s.drop(h)
	if _, there := s.unknown[h]; !there && len(s.unknown) >= s.maxUnknown {
		for other := range s.unknown {
			delete(s.unknown, other)
			break
		}
	}
	s.unknown[h] = until
}

// disown takes a look-up out: who comes now begins another one, and its answer is
// not kept.
func (s *shard) disown(h Hash) {
	if f := s.flights[h]; f != nil {
		f.disowned = true
		delete(s.flights, h)
	}
}
