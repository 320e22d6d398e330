package rotation

import (
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
)

// Provider is one configured provider: how to reach it, its keys, its limits.
// It is immutable once made and safe for concurrent use; what changes lives in
// its State, which outlives it.
type Provider struct {
	Name   string
	Client provider.Provider
	Keys   []Key

	// Aliases are names for one or several of the provider's models.
	Aliases map[string][]string

	// Hide are further secrets that must not show in what the upstream says.
	Hide []string

	// FirstTimeout, IdleTimeout and Timeout are the timers of contract S6; 0 for
	// none.
	FirstTimeout, IdleTimeout, Timeout time.Duration

	// Quarantine is the longest cooling; 0 turns cooling off.
	Quarantine time.Duration

	// MaxConcurrent bounds the calls under way, 0 for no bound; Queue how many
	// more may wait.
	MaxConcurrent, Queue int

	state *State
}

// State is what outlives a configuration of one provider at one address: the
// health of its keys and targets, the calls under way. Whoever pools it keys it
// by the provider's name and address, so that a corrected URL starts afresh. The
// zero value is ready; it is safe for concurrent use.
type State struct {
	limit limiter

	mu      sync.Mutex
	keys    map[string]*keyState
	targets map[string]*targetState
}

// targetState is what is known of one model at one address.
type targetState struct {
	health

	// named says that a configuration names it: it is never forgotten, so that
	// operators see and reset the state that requests use.
	named bool
}

// maxTargets bounds the models remembered per provider: callers choose their
// names. Those a configuration names are never more than a few.
const maxTargets = 1024

func (s *State) key(id string) *keyState {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[id]
	if k == nil {
		if s.keys == nil {
			s.keys = make(map[string]*keyState)
		}
		k = new(keyState)
		s.keys[id] = k
	}
	return k
}

func (s *State) target(model string, named bool) *targetState {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.targets[model]
	if t == nil {
		if s.targets == nil {
			s.targets = make(map[string]*targetState)
		}
		for old, o := range s.targets { // forget healthy ones only: the others carry news
			if len(s.targets) < maxTargets {
				break
			}
			if !o.named && (o.until.Load() == 0 || len(s.targets) >= 2*maxTargets) {
				delete(s.targets, old)
			}
		}
		t = new(targetState)
		s.targets[model] = t
	}
	t.named = t.named || named
	return t
}

// Bind connects a provider with the state that outlives it, and its secrets
// with their states; no secret at all means one that is empty. A secret that
// occurs twice counts once. Call it before the provider is used.
func (p *Provider) Bind(s *State, secrets []string) {
	p.state = s
	p.Keys = nil
	if len(secrets) == 0 {
		secrets = []string{""}
	}
	seen := make(map[string]bool, len(secrets))
	for _, secret := range secrets {
		id := ""
		if secret != "" {
			id = KeyID(secret)
		}
		if !seen[secret] {
			seen[secret] = true
			p.Keys = append(p.Keys, Key{Secret: secret, ID: id, state: s.key(id)})
		}
	}
}

// Load returns the calls under way at the provider, and those waiting.
func (p *Provider) Load() (active, waiting int) { return p.state.limit.load() }

// KeyStatus is what operators see of a key.
type KeyStatus struct {
	// ID is the beginning of the key's SHA-256, empty for a provider without.
	ID string `json:"id"`
	Status
	Models map[string]Status `json:"models,omitempty"`
}

// KeyStatuses returns the states of the provider's keys, in the configuration's
// order.
func (p *Provider) KeyStatuses(now time.Time) []KeyStatus {
	all := make([]KeyStatus, len(p.Keys))
	for i, k := range p.Keys {
		all[i] = KeyStatus{ID: k.ID, Status: k.state.status(now.UnixNano())}
		k.state.mu.Lock()
		for model, h := range k.state.pairs {
			if s := h.status(now.UnixNano()); s.State != stateHealthy {
				if all[i].Models == nil {
					all[i].Models = make(map[string]Status)
				}
				all[i].Models[model] = s
			}
		}
		k.state.mu.Unlock()
	}
	return all
}

// TargetStatuses returns the states of the provider's models: of those that are
// named, and of others that are not healthy. Callers can ask for any, and what is
// well needs no mention.
func (p *Provider) TargetStatuses(now time.Time, named func(model string) bool) map[string]Status {
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	all := make(map[string]Status, len(p.state.targets))
	for model, t := range p.state.targets {
		if s := t.status(now.UnixNano()); named(model) || s.State != stateHealthy {
			all[model] = s
		}
	}
	return all
}

// Reset makes keys and targets healthy again, whatever is held against them.
// With key only that key's state is reset; false means there is none with that
// ID.
func (p *Provider) Reset(key string) bool {
	found := key == ""
	for _, k := range p.Keys {
		if key == "" || k.ID == key {
			k.state.reset()
			found = true
		}
	}
	if key == "" {
		p.state.mu.Lock()
		defer p.state.mu.Unlock()
		for _, t := range p.state.targets {
			t.reset()
		}
	}
	return found
}

// keyLike finds what looks like an API key of any of the known providers. A
// separator follows their prefixes, else skip_special_tokens would be one.
var keyLike = regexp.MustCompile(`\b(?:(?:sk|gsk|csk|xai|pk|key|hf|r8|fw|tgp|pplx)[-_]|AIza)[-_A-Za-z0-9]{16,}|(?i:bearer)\s+\S+`)

const redacted = "[redacted]"

// scrub takes secrets out of an upstream's text and cuts it (security X5): the
// provider's own, whichever key was used, a key of the user's, and whatever else looks like one.
func (p *Provider) scrub(text, own string) string {
	const longest = 8 << 10 // what the patterns have to go over
	if len(text) > longest {
		text = text[:longest]
	}
	if own != "" {
		text = strings.ReplaceAll(text, own, redacted)
	}
	for i := range p.Keys {
		if s := p.Keys[i].Secret; s != "" {
			text = strings.ReplaceAll(text, s, redacted)
		}
	}
	for _, s := range p.Hide {
		if s != "" {
			text = strings.ReplaceAll(text, s, redacted)
		}
	}
	return openai.Cut(keyLike.ReplaceAllString(text, redacted), openai.MaxMessage/2)
}

// scrubError returns an error whose text is fit to be logged; what it wraps can
// still be found.
func (p *Provider) scrubError(err error, own string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if clean := p.scrub(text, own); clean != text {
		return &scrubbed{clean, err}
	}
	return err
}

type scrubbed struct {
	text string
	err  error
}

func (e *scrubbed) Error() string { return e.text }
func (e *scrubbed) Unwrap() error { return e.err }
