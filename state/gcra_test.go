package state

import (
	"math/big"
	"math/rand/v2"
	"testing"
	"time"
)

// slow is a limit by definition: with exact numbers.
type slow struct {
	every, burst, tat *big.Rat // microseconds
}

func newSlow(l Limit) *slow {
	w := big.NewRat(l.Window.Microseconds(), 1)
	return &slow{new(big.Rat).Quo(w, big.NewRat(int64(l.N), 1)), w, new(big.Rat)}
}

func (s *slow) step(now int64) bool {
	at := big.NewRat(now, 1)
	from := s.tat
	if from.Cmp(at) < 0 {
		from = at
	}
	next := new(big.Rat).Add(from, s.every)
	if new(big.Rat).Sub(next, at).Cmp(s.burst) > 0 {
		return false
	}
	s.tat = next
	return true
}

// The arithmetic is the definition's, but for what lies within a microsecond of the
// bound; and in no interval there are more than the limit allows.
//
// security: X12
func TestGCRA(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		l := Limit{N: 1 + r.IntN([]int{1, 3, 60, 1000, 100_000}[r.IntN(5)]), Window: time.Duration(1+r.IntN(3_600_000)) * time.Millisecond}
		g, ref := NewGCRA(l), newSlow(l)
		tat, now := 0.0, int64(1_000_000)+r.Int64N(1e14)
		every := l.Window.Microseconds()/int64(l.N) + 1
		var passed []int64
		for range 400 {
			if r.IntN(3) > 0 {
				now += r.Int64N(every * 2)
			}
			if r.IntN(100) == 0 {
				now += l.Window.Microseconds()
			}
			next, ok := g.Step(tat, float64(now))
			if want := ref.step(now); ok != want {
				f, _ := new(big.Rat).Sub(ref.tat, big.NewRat(now, 1)).Float64()
				over := f + g.every - g.burst
				if !ok || over > 1.5 { // half a microsecond is given
					t.Fatalf("%+v at %d: %v, by definition %v, %g µs over", l, now, ok, want, over)
				}
				ref.tat = new(big.Rat).SetFloat64(next)
			}
			_, reset, retry := g.Report(tat, float64(now), !ok)
			if !ok {
				if _, again := g.Step(tat, float64(now)+float64(retry.Microseconds())+2); !again && retry > time.Millisecond {
					t.Fatalf("%+v: refused again after %s", l, retry)
				}
				if retry > l.Window || reset > l.Window+time.Millisecond {
					t.Fatalf("%+v: retry %s, reset %s", l, retry, reset)
				}
				continue
			}
			tat = next
			passed = append(passed, now)
		}
		for i := range passed {
			for j := i; j < len(passed); j += 1 + r.IntN(5) {
				span := float64(passed[j] - passed[i])
				if n := float64(j - i + 1); n > float64(l.N)+span*float64(l.N)/float64(l.Window.Microseconds())+1e-3*float64(l.N)+1 {
					t.Fatalf("%+v: %g requests in %g µs", l, n, span)
				}
			}
		}
	}
}

// A burst of N is let through at once, whatever N and the window.
func TestGCRABurst(t *testing.T) {
	for _, l := range []Limit{{N: 1, Window: time.Second}, {N: 7, Window: time.Second}, {N: 3, Window: 10 * time.Microsecond}, {N: 100_000, Window: time.Hour}, {N: 1_000_000, Window: 24 * time.Hour}} {
		g, tat, now := NewGCRA(l), 0.0, 1e14
		for i := range l.N {
			next, ok := g.Step(tat, now)
			if !ok {
				t.Fatalf("%+v: the %d. was refused", l, i+1)
			}
			tat = next
			if remaining, _, _ := g.Report(tat, now, false); remaining != l.N-i-1 {
				t.Fatalf("%+v: %d remain after %d", l, remaining, i+1)
			}
		}
		if _, ok := g.Step(tat, now); ok {
			t.Errorf("%+v: one more was let through", l)
		}
	}
}
