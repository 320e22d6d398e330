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
	// firstProbe is how soon, and probeEvery how often Redis is asked whether it is back.
	firstProbe = 20 * time.Millisecond
	probeEvery = 500 * time.Millisecond
)

// breaker keeps requests away from a Redis that does not answer, and knows how long
// one that does usually takes.
type breaker struct {
	pace   // of what requests wait for together
	logger *zap.Logger
	once   sync.Once     // starts the store's work
	wake   chan struct{} // it has gone down

	open  atomic.Bool   // down
	alone atomic.Uint64 // admissions without Redis

	mu    sync.Mutex
	since time.Time
	err   string
}

func newBreaker(fixed time.Duration, logger *zap.Logger) *breaker {
	return &breaker{pace: pace{fixed: fixed}, logger: logger, wake: make(chan struct{}, 1)}
}

func (b *breaker) up() bool { return !b.open.Load() }

// shut keeps everybody away for good.
func (b *breaker) shut() { b.open.Store(true) }

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

// watch asks whether Redis is back as long as it is away: soon at first, for it may have
// been this machine that stood still.
func (b *breaker) watch(ctx context.Context, ping func(context.Context) error) {
	t := time.NewTimer(0)
	defer t.Stop()
	t.Stop()
	again := firstProbe
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.wake:
			again = firstProbe
			t.Reset(again)
			continue
		case <-t.C:
		}
		probe, stop := context.WithTimeout(ctx, steadyTimeout)
		err := ping(probe)
		stop()
		if ctx.Err() != nil {
			return
		}
		if b.report(err); err != nil {
			again = min(2*again, probeEvery)
			t.Reset(again)
		}
	}
}

func (b *breaker) health() state.Health {
	b.mu.Lock()
	defer b.mu.Unlock()
	return state.Health{Up: b.up(), Since: b.since, Error: b.err, Alone: b.alone.Load()}
}
