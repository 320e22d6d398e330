package local_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/users"
)

// BenchmarkCreate is a registration, on disk when it is reported.
func BenchmarkCreate(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "users.db"))
	create(b, s, "first")
	var took []time.Duration
	for b.Loop() {
		u, k := newUser(users.NewUserID())
		began := time.Now()
		if err := s.Create(b.Context(), u, k); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

func BenchmarkFind(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "users.db"))
	var ks []users.Token
	for i := range 100 {
		ks = append(ks, create(b, s, fmt.Sprintf("user-%d", i)))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, _, err := s.Find(b.Context(), ks[i%len(ks)].Hash); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
