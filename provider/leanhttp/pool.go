package leanhttp

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// pool holds idle connections. The last one used is taken first, so that what a
// burst left over grows old and goes. The zero value is ready.
type pool struct {
	mu    sync.Mutex
	idle  map[string][]*conn // by address, the oldest first
	timer *time.Timer
}

// take returns a live connection, nil if there is none.
func (p *pool) take(addr string) *conn {
	for {
		p.mu.Lock()
		list := p.idle[addr]
		if len(list) == 0 {
			p.mu.Unlock()
			return nil
		}
		c := list[len(list)-1]
		list[len(list)-1] = nil
		p.idle[addr] = list[:len(list)-1]
		p.mu.Unlock()
		// Whoever dialled may have set a deadline for the last call's reads.
		if c.SetDeadline(time.Time{}) == nil && alive(c.Conn) {
			return c
		}
		_ = c.Close()
	}
}

// probe is what alive does where the system has no way to look without waiting.
// What came unasked would be taken for the next call's answer.
func probe(nc net.Conn) bool {
	if nc.SetReadDeadline(time.Now().Add(time.Millisecond)) != nil {
		return false
	}
	_, err := nc.Read(make([]byte, 1))
	return errors.Is(err, os.ErrDeadlineExceeded) && nc.SetReadDeadline(time.Time{}) == nil
}

// put keeps a connection, if there is room.
func (p *pool) put(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle[c.addr]) >= c.t.MaxIdlePerHost {
		_ = c.Close()
		return
	}
	if p.idle == nil {
		p.idle = make(map[string][]*conn)
	}
	c.since = time.Now()
	p.idle[c.addr] = append(p.idle[c.addr], c)
	if timeout := c.t.IdleTimeout; timeout > 0 && p.timer == nil {
		p.timer = time.AfterFunc(timeout, func() { p.prune(timeout) })
	}
}

// prune closes what has been idle for too long.
func (p *pool) prune(timeout time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	var next time.Duration // until the oldest of the rest is due
	for addr, list := range p.idle {
		n := 0
		for n < len(list) && now.Sub(list[n].since) >= timeout {
			_ = list[n].Close()
			n++
		}
		list = append(list[:0:0], list[n:]...) // lets go of the closed ones
		if len(list) == 0 {
			delete(p.idle, addr)
			continue
		}
		p.idle[addr] = list
		if left := timeout - now.Sub(list[0].since); next == 0 || left < next {
			next = left
		}
	}
	if next > 0 && p.timer != nil {
		p.timer.Reset(next)
		return
	}
	p.timer = nil
}

// close closes all.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, list := range p.idle {
		for _, c := range list {
			_ = c.Close()
		}
	}
	p.idle = nil
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
}
