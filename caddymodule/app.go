// Package caddymodule is the Caddy face of the gateway: the app ai_gateway, the
// handler of the same name, their Caddyfile, the admin API and the metrics.
//
// The app holds what exists once per configuration (providers, tiers, callers),
// a handler holds the policy of one route. Both are thin: what they do is in the
// packages below, which know nothing of Caddy. What an app and a handler hold is
// not changed after Provision, so requests share it without locks; what outlives a
// configuration is in package variables that say so.
//
//	{
//		ai_gateway {
//			provider groq {
//				key {env.GROQ_KEY}
//			}
//			token ops {env.OPS_TOKEN}
//		}
//	}
//	example.com {
//		ai_gateway
//	}
package caddymodule

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/universal-ai-gateway/magicproxy/agentruntime"
	"github.com/universal-ai-gateway/magicproxy/provider/mock"
	"github.com/universal-ai-gateway/magicproxy/rotation"
	"github.com/universal-ai-gateway/magicproxy/users"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App is the gateway's part of a configuration that all routes share.
type App struct {
	// Mock puts every provider into mock mode: nothing leaves the machine, and
	// their secrets are not needed. A boolean, or a placeholder that becomes one;
	// empty means off. With it on there is a provider called mock, too.
	Mock string `json:"mock,omitempty"`

	// Tokens are callers known from the configuration: the user's name, and the
	// secrets that speak for them. Use placeholders such as {env.OPS_TOKEN}.
	Tokens map[string][]string `json:"tokens,omitempty"`

	// Providers are the upstreams, by name.
	Providers map[string]*Provider `json:"providers,omitempty"`

	// Tiers are lists of targets that clients use as a model, by name.
	Tiers map[string]*Tier `json:"tiers,omitempty"`

	// Agents are models that reason and call tools, by name.
	Agents map[string]*Agent `json:"agents,omitempty"`

	// Patterns are ways to reason, beside the built-in ones, by name.
	Patterns map[string]*Pattern `json:"patterns,omitempty"`

	// MCP are the servers whose tools agents may use, by name.
	MCP map[string]*ToolServer `json:"mcp,omitempty"`

	// StoreRaw is where counters, limits, sessions and cached answers are. Default
	// memory.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=ai_gateway.stores inline_key=name"`

	// Users say where registered users are.
	Users *Users `json:"users,omitempty"`

	// Audit says what is recorded, and where it goes. Default: nothing.
	Audit *Audit `json:"audit,omitempty"`

	// What Provision makes of it. Handlers read it, and nobody changes it.
	logger  *zap.Logger
	mock    bool
	created time.Time
	tokens  users.Tokens
	table   *rotation.Table
	caller  *rotation.Caller
	servers map[string]toolServer
	agents  map[string]*agentruntime.Agent // by all of their names
	manager *agentruntime.Manager

	addresses map[string]string  // of providers, by name
	caching   map[string]caching // by model
	edition   [sha256.Size]byte  // of what makes answers

	patternTexts []string // of the configuration's own, resolved, in the order of their names

	store    OpenStore
	people   people
	cipher   *users.Cipher // nil: users bring no keys
	recorder *recorder     // nil: nothing is recorded

	inUse   atomic.Int64   // by the configuration, and by each of its requests
	release []func() error // gives back what is pooled
}

