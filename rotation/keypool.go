package rotation

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/universal-ai-gateway/magicproxy/provider"
)

// Key is one API key as a configuration has it: the secret, and the state that
// outlives the configuration.
type Key struct {
	// Secret is empty for a provider that needs no key.
	Secret string

	// ID is the beginning of the secret's SHA-256: what operators see of it.
	ID string

	state *keyState
	own   bool // see OwnKeys
}

// KeyID returns the ID of a secret: the first 12 hex digits of its SHA-256.
func KeyID(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:6])
}

// maxPairs bounds the models remembered per key: callers choose their names.
const maxPairs = 256

// keyState is what is known of one key of one provider.
type keyState struct {
	health

	// used orders keys by their last use; the values come from uses.
	used atomic.Uint64

	// pairs holds the models this key was refused for (403, 404).
	mu    sync.Mutex
	pairs map[string]*health
	some  atomic.Bool // pairs is not empty: spares the lock
}

// uses counts takes of keys over all providers: a clock that never repeats.
var uses atomic.Uint64

// pair returns the key's state for a model, nil while nothing is wrong with it.
func (k *keyState) pair(model string) *health {
	if !k.some.Load() {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pairs[model]
}

// failPair marks the key for one model.
func (k *keyState) failPair(model string, g grant, now int64, kind provider.Kind, given, limit time.Duration) {
	k.refused(model).fail(g, now, kind, given, limit)
}

// refused returns the key's state for a model, which is remembered from now on.
func (k *keyState) refused(model string) *health {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pairs == nil {
		k.pairs = make(map[string]*health)
	}
	h := k.pairs[model]
	if h == nil {
		for old := range k.pairs { // any: the map's order is random
			if len(k.pairs) < maxPairs {
				break
			}
			delete(k.pairs, old)
		}
		h = new(health)
		k.pairs[model] = h
		k.some.Store(true)
	}
	return h
}

// reset forgets everything held against the key.
func (k *keyState) reset() {
	k.health.reset()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, h := range k.pairs {
		h.reset()
	}
	clear(k.pairs)
	k.some.Store(false)
}

// ready reports whether the key could serve the model now.
func (k *keyState) ready(model string, now int64) bool {
	if !k.health.ready(now) {
		return false
	}
	p := k.pair(model)
	return p == nil || p.ready(now)
}

// due returns when the key can serve the model, as health.due does.
func (k *keyState) due(model string) (at int64, early bool, cause provider.Kind) {
	at, early, cause = k.health.due()
	p := k.pair(model)
	if p == nil {
		return at, early, cause
	}
	// Both must let it through, whichever of them is due later.
	pat, pearly, pcause := p.due()
	if early = early && pearly; pat > at {
		at, cause = pat, pcause
	}
	return at, early, cause
}

// takeKey claims the least recently used key of the attempt's provider that can
// serve the model and that this call has not used for the target yet (contract
// F3); for an early probe the one that is due first.
func (a *attempt) takeKey(now int64, early bool) bool {
	var lost []*keyState // somebody else was quicker
	for {
		var best *Key
		var least, used uint64 // least orders the keys
		for k := range a.run.Own.before(a.target.Provider) {
			last := k.state.used.Load()
			order := last
			if early {
				at, ok, _ := k.state.due(a.target.Model)
				if !ok {
					continue
				}
				order = uint64(at) //nolint:gosec // a time since 1970
			} else if !k.state.ready(a.target.Model, now) {
				continue
			}
			if best != nil && order >= least || a.run.excluded(k.state, a.target.state) || slices.Contains(lost, k.state) {
				continue
			}
			best, least, used = k, order, last
			if k.own { // before all others (contract F5)
				break
			}
		}
		if best == nil {
			return false
		}
		// Somebody may have taken it since: then it is no longer the least.
		if !best.state.used.CompareAndSwap(used, uses.Add(1)) {
			continue
		}
		if a.ofKey = best.state.claim(now, early); a.ofKey == refused {
			lost = append(lost, best.state)
			continue
		}
		if a.pair = best.state.pair(a.target.Model); a.pair != nil {
			if a.ofPair = a.pair.claim(now, early); a.ofPair == refused {
				best.state.release(a.ofKey)
				lost = append(lost, best.state)
				continue
			}
		}
		a.key = best
		return true
	}
}
