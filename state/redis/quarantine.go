package redis

import (
	"context"
	"encoding/json"
	"maps"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// quarantine is a state.Quarantine: a hash of what rests, for those who come later,
// and news for those who are there.
type quarantine struct{ s *Store }

const topicQuarantine = "quarantine"

// forgetAfter is how long the hash outlives the last that was put into it. No rest
// lasts longer.
const forgetAfter = 25 * time.Hour

func (q quarantine) hash() string { return q.s.prefix + "resting" }

func field(provider, key, model string) string { return provider + "\n" + key + "\n" + model }

// settled is how long what one has heard of may be on its way into the hash.
const settled = 2 * time.Second

// maxRested bounds what is remembered: callers choose the names of models.
const maxRested = 4096

// rested are fields that this process has put into the hash, and until when.
type rested struct {
	mu sync.Mutex
	m  map[string]time.Time
}

func (r *rested) add(name string, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.m == nil {
		r.m = make(map[string]time.Time)
	}
	if now := time.Now(); len(r.m) >= maxRested {
		maps.DeleteFunc(r.m, func(_ string, until time.Time) bool { return !until.After(now) })
	}
	if len(r.m) < maxRested {
		r.m[name] = until
	}
}

func (r *rested) remove(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.m, name)
}

func (r *rested) has(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.m[name].After(time.Now())
}

// Rest implements state.Quarantine.
func (q quarantine) Rest(r state.Rested) {
	text, err := json.Marshal(r)
	if err != nil {
		return
	}
	q.s.rested.add(field(r.Provider, r.Key, r.Model), r.Until)
	q.s.outbox.put(func(ctx context.Context, p goredis.Pipeliner) {
		p.HSet(ctx, q.hash(), field(r.Provider, r.Key, r.Model), text)
		p.PExpire(ctx, q.hash(), forgetAfter)
	})
	q.s.bus.Publish(topicQuarantine, text)
}

// Well implements state.Quarantine.
func (q quarantine) Well(provider, key, model string) {
	text, err := json.Marshal(state.Rested{Provider: provider, Key: key, Model: model})
	if err != nil {
		return
	}
	q.s.rested.remove(field(provider, key, model))
	q.s.outbox.put(func(ctx context.Context, p goredis.Pipeliner) { p.HDel(ctx, q.hash(), field(provider, key, model)) })
	q.s.bus.Publish(topicQuarantine, text)
}

// Watch implements state.Quarantine. This process hears of its own news, too, which
// change nothing.
func (q quarantine) Watch(ctx context.Context, f func(state.Rested)) {
	look := make(chan struct{}, 1) // there may be more than has been told
	look <- struct{}{}
	news := make(chan state.Rested, 64)
	cancel := q.s.bus.Subscribe(topicQuarantine, func(message []byte) {
		var r state.Rested
		if message != nil && json.Unmarshal(message, &r) == nil {
			select {
			case news <- r:
				return
			case <-ctx.Done():
				return
			}
		}
		select {
		case look <- struct{}{}:
		default:
		}
	})
	defer cancel()
	again := time.NewTimer(0)
	defer again.Stop()
	again.Stop()
	w := watch{quarantine: q, f: f, told: make(map[string]told)}
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-news:
			w.tell(r)
			continue
		case <-look:
		case <-again.C:
		}
		if next := w.look(ctx); next > 0 {
			again.Reset(next)
		}
	}
}

// watch is one Watch under way.
type watch struct {
	quarantine
	f    func(state.Rested)
	told map[string]told // as resting, by field
}

type told struct{ at, until time.Time }

func (w *watch) tell(r state.Rested) {
	if name := field(r.Provider, r.Key, r.Model); r.Until.IsZero() {
		delete(w.told, name)
		w.s.rested.remove(name)
	} else if now := time.Now(); r.Until.After(now) {
		if len(w.told) >= maxRested {
			maps.DeleteFunc(w.told, func(_ string, t told) bool { return !t.until.After(now) })
		}
		if len(w.told) < maxRested { // of more it is not found out that they are well again
			w.told[name] = told{now, r.Until}
		}
	}
	w.f(r)
}

// look tells of all that rest, and of what was told as resting and does not any more: that
// news may have been missed. What does not rest any more is cleared away. It returns
// after what time to look again, 0 for not at all.
func (w *watch) look(ctx context.Context) (next time.Duration) {
	ctx, stop := context.WithTimeout(ctx, 2*steadyTimeout)
	defer stop()
	all, err := w.s.steady.HGetAll(ctx, w.hash()).Result()
	if err != nil {
		return maxAgain
	}
	now := time.Now()
	for name, text := range all {
		var r state.Rested
		if json.Unmarshal([]byte(text), &r) != nil || !r.Until.After(now) {
			w.s.steady.HDel(ctx, w.hash(), name) // a rest that begins at this very moment is told as news
			continue
		}
		w.tell(r)
	}
	for name, t := range w.told {
		_, rests := all[name]
		ours := w.s.rested.has(name) // may not have got there: Redis was away
		switch {
		case rests:
		case !t.until.After(now):
			delete(w.told, name)
		case ours:
		case now.Sub(t.at) < settled:
			next = settled
		default:
			parts := strings.SplitN(name, "\n", 3)
			w.tell(state.Rested{Provider: parts[0], Key: parts[1], Model: parts[2]})
		}
	}
	return next
}
