package redis

import (
	"errors"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
	"github.com/universal-ai-gateway/magicproxy/state"
)

// behind opens a store behind a proxy, and one that has the Redis to itself.
func behind(t *testing.T, mode state.Mode) (p *proxy, a, b *Store) {
	t.Helper()
	url, prefix := backendtest.Shared(t, "redis"), backendtest.RedisPrefix(t)
	p = between(t, url)
	o := Options{Prefix: prefix, Wait: calm, Modes: map[state.Use]state.Mode{state.UseSessions: mode}}
	return p, connect(t, p.url, o), connect(t, url, o)
}

// away cuts a store off, and waits until it knows.
func away(t *testing.T, p *proxy, s *Store) {
	t.Helper()
	p.cut()
	await(t, "it is known to be away", func() bool { s.Admit(t.Context(), state.Admission{Chain: "c"}); return !s.Health().Up })
}

func back(t *testing.T, p *proxy, s *Store) {
	t.Helper()
	p.away.Store(false)
	await(t, "it is back", func() bool { return s.Health().Up })
}

// A run goes on while Redis is away, and what it saves is there when Redis is back.
//
// fault: K1
func TestSessionsThroughFaults(t *testing.T) {
	for _, fault := range []string{"frozen", "killed"} {
		t.Run(fault, func(t *testing.T) {
			server := backendtest.Redis(t)
			s := connect(t, server.Addr, Options{})
			running, ended, fresh := sessionKey(), sessionKey(), sessionKey()
			l, l2 := begin(t, s, running), begin(t, s, ended)
			if fault == "frozen" {
				server.Freeze()
			} else {
				server.Kill()
			}
			// The first that comes does not know yet. If Redis is frozen it takes the lease
			// for it when it goes on.
			begun := begin(t, s, fresh)
			from := time.Now()
			save(t, l2, 1)
			release(t, l2)
			t.Logf("saved and released without Redis in %s", time.Since(from))
			await(t, "it is known to be away", func() bool { _ = s.Admit(t.Context(), state.Admission{Chain: "c"}); return !s.Health().Up })
			from = time.Now()
			here := begin(t, s, ended)
			if here.Session().Phase != 1 {
				t.Errorf("%+v", here.Session())
			}
			save(t, here, 2)
			release(t, here)
			save(t, begun, 1)
			release(t, begun)
			save(t, l, 3)
			t.Logf("begun, saved and released on this machine in %s", time.Since(from))
			holds(t, s, running, 3, true)
			holds(t, s, ended, 2, false)
			if fault == "frozen" {
				server.Thaw()
			} else {
				server.Start() // empty
			}
			await(t, "it is back", func() bool { return s.Health().Up })
			other := connect(t, server.Addr, Options{Wait: calm})
			holds(t, other, running, 3, true)
			holds(t, other, ended, 2, false)
			release(t, l)
			holds(t, other, running, 3, false)
			var next state.Lease
			from = time.Now()
			await(t, "what was begun in between is free, and goes on", func() bool {
				var err error
				next, err = s.Sessions().Begin(t.Context(), fresh, state.Opening{})
				return err == nil
			})
			t.Logf("free %s later", time.Since(from))
			if next.Session().Phase != 1 {
				t.Errorf("%+v", next.Session())
			}
			release(t, next)
			holds(t, other, fresh, 1, false)
		})
	}
}

