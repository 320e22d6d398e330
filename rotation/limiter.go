package rotation

import (
	"container/list"
	"context"
	"errors"
	"sync"
)

// errBusy says that a provider has as many calls under way, and waiting, as its
// configuration allows.
var errBusy = errors.New("too many requests at once")

// limiter bounds the calls under way at one provider and the queue before it. It
// outlives the configurations that name the bounds: each call brings its own, and
// the latest holds for those that wait, too.
type limiter struct {
	mu     sync.Mutex
	limit  int // 0 or less: none
	active int
	queue  list.List // of chan struct{}, closed when the slot is given
}

// full reports whether a call would have to wait.
func (l *limiter) full(limit int) bool {
	if limit <= 0 {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.active >= limit
}

// take gets a slot at once or not at all.
func (l *limiter) take(limit int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.claim(limit)
}

// claim adopts the limit and takes a slot that nobody waits for. mu is held.
func (l *limiter) claim(limit int) bool {
	l.limit = limit
	l.wake()
	if l.queue.Len() > 0 || !l.free() {
		return false
	}
	l.active++
	return true
}

func (l *limiter) free() bool { return l.limit <= 0 || l.active < l.limit }

// wait gets a slot in its turn. It fails at once with errBusy when queue calls
// wait already, later with the context's cause.
func (l *limiter) wait(ctx context.Context, limit, queue int) error {
	l.mu.Lock()
	if l.claim(limit) {
		l.mu.Unlock()
		return nil
	}
	if l.queue.Len() >= queue {
		l.mu.Unlock()
		return errBusy
	}
	turn := make(chan struct{})
	e := l.queue.PushBack(turn)
	l.mu.Unlock()

	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-turn: // given in the same moment: pass it on
		l.active--
		l.wake()
	default:
		l.queue.Remove(e)
	}
	return context.Cause(ctx)
}

// done gives a slot back.
func (l *limiter) done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active--
	l.wake()
}

// wake gives free slots to those who wait. mu is held.
func (l *limiter) wake() {
	for l.free() {
		e := l.queue.Front()
		if e == nil {
			return
		}
		l.active++
		close(l.queue.Remove(e).(chan struct{}))
	}
}

// load returns the calls under way and waiting.
func (l *limiter) load() (active, waiting int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.active, l.queue.Len()
}
