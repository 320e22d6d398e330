package rotation

import (
	"iter"
	"time"

	"github.com/universal-ai-gateway/magicproxy/provider"
)

// OwnKeys are the keys that a user has brought for some of the providers: they go
// before the provider's own, and what befalls them concerns nobody else (contract
// F5). They belong to one request. A nil *OwnKeys holds none.
type OwnKeys struct{ keys map[string]*Key }

// NewOwnKeys takes the secrets by the providers' names.
func NewOwnKeys(secrets map[string]string) *OwnKeys {
	o := &OwnKeys{keys: make(map[string]*Key, len(secrets))}
	for name, secret := range secrets {
		o.keys[name] = &Key{Secret: secret, ID: KeyID(secret), state: new(keyState), own: true}
	}
	return o
}

// key returns the user's key for a provider, nil if there is none.
func (o *OwnKeys) key(p *Provider) *Key {
	if o == nil {
		return nil
	}
	return o.keys[p.Name]
}

// before returns the keys for a provider: the user's, then the provider's. That a
// provider has none counts only where the user has none either.
func (o *OwnKeys) before(p *Provider) iter.Seq[*Key] {
	return func(yield func(*Key) bool) {
		own := o.key(p)
		if own != nil && !yield(own) {
			return
		}
		for i := range p.Keys {
			if k := &p.Keys[i]; (own == nil || k.Secret != "") && !yield(k) {
				return
			}
		}
	}
}

// Learn takes over what another machine has found out: a key of the provider's rests,
// or a key for one model if that is not empty. A rest that lasts longer stays.
func (p *Provider) Learn(keyID, model string, kind provider.Kind, now, until time.Time) {
	k := p.state.known(keyID)
	switch {
	case k == nil || !until.After(now):
	case model == "":
		k.learn(kind, now.UnixNano(), until.UnixNano())
	default:
		k.refused(model).learn(kind, now.UnixNano(), until.UnixNano())
	}
}

// Forget makes a key, or a key for one model, well again, as another machine has
// found out.
func (p *Provider) Forget(keyID, model string) {
	k := p.state.known(keyID)
	switch {
	case k == nil:
	case model == "":
		k.health.reset()
	default:
		if h := k.pair(model); h != nil {
			h.reset()
		}
	}
}

// known returns the state of a key, nil for one that nobody has.
func (s *State) known(keyID string) *keyState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[keyID]
}
