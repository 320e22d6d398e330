package audit

import (
	"sync"
	"time"
)

// Trail records the events of one request. Its methods may be called concurrently; a
// nil Trail records nothing.
type Trail struct {
	log  *Log
	head head
	seq  sequence
}

// Trail returns a new trail, nil if l is nil. There is one a request: event_seq counts
// from 1 within it.
func (l *Log) Trail(s Subject) *Trail {
	if l == nil {
		return nil
	}
	return &Trail{log: l, head: newHead(s)}
}

// Record records an event. It waits for no disk and no network, and keeps nothing of
// e. What can't be kept is dropped, which Stats counts; its event_seq is then missing.
func (t *Trail) Record(e Event) {
	if t == nil || e.Payload == nil {
		return
	}
	t.log.record(&t.seq, &t.head, e)
}

// Record records an event that belongs to no request, such as a key's or a breaker's.
// Its request_id stands for this life of the process, and event_seq counts within it.
// The subject's request is not looked at. A nil Log records nothing.
func (l *Log) Record(s Subject, e Event) {
	if l == nil || e.Payload == nil {
		return
	}
	s.Request = l.process
	h := newHead(s)
	l.record(&l.seq, &h, e)
}

// sequence numbers events. Who holds mu has the number and puts the event into the
// queue, so that both orders are the same.
type sequence struct {
	mu sync.Mutex
	n  uint64
}

// keptBuffer is how large a buffer may be to be used again. Few events are larger, and
// they would stay in memory for all.
const keptBuffer = 64 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 2<<10); return &b }}

func (l *Log) record(q *sequence, h *head, e Event) {
	b := buffers.Get().(*[]byte)
	q.mu.Lock()
	q.n++
	now := time.Now()
	*b = appendLine((*b)[:0], h, l.ids.next(), now, q.n, e)
	l.enqueue(*b, now)
	q.mu.Unlock()
	if cap(*b) <= keptBuffer {
		buffers.Put(b)
	}
}