// Tier is a list of targets.
type Tier struct {
	// Rotate is turned by one with every request. Each entry is provider/model,
	// provider/alias or another tier; an entry that occurs twice counts twice.
	Rotate []string `json:"rotate,omitempty"`

	// Fallback follows in order when nothing of Rotate can answer.
	Fallback []string `json:"fallback,omitempty"`

	// Cache is how long answers are kept for requests that are the same, see
	// docs/state.md. Default: not at all.
	Cache caddy.Duration `json:"cache,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "ai_gateway", New: func() caddy.Module { return new(App) }}
}

// Provision compiles the configuration. It dials nothing and writes nothing.
func (a *App) Provision(ctx caddy.Context) error {
	// Before anything can fail: Caddy's admin endpoint has the new registry already,
	// and keeps it if this configuration is refused.
	if err := metrics.register(ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	a.logger, a.created = ctx.Logger(), time.Now()
	a.inUse.Store(1)
	a.addresses, a.caching = make(map[string]string), make(map[string]caching)
	written, err := a.written()
	if err != nil {
		return err
	}
	repl := caddy.NewReplacer()
	on, err := repl.ReplaceOrErr(a.Mock, false, true)
	if err == nil {
		a.mock, err = truth(on)
	}
	if err != nil {
		return fmt.Errorf("mock: %w", err)
	}
	if a.Providers == nil {
		a.Providers = make(map[string]*Provider)
	}
	if a.mock && a.Providers[mockName] == nil {
		a.Providers[mockName] = &Provider{Models: map[string][]string{mockName: {mockName}}}
	}
	if a.mock {
		a.logger.Warn("mock mode: every answer is simulated, nothing leaves the machine")
	}
	if len(a.Providers) == 0 {
		return errors.New("no provider is configured: add one, such as provider openai with its key, or mock on")
	}
	if err := a.provisionTokens(repl); err != nil {
		return err
	}
	if err := a.provisionStore(ctx); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := a.provisionUsers(ctx, repl); err != nil {
		return fmt.Errorf("users: %w", err)
	}
	if err := a.provisionAudit(ctx, repl); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	providers := make(map[string]*rotation.Provider, len(a.Providers))
	for _, name := range slices.Sorted(maps.Keys(a.Providers)) {
		if providers[name], err = a.provisionProvider(ctx, repl, name); err != nil {
			return fmt.Errorf("provider %s: %w", name, err)
		}
	}
	tiers := make(map[string]rotation.Tier, len(a.Tiers))
	for _, name := range slices.Sorted(maps.Keys(a.Tiers)) {
		if !modelName.MatchString(name) {
			return fmt.Errorf("tier %q: %s", name, modelNameRule)
		}
		if t := a.Tiers[name]; t != nil {
			tiers[name] = rotation.Tier{Rotate: t.Rotate, Fallback: t.Fallback}
			if t.Cache < 0 {
				return fmt.Errorf("tier %s: cache: must not be negative", name)
			}
			if t.Cache > 0 {
				a.caching[name] = caching{ttl: time.Duration(t.Cache)}
			}
		} else {
			tiers[name] = rotation.Tier{} // null in JSON
		}
	}
	if a.table, err = rotation.Compile(providers, tiers); err != nil {
		return err
	}
	a.caller = &rotation.Caller{Observer: &observer{a}}
	if err := a.provisionServers(ctx, repl); err != nil {
		return err
	}
	if err := a.provisionAgents(repl); err != nil {
		return err
	}
	return a.provisionEdition(written)
}

func (a *App) provisionTokens(repl *caddy.Replacer) error {
	for _, user := range slices.Sorted(maps.Keys(a.Tokens)) {
		if !lowerName.MatchString(user) {
			return fmt.Errorf("token %q: %s", user, lowerNameRule)
		}
		if len(a.Tokens[user]) == 0 {
			return fmt.Errorf("token %s: no secret", user)
		}
		for i, s := range a.Tokens[user] {
			what := fmt.Sprintf("token %s: secret %d", user, i+1)
			secret, err := resolve(repl, s)
			if err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			warnLiteral(a.logger, what, s)
			if err := a.tokens.Add(user, secret); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
		}
	}
	return nil
}

// warnLiteral says that a secret stands in the configuration as it is: every
// copy of the file, and the admin API, show it (security X13).
func warnLiteral(logger *zap.Logger, what, value string) {
	if !strings.Contains(value, "{") {
		logger.Warn("a secret is written into the configuration; use a placeholder such as {env.NAME} or {file./path}", zap.String("where", what))
	}
}

func (a *App) provisionProvider(ctx caddy.Context, repl *caddy.Replacer, name string) (*rotation.Provider, error) {
	if !lowerName.MatchString(name) {
		return nil, errors.New(lowerNameRule)
	}
	p := a.Providers[name]
	if p == nil {
		p = new(Provider)
		a.Providers[name] = p
	}
	r, err := p.host(name)
	if err != nil {
		return nil, err
	}
	secrets := p.Keys // in mock mode they only tell keys apart
	address := mockName
	if a.mock && p.protocolName() != mockName {
		r.Client = mock.New(mockDefaults)
	} else {
		guest, err := p.load(ctx, name)
		if err != nil {
			return nil, err
		}
		r.Client, address, r.Hide = guest.Client(), guest.Address(), guest.Secrets()
		if secrets, err = p.secrets(repl); err != nil {
			return nil, err
		}
		for i, k := range p.Keys {
			warnLiteral(a.logger, fmt.Sprintf("provider %s: key %d", name, i+1), k)
		}
		if err := guest.CheckKeys(len(secrets)); err != nil {
			return nil, err
		}
		if len(secrets)+len(r.Hide) == 0 && strings.HasPrefix(knownProviders[name], "https:") {
			a.logger.Warn("no key is configured for a provider that asks for one", zap.String("provider", name))
		}
	}
	a.addresses[name] = address
	key := stateKey{name, address}
	r.Bind(loadState(key), secrets)
	a.release = append(a.release, func() error { _, err := states.Delete(key); return err })
	return r, nil
}

// Start opens what has to be open, and listens for news of other machines. What is
// beyond a network is not waited for.
func (a *App) Start() error {
	if err := a.people.open(); err != nil {
		return fmt.Errorf("users: %w", err)
	}
	if a.recorder != nil {
		if _, err := a.recorder.open(); err != nil {
			return fmt.Errorf("audit: %w", err)
		}
	}
	a.listen()
	return nil
}

// Stop does nothing: Caddy calls it while requests are still being answered.
func (a *App) Stop() error { return nil }

// Cleanup gives back what is pooled once the last request has ended.
func (a *App) Cleanup() error {
	if a.inUse.Load() > 0 { // else it was never provisioned
		a.leave()
	}
	return nil
}

// states outlive configurations, so that an edit elsewhere does not make keys
// healthy that are not. The key is an identity: a provider that gets another
// address starts afresh.
var states = caddy.NewUsagePool()

type stateKey struct{ provider, address string }

type pooledState struct{ rotation.State }

// Destruct implements caddy.Destructor. There is nothing to close; those who
// still hold the state may go on.
func (*pooledState) Destruct() error { return nil }

func loadState(key stateKey) *rotation.State {
	v, _ := states.LoadOrStore(key, new(pooledState))
	return &v.(*pooledState).State
}

// runningApp is the app of the configuration that is running now, nil if it has
// none.
func runningApp() *App {
	app, err := caddy.ActiveContext().AppIfConfigured("ai_gateway")
	if err != nil {
		return nil
	}
	a, _ := app.(*App)
	return a
}

// truth reads a switch.
func truth(s string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "", "off", "no":
		return false, nil
	case "on", "yes":
		return true, nil
	}
	v, err := strconv.ParseBool(strings.TrimSpace(s))
	if err != nil {
		return false, fmt.Errorf("%q is neither on nor off", s)
	}
	return v, nil
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
