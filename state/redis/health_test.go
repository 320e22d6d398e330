package redis

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
	"github.com/universal-ai-gateway/magicproxy/state"
)

// nowhere is the URL of a Redis that is not there.
func nowhere(t testing.TB) string {
	return fmt.Sprintf("redis://127.0.0.1:%d", backendtest.FreePort(t))
}

// Without Redis each use goes on as its mode says, from the first request on.
//
// fault: K1
func TestModesWithoutRedis(t *testing.T) {
	limit := []state.Limit{{Key: "one|a", N: 3, Window: time.Hour}}
	const n = 5
	for _, tc := range []struct {
		use  state.Use
		mode state.Mode
		ask  state.Admission
		is   func(t *testing.T, got []state.Admitted)
	}{
		{state.UseCounters, state.ModeLocal, state.Admission{Chain: "c"}, func(t *testing.T, got []state.Admitted) {
			var starts []uint64
			for _, g := range got {
				starts = append(starts, g.Start)
			}
			dense(t, starts)
		}},
		{state.UseCounters, state.ModeClosed, state.Admission{Chain: "c"}, allClosed(state.UseCounters)},
		{state.UseCounters, state.ModeClosed, state.Admission{Limits: limit}, oneByOne},
		{state.UseLimits, state.ModeLocal, state.Admission{Limits: limit, Chain: "c"}, oneByOne},
		{state.UseLimits, state.ModeOpen, state.Admission{Limits: limit, Chain: "c"}, func(t *testing.T, got []state.Admitted) {
			for _, g := range got {
				if g.Refused || g.Closed || g.Limit.N != 0 || g.Start == 0 {
					t.Errorf("%+v", g)
				}
			}
		}},
		{state.UseLimits, state.ModeClosed, state.Admission{Limits: limit, Chain: "c"}, allClosed(state.UseLimits)},
		{state.UseLimits, state.ModeClosed, state.Admission{Cache: "k"}, cached("")},
		{state.UseCache, state.ModeOpen, state.Admission{Cache: "k"}, cached("")},
		{state.UseCache, state.ModeLocal, state.Admission{Cache: "k"}, cached("answer")},
	} {
		t.Run(fmt.Sprintf("%s %s", tc.use, tc.mode), func(t *testing.T) {
			s := connect(t, nowhere(t), Options{Modes: map[state.Use]state.Mode{tc.use: tc.mode}})
			s.Admit(t.Context(), state.Admission{Chain: "first"})
			var h state.Health
			await(t, "it is noticed", func() bool { h = s.Health(); return !h.Up })
			if h.Since.IsZero() || h.Error == "" || h.Modes[tc.use] != string(tc.mode) {
				t.Errorf("%+v", h)
			}
			s.Put("k", []byte("answer"), time.Minute)
			var got []state.Admitted
			for range n {
				got = append(got, s.Admit(t.Context(), tc.ask))
			}
			tc.is(t, got)
			if alone := s.Health().Alone; alone != n+1 {
				t.Errorf("%d went on alone, of %d", alone, n+1)
			}
		})
	}
}

func allClosed(use state.Use) func(*testing.T, []state.Admitted) {
	return func(t *testing.T, got []state.Admitted) {
		for _, g := range got {
			if !g.Closed || g.Use != use || g.Refused {
				t.Errorf("%+v", g)
			}
		}
	}
}

// oneByOne: three are let through.
func oneByOne(t *testing.T, got []state.Admitted) {
	for i, g := range got {
		if g.Closed || g.Refused != (i >= 3) || g.Remaining != max(0, 2-i) {
			t.Errorf("%d: %+v", i, g)
		}
	}
}

func cached(want string) func(*testing.T, []state.Admitted) {
	return func(t *testing.T, got []state.Admitted) {
		for _, g := range got {
			if g.Closed || string(g.Cached) != want {
				t.Errorf("%+v", g)
			}
		}
	}
}

// Machines without Redis do not all begin with the same target.
func TestAloneEachBeginsElsewhere(t *testing.T) {
	url := nowhere(t)
	seen := make(map[uint64]bool)
	for range 10 {
		seen[connect(t, url, Options{}).Admit(t.Context(), state.Admission{Chain: "c"}).Start] = true
	}
	if len(seen) != 10 {
		t.Errorf("%d of 10 begin alike", 10-len(seen))
	}
}

