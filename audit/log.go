package audit

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"go.uber.org/zap"
)

// Options say how a Log records. The zero value is usable.
type Options struct {
	// MaxBytes bounds the journal on disk. Default 1 GiB. With a sender a full journal
	// takes nothing new, without one it loses its oldest.
	MaxBytes int64

	// QueueBytes bounds what waits in memory for the disk. Default 8 MiB.
	QueueBytes int

	// Logger hears of what is lost, at most once a minute, and of the sender. Default:
	// nobody does.
	Logger *zap.Logger

	// create opens a segment's file. Tests put disks here that fail.
	create func(path string) (file, error)
}

const (
	defaultMaxBytes   = 1 << 30
	defaultQueueBytes = 8 << 20

	lockName = "lock"

	// useGrace is how long a Send under way may take when its sender is replaced. To
	// end it at once would double what has just arrived.
	useGrace = time.Second
)

// Log is a journal on disk and what empties it. Its methods may be called
// concurrently; on a nil Log they do nothing.
//
// Events go from a queue in memory to the journal, and on to the sender if there is
// one. Three goroutines see to it: the writer, which never waits for the network or
// for fsync, the syncer, and the courier, which reads what the writer has written.
type Log struct {
	dir     string
	o       Options
	process string // the request_id of events outside requests
	ids     eventIDs
	seq     sequence

	ctx    context.Context // of the courier
	stop   context.CancelFunc
	wake   chan struct{} // the writer, which found nothing to do
	hurry  chan struct{} // the writer, which waits for more
	dirty  chan struct{} // the syncer
	now    chan struct{} // the syncer, which waits for more
	news   chan struct{} // the courier, which has nothing to do
	turn   chan struct{} // the courier, which waits before it tries again
	quit   chan struct{} // the writer
	synced chan struct{} // the syncer: nothing more will be written
	done   chan struct{} // Close has ended

	writing, syncing, shipping sync.WaitGroup

	closing  sync.Once
	closeErr error

	mu     sync.Mutex // guards what follows and o.MaxBytes, and is never held while the disk works
	lock   *flock.Flock
	stats  Stats
	closed bool

	queue              []*chunk
	free               []*chunk
	queued             int // bytes, what is being written included
	awake              bool
	enqueued, dequeued uint64

	segments []*segment // in order; the last is active, if one is
	active   *segment
	next     uint64 // number of the line that is written next
	disk     int64  // bytes
	trash    []string
	diskErr  error
	syncErrs int
	syncErr  error

	sender  Sender
	use     int      // counts senders
	retired []Sender // to be closed
	cancel  context.CancelFunc
	sendErr error
	at      position  // of what is to be shipped next
	front   time.Time // of the oldest event not yet acked, while there is one

	waiting int
	changed chan struct{}
}

// Open opens the journal in dir, which it makes if need be, and adopts what an earlier
// process has left there. A directory belongs to one process.
func Open(dir string, o Options) (*Log, error) {
	if o.MaxBytes <= 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.QueueBytes <= 0 {
		o.QueueBytes = defaultQueueBytes
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.create == nil {
		o.create = createFile
	}
	l := &Log{
		dir: dir, o: o, next: 1,
		wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1),
		dirty: make(chan struct{}, 1), now: make(chan struct{}, 1),
		news: make(chan struct{}, 1), turn: make(chan struct{}, 1),
		quit: make(chan struct{}), synced: make(chan struct{}), done: make(chan struct{}),
		changed: make(chan struct{}),
	}
	l.ids.seed()
	var id [12]byte
	_, _ = rand.Read(id[:]) // never fails
	l.process = "proc_" + hex.EncodeToString(id[:])
	if err := l.claim(); err != nil {
		return nil, err
	}
	if err := l.adopt(); err != nil {
		_ = l.lock.Unlock()
		return nil, fmt.Errorf("adopting the audit journal: %w", err)
	}
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.writing.Go(l.write)
	l.syncing.Go(l.sync)
	l.shipping.Go((&courier{l: l, saved: l.at}).run)
	return l, nil
}

