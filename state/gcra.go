package state

import "time"

// GCRA is the arithmetic of one rate limit: N requests in Window. What is remembered
// of a limit is one time, the tat: when it is whole again if nothing more comes.
//
// A request moves the tat on by Window/N, from now if it lies in the past; there is
// room as long as it stays within Window of now. So N may come at once, and one
// every Window/N after that; in any interval of length d no more than N + d·N/Window.
// See the Generic Cell Rate Algorithm of ITU-T I.371.
type GCRA struct {
	every float64 // microseconds for one request
	burst float64 // microseconds that may be ahead
}

// NewGCRA returns the arithmetic of a limit.
func NewGCRA(l Limit) GCRA {
	n := max(1, l.N)
	w := max(1, l.Window.Microseconds())
	return GCRA{every: float64(w) / float64(n), burst: float64(w)}
}

// Step says what becomes of one request at now. Times are in microseconds since any
// epoch: below 2^52 a float64 holds them and their quarters exactly, and Lua has no
// other numbers.
func (g GCRA) Step(tat, now float64) (next float64, ok bool) {
	next = max(tat, now) + g.every
	// Half a microsecond is for what adding fractions loses.
	return next, next-now <= g.burst+0.5
}

// Report fills in what a limit says of itself at now, given the tat after the
// request, or, of a refused one, the tat as it stays.
func (g GCRA) Report(tat, now float64, refused bool) (remaining int, reset, retry time.Duration) {
	ahead := max(0, tat-now)
	remaining = max(0, int((g.burst-ahead+0.5)/g.every))
	reset = micro(ahead)
	if refused {
		retry = max(time.Millisecond, micro(ahead+g.every-g.burst))
	}
	return remaining, reset, retry
}

func micro(us float64) time.Duration { return time.Duration(us * float64(time.Microsecond)) }

// tighter reports whether a limit with so much remaining of n is tighter than another.
func tighter(remaining, n, remaining2, n2 int) bool { return remaining*n2 < remaining2*n }

// Tightest takes a limit's report into account. refused and remaining are as Report
// has them. Of those that refuse the one that lasts longest counts.
func (a *Admitted) Tightest(l Limit, refused bool, remaining int, reset, retry time.Duration) {
	switch {
	case refused:
		if a.Refused && retry <= a.Retry {
			return
		}
	case a.Refused, a.Limit.N > 0 && !tighter(remaining, l.N, a.Remaining, a.Limit.N):
		return
	}
	a.Refused = a.Refused || refused
	a.Limit, a.Remaining, a.Reset, a.Retry = l, remaining, reset, retry
}

// Micros returns the microseconds of one request, and those of the window.
func (g GCRA) Micros() (every, burst float64) { return g.every, g.burst }
