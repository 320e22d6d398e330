package local_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/users"
	"github.com/universal-ai-gateway/magicproxy/users/local"
	"github.com/universal-ai-gateway/magicproxy/users/userstest"
)

// open returns a store in the file of a path.
func open(t testing.TB, path string) *local.Store {
	t.Helper()
	s := local.New(path)
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

func closeStore(t testing.TB, s *local.Store) {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	if err := s.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestStore(t *testing.T) {
	t.Run("a file each", func(t *testing.T) {
		userstest.Run(t, func(t *testing.T) users.Store { return open(t, filepath.Join(t.TempDir(), "users.db")) })
	})
	t.Run("one file", func(t *testing.T) {
		s := open(t, filepath.Join(t.TempDir(), "users.db"))
		userstest.Run(t, func(*testing.T) users.Store { return s })
	})
}
