package state

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// MemoryOptions are the bounds of a Memory. The zero value is usable.
type MemoryOptions struct {
	Sessions Bounds

	// CacheBytes bounds the cached answers, 64 MiB if it is 0.
	CacheBytes int

	// Start is where counters begin. A process that stands in for a shared counter
	// begins anywhere, so that not all of them begin with the first target.
	Start uint64
}

// Memory is the Store of one process. Nothing runs in the background.
type Memory struct {
	start    uint64
	counters sync.Map // of *atomic.Uint64, by chain
	limits   *limits
	cache    *cache
	sessions *MemorySessions
	bus      LocalBus
}

// NewMemory returns an empty store.
func NewMemory(o MemoryOptions) *Memory {
	if o.CacheBytes <= 0 {
		o.CacheBytes = defaultCacheBytes
	}
	return &Memory{start: o.Start, limits: newLimits(), cache: newCache(o.CacheBytes), sessions: NewMemorySessions(o.Sessions)}
}

// Admit implements Store.
func (m *Memory) Admit(_ context.Context, a Admission) (got Admitted) {
	if len(a.Limits) > 0 {
		if m.limits.take(a.Limits, &got); got.Refused {
			return got
		}
	}
	if a.Cache != "" {
		got.Cached = m.cache.get(a.Cache)
	}
	if a.Chain != "" && got.Cached == nil {
		got.Start = m.next(a.Chain)
	}
	return got
}

func (m *Memory) next(chain string) uint64 {
	c, ok := m.counters.Load(chain)
	if !ok {
		fresh := new(atomic.Uint64)
		fresh.Store(m.start)
		c, _ = m.counters.LoadOrStore(chain, fresh)
	}
	return c.(*atomic.Uint64).Add(1) - 1
}

// Put implements Store.
func (m *Memory) Put(key string, value []byte, ttl time.Duration) { m.cache.put(key, value, ttl) }

// Sessions implements Store.
func (m *Memory) Sessions() Sessions { return m.sessions }

// Bus implements Store.
func (m *Memory) Bus() Bus { return &m.bus }

// Quarantine implements Store.
func (m *Memory) Quarantine() Quarantine { return nobody{} }

// Health implements Store.
func (m *Memory) Health() Health {
	h := Health{Backend: "memory", Up: true, Modes: make(map[Use]string, len(Uses))}
	for _, u := range Uses {
		h.Modes[u] = string(ModeLocal)
	}
	return h
}

// Interface guards
var _ Store = (*Memory)(nil)
