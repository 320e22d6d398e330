package state_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/universal-ai-gateway/magicproxy/state"
	"github.com/universal-ai-gateway/magicproxy/state/statetest"
)

func alone(*testing.T) state.Store { return state.NewMemory(state.MemoryOptions{}) }

// with is a memory that is shared with nobody but itself.
func with(*testing.T) (a, b state.Store) {
	m := state.NewMemory(state.MemoryOptions{})
	return m, m
}

func TestStore(t *testing.T)  { statetest.Store(t, alone) }
func TestStores(t *testing.T) { statetest.Stores(t, with) }
func TestShared(t *testing.T) { statetest.Shared(t, with) }

// To the nanosecond, as the bubble's clock allows.
//
// security: X12
func TestLimitInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := state.NewMemory(state.MemoryOptions{})
		limit := state.Limit{Key: "user|", N: 4, Window: 2 * time.Second}
		const every = 500 * time.Millisecond
		for i, c := range []struct {
			after        time.Duration
			refused      bool
			remaining    int
			reset, retry time.Duration
			what         string
			again        int // how often the same is asked without a change
		}{
			{0, false, 3, every, 0, "the first", 1},
			{0, false, 2, 2 * every, 0, "the second", 1},
			{0, false, 1, 3 * every, 0, "the third", 1},
			{0, false, 0, 4 * every, 0, "the fourth", 1},
			{0, true, 0, 4 * every, every, "one too many", 5},
			{every - 2*time.Microsecond, true, 0, 3*every + 2*time.Microsecond, time.Millisecond, "just too early", 3},
			{2 * time.Microsecond, false, 0, 4 * every, 0, "when it was told", 1},
			{0, true, 0, 4 * every, every, "only one", 2},
			{2 * every, false, 1, 3 * every, 0, "two more places", 1},
			{3 * every, false, 3, every, 0, "whole again", 1},
			{time.Hour, false, 3, every, 0, "long after: no more than whole", 1},
		} {
			time.Sleep(c.after) //nolint:forbidigo // the clock is the bubble's
			for range c.again {
				got := m.Admit(t.Context(), state.Admission{Limits: []state.Limit{limit}})
				if want := (state.Admitted{Refused: c.refused, Limit: limit, Remaining: c.remaining, Reset: c.reset, Retry: c.retry}); !equal(got, want) {
					t.Errorf("%d, %s: %+v, want %+v", i, c.what, got, want)
				}
			}
		}
	})
}

// equal compares what limits say.
func equal(a, b state.Admitted) bool {
	near := func(a, b time.Duration) bool { return (a - b).Abs() < time.Microsecond }
	return a.Refused == b.Refused && a.Limit == b.Limit && a.Remaining == b.Remaining && near(a.Reset, b.Reset) && near(a.Retry, b.Retry)
}

// What asks for nothing costs nothing.
func TestNothingIsAllocated(t *testing.T) {
	m := state.NewMemory(state.MemoryOptions{})
	limit := []state.Limit{{Key: "user|", N: 1 << 30, Window: time.Hour}}
	for name, a := range map[string]state.Admission{
		"nothing": {}, "chain": {Chain: "c"}, "limit and chain": {Limits: limit, Chain: "c"}, "a miss": {Cache: "none"},
	} {
		if n := testing.AllocsPerRun(100, func() { m.Admit(t.Context(), a) }); n > 0 {
			t.Errorf("%s: %g allocations", name, n)
		}
	}
}

// A counter begins where it was told to, and goes on over the end of its numbers.
func TestStart(t *testing.T) {
	m := state.NewMemory(state.MemoryOptions{Start: 1<<64 - 2})
	for i, want := range []uint64{1<<64 - 2, 1<<64 - 1, 0, 1} {
		if got := m.Admit(t.Context(), state.Admission{Chain: "c"}).Start; got != want {
			t.Errorf("%d: %d, want %d", i, got, want)
		}
	}
}

// Limits that many addresses leave behind take a bounded room, and those that are used
// stay.
func TestLimitsAreForgotten(t *testing.T) {
	m := state.NewMemory(state.MemoryOptions{})
	mine := state.Limit{Key: "mine|", N: 1000, Window: time.Hour}
	for i := range 600_000 {
		if i%100 == 0 {
			m.Admit(t.Context(), state.Admission{Limits: []state.Limit{mine}})
			continue
		}
		key := string([]byte{byte(i), byte(i >> 8), byte(i >> 16), '|'})
		m.Admit(t.Context(), state.Admission{Limits: []state.Limit{{Key: key, N: 10, Window: time.Second}}})
	}
	if got := m.Admit(t.Context(), state.Admission{Limits: []state.Limit{mine}}); !got.Refused {
		t.Errorf("a limit in use was forgotten: %+v", got)
	}
}
