package mongodb

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
	"github.com/universal-ai-gateway/magicproxy/users"
)

func TestContextsThatHaveEnded(t *testing.T) {
	s := newStore(t, backendtest.Shared(t, "mongodb"))
	create(t, s)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	for want, ctx := range map[error]context.Context{context.Canceled: ended, context.DeadlineExceeded: late} {
		_, _, err := s.Find(ctx, users.Hash{})
		wantError(t, "Find", err, want)
		_, err = s.List(ctx, "", 1)
		wantError(t, "List", err, want)
	}
	// On a busy machine the clock may be later than the answer.
	cut := 0
	for range 100 {
		short, cancel := context.WithTimeout(t.Context(), 50*time.Microsecond)
		_, _, err := s.Find(short, users.Hash{})
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			cut++
		} else {
			wantError(t, "answered in time", err, users.ErrUnknown)
		}
	}
	if cut == 0 {
		t.Error("hardly any time was enough 100 times")
	}
	if h := s.Health(); !h.Up {
		t.Errorf("callers without time say nothing about the backend: %+v", h)
	}
}

func TestClosed(t *testing.T) {
	t.Run("unused", func(t *testing.T) {
		s, err := New("mongodb://127.0.0.1:1/", Options{})
		if err != nil {
			t.Fatal(err)
		}
		if h := s.Health(); h != (users.Health{Backend: "mongodb", Up: true}) {
			t.Errorf("before the first use: %+v", h)
		}
		closeStore(t, s)
		closeStore(t, s)
		wantError(t, "Start", s.Start(), errClosed)
	})
	t.Run("used", func(t *testing.T) {
		s := quickStore(t, backendtest.Shared(t, "mongodb"))
		works(t, s, 10*time.Second)
		closeStore(t, s)
		_, err := s.Get(t.Context(), "nobody")
		wantError(t, "after Close", err, errClosed)
	})
	t.Run("while calls are under way", func(t *testing.T) {
		s, err := New("mongodb://127.0.0.1:1/", Options{})
		if err != nil {
			t.Fatal(err)
		}
		result := make(chan error, 1)
		go func() {
			_, err := s.List(context.Background(), "", 1)
			result <- err
		}()
		raw(t, s)
		closeStore(t, s)
		if err := <-result; err == nil {
			t.Error("a call without a server has succeeded")
		}
	})
}

// A server that hangs, or is gone, holds Close up for two seconds at most.
func TestCloseWithoutServer(t *testing.T) {
	server := backendtest.Mongo(t)
	for name, breaks := range map[string]struct{ now, again func() }{
		"frozen": {server.Freeze, server.Thaw},
		"killed": {server.Kill, server.Start},
	} {
		t.Run(name, func(t *testing.T) {
			s := quickStore(t, server.Addr)
			works(t, s, 10*time.Second)
			create(t, s)
			breaks.now()
			defer breaks.again()
			began := time.Now()
			if err := s.Close(context.Background()); err != nil {
				t.Error(err)
			}
			if d := time.Since(began); d > closing+time.Second {
				t.Errorf("took %v", d)
			}
			t.Logf("took %v", time.Since(began))
		})
	}
}
