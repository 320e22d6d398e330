package audit

import "time"

// Options say how a Log records. The zero value is usable.
type Options struct {
	// MaxBytes bounds the journal on disk. Default 1 GiB.
	MaxBytes int64

	// QueueBytes bounds what waits in memory for the disk. Default 8 MiB.
	QueueBytes int
}

// Stats are the figures of one process life: what was produced is acked,
// journalled, queued or dropped (contract U3).
type Stats struct {
	Produced  uint64 `json:"produced"`
	Queued    uint64 `json:"queued"`    // in memory, not yet on disk
	Journaled uint64 `json:"journaled"` // on disk, not yet acked; without a sender all that is on disk
	Acked     uint64 `json:"acked"`     // by the sender
	Dropped   uint64 `json:"dropped"`   // lost, and why:

	DroppedBy map[string]uint64 `json:"dropped_by,omitempty"` // queue_full, journal_full, write_failed, …

	Adopted   uint64        `json:"adopted"` // found on start, left by an earlier process
	Corrupt   uint64        `json:"corrupt"` // lines of the journal that could not be read
	DiskBytes int64         `json:"disk_bytes"`
	Lag       time.Duration `json:"lag_ns"` // age of the oldest event not yet acked

	SenderUp bool   `json:"sender_up"`
	Error    string `json:"error,omitempty"` // of the sender or the disk, now; no secret
}
