// Package local keeps users in a file of this machine, for one process: the
// default where nothing else is configured.
//
// The file is a bbolt database with two buckets: users by name, and the names by
// the hashes of their tokens. Changes are on disk when they are reported, readers
// never wait for writers, and a second process is refused.
//
//	s := local.New(path)
//	err := s.Start()
//	defer s.Close(ctx)
package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/universal-ai-gateway/magicproxy/users"
)

const (
	// openTime bounds the wait for a file that somebody else has locked.
	openTime = time.Second

	// retryTime is how long a failed opening is not tried again: else every look-up
	// would wait for openTime.
	retryTime = time.Second
)

var errClosed = errors.New("the file of users is closed")

// Store is a users.Store.
//
// It makes its file with the first user, so a gateway without registered users
// needs no place to write to. The file is opened when first used or at Start,
// whichever is first, and stays open until Close.
type Store struct {
	path string

	// turn is taken by whoever opens, writes or closes: a channel, so that callers
	// can give up waiting.
	turn chan struct{}

	db atomic.Pointer[bolt.DB] // nil: not open

	// Below, turn is held.
	closed bool
	broken error     // the library has panicked: nothing can be opened or written any more
	failed error     // the last opening
	retry  time.Time // not before this

	mu     sync.Mutex
	health users.Health
}

// New returns a store in the file of a path. It touches nothing.
func New(path string) *Store {
	return &Store{path: path, turn: make(chan struct{}, 1), health: users.Health{Backend: "local"}}
}

// Start opens the file if there is one, and may be called again. Afterwards no other
// process can.
func (s *Store) Start() error {
	ctx, stop := context.WithTimeout(context.Background(), 2*openTime)
	defer stop()
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.give()
	s.retry = time.Time{}
	err := s.open(ctx, false)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return s.saw(err)
}

// Close ends all use, waiting for the calls under way at most as long as ctx lasts.
func (s *Store) Close(ctx context.Context) error {
	if err := s.take(ctx); err != nil {
		return fmt.Errorf("closing %s: %w", s.path, err)
	}
	defer s.give()
	s.closed = true
	db := s.db.Swap(nil)
	if db == nil || s.broken != nil { // then the library may hold its own locks for ever
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- db.Close() }() // waits for readers
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("closing %s: %w", s.path, ctx.Err())
	}
}

// Health implements users.Store.
func (s *Store) Health() users.Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.health
}

// saw notes what a call's end says of the backend, and returns it.
func (s *Store) saw(err error) error {
	up, text := true, ""
	switch {
	case err == nil, errors.Is(err, users.ErrUnknown), errors.Is(err, users.ErrTaken), errors.Is(err, users.ErrTooMany):
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, errClosed):
		return err
	default:
		up, text = false, err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.health.Since.IsZero() || s.health.Up != up {
		s.health.Since = time.Now().UTC()
	}
	s.health.Up, s.health.Error = up, text
	return err
}

// take waits for the turn.
func (s *Store) take(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) give() { <-s.turn }

// open opens the file; if it is not there it is made, or the error is
// fs.ErrNotExist. The turn is held.
func (s *Store) open(ctx context.Context, create bool) error {
	switch {
	case s.closed:
		return errClosed
	case s.broken != nil:
		return s.broken
	case s.db.Load() != nil:
		return nil
	case time.Now().Before(s.retry):
		return s.failed
	}
	db, err := openFile(ctx, s.path, create)
	switch {
	case err == nil:
		s.db.Store(db)
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return err
	}
	s.failed, s.retry = err, time.Now().Add(retryTime)
	return s.blame(err)
}

// blame remembers a panic of the library within an opening or a change for good: it
// may hold its own locks, and the file's, for ever. The turn is held.
func (s *Store) blame(err error) error {
	var p *panicError
	if errors.As(err, &p) && s.broken == nil {
		s.broken = fmt.Errorf("mend %s and restart: %w", s.path, err)
		return s.broken
	}
	return err
}

// view looks into the file. Without one there is nobody.
func (s *Store) view(ctx context.Context, do func(*bolt.Tx) error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	db, err := s.readable(ctx)
	if err == nil {
		err = guard(func() error { return db.View(do) })
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = users.ErrUnknown
	case errors.Is(err, berrors.ErrDatabaseNotOpen):
		err = errClosed
	}
	return s.saw(err)
}

// readable returns the open file. Only who has to open it waits for a turn.
func (s *Store) readable(ctx context.Context) (*bolt.DB, error) {
	if db := s.db.Load(); db != nil {
		return db, nil
	}
	if err := s.take(ctx); err != nil {
		return nil, err
	}
	defer s.give()
	if err := s.open(ctx, false); err != nil {
		return nil, err
	}
	return s.db.Load(), nil
}

// update changes the file; what do has done is on disk afterwards, or nothing of it
// if there is an error. Changes do not wait for each other's company: a batch would
// cost a lone caller its delay, and run in a goroutine whose panics nobody catches.
func (s *Store) update(ctx context.Context, create bool, do func(*bolt.Tx) error) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.give()
	err := s.open(ctx, create)
	if errors.Is(err, fs.ErrNotExist) && !create {
		return s.saw(users.ErrUnknown)
	}
	if err == nil {
		err = s.blame(guard(func() error { return s.db.Load().Update(do) }))
	}
	return s.saw(err)
}
