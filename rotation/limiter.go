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

// limiter bounds the calls under way at one provider and the queue before it.
// The bounds come with every call: the limiter outlives the configuration that
// names them.
type limiter struct {
	mu     sync.Mutex
	active int
	queue  list.List // of chan struct{}, closed when the slot is handed over
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
	if limit > 0 && (l.active >= limit || l.queue.Len() > 0) {
		return false
	}
	l.active++
	return true
}

// wait gets a slot in its turn. It fails at once with errBusy when queue calls
// wait already, later with the context's cause.
func (l *limiter) wait(ctx context.Context, limit, queue int) error {
	l.mu.Lock()
	if l.active < limit && l.queue.Len() == 0 {
		l.active++
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
	case <-turn: // handed over in the same moment: pass it on
		l.handOver()
	default:
		l.queue.Remove(e)
	}
	return context.Cause(ctx)
}

// done gives a slot back.
func (l *limiter) done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handOver()
}

// handOver gives the caller's slot to the next in the queue. mu is held.
func (l *limiter) handOver() {
	if e := l.queue.Front(); e != nil {
		close(l.queue.Remove(e).(chan struct{}))
		return
	}
	l.active--
}

// load returns the calls under way and waiting.
func (l *limiter) load() (active, waiting int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.active, l.queue.Len()
}
