package redis

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/universal-ai-gateway/magicproxy/state"
)

const (
	// probeEvery is how often Redis is asked whether it is back.
	probeEvery = 500 * time.Millisecond

	// Bounds of the patience with a call, and how many times its usual variation it may
	// take longer than usual.
	minPatience = 5 * time.Millisecond
	maxPatience = 100 * time.Millisecond
	slack       = 8

	// firstPatience is for the first calls, which have connections to make.
	firstPatience = 2 * steadyTimeout
)

// breaker keeps requests away from a Redis that does not answer, and knows how long
// one that does usually takes.
type breaker struct {
	fixed  time.Duration // patience, if it does not adapt
	logger *zap.Logger
	once   sync.Once     // starts the store's work
	wake   chan struct{} // it has gone down

	open  atomic.Bool   // down
	alone atomic.Uint64 // admissions without Redis

	// How long round trips usually take, and how much that varies, in nanoseconds: for
	// the goroutine that makes them.
	usual, varies float64
	trips         uint64
	wait          atomic.Int64 // the patience that follows; 0 as long as nothing is known

	mu    sync.Mutex
	since time.Time
	err   string
}

func newBreaker(fixed time.Duration, logger *zap.Logger) *breaker {
	return &breaker{fixed: fixed, logger: logger, wake: make(chan struct{}, 1)}
}

func (b *breaker) up() bool { return !b.open.Load() }

// shut keeps everybody away for good.
func (b *breaker) shut() { b.open.Store(true) }

// patience is how long a request waits for Redis: as in TCP's retransmission timer (RFC
// 6298) the usual time and a multiple of how much that varies, so that a machine or a
// network that is slow all the time is not taken for a backend that is gone.
func (b *breaker) patience() time.Duration {
	if b.fixed > 0 {
		return b.fixed
	}
	if d := b.wait.Load(); d > 0 {
		return time.Duration(d)
	}
	return firstPatience
}

// took notes a round trip. One goroutine calls it.
func (b *breaker) took(d time.Duration) {
	switch ns := float64(d); {
	case b.trips == 0: // it made the connection
	case b.trips == 1:
		b.usual, b.varies = ns, ns/2
	default:
		b.varies += (math.Abs(ns-b.usual) - b.varies) / 8
		b.usual += (ns - b.usual) / 16
	}
	if b.trips++; b.trips > 2 {
		b.wait.Store(int64(min(max(time.Duration(b.usual+slack*b.varies), minPatience), maxPatience)))
	}
}

// report notes the outcome of a call: an error of the connection opens the breaker,
// an answer closes it.
func (b *breaker) report(err error) {
	switch {
	case err == nil && b.up() && !b.unknown():
		return
	case err == nil:
		b.set(false, nil)
	case errors.Is(err, context.Canceled):
	default:
		b.set(true, err)
	}
}

func (b *breaker) unknown() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.since.IsZero()
}

func (b *breaker) set(down bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	changed := b.open.Load() != down || b.since.IsZero()
	b.open.Store(down)
	if err != nil {
		b.err = err.Error()
	}
	if !changed {
		return
	}
	first := b.since.IsZero()
	b.since = time.Now()
	if down {
		select {
		case b.wake <- struct{}{}:
		default:
		}
		b.logger.Warn("redis is away: this machine goes on by itself", zap.String("error", b.err))
	} else {
		b.err = ""
		if !first {
			b.logger.Info("redis is back")
		}
	}
}

// watch asks whether Redis is back as long as it is away.
func (b *breaker) watch(ctx context.Context, ping func(context.Context) error) {
	t := time.NewTicker(probeEvery)
	defer t.Stop()
	t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.wake:
			t.Reset(probeEvery)
			continue
		case <-t.C:
		}
		probe, stop := context.WithTimeout(ctx, steadyTimeout)
		err := ping(probe)
		stop()
		if ctx.Err() != nil {
			return
		}
		if b.report(err); err == nil {
			t.Stop()
		}
	}
}

func (b *breaker) health() state.Health {
	b.mu.Lock()
	defer b.mu.Unlock()
	return state.Health{Up: b.up(), Since: b.since, Error: b.err, Alone: b.alone.Load()}
}
