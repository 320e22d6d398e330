package mongodb

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
	"github.com/universal-ai-gateway/magicproxy/users"
)

// BenchmarkCreate is a registration's part in the database: two writes, each in the
// journal before the next.
func BenchmarkCreate(b *testing.B) {
	s := newStore(b, backendtest.Shared(b, "mongodb"))
	create(b, s)
	var took []time.Duration
	for b.Loop() {
		u, k := newPerson()
		began := time.Now()
		if err := s.Create(b.Context(), u, k); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	percentiles(b, took)
}

func BenchmarkFind(b *testing.B) {
	s := newStore(b, backendtest.Shared(b, "mongodb"))
	_, k := create(b, s)
	for name, f := range map[string]func() error{
		"known":   func() error { _, _, err := s.Find(b.Context(), k.Hash); return err },
		"unknown": func() error { _, _, err := s.Find(b.Context(), users.Hash{}); return err },
	} {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				if err := f(); err != nil && !errors.Is(err, users.ErrUnknown) {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
			}
			percentiles(b, took)
		})
	}
}

func percentiles(b *testing.B, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	for name, q := range map[string]int{"p50-ms": 50, "p99-ms": 99} {
		b.ReportMetric(took[len(took)*q/100].Seconds()*1e3, name)
	}
}
