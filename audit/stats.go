package audit

import (
	"maps"
	"time"
)

// Stats are the figures of one process life. What was produced is acked, journalled,
// queued or dropped, at every moment (contract U3); what an earlier process left is
// counted apart.
type Stats struct {
	Produced  uint64 `json:"produced"`
	Queued    uint64 `json:"queued"`    // in memory, not yet on disk
	Journaled uint64 `json:"journaled"` // on disk, not yet acked; without a sender all that is on disk
	Acked     uint64 `json:"acked"`     // by the sender
	Dropped   uint64 `json:"dropped"`   // lost, and why:

	// DroppedBy counts by the reasons, the constants Dropped…
	DroppedBy map[string]uint64 `json:"dropped_by,omitempty"`

	Adopted     uint64        `json:"adopted"`      // found on start, left by an earlier process
	AdoptedLeft uint64        `json:"adopted_left"` // of these, not yet acked
	AdoptedLost uint64        `json:"adopted_lost"` // of these, dropped, for the same reasons
	Corrupt     uint64        `json:"corrupt"`      // lines of the journal that could not be read
	DiskBytes   int64         `json:"disk_bytes"`
	Lag         time.Duration `json:"lag_ns"` // age of the oldest event not yet acked; 0 without a sender

	// SenderUp is false without a sender, and from a failure to the next success.
	SenderUp bool   `json:"sender_up"`
	Error    string `json:"error,omitempty"` // of the disk or the sender, now; no secret
}

// Why events are dropped.
const (
	DroppedQueueFull   = "queue_full"   // the disk takes less than comes in
	DroppedJournalFull = "journal_full" // and the sender does not empty it
	DroppedWriteFailed = "write_failed" // by the disk, or removed from it behind our back
	DroppedExpired     = "expired"      // the oldest of a full journal without a sender
	DroppedUnreadable  = "unreadable"   // what was written can't be read again
	DroppedRejected    = "rejected"     // the sender will never take it
	DroppedClosed      = "closed"       // recorded after Close
)

// Stats returns the figures of this moment. A nil Log has none.
func (l *Log) Stats() Stats {
	if l == nil {
		return Stats{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.DroppedBy = maps.Clone(l.stats.DroppedBy)
	s.DiskBytes = l.disk
	s.SenderUp = l.sender != nil && l.sendErr == nil
	switch {
	case l.diskErr != nil:
		s.Error = l.diskErr.Error()
	case l.sendErr != nil:
		s.Error = l.sendErr.Error()
	}
	if l.sender != nil {
		if at := l.oldest(); !at.IsZero() {
			s.Lag = max(time.Since(at), 0)
		}
	}
	return s
}

// oldest returns when the oldest event that is not acked was recorded. mu is held.
func (l *Log) oldest() time.Time {
	switch {
	case l.backlog() > 0:
		return l.front
	case len(l.queue) > 0:
		return l.queue[0].first
	}
	return time.Time{}
}

// backlog is how many events are on disk for a sender. mu is held.
func (l *Log) backlog() uint64 { return l.stats.Journaled + l.stats.AdoptedLeft }

// drop counts events that are lost. mu is held, and they are counted nowhere else.
func (l *Log) drop(reason string, n uint64) {
	if n == 0 {
		return
	}
	if l.stats.DroppedBy == nil {
		l.stats.DroppedBy = make(map[string]uint64)
	}
	l.stats.Dropped += n
	l.stats.DroppedBy[reason] += n
}
