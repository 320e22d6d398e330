package main

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The names of what is compared.
const (
	direct       = "direct"
	reverseProxy = "reverse_proxy"
	gateway      = "gateway"
	embedded     = "embedded" // the gateway with auth, limits, rotation and audit on, and no backend
	shared       = "shared"   // the same with Redis, MongoDB and Kafka
)

var allTargets = []string{direct, reverseProxy, gateway, embedded, shared}

// defaultTargets leaves shared out where its backends are not known.
func defaultTargets() []string {
	for _, name := range backends {
		if os.Getenv(name) == "" {
			return allTargets[:len(allTargets)-1]
		}
	}
	return allTargets
}

// backends are the variables that loadtest/backends env prints.
var backends = []string{"REDIS_URL", "MONGODB_URL", "KAFKA_BROKERS"}

//go:embed *.caddyfile
var caddyfiles embed.FS

// target is one thing under load: the upstream itself, or a Caddy in front of it.
type target struct {
	name  string
	admin string // of Caddy, for profiles
	proc  *process
	pool  *pool
}

func (t *target) stop() {
	t.pool.close()
	t.proc.stop()
}

// bed is a directory with an upstream and the targets in front of it.
type bed struct {
	dir      string
	upstream *process
	targets  []*target
}

// newBed starts everything and waits until each target has answered. size is the number of connections per target.
func newBed(ctx context.Context, caddy string, names []string, size int, p *plan) (_ *bed, err error) {
	b := &bed{}
	defer func() {
		if err != nil {
			b.stop()
		}
	}()
	if b.dir, err = os.MkdirTemp("", "bench-gateway-"); err != nil {
		return nil, err
	}
	var addrs []string
	if b.upstream, addrs, err = startUpstream(b.dir, p.upstream()); err != nil {
		return nil, err
	}
	token := randomSecret()
	for _, name := range names {
		var t *target
		if name == direct {
			// Its process is the upstream, which the bed stops.
			t = &target{name: name, proc: b.upstream, pool: newPool(addrs[0], token, size, p.Prompt)}
		} else if t, err = startCaddy(b.dir, caddy, name, addrs, token, size, p.Prompt); err != nil {
			return nil, err
		}
		b.targets = append(b.targets, t)
		if err = t.ready(ctx); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b *bed) stop() {
	for _, t := range b.targets {
		if t.name == direct {
			t.pool.close()
			continue
		}
		t.stop()
	}
	if b.upstream != nil {
		b.upstream.stop()
	}
	_ = os.RemoveAll(b.dir) // temporary anyway
}

// alive reports a process that ended under load.
func (b *bed) alive() error {
	for _, t := range b.targets {
		if err := t.proc.alive(); err != nil {
			return err
		}
	}
	return b.upstream.alive()
}

// startCaddy runs a Caddy with the committed configuration of that name. It gets an environment of its own: nothing of ours but
// the Go runtime's settings, which then hold for all targets.
func startCaddy(dir, caddy, name string, upstreams []string, token string, size, prompt int) (*target, error) {
	config := filepath.Join(dir, name+".caddyfile")
	text, err := caddyfiles.ReadFile(name + ".caddyfile")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return nil, err
	}
	addr, port, admin, err := caddyAddrs()
	if err != nil {
		return nil, err
	}
	home := filepath.Join(dir, name)
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_DATA_HOME=" + home, "XDG_CONFIG_HOME=" + home,
		"BENCH_ADMIN=" + admin, "BENCH_PORT=" + port, "BENCH_UPSTREAM_1=" + upstreams[0], "BENCH_UPSTREAM_2=" + upstreams[1],
		"BENCH_TOKEN=" + token, "BENCH_KEY_1=" + randomSecret(), "BENCH_KEY_2=" + randomSecret(),
	}
	for _, name := range append([]string{"GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GODEBUG"}, backends...) {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	p, _, err := startProcess(name, dir, env, caddy, "run", "--config", config, "--adapter", "caddyfile")
	if err != nil {
		return nil, err
	}
	return &target{name: name, admin: admin, proc: p, pool: newPool(addr, token, size, prompt)}, nil
}

// ready polls until the target answers a whole plain and a whole streamed request.
func (t *target) ready(ctx context.Context) error {
	const patience = 15 * time.Second
	deadline := time.Now().Add(patience)
	for {
		err := t.pool.clients[0].do(t.pool.reqs[plain], checkPlain)
		if err == nil {
			err = t.pool.clients[0].do(t.pool.reqs[stream], checkStream)
		}
		if err == nil {
			return nil
		}
		if gone := t.proc.alive(); gone != nil {
			return gone
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s gave no good answer in %s: %w: %s", t.name, patience, err, t.proc.tail())
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func randomSecret() string {
	b := make([]byte, 32)
	rand.Read(b)
	return "bench-" + hex.EncodeToString(b)
}

// parseTargets checks the -targets list and that the binary can be all of them.
func parseTargets(ctx context.Context, list, caddy string) ([]string, error) {
	var names []string
	for n := range strings.SplitSeq(list, ",") {
		n = strings.TrimSpace(n)
		switch {
		case !slices.Contains(allTargets, n):
			return nil, fmt.Errorf("unknown target %q (known: %s)", n, strings.Join(allTargets, ", "))
		case slices.Contains(names, n):
			return nil, fmt.Errorf("target %q is listed twice", n)
		}
		names = append(names, n)
	}
	ours := slices.ContainsFunc(names, func(n string) bool { return n == gateway || n == embedded || n == shared })
	if !ours && !slices.Contains(names, reverseProxy) {
		return names, nil
	}
	out, err := exec.CommandContext(ctx, caddy, "list-modules").Output()
	if err != nil {
		return nil, fmt.Errorf("%s list-modules: %w (make build makes bin/caddy)", caddy, err)
	}
	if ours && !strings.Contains(string(out), "http.handlers.ai_gateway") {
		return nil, errors.New(caddy + " has no ai_gateway module: build it with make build, or leave the gateway out with -targets direct,reverse_proxy")
	}
	if slices.Contains(names, shared) && len(defaultTargets()) != len(allTargets) {
		return nil, fmt.Errorf("%s needs %s: eval \"$(loadtest/backends env)\"", shared, strings.Join(backends, ", "))
	}
	return names, nil
}
