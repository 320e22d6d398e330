package redis

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Bounds of the patience with a call, and how many times its usual variation it may
	// take longer than usual.
	minPatience = 5 * time.Millisecond
	maxPatience = 100 * time.Millisecond
	slack       = 8

	// firstPatience is for the first calls, which have connections to make.
	firstPatience = 2 * steadyTimeout
	firstCalls    = 8
)

// pace knows how long calls of one kind usually take. It is safe for concurrent use.
type pace struct {
	fixed time.Duration // patience, if it does not adapt
	wait  atomic.Int64  // the patience; 0 as long as little is known

	mu            sync.Mutex
	usual, varies float64 // nanoseconds
	calls         int
}

// patience is how long a request waits for Redis: as in TCP's retransmission timer (RFC
// 6298) the usual time and a multiple of how much that varies, so that a machine or a
// network that is slow all the time is not taken for a backend that is gone.
func (p *pace) patience() time.Duration {
	if p.fixed > 0 {
		return p.fixed
	}
	if d := p.wait.Load(); d > 0 {
		return time.Duration(d)
	}
	return firstPatience
}

// took notes how long a call took that was answered.
func (p *pace) took(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ns := float64(d)
	switch p.calls {
	case 0: // it made the connection
	case 1:
		p.usual, p.varies = ns, ns/2
	default:
		p.varies += (math.Abs(ns-p.usual) - p.varies) / 8
		p.usual += (ns - p.usual) / 16
	}
	if p.calls++; p.calls > firstCalls {
		p.wait.Store(int64(min(max(time.Duration(p.usual+slack*p.varies), minPatience), maxPatience)))
	}
}
