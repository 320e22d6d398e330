package mcp

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// noon is a now to count from.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano()

const (
	second = int64(time.Second)
	minute = int64(time.Minute)
)

// allow takes a permit that must be given.
func allow(t *testing.T, b *Breaker, now int64, probe bool) Permit {
	t.Helper()
	p, ok := b.Allow(now)
	if !ok || p.Probe() != probe {
		t.Fatalf("permit %+v, %t; want probe %t", p, ok, probe)
	}
	return p
}

func refuse(t *testing.T, b *Breaker, now int64) {
	t.Helper()
	if p, ok := b.Allow(now); ok {
		t.Fatalf("allowed: %+v", p)
	}
}

func wantState(t *testing.T, b *Breaker, now int64, want string, ready bool) {
	t.Helper()
	if s := b.State(now); s.State != want {
		t.Errorf("state %+v, want %s", s, want)
	}
	if b.Ready(now) != ready {
		t.Errorf("%s: ready %t, want %t", want, !ready, ready)
	}
}

// opened is a breaker that has just opened.
func opened(t *testing.T) *Breaker {
	t.Helper()
	var b Breaker
	b.Fail(allow(t, &b, noon, false), noon, KindDial)
	wantState(t, &b, noon, "open", false)
	return &b
}

// contract: M4
func TestBreakerOpensAndComesBackByOneProbe(t *testing.T) {
	var b Breaker
	b.SetPolicy(BreakerPolicy{Window: time.Hour})
	wantState(t, &b, noon, "closed", true)
	for range 3 {
		wantState(t, &b, noon, "closed", true)
		b.Fail(allow(t, &b, noon, false), noon, KindServer)
	}
	wantState(t, &b, noon, "open", false)
	refuse(t, &b, noon)
	wantState(t, &b, noon+minute-1, "open", false)
	refuse(t, &b, noon+minute-1)

	wantState(t, &b, noon+minute, "half_open", true)
	p := allow(t, &b, noon+minute, true)
	wantState(t, &b, noon+minute, "half_open", true)
	refuse(t, &b, noon+minute)

	b.Fail(p, noon+minute+second, KindTimeout)
	wantState(t, &b, noon+minute+second, "open", false)
	refuse(t, &b, noon+2*minute+second-1)
	p = allow(t, &b, noon+2*minute+second, true)
	b.Succeed(p, noon+2*minute+second)
	wantState(t, &b, noon+2*minute+second, "closed", true)

	now := noon + 2*minute + 2*second
	b.Fail(allow(t, &b, now, false), now, KindServer)
	b.Fail(allow(t, &b, now, false), now, KindServer)
	wantState(t, &b, now, "closed", true) // what was before counts no more
}

// contract: M4
func TestBreakerKinds(t *testing.T) {
	opens := map[Kind]int{KindDial: 1, KindTimeout: 3, KindServer: 3, KindProtocol: 3} // 0: never
	for k := range kinds {
		t.Run(k.String(), func(t *testing.T) {
			var b Breaker
			for n := 1; n <= 5; n++ {
				b.Fail(allow(t, &b, noon, false), noon, k)
				if b.State(noon).State == "open" {
					if n != opens[k] {
						t.Errorf("opened by %d, want %d", n, opens[k])
					}
					return
				}
			}
			if opens[k] > 0 {
				t.Error("did not open")
			}
		})
		t.Run("probe/"+k.String(), func(t *testing.T) {
			b := opened(t)
			b.Fail(allow(t, b, noon+minute, true), noon+minute, k)
			if opens[k] > 0 {
				refuse(t, b, noon+2*minute-1)
			} else {
				allow(t, b, noon+minute, true)
			}
		})
	}
}

// contract: M4
func TestBreakerWindow(t *testing.T) {
	for _, tt := range []struct {
		name   string
		policy BreakerPolicy
		at     []int64 // of failures, in ms from noon
		opens  bool
	}{
		{"within", BreakerPolicy{}, []int64{0, 10e3, 29_999}, true},
		{"without", BreakerPolicy{}, []int64{0, 10e3, 30e3}, false},
		{"sliding", BreakerPolicy{}, []int64{0, 20e3, 40e3, 49e3}, true},
		{"slow", BreakerPolicy{}, []int64{0, 16e3, 32e3, 48e3, 64e3, 80e3}, false},
		{"clock set back", BreakerPolicy{}, []int64{90e3, 91e3, 0}, false},
		{"one", BreakerPolicy{Failures: 1}, []int64{0}, true},
		{"five", BreakerPolicy{Failures: 5, Window: time.Second}, []int64{0, 1, 2, 3}, false},
		{"five of five", BreakerPolicy{Failures: 5, Window: time.Second}, []int64{0, 1, 2, 3, 999}, true},
		{"negative is the default", BreakerPolicy{Failures: -1, Window: -1}, []int64{0, 1}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b Breaker
			b.SetPolicy(tt.policy)
			for i, at := range tt.at {
				now := noon + at*1e6
				p := allow(t, &b, now, false)
				b.Succeed(allow(t, &b, now, false), now) // does not undo failures
				b.Fail(p, now, KindServer)
				if open := b.State(now).State == "open"; open != (tt.opens && i == len(tt.at)-1) {
					t.Fatalf("after failure %d: open %t", i+1, open)
				}
			}
		})
	}
}

