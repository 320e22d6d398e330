package rotation

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/provider"
)

// noon is a now to count from.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano()

const (
	second     = int64(time.Second)
	quarantine = 5 * time.Minute
)

func (h *health) failNow(g grant, now int64) {
	h.fail(g, now, provider.KindServerError, 0, quarantine)
}

func wantGrant(t *testing.T, what string, got, want grant) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: grant %d, want %d", what, got, want)
	}
}

func wantState(t *testing.T, h *health, now int64, want string) {
	t.Helper()
	if s := h.status(now); s.State != want {
		t.Fatalf("state %+v, want %s", s, want)
	}
}

// contract: F2
func TestHealthComesBackByOneProbe(t *testing.T) {
	var h health
	wantState(t, &h, noon, "healthy")
	wantGrant(t, "healthy", h.claim(noon, false), granted)
	h.failNow(granted, noon)
	wantState(t, &h, noon, "cooling")
	if h.ready(noon + second - 1) {
		t.Error("ready while it cools")
	}
	wantGrant(t, "cooling", h.claim(noon+second-1, false), refused)
	wantState(t, &h, noon+second, "half-open")
	if !h.ready(noon + second) {
		t.Error("not ready when its cooling is over")
	}
	wantGrant(t, "half-open", h.claim(noon+second, false), probe)
	wantState(t, &h, noon+second, "probing")
	if h.ready(noon + second) {
		t.Error("ready for a second probe")
	}
	wantGrant(t, "probing", h.claim(noon+second, true), refused)
	h.succeed(probe)
	wantState(t, &h, noon+second, "healthy")
	wantGrant(t, "healed", h.claim(noon+second, false), granted)
	h.failNow(granted, noon+second)
	if s := h.status(noon + second); s.Failures != 1 || s.Cause != "server_error" {
		t.Errorf("after healing it counts from one: %+v", s)
	}
}

// contract: F2
func TestHalfOpenAdmitsOneOfMany(t *testing.T) {
	var h health
	h.failNow(granted, noon)
	for range 50 {
		var probes atomic.Int32
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				if h.ready(noon+second) && h.claim(noon+second, false) == probe {
					probes.Add(1)
				}
			})
		}
		wg.Wait()
		if probes.Load() != 1 {
			t.Fatalf("%d probes at once", probes.Load())
		}
		h.release(probe)
	}
}

// contract: F2
func TestCoolingDoublesToQuarantine(t *testing.T) {
	var h health
	now, g := noon, granted
	for i, want := range []int64{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
		h.failNow(g, now)
		if got := h.until.Load() - now; got != want*second {
			t.Fatalf("failure %d cools for %v, want %d s", i+1, time.Duration(got), want)
		}
		now = h.until.Load()
		g = h.claim(now, false)
		wantGrant(t, "after cooling", g, probe)
	}
	for range 100 { // nothing overflows
		h.failNow(probe, now)
		now = h.until.Load()
	}
	if s := h.status(now); s.Failures != 111 || s.Until.UnixNano() != now {
		t.Errorf("%+v", s)
	}
}

// contract: F2
func TestRetryAfterWinsAndIsNeverShortened(t *testing.T) {
	var h health
	h.fail(granted, noon, provider.KindRateLimited, 30*time.Second, time.Second)
	for _, later := range []time.Duration{0, 5 * time.Second} {
		h.fail(granted, noon+second, provider.KindRateLimited, later, quarantine)
		if got := h.until.Load() - noon; got != 30*second {
			t.Fatalf("a later failure with Retry-After %v moved the end to %v", later, time.Duration(got))
		}
	}
	h.fail(granted, noon+second, provider.KindRateLimited, time.Minute, quarantine)
	if got := h.until.Load() - noon; got != 61*second {
		t.Fatalf("a longer one did not count: %v", time.Duration(got))
	}
	wantGrant(t, "early", h.claim(noon+2*second, true), probe)
	h.fail(probe, noon+2*second, provider.KindRateLimited, 0, quarantine)
	if got := h.until.Load() - noon; got != 61*second {
		t.Fatalf("an early probe's failure moved the end to %v", time.Duration(got))
	}
}

// contract: F2
func TestConcurrentFailuresCountOnce(t *testing.T) {
	var h health
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() { h.failNow(granted, noon+int64(i)) })
	}
	wg.Wait()
	// One that began with them and ends when the cooling is over knows nothing
	// new either.
	h.failNow(granted, noon+10*second)
	s := h.status(noon + 10*second)
	if s.Failures != 1 || s.State != "half-open" {
		t.Errorf("%+v, want one failure and half-open", s)
	}
}

// contract: F2
func TestOnlyProbesHeal(t *testing.T) {
	var h health
	h.failNow(granted, noon)
	h.succeed(granted) // began before the failure
	wantState(t, &h, noon, "cooling")
	wantGrant(t, "half-open", h.claim(noon+second, false), probe)
	h.succeed(granted)
	h.release(granted)
	wantState(t, &h, noon+second, "probing")
	h.release(probe) // it said nothing
	wantState(t, &h, noon+second, "half-open")
	wantGrant(t, "released", h.claim(noon+second, false), probe)
	h.succeed(probe)
	wantState(t, &h, noon+second, "healthy")
}

// contract: F2
func TestRetiredIsProbedOnceAnHour(t *testing.T) {
	const hour = 3600 * second
	var h health
	h.fail(granted, noon, provider.KindUnauthorized, time.Second, quarantine)
	wantState(t, &h, noon, "retired")
	for range 3 {
		for _, early := range []bool{false, true} {
			wantGrant(t, "before the hour", h.claim(h.until.Load()-1, early), refused)
		}
		if _, early, _ := h.due(); early {
			t.Error("due says it may be probed early")
		}
		now := h.until.Load()
		wantGrant(t, "after the hour", h.claim(now, false), probe)
		wantGrant(t, "a second one", h.claim(now, false), refused)
		h.fail(probe, now, provider.KindUnauthorized, 0, quarantine)
		if got := h.until.Load() - now; got != hour {
			t.Fatalf("next probe after %v", time.Duration(got))
		}
	}
	now := h.until.Load()
	h.claim(now, false)
	h.fail(probe, now, provider.KindRateLimited, time.Minute, quarantine)
	wantState(t, &h, now, "cooling") // it is a valid key again, only limited
	wantGrant(t, "early", h.claim(now, true), probe)
	h.succeed(probe)
	wantState(t, &h, now, "healthy")

	h.fail(granted, now, provider.KindUnauthorized, 0, quarantine)
	h.reset()
	wantState(t, &h, now, "healthy")
	wantGrant(t, "reset", h.claim(now, false), granted)
}

// contract: F2
func TestStragglerDoesNotUnretire(t *testing.T) {
	var h health
	h.fail(granted, noon, provider.KindUnauthorized, 0, quarantine)
	h.fail(granted, noon+1, provider.KindRateLimited, time.Second, quarantine)
	wantState(t, &h, noon+1, "retired")
	wantGrant(t, "early", h.claim(noon+second, true), refused)
}
