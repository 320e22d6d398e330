package state

import (
	"math/big"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
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

// next is the tat after one more request at now, and how far that is beyond the bound.
func (s *slow) next(now int64) (tat *big.Rat, over float64) {
	at := big.NewRat(now, 1)
	from := s.tat
	if from.Cmp(at) < 0 {
		from = at
	}
	tat = new(big.Rat).Add(from, s.every)
	over, _ = new(big.Rat).Sub(new(big.Rat).Sub(tat, at), s.burst).Float64()
	return tat, over
}

// anyLimit makes limits of all sizes.
func anyLimit(r *rand.Rand) Limit {
	return Limit{N: 1 + r.IntN([]int{1, 3, 60, 1000, 100_000}[r.IntN(5)]), Window: time.Duration(1+r.IntN(3_600_000)) * time.Millisecond}
}

// The arithmetic is the definition's, but for the half microsecond that is given and what
// fractions lose; and in no interval, however it is chosen, there are more than N and
// what comes back in it.
//
// security: X12
func TestGCRA(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		l := anyLimit(r)
		g, ref := NewGCRA(l), newSlow(l)
		tat, now := 0.0, int64(1_000_000)+r.Int64N(1e14)
		n, w, every := int64(l.N), l.Window.Microseconds(), l.Window.Microseconds()/int64(l.N)+1
		begin, passed, least := now, int64(0), int64(0)
		for range 400 {
			if r.IntN(3) > 0 {
				now += r.Int64N(every * 2)
			}
			if r.IntN(100) == 0 {
				now += w
			}
			next, ok := g.Step(tat, float64(now))
			want, over := ref.next(now)
			lost := float64(passed)/128 + 0.01 // a float64 holds 64ths at this time
			if ok != (over <= 0.5) && (over < 0.5-lost || over > 0.5+lost) {
				t.Fatalf("%+v at %d: %v, by definition %g µs over", l, now, ok, over)
			}
			if !ok {
				backWhenTold(t, l, g, tat, float64(now))
				continue
			}
			tat, ref.tat = next, want
			// Requests i to j take (j-i+1)·W/N, for which there are W and the time between:
			// times N, all of that is whole numbers.
			least = min(least, passed*w-(now-begin)*n)
			passed++
			if over := passed*w - (now-begin)*n - least - w*n; float64(over) > (0.5+lost)*float64(n) {
				t.Fatalf("%+v: the %d. request is %g too many of an interval", l, passed, float64(over)/float64(w))
			}
		}
	}
}

// backWhenTold requires that a refused request is let through when it was told, and is not
// a microsecond before, unless it was told the least there is.
func backWhenTold(t *testing.T, l Limit, g GCRA, tat, now float64) {
	t.Helper()
	remaining, reset, retry := g.Report(tat, now, true)
	if remaining != 0 || retry < time.Millisecond || retry > max(l.Window, time.Millisecond) || reset > l.Window+time.Microsecond {
		t.Fatalf("%+v: refused with %d remaining, retry %s, reset %s", l, remaining, retry, reset)
	}
	at := now + float64(retry)/float64(time.Microsecond)
	if _, ok := g.Step(tat, at); !ok {
		t.Fatalf("%+v: refused again after %s", l, retry)
	}
	if _, ok := g.Step(tat, at-1); ok && retry > time.Millisecond {
		t.Fatalf("%+v: let through a microsecond before %s", l, retry)
	}
}

// What is told to remain is let through at this moment, and no more; when it is told to
// be whole again, it is, and not before.
func TestGCRAReport(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 4))
		l := Limit{N: 1 + r.IntN(500), Window: time.Duration(1+r.IntN(3_600_000)) * time.Millisecond}
		g, now := NewGCRA(l), 1e9+float64(r.Int64N(1e12))
		tat := now + r.Float64()*g.burst
		remaining, reset, retry := g.Report(tat, now, false)
		if retry != 0 {
			t.Fatalf("%+v: retry %s", l, retry)
		}
		through := func(tat, now float64) (n int) {
			for ; n <= l.N; n++ {
				next, ok := g.Step(tat, now)
				if !ok {
					return n
				}
				tat = next
			}
			return n
		}
		if n := through(tat, now); n != remaining {
			t.Fatalf("%+v, %g µs ahead: %d remain, %d are let through", l, tat-now, remaining, n)
		}
		whole := now + float64(reset)/float64(time.Microsecond)
		if n := through(tat, whole); n != l.N {
			t.Fatalf("%+v: when whole %d are let through", l, n)
		}
		if n := through(tat, whole-2); reset > 2*time.Microsecond && n != l.N-1 {
			t.Fatalf("%+v: before it is whole %d are let through", l, n)
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

// Several limits, asked for in any combination and order: all of them have room and count
// one, or none counts any; and what is told is told of the tightest.
//
// security: X12
func TestLimitsAgainstTheDefinition(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 5))
			m := NewMemory(MemoryOptions{})
			epoch := time.Now()
			all := make([]Limit, 12) // more than fit on the stack
			refs := make([]*slow, len(all))
			for i := range all { // whole microseconds for one request: nothing is lost
				n := 1 + r.IntN(20)
				all[i] = Limit{Key: strconv.Itoa(i) + "|", N: n, Window: time.Duration(n) * time.Duration(1+r.IntN(1000)) * time.Millisecond}
				refs[i] = newSlow(all[i])
			}
			for range 500 {
				time.Sleep(time.Duration(r.IntN(200)) * time.Millisecond) //nolint:forbidigo // the clock is the bubble's
				now := time.Since(epoch).Microseconds()
				var limits []Limit
				var asked []int
				for _, i := range r.Perm(len(all))[:1+r.IntN(len(all))] {
					limits, asked = append(limits, all[i]), append(asked, i)
				}
				refused := false
				nexts := make([]*big.Rat, len(asked))
				for j, i := range asked {
					next, over := refs[i].next(now)
					nexts[j], refused = next, refused || over > 0
				}
				if !refused {
					for j, i := range asked {
						refs[i].tat = nexts[j]
					}
				}
				got := m.Admit(t.Context(), Admission{Limits: limits})
				if got.Refused != refused {
					t.Fatalf("%v at %d: %+v, by definition refused: %v", asked, now, got, refused)
				}
				least, longest := 1.0, time.Duration(0)
				for _, i := range asked {
					least = min(least, refs[i].part(now))
					if _, over := refs[i].next(now); over > 0 {
						longest = max(longest, time.Duration(over*float64(time.Microsecond)))
					}
				}
				switch part := float64(got.Remaining) / float64(got.Limit.N); {
				case refused && (got.Retry-max(longest, time.Millisecond)).Abs() > time.Microsecond:
					t.Fatalf("retry after %s, want %s", got.Retry, longest)
				case !refused && (part-least > 1e-9 || least-part > 1e-9):
					t.Fatalf("%+v is not the tightest: there is one with %g", got, least)
				}
			}
		})
	}
}

// part is the part of whole requests that remain.
func (s *slow) part(now int64) float64 {
	room := new(big.Rat).Sub(s.burst, new(big.Rat).Sub(s.tat, big.NewRat(now, 1)))
	if room.Cmp(s.burst) > 0 {
		room = s.burst
	}
	n := new(big.Rat).Quo(room, s.every)
	whole := new(big.Int).Quo(n.Num(), n.Denom())
	all, _ := new(big.Rat).Quo(s.burst, s.every).Float64()
	f, _ := new(big.Rat).SetInt(whole).Float64()
	return f / all
}