// contract: M4
func TestBreakerLateResults(t *testing.T) {
	var b Breaker
	before := make([]Permit, 4)
	for i := range before {
		before[i] = allow(t, &b, noon, false)
	}
	b.Fail(allow(t, &b, noon, false), noon, KindDial)

	b.Succeed(before[0], noon+second)
	wantState(t, &b, noon+second, "open", false)
	b.Fail(before[1], noon+30*second, KindDial)
	if s := b.State(noon + 30*second); s.Until == nil || s.Until.UnixNano() != noon+minute {
		t.Errorf("a late failure moved the end: %+v", s)
	}

	p := allow(t, &b, noon+minute, true)
	b.Fail(before[2], noon+minute, KindDial)
	b.Release(before[2], noon+minute)
	refuse(t, &b, noon+minute)
	b.Succeed(p, noon+minute)
	b.Fail(before[3], noon+minute, KindDial)
	wantState(t, &b, noon+minute, "closed", true)
	b.Fail(p, noon+minute, KindDial) // ended already
	wantState(t, &b, noon+minute, "closed", true)
}

// contract: M4
func TestBreakerReleasedProbe(t *testing.T) {
	b := opened(t)
	p := allow(t, b, noon+minute, true)
	refuse(t, b, noon+minute)
	b.Release(p, noon+minute)
	wantState(t, b, noon+minute, "half_open", true)
	q := allow(t, b, noon+minute, true)
	b.Release(p, noon+minute) // twice is once
	refuse(t, b, noon+minute)
	b.Succeed(q, noon+minute)
	wantState(t, b, noon+minute, "closed", true)
}

// A holder that never reports locks nobody out, and what it says after all is
// heard only where it helps.
func TestBreakerLostProbe(t *testing.T) {
	b := opened(t)
	lost := allow(t, b, noon+minute, true)
	refuse(t, b, noon+2*minute-1)
	p := allow(t, b, noon+2*minute, true)
	refuse(t, b, noon+2*minute)
	b.Fail(lost, noon+2*minute, KindTimeout)
	b.Release(lost, noon+2*minute)
	refuse(t, b, noon+2*minute)
	b.Succeed(lost, noon+2*minute) // slower than the open time, but good
	wantState(t, b, noon+2*minute, "closed", true)
	b.Fail(p, noon+2*minute, KindTimeout)
	wantState(t, b, noon+2*minute, "closed", true)

	b = opened(t)
	lost = allow(t, b, noon+minute, true)
	b.Fail(allow(t, b, noon+2*minute, true), noon+2*minute, KindServer)
	b.Succeed(lost, noon+2*minute) // it began before the breaker opened again
	wantState(t, b, noon+2*minute, "open", false)
	allow(t, b, noon+3*minute, true)
	b.Succeed(lost, noon+3*minute)
	wantState(t, b, noon+3*minute, "half_open", true)
}

func TestBreakerManyProbesAndOutages(t *testing.T) {
	b := opened(t)
	b.SetPolicy(BreakerPolicy{Window: math.MaxInt64 / 2})
	now := noon
	for range 600 { // the probe's number wraps
		now += minute
		allow(t, b, now, true)
	}
	for range 5000 { // the outage's
		now += minute
		b.Fail(allow(t, b, now, true), now, KindServer)
		refuse(t, b, now)
	}
	now += minute
	b.Succeed(allow(t, b, now, true), now)
	wantState(t, b, now, "closed", true)
	if n := cap(b.failures); n > 8 {
		t.Errorf("%d failures kept", n)
	}
}

// A reload changes the policy, not the state.
func TestBreakerPolicyChanges(t *testing.T) {
	var b Breaker
	b.SetPolicy(BreakerPolicy{Failures: 10, Open: time.Hour})
	for range 5 {
		b.Fail(allow(t, &b, noon, false), noon, KindServer)
	}
	b.SetPolicy(BreakerPolicy{Failures: 5, Open: time.Hour})
	wantState(t, &b, noon, "closed", true)
	b.Fail(allow(t, &b, noon, false), noon, KindServer)
	wantState(t, &b, noon, "open", false)
	refuse(t, &b, noon+minute)
	b.SetPolicy(BreakerPolicy{Open: 10 * time.Second})
	p := allow(t, &b, noon+minute, true) // the hour is no longer waited for
	b.Fail(p, noon+minute, KindServer)
	refuse(t, &b, noon+minute+10*second-1)
	allow(t, &b, noon+minute+10*second, true)
}

