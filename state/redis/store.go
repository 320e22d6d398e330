// Package redis is a state.Store that several machines share, over Redis: one
// server, Sentinel or Cluster.
//
// What a request needs goes in one round trip, shared by all requests that wait at
// the same moment. Redis may be slow, frozen or gone: a request waits for it a few
// milliseconds longer than it usually takes, and goes on as the store's modes say.
//
//	s, err := redis.New("redis://localhost:6379", redis.Options{})
//	got := s.Admit(ctx, state.Admission{Chain: "fast"})
package redis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// Options say how a Store works. The zero value is usable.
type Options struct {
	// Prefix begins all keys and channels. Default "ai_gateway:".
	Prefix string

	// Modes say how a use goes on while Redis is away. Default: counters, limits,
	// sessions and quarantine go on locally, the cache is left out.
	Modes map[state.Use]state.Mode

	// Wait is how long a request waits for Redis. Default: as long as it usually takes,
	// and eight times as much as that varies, between 5 and 100 ms.
	Wait time.Duration

	// Logger hears of Redis going and coming; nil for nobody.
	Logger *zap.Logger
}

const defaultPrefix = "ai_gateway:"

// allowed are the modes a use may have, the default first.
var allowed = map[state.Use][]state.Mode{
	state.UseCounters:   {state.ModeLocal, state.ModeClosed},
	state.UseLimits:     {state.ModeLocal, state.ModeOpen, state.ModeClosed},
	state.UseSessions:   {state.ModeLocal, state.ModeOpen, state.ModeClosed},
	state.UseQuarantine: {state.ModeLocal},
	state.UseCache:      {state.ModeOpen, state.ModeLocal},
}

// CheckMode refuses a mode that makes no sense for a use.
func CheckMode(use state.Use, mode state.Mode) error {
	modes, ok := allowed[use]
	switch {
	case !ok:
		return fmt.Errorf("unknown use %q", use)
	case !slices.Contains(modes, mode):
		return fmt.Errorf("%q is not possible (allowed: %s)", mode, joined(slices.Sorted(slices.Values(modes))))
	}
	return nil
}

func joined(modes []state.Mode) string {
	words := make([]string, len(modes))
	for i, m := range modes {
		words[i] = string(m)
	}
	return strings.Join(words, ", ")
}

// Check reports what New would refuse.
func Check(url string, o Options) error {
	_, err := o.address(url)
	return err
}

// address reads the URL, and refuses modes that make no sense.
func (o Options) address(url string) (address, error) {
	at, err := parse(url)
	if err != nil {
		return at, err
	}
	for _, use := range slices.Sorted(maps.Keys(o.Modes)) {
		if err := CheckMode(use, o.Modes[use]); err != nil {
			return at, fmt.Errorf("fail %s: %w", use, err)
		}
	}
	return at, nil
}

// Store is a state.Store over Redis. It must be closed.
type Store struct {
	prefix string
	modes  map[state.Use]state.Mode
	quick  goredis.UniversalClient // for what requests wait for
	steady goredis.UniversalClient // for everything else

	breaker  *breaker
	local    *state.Memory
	flights  flights
	outbox   *outbox
	bus      *bus
	sessions state.Sessions
	rested   rested

	ctx  context.Context // ends with the store
	stop context.CancelFunc
	mu   sync.Mutex // work begins or ends
	work sync.WaitGroup
}

const (
	quickTimeout  = 150 * time.Millisecond
	steadyTimeout = 400 * time.Millisecond
)

// New makes a store. It dials nothing.
func New(url string, o Options) (*Store, error) {
	at, err := o.address(url)
	if err != nil {
		return nil, err
	}
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	modes := make(map[state.Use]state.Mode, len(allowed))
	for use, m := range allowed {
		if modes[use] = m[0]; o.Modes[use] != "" {
			modes[use] = o.Modes[use]
		}
	}
	quick := quickTimeout
	if o.Wait > 0 {
		quick = max(quick, 2*o.Wait)
	}
	s := &Store{
		prefix: o.Prefix, modes: modes,
		quick:  at.client(quick, -1),
		steady: at.client(steadyTimeout, 1),
		local:  state.NewMemory(state.MemoryOptions{Start: rand.Uint64() >> 1}), //nolint:gosec // not a secret
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.breaker = newBreaker(o.Wait, o.Logger)
	s.flights.spare = make(map[string][]uint64)
	s.outbox = newOutbox(s)
	s.bus = newBus(s)
	s.sessions = newSessions(s)
	return s, nil
}

// Close ends all work and all connections. What is being admitted goes on locally.
func (s *Store) Close() error {
	s.mu.Lock()
	s.stop()
	s.mu.Unlock()
	s.breaker.shut()
	err := errors.Join(s.quick.Close(), s.steady.Close())
	s.work.Wait()
	return err
}

// begin starts the work in the background, once Redis is first needed.
func (s *Store) begin() {
	s.breaker.once.Do(func() {
		s.start(func() {
			// A server that cannot be written to answers a PING all the same. Of a cluster
			// any node will do, another one each time.
			s.breaker.watch(s.ctx, func(ctx context.Context) error {
				s.relearn(ctx)
				key := s.prefix + "probe:" + strconv.Itoa(rand.IntN(1000)) //nolint:gosec // not a secret
				return s.steady.Set(ctx, key, "", time.Second).Err()
			})
		})
		s.start(func() { s.outbox.run(s.ctx) })
	})
}

// relearn has a cluster asked anew where its keys are: another node may have taken over
// what was on one that is gone. By itself the library asks once a minute.
func (s *Store) relearn(ctx context.Context) {
	for _, c := range []goredis.UniversalClient{s.quick, s.steady} {
		if c, ok := c.(*goredis.ClusterClient); ok {
			c.ReloadState(ctx)
		}
	}
}

// start starts work that Close waits for; false once the store is closed.
func (s *Store) start(work func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.work.Go(work)
	return true
}

// failed lets the breaker know of a call's outcome.
func (s *Store) failed(err error) {
	if err == nil || answered(err) && !refuses(err) {
		return
	}
	s.breaker.report(err)
}

// Sessions implements state.Store.
func (s *Store) Sessions() state.Sessions { return s.sessions }

// Bus implements state.Store.
func (s *Store) Bus() state.Bus { return s.bus }

// Quarantine implements state.Store.
func (s *Store) Quarantine() state.Quarantine { return quarantine{s} }

// Put implements state.Store.
func (s *Store) Put(key string, value []byte, ttl time.Duration) {
	if len(value) > state.MaxCached || ttl <= 0 {
		return
	}
	s.begin()
	if !s.breaker.up() {
		if s.modes[state.UseCache] == state.ModeLocal {
			s.local.Put(key, value, ttl)
		}
		return
	}
	s.outbox.put(func(ctx context.Context, p goredis.Pipeliner) { p.Set(ctx, s.cacheKey(key), value, ttl) })
}

// Health implements state.Store.
func (s *Store) Health() state.Health {
	h := s.breaker.health()
	h.Backend = "redis"
	h.Modes = make(map[state.Use]string, len(s.modes))
	for use, mode := range s.modes {
		if h.Modes[use] = "shared"; !h.Up {
			h.Modes[use] = string(mode)
		}
	}
	return h
}

// Interface guards
var _ state.Store = (*Store)(nil)
