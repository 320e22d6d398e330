package redis

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// flights are round trips for those who wait: one at a time, and each takes along
// everybody who has come since the last one left.
type flights struct {
	mu      sync.Mutex
	waiting []*passenger
	under   bool         // a flight is under way
	left    atomic.Int64 // when it left, Unix nanoseconds; 0 for none

	// spare are starts that nobody has used, by chain. They are used first, so there are
	// never more than requests that have waited at once.
	spare map[string][]uint64
}

// passenger is one admission under way, or one script that somebody waits for.
type passenger struct {
	ask   state.Admission
	got   state.Admitted
	own   *scripted
	reply any
	late  func() // what is to be done if the script runs after all, without anybody waiting
	err   error
	done  chan struct{} // gets a value when the flight has settled it
	timer *time.Timer

	// settled is set by whoever comes first: the flight with an answer, or the caller,
	// who waits no longer.
	settled atomic.Bool
}

// passengers are used again: most of what an admission allocates.
var passengers = sync.Pool{New: func() any {
	p := &passenger{done: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)}
	p.timer.Stop()
	return p
}}

// leave gives a passenger back that no flight knows any more.
func (p *passenger) leave() {
	*p = passenger{done: p.done, timer: p.timer}
	passengers.Put(p)
}

// Admit implements state.Store.
func (s *Store) Admit(ctx context.Context, a state.Admission) state.Admitted {
	if len(a.Limits) == 0 && a.Chain == "" && a.Cache == "" {
		return state.Admitted{}
	}
	p := s.travel(ctx, a, nil, nil)
	if p == nil {
		return s.alone(a)
	}
	got, err := p.got, p.err
	if p.leave(); err != nil {
		return s.alone(a)
	}
	return got
}

// run runs a script with the next flight. The error is errAway when Redis is away, or has
// not answered in time; if the script then runs after all, late is called, unless it is
// nil.
func (s *Store) run(ctx context.Context, script *goredis.Script, late func(), keys []string, args ...any) (reply any, err error) {
	p := s.travel(ctx, state.Admission{}, &scripted{script: script, keys: keys, args: args}, late)
	if p == nil {
		return nil, errAway
	}
	reply, err = p.reply, p.err
	p.leave()
	return reply, err
}

// travel takes the next flight with an admission or a script; late is a passenger's. It
// returns the passenger once the flight has settled it, for the caller to leave, or nil
// when Redis is away or has not answered in time.
func (s *Store) travel(ctx context.Context, ask state.Admission, own *scripted, late func()) *passenger {
	s.begin()
	patience := s.breaker.patience()
	if !s.breaker.up() || s.flights.stalled(patience) {
		return nil
	}
	p := passengers.Get().(*passenger)
	p.ask, p.own, p.late = ask, own, late
	s.board(p)
	if !s.wait(ctx, p, patience) {
		return nil
	}
	return p
}

// wait waits for p to be settled; false once it has been patient, then p is the flight's.
// It is patient with the flight under way, not with how long it takes to get on one. A
// busy machine has long queues, and timers that are late; so may the answer be, which is
// not Redis's fault.
func (s *Store) wait(ctx context.Context, p *passenger, patience time.Duration) bool {
	from := time.Now()
	last, due := from.Add(max(patience, maxPatience)), from.Add(patience)
	p.timer.Reset(patience)
	for {
		select {
		case <-p.done:
			p.timer.Stop()
			return true
		case <-ctx.Done():
			p.timer.Stop()
		case <-p.timer.C:
			now := time.Now()
			var more time.Duration
			if left := s.flights.left.Load(); left == 0 {
				more = patience
			} else {
				more = patience - now.Sub(time.Unix(0, left))
			}
			if late := now.Sub(due); late > lateness {
				more = max(more, slack*late)
			}
			if due = now.Add(more); more > 0 && due.Before(last) {
				p.timer.Reset(more)
				continue
			}
		}
		if p.settled.CompareAndSwap(false, true) {
			return false
		}
		<-p.done // just now
		return true
	}
}

// grace is how much longer than one is patient a flight may take until others do not wait
// for the next one at all. Each of them waits no longer than he is patient, and all would
// go on alone because of one hiccup.
const grace = 15 * time.Millisecond

