package audit

import "time"

const (
	// chunkSize is what is written at once, at most.
	chunkSize = 128 << 10

	// keptChunks are used again.
	keptChunks = 16
)

// chunk is a piece of the queue: whole lines.
type chunk struct {
	b     []byte
	n     uint64 // lines
	first time.Time
}

// enqueue takes a copy of a line into the queue, or counts it as dropped. All of it
// happens on the request's goroutine.
func (l *Log) enqueue(line []byte, now time.Time) {
	l.mu.Lock()
	l.stats.Produced++
	switch {
	case l.closed:
		l.drop(DroppedClosed, 1)
		l.mu.Unlock()
		return
	case l.queued+len(line) > l.o.QueueBytes:
		l.drop(DroppedQueueFull, 1)
		l.mu.Unlock()
		return
	}
	var c *chunk
	if n := len(l.queue); n > 0 {
		c = l.queue[n-1]
	}
	if c == nil || len(c.b)+len(line) > cap(c.b) {
		c = l.newChunk(len(line))
		c.first = now
		l.queue = append(l.queue, c)
	}
	c.b = append(c.b, line...)
	c.n++
	half := l.o.QueueBytes / 2
	hurry := l.queued <= half && l.queued+len(line) > half
	l.queued += len(line)
	l.stats.Queued++
	l.enqueued++
	wake := !l.awake
	l.awake = true
	l.mu.Unlock()
	if wake {
		signal(l.wake)
	}
	if hurry {
		signal(l.hurry)
	}
}

// newChunk returns an empty chunk with room for n bytes. mu is held.
func (l *Log) newChunk(n int) *chunk {
	if k := len(l.free); k > 0 && n <= chunkSize {
		c := l.free[k-1]
		l.free = l.free[:k-1]
		return c
	}
	return &chunk{b: make([]byte, 0, max(n, chunkSize))}
}

// release takes a chunk back that the writer is done with. mu is held.
func (l *Log) release(c *chunk) {
	l.queued -= len(c.b)
	l.dequeued += c.n
	if len(l.free) < keptChunks && cap(c.b) == chunkSize {
		*c = chunk{b: c.b[:0]}
		l.free = append(l.free, c)
	}
}

// signal puts a token into a channel of one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
