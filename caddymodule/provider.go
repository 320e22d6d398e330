package caddymodule

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
	"github.com/universal-ai-gateway/magicproxy/rotation"
)

// Provider is one upstream: its keys, its limits, and the protocol it speaks.
type Provider struct {
	// Keys are the API keys to rotate over. Use placeholders such as
	// {env.GROQ_KEY}. A provider without keys is called without one.
	Keys []string `json:"keys,omitempty"`

	// KeysFile is a file with further keys, one a line; # begins a comment. It is
	// read when the configuration is loaded.
	KeysFile string `json:"keys_file,omitempty"`

	// Quarantine is the longest that a failing key or model rests: rests begin at
	// one second and double up to it. Default 5m; negative: nothing ever rests.
	Quarantine caddy.Duration `json:"quarantine,omitempty"`

	// Models are aliases: provider/alias is a model whose requests are rotated
	// over the ids listed.
	Models map[string][]string `json:"models,omitempty"`

	// FirstTimeout is how long a stream may take to its first content. Default
	// 60s. It does not apply to answers without stream.
	FirstTimeout caddy.Duration `json:"first_timeout,omitempty"`

	// IdleTimeout is how long a stream may be silent after that. Default 60s.
	IdleTimeout caddy.Duration `json:"idle_timeout,omitempty"`

	// Timeout bounds a whole attempt. Default 10m.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// MaxConcurrent bounds the calls under way. Default 0: no bound.
	MaxConcurrent int `json:"max_concurrent,omitempty"`

	// Queue is how many calls may wait for one of those to end; any further one
	// is refused with 503 at once. Default 0.
	Queue int `json:"queue,omitempty"`

	// ProtocolRaw is how the upstream is spoken to. It may be left out for the
	// known providers.
	ProtocolRaw json.RawMessage `json:"protocol,omitempty" caddy:"namespace=ai_gateway.providers inline_key=name"`
}

// The defaults of Provider.
const (
	defaultQuarantine = 5 * time.Minute
	defaultFirst      = 60 * time.Second
	defaultIdle       = 60 * time.Second
	defaultTotal      = 10 * time.Minute
)

// Protocol is a guest module in the namespace ai_gateway.providers: one way to
// speak to upstreams. Its methods are called after Provision, once per
// configuration, by one goroutine.
type Protocol interface {
	caddy.Module

	// Client makes the calls. It must go on working for the calls under way after
	// the module's Cleanup.
	Client() provider.Provider

	// Address tells upstreams apart: what is remembered of keys and models
	// belongs to it. It must hold no secret.
	Address() string

	// Secrets are values that must not show in what the upstream says, beside the
	// provider's keys.
	Secrets() []string

	// CheckKeys refuses a configuration in which n keys would be sent where they
	// should not be.
	CheckKeys(n int) error
}

// host returns the provider without its protocol.
func (p *Provider) host(name string) (*rotation.Provider, error) {
	switch {
	case p.FirstTimeout < 0:
		return nil, errors.New("first_timeout: must not be negative")
	case p.IdleTimeout < 0:
		return nil, errors.New("idle_timeout: must not be negative")
	case p.Timeout < 0:
		return nil, errors.New("timeout: must not be negative")
	case p.MaxConcurrent < 0:
		return nil, errors.New("max_concurrent: must not be negative")
	case p.Queue < 0:
		return nil, errors.New("queue: must not be negative")
	case p.Queue > 0 && p.MaxConcurrent == 0:
		return nil, errors.New("queue: nothing waits without max_concurrent")
	}
	for _, alias := range slices.Sorted(maps.Keys(p.Models)) {
		models := p.Models[alias]
		if !modelName.MatchString(alias) {
			return nil, fmt.Errorf("model %q: %s", alias, modelNameRule)
		}
		if len(models) == 0 {
			return nil, fmt.Errorf("model %s: no id", alias)
		}
		for _, id := range models {
			if err := openai.CheckModel(id); err != nil {
				return nil, fmt.Errorf("model %s: id %q: %w", alias, id, err)
			}
		}
	}
	or := func(d caddy.Duration, otherwise time.Duration) time.Duration {
		if d == 0 {
			return otherwise
		}
		return time.Duration(d)
	}
	return &rotation.Provider{
		Name: name, Aliases: p.Models,
		FirstTimeout: or(p.FirstTimeout, defaultFirst), IdleTimeout: or(p.IdleTimeout, defaultIdle), Timeout: or(p.Timeout, defaultTotal),
		Quarantine:    max(0, or(p.Quarantine, defaultQuarantine)),
		MaxConcurrent: p.MaxConcurrent, Queue: p.Queue,
	}, nil
}

func (p *Provider) protocolName() string {
	var named struct{ Name string }
	_ = json.Unmarshal(p.ProtocolRaw, &named) // the module loader reports what is wrong
	return named.Name
}

// load brings the protocol up. A known provider needs to name neither protocol
// nor address.
func (p *Provider) load(ctx caddy.Context, name string) (Protocol, error) {
	var err error
	if p.ProtocolRaw, err = completed(p.ProtocolRaw, name); err != nil {
		return nil, err
	}
	mod, err := ctx.LoadModule(p, "ProtocolRaw")
	if err != nil {
		return nil, err
	}
	guest, ok := mod.(Protocol)
	if !ok {
		return nil, fmt.Errorf("module %T is no protocol", mod)
	}
	return guest, nil
}

// completed adds to a protocol's JSON what the provider's name says of it: the
// module, and the address.
func completed(raw json.RawMessage, provider string) (json.RawMessage, error) {
	fields := make(map[string]any)
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &fields); err != nil {
			return nil, fmt.Errorf("protocol: %w", err)
		}
	}
	if fields == nil { // null
		fields = make(map[string]any)
	}
	base := knownProviders[provider]
	if fields["name"] == nil {
		switch {
		case provider == mockName:
			fields["name"] = mockName
		case base == "":
			return nil, fmt.Errorf("no protocol is given, and it is none of the known providers (%s)", knownProviderNames())
		default:
			fields["name"] = openaiName
		}
	}
	if _, ok := fields["base_url"]; !ok && base != "" && fields["name"] == openaiName {
		fields["base_url"] = base
	}
	return json.Marshal(fields)
}

// secrets returns the keys: those of the configuration, then those of the file.
func (p *Provider) secrets(repl *caddy.Replacer) ([]string, error) {
	var all []string
	for i, k := range p.Keys {
		secret, err := resolve(repl, k)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		if err := checkSecret(secret); err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		all = append(all, secret)
	}
	if p.KeysFile == "" {
		return all, nil
	}
	path, err := repl.ReplaceOrErr(p.KeysFile, true, true)
	if err != nil {
		return nil, fmt.Errorf("keys_file: %w", err)
	}
	more, err := readKeys(path)
	if err != nil {
		return nil, fmt.Errorf("keys_file: %w", err)
	}
	return append(all, more...), nil
}

func readKeys(path string) (keys []string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if err := checkSecret(line); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		keys = append(keys, line)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s holds no key", path)
	}
	return keys, nil
}