// claim makes the directory and takes its lock.
func (l *Log) claim() error {
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return fmt.Errorf("making the directory of the audit journal: %w", err)
	}
	k := flock.New(filepath.Join(l.dir, lockName), flock.SetPermissions(0o600))
	switch ok, err := k.TryLock(); {
	case err != nil:
		return fmt.Errorf("locking the audit journal: %w", err)
	case !ok:
		return fmt.Errorf("the audit journal %s is in use by another process: each needs a directory of its own", l.dir)
	}
	l.mu.Lock()
	old := l.lock
	l.lock = k
	l.mu.Unlock()
	if old != nil {
		_ = old.Unlock() // of a directory that is no more
	}
	return nil
}

// Bound changes the bound of the journal on disk, as Options' MaxBytes; 0 for its
// default. What is too much then goes with the next event, or when it is shipped.
func (l *Log) Bound(maxBytes int64) {
	if maxBytes <= 0 {
		maxBytes = defaultMaxBytes
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.o.MaxBytes = maxBytes
}

// Use has s ship the journal, from the first event that is not acked on; nil has it
// stay where it is. It takes a sender over: one that is replaced is closed, after the
// batch it is shipping, which is all that may be sent twice. It waits for nothing.
func (l *Log) Use(s Sender) {
	if l == nil {
		return
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		if s != nil {
			_ = s.Close()
		}
		return
	}
	if l.sender != nil {
		l.retired = append(l.retired, l.sender)
	}
	l.sender, l.sendErr = s, nil
	l.use++
	if l.cancel != nil {
		time.AfterFunc(useGrace, l.cancel)
	}
	l.moved()
	l.mu.Unlock()
	signal(l.news)
	signal(l.turn)
}

// Flush waits until everything that was recorded before is on disk for good and, with
// a sender, acked, or until ctx ends.
func (l *Log) Flush(ctx context.Context) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting++
	defer func() { l.waiting-- }()
	events, errs := l.enqueued, l.syncErrs
	var upto *mark
	for {
		switch {
		case l.dequeued < events:
			signal(l.hurry)
		case upto == nil:
			upto = l.mark()
			continue
		case !l.isSynced(upto):
			signal(l.dirty)
			signal(l.now)
		case l.sender != nil && !l.isShipped(upto):
		case l.syncErrs != errs:
			return fmt.Errorf("syncing the audit journal: %w", l.syncErr)
		default:
			return nil
		}
		changed := l.changed
		l.mu.Unlock()
		var err error
		select {
		case <-changed:
		case <-l.done:
			err = errors.New("the audit journal is closed")
		case <-ctx.Done():
			err = fmt.Errorf("flushing the audit journal: %w", context.Cause(ctx))
		}
		l.mu.Lock()
		if err != nil {
			return err
		}
	}
}

// Close takes nothing more, flushes until ctx ends, and lets go of everything. What has
// not been shipped stays in the journal, for whoever opens it next; the error is then
// Flush's.
func (l *Log) Close(ctx context.Context) error {
	if l == nil {
		return nil
	}
	l.closing.Do(func() { l.closeErr = l.close(ctx) })
	return l.closeErr
}

func (l *Log) close(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	err := l.Flush(ctx)
	close(l.quit)
	l.writing.Wait()
	l.stop()
	l.shipping.Wait()
	close(l.synced)
	l.syncing.Wait()
	l.tidy()
	close(l.done)
	return errors.Join(err, l.lock.Unlock())
}

// tidy removes what need not stay, when nothing works on the journal any more.
func (l *Log) tidy() {
	l.mu.Lock()
	for _, s := range slices.Clone(l.segments) {
		if s.left() == 0 {
			l.trash = append(l.trash, s.path)
			l.discard(s, DroppedUnreadable)
		}
	}
	at := l.at
	l.mu.Unlock()
	if at != (position{}) {
		_ = at.save(l.dir)
	}
	l.empty()
}

// moved tells those who wait that something has changed. mu is held.
func (l *Log) moved() {
	if l.waiting > 0 {
		close(l.changed)
		l.changed = make(chan struct{})
	}
}