// fault: K1
func TestHealth(t *testing.T) {
	server := backendtest.Redis(t)
	secret := "canary-4711"
	s := connect(t, strings.Replace(server.Addr, "://", "://user:"+secret+"@", 1), Options{})
	if err := plain(t, server.Addr).Do(t.Context(), "ACL", "SETUSER", "user", "on", ">"+secret, "~*", "&*", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	admit := func() state.Health {
		s.Admit(t.Context(), state.Admission{Limits: []state.Limit{plenty("a|b")}, Chain: "c", Cache: "k"})
		return s.Health()
	}
	sharedModes := make(map[state.Use]string)
	for _, u := range state.Uses {
		sharedModes[u] = "shared"
	}
	begin := time.Now()
	var up state.Health
	await(t, "it is used", func() bool { up = admit(); return !up.Since.IsZero() })
	if !up.Up || up.Since.Before(begin) || up.Error != "" || !maps.Equal(up.Modes, sharedModes) {
		t.Errorf("at first: %+v", up)
	}
	if again := admit(); !again.Since.Equal(up.Since) {
		t.Errorf("nothing has happened: %+v", again)
	}

	server.Kill()
	var down state.Health
	await(t, "it is noticed", func() bool { down = admit(); return !down.Up })
	want := map[state.Use]string{
		state.UseCounters: "local", state.UseLimits: "local", state.UseSessions: "local",
		state.UseQuarantine: "local", state.UseCache: "open",
	}
	if !down.Since.After(up.Since) || down.Error == "" || strings.Contains(down.Error, secret) || !maps.Equal(down.Modes, want) || down.Alone == 0 {
		t.Errorf("killed: %+v", down)
	}
	s.Put("k", []byte("lost"), time.Minute) // nobody waits for it
	if got := admit(); !got.Since.Equal(down.Since) || got.Alone <= down.Alone {
		t.Errorf("still killed: %+v", got)
	}

	server.Start() // empty: without the user, too
	if err := plain(t, server.Addr).Do(t.Context(), "ACL", "SETUSER", "user", "on", ">"+secret, "~*", "&*", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	await(t, "it is back", func() bool { return s.Health().Up }) // by itself: no request has asked
	back := s.Health()
	if !back.Since.After(down.Since) || back.Error != "" || !maps.Equal(back.Modes, sharedModes) {
		t.Errorf("back: %+v", back)
	}
	if got := admit(); got.Alone != back.Alone {
		t.Errorf("%+v", got)
	}
}

// A Redis that answers with refusals only is as good as none, and says so.
//
// fault: K1
func TestARedisThatRefusesIsAway(t *testing.T) {
	const callers = 64
	for _, tc := range []struct {
		name, url, says string
		ready           func(t *testing.T, c *goredis.Client)
	}{
		{"no password", "", "NOAUTH", func(t *testing.T, c *goredis.Client) { do(t, c, "CONFIG", "SET", "requirepass", "canary-4711") }},
		{"a wrong password", ":canary-4712@", "WRONGPASS", func(t *testing.T, c *goredis.Client) { do(t, c, "CONFIG", "SET", "requirepass", "canary-4711") }},
		{"a replica without its master", "", "READONLY", func(t *testing.T, c *goredis.Client) { do(t, c, "REPLICAOF", "127.0.0.1", "1") }},
		{"no more clients", "", "", func(t *testing.T, c *goredis.Client) { do(t, c, "CONFIG", "SET", "maxclients", "1") }},
		{"full", "", "OOM", func(t *testing.T, c *goredis.Client) { do(t, c, "CONFIG", "SET", "maxmemory", "1") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := backendtest.Redis(t)
			tc.ready(t, plain(t, server.Addr))
			s := connect(t, strings.Replace(server.Addr, "://", "://"+tc.url, 1), Options{})
			var mu sync.Mutex
			var starts []uint64
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					got := s.Admit(t.Context(), state.Admission{Chain: "c"})
					if got.Closed {
						t.Errorf("%+v", got)
					}
					mu.Lock()
					defer mu.Unlock()
					starts = append(starts, got.Start)
				})
			}
			wg.Wait()
			dense(t, starts)
			var h state.Health
			await(t, "it is noticed", func() bool {
				s.Admit(t.Context(), state.Admission{Limits: []state.Limit{plenty("a|b")}, Chain: "c"})
				h = s.Health()
				return !h.Up
			})
			if !strings.Contains(h.Error, tc.says) || strings.Contains(h.Error, "canary") || h.Alone <= callers {
				t.Errorf("%+v", h)
			}
		})
	}
}

func do(t *testing.T, c *goredis.Client, command ...any) {
	t.Helper()
	if err := c.Do(t.Context(), command...).Err(); err != nil {
		t.Fatal(err)
	}
}

// Whatever is under way when the store is closed goes on alone.
func TestCloseInTheMiddle(t *testing.T) {
	for _, url := range []string{backendtest.Shared(t, "redis"), nowhere(t)} {
		for range 10 {
			s, err := New(url, Options{Prefix: backendtest.RedisPrefix(t)})
			if err != nil {
				t.Fatal(err)
			}
			var wg, begun sync.WaitGroup
			begun.Add(8)
			for i := range 8 {
				wg.Go(func() {
					for j := range 20 {
						if got := s.Admit(t.Context(), state.Admission{Chain: "c", Limits: []state.Limit{plenty("a|b")}}); got.Closed || got.Refused {
							t.Errorf("%+v", got)
						}
						if s.Put("k", []byte("v"), time.Minute); j == i {
							begun.Done()
						}
					}
				})
			}
			begun.Wait()
			cancel := s.Bus().Subscribe("topic", func([]byte) {})
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			wg.Wait()
			cancel()
			s.Bus().Publish("topic", nil)
			if got := s.Admit(t.Context(), state.Admission{Chain: "c"}); got.Closed || got.Start == 0 {
				t.Errorf("afterwards: %+v", got)
			}
		}
	}
}

// A store may be closed before anything has been asked of it, or at that moment.
func TestCloseAtTheBeginning(t *testing.T) {
	url, prefix := backendtest.Shared(t, "redis"), backendtest.RedisPrefix(t)
	for range 50 {
		s, err := New(url, Options{Prefix: prefix})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { s.Admit(t.Context(), state.Admission{Chain: "c"}) })
		wg.Go(func() { s.Bus().Subscribe("topic", func([]byte) {})() })
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		s.Admit(t.Context(), state.Admission{Chain: "c"})
	}
}
