package audit

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// fault: K4
func TestDiskIsFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		if os.Geteuid() == 0 && os.Getenv("CI") == "true" {
			t.Fatalf("no tmpfs: %v", err)
		}
		t.Skipf("no tmpfs, which takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	l := open(t, dir, Options{})
	var wg sync.WaitGroup
	const callers, each = 8, 2000
	var worst time.Duration
	var mu sync.Mutex
	for c := range callers {
		trail := l.Trail(Subject{Request: fmt.Sprint("req_", c)})
		wg.Go(func() {
			for i := range each {
				from := time.Now()
				trail.Record(answer(i))
				took := time.Since(from)
				mu.Lock()
				worst = max(worst, took)
				mu.Unlock()
				if i%100 == 0 {
					for l.Stats().Queued > 500 {
						<-time.After(time.Millisecond)
					}
				}
			}
		})
	}
	wg.Wait()
	l.Trail(Subject{Request: "large"}).Record(Event{Payload: Chunk{Text: strings.Repeat("x", 200<<10)}})
	flush(t, l)
	s := l.Stats()
	checkSum(t, s)
	found := 0
	for _, err := range Read(within(t), dir, ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		found++
	}
	if missing := callers*each + 1 - found; uint64(missing) != s.Dropped || s.Dropped != s.DroppedBy[DroppedWriteFailed] || missing == 0 || found == 0 {
		t.Errorf("%d events are there, %d are missing, %+v", found, missing, s)
	}
	if s.Error == "" {
		t.Error("no error is shown")
	}
	t.Logf("%d of %d events on a full disk, %d dropped, %s at most for one", found, callers*each+1, s.Dropped, worst)

	// Somebody makes room.
	all, err := listSegments(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, first := range all {
		if err := os.Remove(l.segmentPath(first)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	eventually(t, "it goes on", func() bool {
		l.Trail(Subject{Request: "after"}).Record(answer(1))
		s := l.Stats()
		return s.Error == "" && s.Journaled > 0 && s.DiskBytes > 0
	})
	flush(t, l)
	s = l.Stats()
	checkSum(t, s)
	if n := uint64(len(readAll(t, dir))); n != s.Journaled {
		t.Errorf("%d events are there, %+v", n, s)
	}
}
