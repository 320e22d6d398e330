package local

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/users"
)

// TestGivingUp: who waits for a turn can leave, and what becomes of that call says
// nothing of the file.
func TestGivingUp(t *testing.T) {
	s := New(filepath.Join(t.TempDir(), "users.db"))
	if err := s.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func(context.Context) error{
		"reading":  func(ctx context.Context) error { _, _, err := s.Find(ctx, users.Hash{}); return err },
		"changing": func(ctx context.Context) error { return s.Delete(ctx, "ann") },
		"closing":  s.Close,
	} {
		late, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if err := do(late); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s, too late: %v", name, err)
		}
		stop()
		left, leave := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, leave)
		if err := do(left); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, left: %v", name, err)
		}
	}
	if h := s.Health(); h.Up || h.Error != "" || !h.Since.IsZero() {
		t.Errorf("health: %+v", h)
	}
	s.give()
	if err := s.Delete(t.Context(), "ann"); !errors.Is(err, users.ErrUnknown) {
		t.Errorf("then: %v", err)
	}
}
