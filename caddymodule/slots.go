package caddymodule

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// What a slot's backend opens outlives configurations: it is pooled by what it is
// made from, and closed when the last configuration that has it is gone and the last
// request of that has ended. An App holds itself open for that: see enter.

// enter keeps what the app has taken out of the pools for a request; leave gives it
// back. Caddy cleans a configuration up while its streams are still going.
func (a *App) enter() { a.inUse.Add(1) }

// leave ends what enter has begun.
func (a *App) leave() {
	if a.inUse.Add(-1) == 0 {
		a.giveBack()
	}
}

// giveBack returns everything to the pools, what came last first.
func (a *App) giveBack() {
	for _, release := range slices.Backward(a.release) {
		if err := release(); err != nil {
			a.logger.Error("closing what the configuration had", zap.Error(err))
		}
	}
	a.release = nil
}

// closings are what is being closed in the background: a reload must not wait for a
// network, and nobody may be cut off at the end of the process.
var closings closer

// closer closes things in the background, and waits for them.
type closer struct {
	mu   sync.Mutex
	busy map[string]chan struct{} // by what is being closed
}

// closeTime bounds one closing.
const closeTime = 4 * time.Second

// start closes what key names.
func (c *closer) start(key string, logger *zap.Logger, shut func(context.Context) error) {
	done := make(chan struct{})
	c.mu.Lock()
	before := c.busy[key] // cannot be while wait is heeded, but costs nothing
	if c.busy == nil {
		c.busy = make(map[string]chan struct{})
	}
	c.busy[key] = done
	c.mu.Unlock()
	go func() {
		defer func() {
			c.mu.Lock()
			if c.busy[key] == done {
				delete(c.busy, key)
			}
			c.mu.Unlock()
			close(done)
		}()
		if before != nil {
			<-before
		}
		ctx, stop := context.WithTimeout(context.Background(), closeTime)
		defer stop()
		if err := shut(ctx); err != nil {
			logger.Warn("closing took too long, or failed", zap.String("what", key), zap.Error(err))
		}
	}()
}

// wait waits until what key names is closed.
func (c *closer) wait(key string) {
	c.mu.Lock()
	done := c.busy[key]
	c.mu.Unlock()
	if done != nil {
		<-done
	}
}

// all waits for everything that is being closed, or for ctx.
func (c *closer) all(ctx context.Context) error {
	for {
		c.mu.Lock()
		var done chan struct{}
		for _, done = range c.busy {
			break
		}
		c.mu.Unlock()
		if done == nil {
			return nil
		}
		select {
		case <-done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// atExit gives what audits are still under way their time, and no more: the process ends
// when it returns. Streams that outlast Caddy's grace period hold journals open; what
// they have recorded until now is flushed.
func atExit(context.Context) {
	ctx, stop := context.WithTimeoutCause(context.Background(), closeTime+time.Second, errors.New("the process ends"))
	defer stop()
	if err := errors.Join(flushJournals(ctx), closings.all(ctx)); err != nil {
		caddy.Log().Named("ai_gateway").Warn("the process ends before everything is closed", zap.Error(err))
	}
}

func init() { caddy.OnExit(atExit) }
