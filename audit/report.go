package audit

import (
	"time"

	"go.uber.org/zap"
)

// reportEvery is how often losses are logged, at most.
const reportEvery = time.Minute

// reporter logs what is lost. The writer owns it.
type reporter struct {
	l     *Log
	again *time.Timer // when what could not be said yet can be
	at    time.Time   // of the last report
	told  Stats
}

func newReporter(l *Log) *reporter {
	r := &reporter{l: l, again: time.NewTimer(reportEvery)}
	r.again.Stop()
	return r
}

// report logs what has been lost since the last report, if that is long ago.
func (r *reporter) report(now time.Time) {
	if !r.news() {
		return
	}
	if rest := r.at.Add(reportEvery).Sub(now); !r.at.IsZero() && rest > 0 {
		r.again.Reset(rest)
		return
	}
	r.tell(now)
}

func (r *reporter) news() bool {
	r.l.mu.Lock()
	defer r.l.mu.Unlock()
	s := &r.l.stats
	return s.Dropped != r.told.Dropped || s.AdoptedLost != r.told.AdoptedLost
}

// tell logs what has been lost since the last report, if anything has.
func (r *reporter) tell(now time.Time) {
	s := r.l.Stats()
	lost := s.Dropped - r.told.Dropped
	adopted := s.AdoptedLost - r.told.AdoptedLost
	if lost+adopted == 0 {
		return
	}
	fields := []zap.Field{zap.Uint64("events", lost+adopted), zap.Uint64("in_all", s.Dropped+s.AdoptedLost)}
	for reason, n := range s.DroppedBy {
		if n -= r.told.DroppedBy[reason]; n > 0 {
			fields = append(fields, zap.Uint64(reason, n))
		}
	}
	if adopted > 0 {
		fields = append(fields, zap.Uint64("of_earlier_processes", adopted))
	}
	if s.Error != "" {
		fields = append(fields, zap.String("error", s.Error))
	}
	if s.DroppedBy[DroppedExpired]-r.told.DroppedBy[DroppedExpired] == lost && adopted == 0 {
		r.l.o.Logger.Info("the oldest audit files are gone, to make room", fields...) // as it is meant
	} else {
		r.l.o.Logger.Error("audit events are lost", fields...)
	}
	r.told, r.at = s, now
}
