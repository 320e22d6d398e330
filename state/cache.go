package state

import (
	"container/list"
	"sync"
	"time"
)

const (
	// MaxCached bounds one cached answer.
	MaxCached = 1 << 20

	// defaultCacheBytes bounds all of them.
	defaultCacheBytes = 64 << 20

	// cachedOverhead is about what an answer costs beside its bytes.
	cachedOverhead = 256
)

// cache keeps answers in memory, the least recently used going first.
type cache struct {
	max int

	mu    sync.Mutex
	byKey map[string]*list.Element
	order list.List // of *cachedAnswer, the one used last in front
	bytes int
}

type cachedAnswer struct {
	key   string
	value []byte
	until time.Time
}

func (c *cachedAnswer) size() int { return len(c.key) + len(c.value) + cachedOverhead }

func newCache(bytes int) *cache { return &cache{max: bytes, byKey: make(map[string]*list.Element)} }

func (c *cache) get(key string) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[key]
	if e == nil {
		return nil
	}
	a := e.Value.(*cachedAnswer)
	if !time.Now().Before(a.until) {
		c.drop(e)
		return nil
	}
	c.order.MoveToFront(e)
	return a.value
}

func (c *cache) put(key string, value []byte, ttl time.Duration) {
	a := &cachedAnswer{key, value, time.Now().Add(ttl)}
	if len(value) > MaxCached || a.size() > c.max || ttl <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byKey[key]; e != nil {
		c.drop(e)
	}
	c.byKey[key] = c.order.PushFront(a)
	c.bytes += a.size()
	for c.bytes > c.max {
		c.drop(c.order.Back())
	}
}

func (c *cache) drop(e *list.Element) {
	a := c.order.Remove(e).(*cachedAnswer)
	delete(c.byKey, a.key)
	c.bytes -= a.size()
}
