package redis

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/universal-ai-gateway/magicproxy/state"
)

const (
	// probeEvery is how often Redis is asked whether it is back.
	probeEvery = 500 * time.Millisecond

	// Bounds of the patience with a call, and how much longer than usual one may take.
	minPatience = 5 * time.Millisecond
	maxPatience = 100 * time.Millisecond
	slack       = 8

	// firstPatience is for the first call, which has a connection to make.
	firstPatience = 2 * steadyTimeout

	// window is how long a slow call is remembered, at least.
	window = 10 * time.Second
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

	// The longest round trips of this window and the one before, in nanoseconds; 0
	// for none yet.
	now, before atomic.Int64
	turned      atomic.Int64 // when this window began, Unix nanoseconds

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

// patience is how long a call may take: a few times as long as the slowest of late.
// A machine under load has slow calls all the time, and must not be taken for a
// backend that is gone.
func (b *breaker) patience() time.Duration {
	if b.fixed > 0 {
		return b.fixed
	}
	slowest := max(b.now.Load(), b.before.Load())
	if slowest == 0 {
		return firstPatience
	}
	return min(max(slack*time.Duration(slowest), minPatience), maxPatience)
}

// took notes a round trip.
func (b *breaker) took(d time.Duration) {
	at := time.Now().UnixNano()
	if turned := b.turned.Load(); at-turned > int64(window) && b.turned.CompareAndSwap(turned, at) {
		b.before.Store(b.now.Swap(0))
	}
	for {
		old := b.now.Load()
		if int64(d) <= old || b.now.CompareAndSwap(old, int64(d)) {
			return
		}
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
