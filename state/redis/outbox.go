package redis

import (
	"context"

	goredis "github.com/redis/go-redis/v9"
)

// outbox sends what nobody waits for: cached answers, news.
type outbox struct {
	s     *Store
	queue chan func(context.Context, goredis.Pipeliner)
}

const (
	outboxLength = 1024

	// outboxBatch bounds what goes in one pipeline: answers may be large.
	outboxBatch = 16
)

func newOutbox(s *Store) *outbox {
	return &outbox{s: s, queue: make(chan func(context.Context, goredis.Pipeliner), outboxLength)}
}

// put sends something soon, or not at all if there is too much to send.
func (o *outbox) put(f func(context.Context, goredis.Pipeliner)) {
	select {
	case o.queue <- f:
	default:
	}
}

func (o *outbox) run(ctx context.Context) {
	for {
		var f func(context.Context, goredis.Pipeliner)
		select {
		case <-ctx.Done():
			return
		case f = <-o.queue:
		}
		if !o.s.breaker.up() {
			continue // it would be old news when Redis is back
		}
		pipe := o.s.steady.Pipeline()
		f(ctx, pipe)
	more:
		for range outboxBatch - 1 {
			select {
			case f = <-o.queue:
				f(ctx, pipe)
			default:
				break more
			}
		}
		if _, err := pipe.Exec(ctx); err != nil && !answered(err) && ctx.Err() == nil {
			o.s.breaker.report(err)
		}
	}
}
