package caddymodule

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/universal-ai-gateway/magicproxy/agentruntime"
	"github.com/universal-ai-gateway/magicproxy/audit"
	"github.com/universal-ai-gateway/magicproxy/glob"
	"github.com/universal-ai-gateway/magicproxy/mcp"
)

// toolServer is a tool server as the gateway uses it: a real one, or the
// simulation that stands for it in mock mode.
type toolServer interface {
	agentruntime.ToolServer
	Status() mcp.Status
	Refresh()
	Approve(tool string) error
}

// provisionServers makes the tool servers. Nothing is dialled or started.
func (a *App) provisionServers(ctx caddy.Context, repl *caddy.Replacer) error {
	a.servers = make(map[string]toolServer)
	for _, name := range slices.Sorted(maps.Keys(a.MCP)) {
		o, address, err := a.MCP[name].options(ctx, repl, a.logger, name, a.mock)
		if err != nil {
			return fmt.Errorf("mcp %s: %w", name, err)
		}
		if a.mock {
			a.servers[name] = mcp.Simulate(name, a.simulatedTools(name))
			continue
		}
		if a.servers[name], err = a.loadServer(o, address, a.MCP[name]); err != nil {
			return fmt.Errorf("mcp %s: %w", name, unowned(err, "tool server "+name))
		}
	}
	return nil
}

// simulatedTools returns what a simulation can know of a server's tools: those that
// agents name, and one for each pattern in what they name.
func (a *App) simulatedTools(server string) (tools []string) {
	for _, name := range slices.Sorted(maps.Keys(a.Agents)) {
		if a.Agents[name] == nil {
			continue // reported where agents are provisioned
		}
		for _, g := range a.Agents[name].Tools {
			if s, tool, _ := strings.Cut(g, "::"); tool != "*" && glob.Any([]string{s}, server) {
				tools = append(tools, strings.NewReplacer("*", "any", "?", "x").Replace(tool))
			}
		}
	}
	return tools
}

// loadServer takes the server out of the pool, or makes it. What is known of it,
// above all the state of its breaker, belongs to its name and address; its
// connection or process to its whole configuration, the values of secrets
// included.
func (a *App) loadServer(o mcp.Options, address string, c *ToolServer) (toolServer, error) {
	stateKey := toolStateKey{o.Name, address}
	v, _ := toolStates.LoadOrStore(stateKey, new(pooledToolState))
	a.release = append(a.release, func() error { _, err := toolStates.Delete(stateKey); return err })
	o.Pins = newPinStore(o.Name, address)
	o.Observer = serverObserver{logger: caddy.Log().Named("ai_gateway.mcp")}
	config, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	resolved, err := json.Marshal([]any{o.URL, o.Command, o.Env, o.Dir, o.Header})
	if err != nil {
		return nil, err
	}
	key := toolServerKey{o.Name, address, fingerprint(string(config), string(resolved))}
	s, _, err := toolServers.LoadOrNew(key, func() (caddy.Destructor, error) {
		server, err := mcp.New(o, &v.(*pooledToolState).State)
		return pooledServer{server}, err
	})
	if err != nil {
		return nil, err
	}
	a.release = append(a.release, func() error { _, err := toolServers.Delete(key); return err })
	return s.(pooledServer).Server, nil
}

// toolStates and toolServers outlive configurations, so that an edit elsewhere
// neither closes breakers nor restarts processes.
var (
	toolStates  = caddy.NewUsagePool()
	toolServers = caddy.NewUsagePool()
)

type toolStateKey struct{ name, address string }

type toolServerKey struct{ name, address, config string }

type pooledToolState struct{ mcp.State }

// Destruct implements caddy.Destructor. There is nothing to close; those who
// still hold the state may go on.
func (*pooledToolState) Destruct() error { return nil }

type pooledServer struct{ *mcp.Server }

// Destruct implements caddy.Destructor. Calls under way go on to their ends.
func (s pooledServer) Destruct() error {
	s.Close()
	return nil
}

// serverObserver turns what happens to tool servers into metrics and log lines.
// Calls are counted where runs make them.
type serverObserver struct {
	mcp.NoObserver
	logger *zap.Logger
}

// Breaker implements mcp.Observer.
func (o serverObserver) Breaker(server, from, to string, cause mcp.Kind) {
	metrics.breakerChanges.WithLabelValues(server, to).Inc()
	if app := runningApp(); app != nil { // servers outlive configurations, and what these record with
		s := audit.BreakerState{Server: server, State: to}
		if to != "closed" {
			s.Cause = cause.String()
		}
		app.recorder.log().Record(audit.Subject{}, audit.Event{Payload: s})
	}
	if to == "closed" {
		o.logger.Info("tool server is well again", zap.String("server", server), zap.String("from", from))
		return
	}
	o.logger.Warn("circuit breaker of a tool server has changed", zap.String("server", server), zap.String("from", from), zap.String("to", to), zap.String("cause", cause.String()))
}

// Changed implements mcp.Observer.
func (o serverObserver) Changed(server, tool string, disabled bool) {
	metrics.toolChanges.WithLabelValues(server).Inc()
	o.logger.Warn("the definition of a tool has changed since it was first seen", zap.String("server", server), zap.String("tool", tool), zap.Bool("disabled", disabled))
}

// Listed implements mcp.Observer.
func (o serverObserver) Listed(server string, tools int, err *mcp.Error, took time.Duration) {
	if err != nil {
		o.logger.Warn("listing the tools of a server failed", zap.String("server", server), zap.String("cause", err.Kind.String()), zap.String("error", err.Message), zap.NamedError("reason", err.Err))
		return
	}
	o.logger.Debug("listed the tools of a server", zap.String("server", server), zap.Int("tools", tools), zap.Duration("took", took))
}

// Said implements mcp.Observer.
func (o serverObserver) Said(server, line string) {
	o.logger.Debug("tool server says", zap.String("server", server), zap.String("line", line))
}

// Interface guards
var (
	_ mcp.Observer = serverObserver{}
	_ toolServer   = (*mcp.Server)(nil)
	_ toolServer   = (*mcp.Simulation)(nil)
)