// A reply that is lost neither blocks a session nor loses what was saved.
func TestLostReplies(t *testing.T) {
	lose := func(t *testing.T, p *proxy, call func()) {
		t.Helper()
		p.lose.Store(true)
		call()
		await(t, "a reply has been lost", func() bool { return !p.lose.Load() })
	}
	t.Run("to Begin", func(t *testing.T) {
		p, a, b := behind(t, state.ModeClosed)
		key := sessionKey()
		release(t, begin(t, a, key))
		await(t, "Begin's reply has been lost", func() bool { // it may also be that of something else
			p.lose.Store(true)
			l, err := a.Sessions().Begin(t.Context(), key, state.Opening{})
			if err == nil {
				release(t, l)
				return false
			}
			if !errors.Is(err, state.ErrUnavailable) {
				t.Errorf("Begin: %v", err)
			}
			return true
		})
		await(t, "it is free", func() bool { // long before the lease runs out
			l, err := b.Sessions().Begin(t.Context(), key, state.Opening{})
			if err == nil {
				release(t, l)
			}
			return err == nil
		})
	})
	t.Run("to Save", func(t *testing.T) {
		p, a, b := behind(t, state.ModeLocal)
		key := sessionKey()
		l := begin(t, a, key)
		lose(t, p, func() { save(t, l, 1) })
		holds(t, b, key, 1, true)
		await(t, "it is known", func() bool {
			l := l.(*lease)
			l.mu.Lock()
			defer l.mu.Unlock()
			return !l.dirty
		})
		save(t, l, 2)
		release(t, l)
		holds(t, b, key, 2, false)
	})
	t.Run("to Release", func(t *testing.T) {
		p, a, b := behind(t, state.ModeLocal)
		key := sessionKey()
		l := begin(t, a, key)
		save(t, l, 1)
		lose(t, p, func() { release(t, l) })
		next := begin(t, b, key) // it has come through
		save(t, next, 2)
		await(t, "nothing is owed", func() bool { return a.Health().Up && len(a.sessions.(*sessions).owed(key)) == 0 })
		holds(t, a, key, 2, true)
		release(t, next)
	})
}

// A Redis that has lost its data gets back what runs hold, unless somebody else has
// begun the session since.
//
// fault: K1
func TestLostData(t *testing.T) {
	server := backendtest.Redis(t)
	p := between(t, server.Addr)
	a, b := connect(t, p.url, Options{Wait: calm}), connect(t, server.Addr, Options{Wait: calm})
	held, taken, quiet := sessionKey(), sessionKey(), sessionKey()
	l, lost, mute := begin(t, a, held), begin(t, a, taken), begin(t, a, quiet)
	save(t, l, 1)
	save(t, lost, 1)
	save(t, mute, 1)
	away(t, p, a)
	if err := plain(t, server.Addr).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	next := begin(t, b, taken)
	if next.Session().Phase != 0 {
		t.Errorf("%+v", next.Session())
	}
	back(t, p, a)
	if err := mute.Release(t.Context()); err != nil { // before or after its renewal
		t.Error(err)
	}
	holds(t, b, quiet, 1, false)
	holds(t, b, held, 1, true)
	ends(t, lost, state.ErrLost)
	if err := lost.Save(t.Context(), state.Session{Phase: 2}); !errors.Is(err, state.ErrLost) {
		t.Errorf("Save: %v", err)
	}
	if err := lost.Release(t.Context()); !errors.Is(err, state.ErrLost) {
		t.Errorf("Release: %v", err)
	}
	holds(t, b, taken, 0, true)
	release(t, l)
	release(t, next)
}

// A lease that could not be renewed in time ends a run only if that is wanted, or if
// somebody else has the session by then.
func TestLongOutage(t *testing.T) {
	const ttl = 500 * time.Millisecond
	t.Run("closed", func(t *testing.T) {
		p, a, _ := behind(t, state.ModeClosed)
		l := begin(t, leasing(a, ttl), sessionKey())
		away(t, p, a)
		if err := l.Save(t.Context(), state.Session{}); !errors.Is(err, state.ErrUnavailable) {
			t.Errorf("Save: %v", err)
		}
		ends(t, l, state.ErrLost)
	})
	for _, mode := range []state.Mode{state.ModeLocal, state.ModeOpen} {
		t.Run(string(mode), func(t *testing.T) {
			p, a, b := behind(t, mode)
			free, taken, ended := sessionKey(), sessionKey(), sessionKey()
			l, l2, l3 := begin(t, leasing(a, ttl), free), begin(t, a, taken), begin(t, a, ended)
			away(t, p, a)
			save(t, l3, 1)
			release(t, l3)
			var next state.Lease
			await(t, "the lease has run out", func() bool {
				var err error
				next, err = b.Sessions().Begin(t.Context(), taken, state.Opening{})
				return err == nil
			})
			holds(t, b, free, 0, false) // run out, too
			holds(t, b, ended, 0, false)
			save(t, l, 1)
			if err := errors.Join(l.Context().Err(), l2.Context().Err()); err != nil {
				t.Errorf("a run has ended: %v", err)
			}
			back(t, p, a)
			holds(t, b, free, 1, true)
			holds(t, b, ended, 1, false)
			ends(t, l2, state.ErrLost)
			release(t, l)
			release(t, next)
		})
	}
}
