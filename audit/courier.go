package audit

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"go.uber.org/zap"
)

const (
	saveEvery = 100 * time.Millisecond

	minWait = 100 * time.Millisecond
	maxWait = 5 * time.Second

	// readTries is how often a segment that can't be read is tried.
	readTries = 5
)

// courier ships the journal. Its position moves over what is acked, so that whatever
// happens, nothing is left out.
type courier struct {
	l *Log

	seg   *segment
	f     *os.File
	block blockReader
	tries int // to read seg, in vain

	records []Record // of seg, not yet acked
	starts  []position
	end     position // of the batch
	trace   string   // the last trace context: many events have the same

	use     int // of the sender that is used
	wait    time.Duration
	told    time.Time // when the log has heard of a failure
	saved   position
	savedAt time.Time
}

func (c *courier) run() {
	defer c.finish()
	for c.l.ctx.Err() == nil {
		s := c.turn()
		switch {
		case s == nil || !c.load():
			c.rest()
		case !c.send(s):
			c.pause()
		}
	}
}

// turn closes senders that are not used any more, and returns the one that is.
func (c *courier) turn() Sender {
	c.l.mu.Lock()
	s, use, retired := c.l.sender, c.l.use, c.l.retired
	c.l.retired = nil
	c.l.mu.Unlock()
	if use != c.use {
		c.use, c.wait, c.told = use, 0, time.Time{}
	}
	c.closeSenders(retired)
	return s
}

func (c *courier) closeSenders(all []Sender) {
	for _, s := range all {
		if err := s.Close(); err != nil {
			c.l.o.Logger.Warn("closing an audit sender", zap.Error(err))
		}
	}
}

// load has a batch ready, and reports whether there is one.
func (c *courier) load() bool {
	for c.l.ctx.Err() == nil {
		s, at, limit, sealed := c.next()
		switch {
		case s == nil:
			return false
		case len(c.records) > 0:
			return true
		case at.offset >= limit && !sealed:
			return false
		case at.offset >= limit:
			c.leave(s)
			continue
		}
		err := c.read(s, at, limit)
		switch {
		case err == nil:
			c.tries = 0
		case errors.Is(err, io.EOF), errors.Is(err, os.ErrNotExist): // no more lines, whatever the names say
			c.leave(s)
		default:
			if c.failed(s, err); c.l.ctx.Err() == nil && !c.delay(minWait<<c.tries) {
				return false
			}
		}
	}
	return false
}

// next returns the segment that is shipped from now, nil if there is none, and what is
// known of it. A batch of a segment that is gone is gone, too.
func (c *courier) next() (s *segment, at position, limit int64, sealed bool) {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	s = c.l.segmentAt(c.l.at)
	if s != c.seg {
		c.records, c.starts = c.records[:0], c.starts[:0]
		if c.f != nil {
			_ = c.f.Close()
		}
		c.seg, c.f, c.tries = s, nil, 0
	}
	if s == nil {
		return nil, position{}, 0, false
	}
	if s.first != c.l.at.segment {
		c.l.at = position{segment: s.first, line: s.first}
	}
	return s, c.l.at, s.size, s.sealed
}

// leave ends a segment of which all is shipped, or lost.
func (c *courier) leave(s *segment) {
	if c.f != nil {
		_ = c.f.Close()
		c.f = nil
	}
	c.l.mu.Lock()
	c.l.discard(s, DroppedUnreadable)
	c.l.mu.Unlock()
	c.l.remove(s.path)
	signal(c.l.wake)
}

// failed counts that s can't be read, and gives it up when that is hopeless.
func (c *courier) failed(s *segment, err error) {
	if c.tries++; c.tries < readTries {
		return
	}
	c.l.o.Logger.Error("a segment of the audit journal can't be read", zap.String("file", s.path), zap.Error(err))
	c.l.mu.Lock()
	c.l.discard(s, DroppedUnreadable)
	c.l.diskErr = err
	c.l.mu.Unlock()
	signal(c.l.wake)
}

// send ships the batch, and reports whether that went well.
func (c *courier) send(s Sender) bool {
	ctx, cancel := context.WithCancel(c.l.ctx)
	defer cancel()
	c.l.mu.Lock()
	if c.l.use != c.use {
		c.l.mu.Unlock()
		return true
	}
	c.l.cancel = cancel
	c.l.mu.Unlock()
	results := s.Send(ctx, c.records)
	err := c.settle(results)
	if err != nil && ctx.Err() == nil {
		c.complain(err)
		return false
	}
	if err == nil && !c.told.IsZero() {
		c.l.o.Logger.Info("audit events are being sent again")
		c.told = time.Time{}
	}
	return true
}

// complain logs a failure, at most once a minute.
func (c *courier) complain(err error) {
	if time.Since(c.told) < reportEvery {
		return
	}
	c.told = time.Now()
	st := c.l.Stats()
	c.l.o.Logger.Warn("audit events can't be sent; they wait in the journal",
		zap.Error(err), zap.Uint64("events", st.Journaled+st.AdoptedLeft), zap.Int64("bytes", st.DiskBytes))
}

// pause waits before the next try, twice as long each time. Jitter keeps the nodes of a
// cluster from coming together.
func (c *courier) pause() {
	c.save(true)
	c.wait = min(max(2*c.wait, minWait), maxWait)
	c.delay(c.wait/2 + rand.N(c.wait/2+1)) //nolint:gosec // no secret
}

// delay waits, and reports whether it has done so to the end.
func (c *courier) delay(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.l.turn:
	case <-c.l.ctx.Done():
	}
	return false
}

// rest waits for something to ship.
func (c *courier) rest() {
	var due <-chan time.Time
	c.l.mu.Lock()
	unsaved := c.l.at != c.saved
	c.l.mu.Unlock()
	if unsaved {
		t := time.NewTimer(time.Until(c.savedAt.Add(saveEvery)))
		defer t.Stop()
		due = t.C
	}
	select {
	case <-due:
		c.save(true)
	case <-c.l.news:
	case <-c.l.ctx.Done():
	}
}

// save persists the position, unless that has just been done and need not be now.
func (c *courier) save(now bool) {
	c.l.mu.Lock()
	at := c.l.at
	c.l.mu.Unlock()
	if at == c.saved || !now && time.Since(c.savedAt) < saveEvery {
		return
	}
	c.savedAt = time.Now()
	if at.save(c.l.dir) == nil {
		c.saved = at
	}
}

// finish lets go of everything.
func (c *courier) finish() {
	if c.f != nil {
		_ = c.f.Close()
	}
	c.l.mu.Lock()
	all := c.l.retired
	if c.l.sender != nil {
		all = append(all, c.l.sender)
	}
	c.l.retired = nil
	c.l.mu.Unlock()
	c.closeSenders(all)
	c.save(true)
}
