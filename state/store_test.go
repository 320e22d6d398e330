package state_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/universal-ai-gateway/magicproxy/state"
	"github.com/universal-ai-gateway/magicproxy/state/statetest"
)

func TestStores(t *testing.T) {
	statetest.Stores(t, func(*testing.T) (a, b state.Store) {
		m := state.NewMemory(state.MemoryOptions{})
		return m, m
	})
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

func TestCacheBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := state.NewMemory(state.MemoryOptions{CacheBytes: 10_000})
		look := func(key string) bool { return m.Admit(t.Context(), state.Admission{Cache: key}).Cached != nil }
		for _, key := range []string{"a", "b", "c"} {
			m.Put(key, make([]byte, 3000), time.Minute)
		}
		if !look("a") { // used last now
			t.Fatal("it is not there")
		}
		m.Put("d", make([]byte, 3000), time.Minute)
		if !look("a") || look("b") || !look("c") || !look("d") {
			t.Error("another than the one used longest ago is gone")
		}
		m.Put("e", make([]byte, 20_000), time.Minute)
		if look("e") {
			t.Error("one that is too large is there")
		}
		m.Put("f", []byte("x"), time.Second)
		time.Sleep(time.Second) //nolint:forbidigo // the clock is the bubble's
		if look("f") {
			t.Error("it is there after its time")
		}
	})
}

func TestConcurrency(t *testing.T) {
	var c state.Concurrency
	for range 3 {
		for range 2 {
			if !c.Acquire("a", 2) {
				t.Fatal("there is room")
			}
		}
		if c.Acquire("a", 2) || !c.Acquire("b", 1) {
			t.Fatal("there is none, and another key has its own")
		}
		c.Release("a")
		if !c.Acquire("a", 2) || c.Acquire("a", 1) {
			t.Fatal("wrong after a release")
		}
		c.Release("a")
		c.Release("a")
		c.Release("b")
	}
}

func BenchmarkAdmit(b *testing.B) {
	m := state.NewMemory(state.MemoryOptions{})
	limits := []state.Limit{{Key: "user:u|60/1m", N: 1 << 30, Window: time.Minute}}
	for name, a := range map[string]state.Admission{
		"nothing": {}, "chain": {Chain: "c"}, "limit": {Limits: limits}, "limit and chain": {Limits: limits, Chain: "c"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.Admit(b.Context(), a)
			}
		})
	}
}
