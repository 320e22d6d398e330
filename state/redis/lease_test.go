package redis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
	"github.com/universal-ai-gateway/magicproxy/state"
)

// Leases are renewed by one goroutine, however many there are, in a few round trips.
//
// contract: A12 (renewed while running)
func TestLeasesRenewed(t *testing.T) {
	const many = 200
	s := leasing(shared(t, Options{Wait: calm}), 3*time.Second)
	release(t, begin(t, s, sessionKey())) // everything has begun
	before := runtime.NumGoroutine()
	var leases []*lease
	for range many {
		leases = append(leases, begin(t, s, sessionKey()).(*lease))
	}
	if more := runtime.NumGoroutine() - before; more > 10 {
		t.Errorf("%d goroutines for %d leases", more, many)
	}
	for _, l := range leases {
		await(t, "it has been renewed twice", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.renewed.Sub(l.asked) > 3*time.Second/2
		})
	}
	for _, l := range leases {
		if err := l.Context().Err(); err != nil {
			t.Error(context.Cause(l.Context()))
		}
		save(t, l, 1)
		release(t, l)
	}
	if n := len(s.sessions.(*sessions).held); n != 0 {
		t.Errorf("%d are still held", n)
	}
}

// A run that is gone leaves its session free after the lease's time, and what it still
// says is not heard.
func TestLeaseTakenOver(t *testing.T) {
	a, b := on(backendtest.Shared(t, "redis"))(t)
	leasing(a, 500*time.Millisecond)
	key := sessionKey()
	ctx, leave := context.WithCancel(t.Context())
	first, err := a.Sessions().Begin(ctx, key, state.Opening{})
	if err != nil {
		t.Fatal(err)
	}
	leave() // renewals end
	var next state.Lease
	await(t, "the session is free", func() bool {
		next, err = b.Sessions().Begin(t.Context(), key, state.Opening{})
		return err == nil
	})
	save(t, next, 2)
	l := first.(*lease)
	if next.(*lease).fence <= l.fence {
		t.Errorf("fence %s after %s", next.(*lease).fence, l.fence)
	}
	if err := l.Save(t.Context(), state.Session{Phase: 1}); !errors.Is(err, state.ErrLost) {
		t.Errorf("the old run saves: %v", err)
	}
	for _, do := range []string{doSave, doRenew, doGiveBack, doRenew + doSave, doGiveBack + doSave + doLate} { // whatever this machine believes
		c := call{l: l, do: do, s: state.Session{Phase: 1}, seq: 9}
		if err := c.tell(t.Context()); err != nil || c.told != "lost" {
			t.Errorf("%s: %q, %v", do, c.told, err)
		}
	}
	if err := l.Release(t.Context()); !errors.Is(err, state.ErrLost) {
		t.Errorf("the old run gives back: %v", err)
	}
	holds(t, a, key, 2, true)
	release(t, next)

	ctx, leave = context.WithCancel(t.Context())
	if _, err = a.Sessions().Begin(ctx, sessionKey(), state.Opening{}); err != nil { // nobody releases it
		t.Fatal(err)
	}
	leave()
	await(t, "it is forgotten", func() bool {
		m := a.sessions.(*sessions)
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.held) == 0
	})
}

// Whatever is told twice, or too late, changes nothing.
func TestCallsInDisorder(t *testing.T) {
	a, b := on(backendtest.Shared(t, "redis"))(t)
	key := sessionKey()
	l := begin(t, a, key).(*lease)
	save(t, l, 1)
	save(t, l, 2)
	for _, do := range []string{doSave, doRenew + doSave} {
		c := call{l: l, do: do, s: state.Session{Phase: 1}, seq: 1}
		if err := c.tell(t.Context()); err != nil || c.told != "ok" {
			t.Errorf("%q, %v", c.told, err)
		}
		holds(t, b, key, 2, true)
	}
	release(t, l)
	next := begin(t, b, key)
	save(t, next, 3) // its first
	holds(t, a, key, 3, true)
	for range 2 {
		c := call{l: l, do: doGiveBack + doSave, s: state.Session{Phase: 9}, seq: 9}
		if err := c.tell(t.Context()); err != nil || c.told != "lost" {
			t.Errorf("%q, %v", c.told, err)
		}
	}
	holds(t, a, key, 3, true)
	release(t, next)
}

// What a process that holds a session is told.
const actSession = "STATE_REDIS_SESSION"

const killedTTL = 1500 * time.Millisecond

func init() { acts["hold"] = hold }

// hold begins a session and renews its lease until somebody ends the process.
func hold() error {
	s, err := New(os.Getenv(actURL), Options{Prefix: os.Getenv(actPrefix), Wait: calm})
	if err != nil {
		return err
	}
	leasing(s, killedTTL)
	l, err := s.Sessions().Begin(context.Background(), state.SessionKey{User: "user", ID: os.Getenv(actSession)}, state.Opening{})
	if err != nil {
		return err
	}
	if err = l.Save(context.Background(), state.Session{Phase: 1}); err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "held")
	<-l.Context().Done()
	return context.Cause(l.Context())
}

// A process that is killed blocks its sessions for the lease's time only.
func TestKilledHolder(t *testing.T) {
	url, prefix, key := backendtest.Shared(t, "redis"), backendtest.RedisPrefix(t), sessionKey()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), actAs+"=hold", actURL+"="+url, actPrefix+"="+prefix, actSession+"="+key.ID)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	var word string
	if _, err := fmt.Fscan(out, &word); err != nil || word != "held" {
		t.Fatalf("the holder says %q: %v", word, err)
	}
	s := connect(t, url, Options{Prefix: prefix, Wait: calm})
	refusesBegin(t, s, key, state.ErrBusy)
	killed := time.Now()
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	await(t, "it is free", func() bool {
		l, err := s.Sessions().Begin(t.Context(), key, state.Opening{})
		if err == nil {
			if l.Session().Phase != 1 {
				t.Errorf("%+v", l.Session())
			}
			release(t, l)
		}
		return err == nil
	})
	t.Logf("free %s after the kill, with leases of %s", time.Since(killed).Round(time.Millisecond), killedTTL)
}
