package state_test

import (
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/state"
)

func BenchmarkAdmit(b *testing.B) {
	limits := []state.Limit{{Key: "user:u|60/1m", N: 1 << 30, Window: time.Minute}, {Key: "ip:a|60/1m", N: 1 << 30, Window: time.Minute}}
	for _, c := range []struct {
		name string
		ask  state.Admission
	}{
		{"nothing", state.Admission{}},
		{"chain", state.Admission{Chain: "c"}},
		{"limit", state.Admission{Limits: limits[:1]}},
		{"limit and chain", state.Admission{Limits: limits[:1], Chain: "c"}},
		{"two limits", state.Admission{Limits: limits}},
		{"hit", state.Admission{Chain: "c", Cache: "there"}},
		{"miss", state.Admission{Chain: "c", Cache: "not there"}},
	} {
		m := state.NewMemory(state.MemoryOptions{})
		m.Put("there", make([]byte, 4096), time.Hour)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.Admit(b.Context(), c.ask)
			}
		})
		b.Run(c.name+", parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					m.Admit(b.Context(), c.ask)
				}
			})
		})
	}
}

// BenchmarkManyCallers has every request come from a caller of its own: of those who are
// gone soon the room is found anew, of those who stay somebody is forgotten.
func BenchmarkManyCallers(b *testing.B) {
	for _, window := range []time.Duration{time.Millisecond, time.Hour} {
		b.Run(window.String(), func(b *testing.B) {
			m := state.NewMemory(state.MemoryOptions{})
			limit := make([]state.Limit, 1)
			var i atomic.Int64
			come := func() {
				limit[0] = state.Limit{Key: strconv.FormatInt(i.Add(1), 36) + "|", N: 5, Window: window}
				m.Admit(b.Context(), state.Admission{Limits: limit})
			}
			for range 300_000 { // more than are remembered
				come()
			}
			for b.Loop() {
				come()
			}
		})
	}
}

func BenchmarkPut(b *testing.B) {
	m := state.NewMemory(state.MemoryOptions{CacheBytes: 1 << 20})
	value, keys := make([]byte, 4096), make([]string, 1000)
	for i := range keys {
		keys[i] = "key " + strconv.Itoa(i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.Put(keys[i%len(keys)], value, time.Hour)
	}
}

func BenchmarkConcurrency(b *testing.B) {
	var c state.Concurrency
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if c.Acquire("user:u", 1<<30) {
				c.Release("user:u")
			}
		}
	})
}
