package state

import "sync"

// Concurrency counts what is under way in this process, by keys. The zero value is
// ready; it is safe for concurrent use. A key of which nothing is under way takes no
// room.
type Concurrency struct {
	mu   sync.Mutex
	busy map[string]int
}

// Acquire takes one of n places of a key; false if all are taken. Each one that is
// taken is given back with Release, once.
func (c *Concurrency) Acquire(key string, n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy[key] >= n {
		return false
	}
	if c.busy == nil {
		c.busy = make(map[string]int)
	}
	c.busy[key]++
	return true
}

// Release gives a place back.
func (c *Concurrency) Release(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy[key]--; c.busy[key] <= 0 {
		delete(c.busy, key)
	}
}
