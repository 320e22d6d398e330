package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// The buckets.
var (
	usersBucket  = []byte("users")  // a user's name → record
	tokensBucket = []byte("tokens") // a token's hash → its user's name
)

// openFile opens the database, for this process alone. If it is not there it is
// made, or the error is fs.ErrNotExist.
func openFile(ctx context.Context, path string, create bool) (db *bolt.DB, err error) {
	switch _, err = os.Stat(path); {
	case err == nil:
		create = false
	case !create || !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("opening the file of users: %w", err)
	}
	var parents []string
	if create {
		if parents, err = makeFolder(filepath.Dir(path)); err != nil {
			return nil, fmt.Errorf("making the folder of users: %w", err)
		}
	}
	wait := openTime
	if end, ok := ctx.Deadline(); ok {
		wait = max(min(wait, time.Until(end)), time.Millisecond) // 0 would wait for ever
	}
	err = guard(func() (err error) {
		o := &bolt.Options{Timeout: wait, FreelistType: bolt.FreelistMapType}
		if db, err = bolt.Open(path, 0o600, o); err != nil {
			return err
		}
		err = db.Update(makeBuckets)
		for _, dir := range parents {
			if err == nil {
				err = syncFolder(dir)
			}
		}
		if err != nil {
			_ = db.Close()
		}
		return err
	})
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("opening %s: it is locked, another process may hold it", path)
	}
	return nil, fmt.Errorf("opening %s: %w", path, err)
}

func makeBuckets(tx *bolt.Tx) error {
	for _, name := range [][]byte{usersBucket, tokensBucket} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	return nil
}

// makeFolder makes a folder for its owner alone. It returns those which got a new
// entry, so have to be synced: the folder itself, and those above the new ones.
func makeFolder(dir string) (changed []string, err error) {
	for d := dir; ; d = filepath.Dir(d) {
		changed = append(changed, d)
		if _, err := os.Stat(d); err == nil || d == filepath.Dir(d) {
			break
		}
	}
	return changed, os.MkdirAll(dir, 0o700)
}

// syncFolder makes a folder's new entries survive a power failure. Windows has no
// such thing.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// panicError is a panic of the library.
type panicError struct{ value any }

func (p *panicError) Error() string { return fmt.Sprintf("the file is damaged: %v", p.value) }

// guard turns what the library does about a damaged file, a panic, into an error;
// also the fault of reading a mapped page that the file has no more.
func guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{v}
		}
	}()
	return do()
}