// lateness is how late a timer is on a machine that has too much to do.
const lateness = time.Millisecond

// stalled reports whether the flight under way takes much longer than usual: others
// need not wait to find out.
func (f *flights) stalled(patience time.Duration) bool {
	left := f.left.Load()
	return left != 0 && time.Since(time.Unix(0, left)) > patience+grace
}

// board puts a passenger on the next flight.
func (s *Store) board(p *passenger) {
	f := &s.flights
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = append(f.waiting, p)
	if f.under {
		return
	}
	if f.under = s.start(s.fly); !f.under { // closed
		f.waiting = nil
		p.err = errAway
		p.settled.Store(true)
		p.done <- struct{}{}
	}
}

// fly makes round trips as long as somebody waits.
func (s *Store) fly() {
	f := &s.flights
	for {
		f.mu.Lock()
		batch := f.waiting
		if f.waiting = nil; len(batch) == 0 {
			f.under = false
			f.mu.Unlock()
			return
		}
		from := time.Now()
		f.left.Store(from.UnixNano())
		f.mu.Unlock()
		err := s.trip(batch)
		f.left.Store(0)
		s.breaker.report(err)
		if err == nil {
			s.breaker.took(time.Since(from))
		}
	}
}

// errAway is why a passenger goes on alone.
var errAway = errors.New("redis is away")

// trip settles a batch in one round trip.
func (s *Store) trip(batch []*passenger) (err error) {
	pipe := s.quick.Pipeline()
	asks := s.load(pipe, batch)
	_, err = pipe.Exec(s.ctx)
	if forgotten(asks) { // the server was restarted, or is another one: it gets the script's text
		again := s.quick.Pipeline()
		s.reload(again, asks)
		_, err = again.Exec(s.ctx)
	}
	err = asks.verdict(err)
	s.settle(batch, asks)
	return err
}

// asked are the commands of a batch.
type asked struct {
	scripts []*scripted // all of them
	limits  [][]limited // by passenger
	cached  []*goredis.StringCmd
	chains  map[string]*starts
}

// scripted is a script that is to run, and has run.
type scripted struct {
	script *goredis.Script
	keys   []string
	args   []any
	cmd    *goredis.Cmd
}

// limited are the limits of one caller in one script.
type limited struct {
	limits []state.Limit
	*scripted
}

// starts are the starts of one chain.
type starts struct {
	spare []uint64
	n     int64
	cmd   *goredis.IntCmd
}

// load puts a batch's commands into a pipeline.
func (s *Store) load(pipe goredis.Pipeliner, batch []*passenger) *asked {
	a := &asked{limits: make([][]limited, len(batch)), cached: make([]*goredis.StringCmd, len(batch)), chains: make(map[string]*starts)}
	for i, p := range batch {
		for rest := p.ask.Limits; len(rest) > 0; {
			n := 1
			for n < len(rest) && caller(rest[n].Key) == caller(rest[0].Key) {
				n++
			}
			l := rest[:n]
			rest = rest[n:]
			q := &scripted{script: limitScript, keys: s.limitKeys(l), args: limitArgs(l)}
			a.limits[i] = append(a.limits[i], limited{l, q})
			a.scripts = append(a.scripts, q)
		}
		if p.own != nil {
			a.scripts = append(a.scripts, p.own)
		}
		if p.ask.Cache != "" {
			a.cached[i] = pipe.Get(s.ctx, s.cacheKey(p.ask.Cache))
		}
		if c := p.ask.Chain; c != "" {
			if a.chains[c] == nil {
				a.chains[c] = new(starts)
			}
			a.chains[c].n++
		}
	}
	for _, q := range a.scripts {
		q.cmd = q.script.EvalSha(s.ctx, pipe, q.keys, q.args...)
	}
	s.flights.mu.Lock()
	defer s.flights.mu.Unlock()
	for name, c := range a.chains {
		spare := s.flights.spare[name]
		use := min(int64(len(spare)), c.n)
		c.spare = append(c.spare, spare[:use]...)
		s.flights.spare[name] = spare[use:]
		if c.n -= use; c.n > 0 {
			c.cmd = pipe.IncrBy(s.ctx, s.prefix+"chain:{"+name+"}", c.n)
		}
	}
	return a
}

