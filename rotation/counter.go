package rotation

import (
	"context"
	"sync"
	"sync/atomic"
)

// Counters hand out the starts of chains. Next is called once per request of a
// chain with more than one main target, concurrently; every value is handed out
// once, in order, beginning anywhere (contract F6). It must not block for long:
// an implementation that shares its numbers with other machines falls back to
// its own when they are out of reach.
type Counters interface {
	Next(ctx context.Context, chain string) uint64
}

// MemoryCounters count within one process. The zero value is ready.
type MemoryCounters struct{ chains sync.Map }

// Next implements Counters.
func (m *MemoryCounters) Next(_ context.Context, chain string) uint64 {
	c, ok := m.chains.Load(chain)
	if !ok {
		c, _ = m.chains.LoadOrStore(chain, new(atomic.Uint64))
	}
	return c.(*atomic.Uint64).Add(1) - 1
}
