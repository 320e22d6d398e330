package redis

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
	"github.com/universal-ai-gateway/magicproxy/state"
)

const (
	requestRate   = 2000 // about half of what two cores sustain
	requesters    = 32
	smallOutage   = 3 * time.Second
	outageSeconds = "REDIS_OUTAGE_SECONDS" // a longer one, for figures
)

// sample is one admission of a load.
type sample struct {
	at   time.Time
	took time.Duration
	got  state.Admitted
}

// load admits at requestRate until it is stopped, and returns all there was.
func load(ctx context.Context, s *Store) (stop func() []sample) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	all := make([][]sample, requesters)
	begin := time.Now()
	for i := range requesters {
		wg.Go(func() {
			const every = time.Second * requesters / requestRate
			due := begin.Add(every * time.Duration(i) / requesters)
			timer := time.NewTimer(time.Until(due))
			defer timer.Stop()
			a := state.Admission{Limits: []state.Limit{plenty("user " + strconv.Itoa(i) + "|a")}, Chain: "c", Cache: "nothing"}
			for {
				select {
				case <-ctx.Done():
					return
				case <-timer.C:
				}
				at := time.Now()
				got := s.Admit(context.Background(), a) // it goes on to its end
				all[i] = append(all[i], sample{at, time.Since(at), got})
				due = due.Add(every)
				timer.Reset(time.Until(due))
			}
		})
	}
	return func() []sample {
		cancel()
		wg.Wait()
		return slices.Concat(all...)
	}
}

// figures of the admissions that began between two times.
func figures(all []sample, from, to time.Time) (p50, p99, slowest time.Duration, n int) {
	var took []time.Duration
	for _, s := range all {
		if !s.at.Before(from) && s.at.Before(to) {
			took = append(took, s.took)
		}
	}
	if len(took) == 0 {
		return 0, 0, 0, 0
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100], took[len(took)-1], len(took)
}

// pass waits.
func pass(ctx context.Context, d time.Duration) {
	wait, stop := context.WithTimeout(ctx, d)
	defer stop()
	<-wait.Done()
}

// No admission fails, or waits long, while Redis is killed or frozen. How long they
// wait is printed: it depends on the machine.
//
// fault: K1
func TestRedisFails(t *testing.T) {
	length := smallOutage
	if n, err := strconv.Atoi(os.Getenv(outageSeconds)); err == nil {
		length = time.Duration(n) * time.Second
	}
	for _, tc := range []struct {
		name          string
		fail, recover func(*backendtest.Server)
	}{
		{"killed", (*backendtest.Server).Kill, (*backendtest.Server).Start},
		{"frozen", (*backendtest.Server).Freeze, (*backendtest.Server).Thaw},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := backendtest.Redis(t)
			s := connect(t, server.Addr, Options{})
			stop := load(t.Context(), s)
			begin := time.Now()
			pass(t.Context(), 2*time.Second)
			calm := s.Health().Alone

			failing := time.Now()
			tc.fail(server)
			failed := time.Now()
			await(t, "it is noticed", func() bool { return !s.Health().Up })
			noticed := time.Since(failed)
			pass(t.Context(), length)
			if s.Health().Up {
				t.Errorf("in the outage: %+v", s.Health())
			}
			recovering := time.Now()
			tc.recover(server)
			recovered := time.Now()
			await(t, "it is back", func() bool { return s.Health().Up })
			back := time.Now()
			pass(t.Context(), time.Second)
			alone := s.Health().Alone
			all := stop()

			var out strings.Builder
			for _, p := range []struct {
				name     string
				from, to time.Time
			}{
				{"before", begin.Add(500 * time.Millisecond), failing},
				{"first second", failing, failing.Add(time.Second)},
				{"then", failing.Add(time.Second), recovering},
				{"coming back", recovering, back},
				{"after", back, time.Now()},
			} {
				p50, p99, slowest, n := figures(all, p.from, p.to)
				fmt.Fprintf(&out, "\n%-13s %6d admissions: p50 %8s, p99 %8s, slowest %8s", p.name, n,
					p50.Round(time.Microsecond), p99.Round(time.Microsecond), slowest.Round(time.Microsecond))
			}
			t.Logf("%s for %s at %d/s: noticed after %s, back %s after it can be; alone %d before, %d in all%s", tc.name, length, requestRate,
				noticed.Round(time.Millisecond), max(0, back.Sub(recovered)).Round(time.Millisecond), calm, alone, out.String())

			for _, a := range all {
				if a.got.Closed || a.got.Refused || a.got.Limit.N == 0 || a.took > deadline {
					t.Fatalf("an admission failed, or took %s: %+v", a.took, a.got)
				}
			}
			// What comes now is Redis's again.
			before := s.Health().Alone
			await(t, "starts are common again", func() bool {
				return s.Admit(t.Context(), state.Admission{Chain: "fresh " + tc.name}).Start < 1<<32
			})
			t.Logf("%d more were alone", s.Health().Alone-before)
		})
	}
}