// forgotten reports whether a script is not known.
func forgotten(a *asked) bool {
	return slices.ContainsFunc(a.scripts, (*scripted).forgotten)
}

func (q *scripted) forgotten() bool {
	err := q.cmd.Err()
	return err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT")
}

// reload asks again, with the script's text, what was not known.
func (s *Store) reload(pipe goredis.Pipeliner, a *asked) {
	for _, q := range a.scripts {
		if q.forgotten() {
			q.cmd = q.script.Eval(s.ctx, pipe, q.keys, q.args...)
		}
	}
}

// settle gives everybody an answer. Starts that nobody needs are kept for the next.
func (s *Store) settle(batch []*passenger, a *asked) {
	left := make(map[string][]uint64, len(a.chains))
	bad := make(map[string]bool)
	for name, c := range a.chains {
		left[name] = c.spare
		if c.cmd == nil {
			continue
		}
		last, err := c.cmd.Uint64()
		if err != nil {
			bad[name] = true
			continue
		}
		for v := last - uint64(c.n) + 1; v <= last; v++ { //nolint:gosec // above zero
			left[name] = append(left[name], v)
		}
	}
	for i, p := range batch {
		got := state.Admitted{}
		var err error
		for _, l := range a.limits[i] {
			reply, e := l.cmd.Result()
			if e == nil {
				e = readLimits(reply, l.limits, &got)
			}
			err = errors.Join(err, e)
		}
		if g := a.cached[i]; g != nil && !got.Refused {
			b, e := g.Bytes()
			switch {
			case e == nil:
				got.Cached = b
			case !errors.Is(e, goredis.Nil):
				err = errors.Join(err, e)
			}
		}
		var reply any
		if p.own != nil {
			if reply, err = p.own.cmd.Result(); errors.Is(err, goredis.Nil) {
				err = nil
			}
		}
		takes := p.ask.Chain != "" && !got.Refused && got.Cached == nil
		if takes && bad[p.ask.Chain] {
			err = errors.Join(err, a.chains[p.ask.Chain].cmd.Err())
		}
		if !p.settled.CompareAndSwap(false, true) { // waits no longer, and has no use for a start
			if p.late != nil && err == nil {
				s.start(p.late)
			}
			continue
		}
		if err == nil && takes {
			got.Start = left[p.ask.Chain][0]
			left[p.ask.Chain] = left[p.ask.Chain][1:]
		}
		p.got, p.reply, p.err = got, reply, err
		p.done <- struct{}{} // from here on it is not ours
	}
	s.flights.mu.Lock()
	defer s.flights.mu.Unlock()
	for name, rest := range left {
		if len(rest) > 0 {
			s.flights.spare[name] = append(rest, s.flights.spare[name]...)
		}
	}
}

// caller is the part of a limit's key that names the caller.
func caller(key string) string {
	who, _, _ := strings.Cut(key, "|")
	return who
}

// limitKeys are keys that a cluster keeps together: the caller is their hash tag.
func (s *Store) limitKeys(limits []state.Limit) []string {
	keys := make([]string, len(limits))
	for i, l := range limits {
		who, what, _ := strings.Cut(l.Key, "|")
		keys[i] = s.prefix + "limit:{" + who + "}" + what
	}
	return keys
}

func (s *Store) cacheKey(key string) string {
	return s.prefix + "cache:" + hex.EncodeToString([]byte(key))
}

// alone admits without Redis, as the modes say.
func (s *Store) alone(a state.Admission) state.Admitted {
	s.breaker.alone.Add(1)
	for _, u := range []struct {
		use    state.Use
		needed bool
	}{{state.UseLimits, len(a.Limits) > 0}, {state.UseCounters, a.Chain != ""}} {
		if u.needed && s.modes[u.use] == state.ModeClosed {
			return state.Admitted{Closed: true, Use: u.use}
		}
	}
	if s.modes[state.UseLimits] == state.ModeOpen {
		a.Limits = nil
	}
	if s.modes[state.UseCache] != state.ModeLocal {
		a.Cache = ""
	}
	return s.local.Admit(s.ctx, a)
}
