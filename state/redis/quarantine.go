package redis

import (
	"context"
	"encoding/json"
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

// Rest implements state.Quarantine.
func (q quarantine) Rest(r state.Rested) {
	text, err := json.Marshal(r)
	if err != nil {
		return
	}
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
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-news:
			f(r)
			continue
		case <-look:
		case <-again.C:
		}
		if err := q.tell(ctx, f); err != nil {
			again.Reset(maxAgain)
		}
	}
}

// tell calls f with all that rest, and clears away what does not any more.
func (q quarantine) tell(ctx context.Context, f func(state.Rested)) error {
	ctx, stop := context.WithTimeout(ctx, 2*steadyTimeout)
	defer stop()
	all, err := q.s.steady.HGetAll(ctx, q.hash()).Result()
	if err != nil {
		return err
	}
	for name, text := range all {
		var r state.Rested
		if json.Unmarshal([]byte(text), &r) != nil || !r.Until.After(time.Now()) {
			q.s.steady.HDel(ctx, q.hash(), name) // a rest that begins at this very moment is told as news
			continue
		}
		f(r)
	}
	return nil
}