// A Redis that is away when the first request comes, killed or frozen, costs that
// one a moment, and is used when it comes.
//
// fault: K1
func TestRedisAbsentAtStart(t *testing.T) {
	for _, tc := range []struct {
		name          string
		fail, recover func(*backendtest.Server)
	}{
		{"killed", (*backendtest.Server).Kill, (*backendtest.Server).Start},
		{"frozen", (*backendtest.Server).Freeze, (*backendtest.Server).Thaw},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := backendtest.Redis(t)
			tc.fail(server)
			s := connect(t, server.Addr, Options{})
			var first, slowest time.Duration
			for i := range 100 {
				at := time.Now()
				if got := s.Admit(t.Context(), state.Admission{Chain: "c"}); got.Closed || got.Start < 1<<32 {
					t.Errorf("%+v", got)
				}
				if took := time.Since(at); i == 0 {
					first = took
					await(t, "it is noticed", func() bool { return !s.Health().Up })
				} else {
					slowest = max(slowest, took)
				}
			}
			t.Logf("the first takes %s, the slowest of the others %s", first, slowest)
			tc.recover(server)
			await(t, "it is used", func() bool { return s.Admit(t.Context(), state.Admission{Chain: "c"}).Start == 1 })
		})
	}
}

// Subscribers are told that they may have missed something, and hear again; keys that
// rest are told again.
//
// fault: K1
func TestNewsAfterAnOutage(t *testing.T) {
	url, prefix := backendtest.Shared(t, "redis"), backendtest.RedisPrefix(t)
	p := between(t, url)
	a, b := connect(t, url, Options{Prefix: prefix}), connect(t, p.url, Options{Prefix: prefix})
	heard, rests := make(chan string, 1000), make(chan string, 1000)
	defer b.Bus().Subscribe("topic", func(m []byte) {
		if m == nil {
			m = []byte("missed")
		}
		heard <- string(m)
	})()
	hear := func(c chan string, want string, again func()) {
		t.Helper()
		await(t, want, func() bool {
			again()
			for len(c) > 0 {
				if <-c == want {
					return true
				}
			}
			return false
		})
	}
	hear(heard, "first", func() { a.Bus().Publish("topic", []byte("first")) })
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { b.Quarantine().Watch(ctx, func(r state.Rested) { rests <- r.Key }) })
	defer wg.Wait()
	defer stop()
	until := time.Now().Add(time.Hour)
	hear(rests, "before", func() { a.Quarantine().Rest(state.Rested{Provider: "p", Key: "before", Until: until}) })

	p.cut()
	await(t, "it is noticed", func() bool { b.Admit(t.Context(), state.Admission{Chain: "c"}); return !b.Health().Up })
	b.Bus().Publish("topic", []byte("own")) // those of this process need no Redis
	hear(heard, "own", func() {})
	a.Quarantine().Rest(state.Rested{Provider: "p", Key: "meanwhile", Until: until})
	await(t, "it is written down", func() bool {
		n, err := a.steady.HLen(t.Context(), a.Quarantine().(quarantine).hash()).Result()
		return err == nil && n == 2
	})
	p.away.Store(false)
	hear(heard, "missed", func() {})
	hear(rests, "meanwhile", func() {})
	hear(heard, "again", func() { a.Bus().Publish("topic", []byte("again")) })
}