func TestBreakerTimes(t *testing.T) {
	t.Run("for ever", func(t *testing.T) {
		var b Breaker
		b.SetPolicy(BreakerPolicy{Open: math.MaxInt64})
		b.Fail(allow(t, &b, noon, false), noon, KindDial)
		refuse(t, &b, noon+50*365*24*60*minute)
	})
	t.Run("rounded up to a millisecond", func(t *testing.T) {
		var b Breaker
		b.SetPolicy(BreakerPolicy{Open: time.Microsecond})
		b.Fail(allow(t, &b, noon+1, false), noon+1, KindDial)
		refuse(t, &b, noon+1e6-1)
		allow(t, &b, noon+1e6, true)
	})
	t.Run("clock set back", func(t *testing.T) {
		b := opened(t)
		refuse(t, b, noon-30*second)
		allow(t, b, noon-60*minute, true) // rather than an hour and a minute of it
	})
}

func TestBreakerStatus(t *testing.T) {
	b := opened(t)
	for _, tt := range []struct {
		at   int64
		want string
	}{
		{noon, `{"state":"open","failures":1,"cause":"dial","since":"2026-03-01T12:00:00Z","until":"2026-03-01T12:01:00Z"}`},
		{noon + minute, `{"state":"half_open","failures":0,"cause":"dial","since":"2026-03-01T12:00:00Z"}`},
	} {
		if got, err := json.Marshal(b.State(tt.at)); err != nil || string(got) != tt.want {
			t.Errorf("%s, %v\nwant %s", got, err, tt.want)
		}
	}
	now := noon + minute
	b.Fail(allow(t, b, now, true), now, KindProtocol)
	got, err := json.Marshal(b.State(now))
	want := `{"state":"open","failures":1,"cause":"protocol","since":"2026-03-01T12:00:00Z","until":"2026-03-01T12:02:00Z"}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v\nwant %s", got, err, want)
	}
	now += minute
	b.Succeed(allow(t, b, now, true), now)
	if got, err := json.Marshal(b.State(now)); err != nil || string(got) != `{"state":"closed","failures":0}` {
		t.Errorf("%s, %v", got, err)
	}
}

func TestBreakerTellsOfChanges(t *testing.T) {
	var b Breaker
	var heard []string
	b.OnChange(func(from, to string, cause Kind) {
		b.State(noon) // would hang under a lock
		heard = append(heard, fmt.Sprint(from, " ", to, " ", cause))
	})
	for range 4 {
		if p, ok := b.Allow(noon); ok {
			b.Fail(p, noon, KindServer)
		}
	}
	p := allow(t, &b, noon+minute, true)
	b.Release(p, noon+minute)
	allow(t, &b, noon+minute, true)
	b.Fail(allow(t, &b, noon+2*minute, true), noon+2*minute, KindTimeout)
	p = allow(t, &b, noon+3*minute, true)
	b.Succeed(p, noon+3*minute)
	b.Succeed(p, noon+3*minute)
	b.OnChange(nil)
	b.Fail(allow(t, &b, noon+3*minute, false), noon+3*minute, KindDial)

	want := []string{
		"closed open server_error", "open half_open server_error", "half_open open timeout",
		"open half_open timeout", "half_open closed timeout",
	}
	if !slices.Equal(heard, want) {
		t.Errorf("heard %q\nwant  %q", heard, want)
	}
}

// contract: M4
func TestBreakerGivesOneProbeOfAThousand(t *testing.T) {
	var b Breaker
	var changes atomic.Int32
	b.OnChange(func(_, _ string, _ Kind) { changes.Add(1) })
	now := noon
	for round := range 20 {
		var opening, probing sync.WaitGroup
		for range 1000 {
			opening.Go(func() {
				if p, ok := b.Allow(now); ok {
					b.Fail(p, now, KindServer)
				}
			})
		}
		opening.Wait()
		refuse(t, &b, now)

		now += minute
		var probes, released atomic.Int32
		for range 1000 {
			probing.Go(func() {
				b.Ready(now)
				b.State(now)
				if p, ok := b.Allow(now); ok {
					probes.Add(1)
					if round%2 == 1 && released.Add(1) == 1 {
						b.Release(p, now)
					}
				}
			})
		}
		probing.Wait()
		if round%2 == 0 && probes.Load() != 1 {
			t.Fatalf("%d probes, want 1", probes.Load())
		}
		if n := probes.Load(); n < 1 || n > 2 { // the released one, and at most one after it
			t.Fatalf("%d probes, want 1 or 2", n)
		}
		now += minute
		b.Succeed(allow(t, &b, now, true), now)
	}
	if n := changes.Load(); n != 20*3 {
		t.Errorf("%d changes, want %d", n, 20*3)
	}
}

func BenchmarkBreakerAllow(b *testing.B) {
	var br Breaker
	b.ReportAllocs()
	for b.Loop() {
		p, ok := br.Allow(noon)
		if !ok {
			b.Fatal("refused")
		}
		br.Succeed(p, noon)
	}
}

func BenchmarkBreakerAllowOpen(b *testing.B) {
	var br Breaker
	p, _ := br.Allow(noon)
	br.Fail(p, noon, KindDial)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := br.Allow(noon); ok {
			b.Fatal("allowed")
		}
	}
}

func TestBreakerAllocatesNothing(t *testing.T) {
	b := opened(t)
	var c Breaker
	if n := testing.AllocsPerRun(100, func() {
		p, _ := c.Allow(noon)
		c.Succeed(p, noon)
		b.Allow(noon)
		b.Ready(noon)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
