package state

import (
	"sync"
	"sync/atomic"
)

// LocalBus carries news within a process. A backend that reaches others uses it for
// the subscribers it has here. The zero value is ready.
type LocalBus struct {
	mu     sync.Mutex
	topics map[string]map[*subscription]bool
}

// subscription is one subscriber's queue.
type subscription struct {
	queue  chan []byte
	missed atomic.Bool
	wake   chan struct{} // something was missed
	stop   chan struct{}
	done   chan struct{}
}

// queued bounds the messages that wait for one subscriber.
const queued = 256

// Publish implements Bus.
func (b *LocalBus) Publish(topic string, message []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.topics[topic] {
		s.put(message)
	}
}

// Missed tells the subscribers of all topics that something may have been missed.
func (b *LocalBus) Missed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, subs := range b.topics {
		for s := range subs {
			s.miss()
		}
	}
}

func (s *subscription) put(message []byte) {
	select {
	case s.queue <- message:
	default:
		s.miss()
	}
}

func (s *subscription) miss() {
	s.missed.Store(true)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Subscribe implements Bus.
func (b *LocalBus) Subscribe(topic string, f func([]byte)) (cancel func()) {
	s := &subscription{queue: make(chan []byte, queued), wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	b.mu.Lock()
	if b.topics == nil {
		b.topics = make(map[string]map[*subscription]bool)
	}
	if b.topics[topic] == nil {
		b.topics[topic] = make(map[*subscription]bool)
	}
	b.topics[topic][s] = true
	b.mu.Unlock()
	go s.run(f)
	return sync.OnceFunc(func() {
		b.mu.Lock()
		delete(b.topics[topic], s)
		if len(b.topics[topic]) == 0 {
			delete(b.topics, topic)
		}
		b.mu.Unlock()
		close(s.stop)
		<-s.done
	})
}

func (s *subscription) run(f func([]byte)) {
	defer close(s.done)
	for {
		select {
		case <-s.stop: // whatever is queued: somebody waits for the end
			return
		default:
		}
		select {
		case <-s.stop:
			return
		case <-s.wake:
		case m := <-s.queue:
			f(m)
		}
		if s.missed.Swap(false) {
			f(nil)
		}
	}
}

// Interface guards
var _ Bus = (*LocalBus)(nil)
