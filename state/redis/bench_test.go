package redis

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
	"github.com/universal-ai-gateway/magicproxy/state"
)

// BenchmarkAdmit compares what a request needs, from 1 and 64 callers at once, with
// one INCR of the library's client as it comes.
func BenchmarkAdmit(b *testing.B) {
	limit := []state.Limit{plenty("user|a"), plenty("user|b")}
	for _, callers := range []int{1, 64} {
		o, err := goredis.ParseURL(backendtest.Shared(b, "redis"))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("INCR/%d", callers), func(b *testing.B) {
			c, key := goredis.NewClient(o), backendtest.RedisPrefix(b)+"incr"
			defer func() { _ = c.Close() }()
			measure(b, callers, func() {
				if err := c.Incr(b.Context(), key).Err(); err != nil {
					b.Error(err)
				}
			})
		})
		for _, tc := range []struct {
			name string
			ask  state.Admission
		}{
			{"chain", state.Admission{Chain: "c"}},
			{"limits", state.Admission{Limits: limit}},
			{"all", state.Admission{Limits: limit, Chain: "c", Cache: "nothing"}},
		} {
			b.Run(fmt.Sprintf("%s/%d", tc.name, callers), func(b *testing.B) {
				s := shared(b, Options{})
				measure(b, callers, func() { s.Admit(b.Context(), tc.ask) })
				b.ReportMetric(float64(s.Health().Alone), "alone")
			})
		}
	}
}

// measure runs f b.N times from some goroutines.
func measure(b *testing.B, callers int, f func()) {
	b.Helper()
	for range callers { // connects
		f()
	}
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				at := time.Now()
				f()
				took[i] = time.Since(at)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}
