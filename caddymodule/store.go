package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/universal-ai-gateway/magicproxy/state"
	"github.com/universal-ai-gateway/magicproxy/state/redis"
)

func init() {
	caddy.RegisterModule(new(MemoryStore))
	caddy.RegisterModule(new(RedisStore))
}

const storeSpace = "ai_gateway.stores"

// Store is a guest module in the namespace ai_gateway.stores: where counters,
// limits, sessions and cached answers are. Its methods are called after Provision.
type Store interface {
	caddy.Module

	// Identity tells stores apart: configurations with the same one share what Open
	// made. It is not shown anywhere.
	Identity() string

	// Open makes the store. It dials nothing.
	Open(logger *zap.Logger) (OpenStore, error)
}

// OpenStore is a store that can be closed. Close does not wait for a network.
type OpenStore interface {
	state.Store
	Close() error
}

// MemoryStore keeps everything in the process. It is the default, and outlives
// configurations.
type MemoryStore struct{}

// CaddyModule returns the Caddy module information.
func (*MemoryStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: storeSpace + ".memory", New: func() caddy.Module { return new(MemoryStore) }}
}

// Identity implements Store.
func (*MemoryStore) Identity() string { return "memory" }

// Open implements Store.
func (*MemoryStore) Open(*zap.Logger) (OpenStore, error) { return lasting{memory}, nil }

// memory lives as long as the process.
var memory = state.NewMemory(state.MemoryOptions{})

// lasting is never closed.
type lasting struct{ *state.Memory }

// Close implements OpenStore.
func (lasting) Close() error { return nil }

// UnmarshalCaddyfile sets up the store. Syntax:
//
//	memory
func (*MemoryStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // memory
	if d.NextArg() {
		return d.Err("store memory: takes no value")
	}
	for d.NextBlock(0) {
		return d.Errf("store memory: has no options, '%s' belongs to another store", d.Val())
	}
	return nil
}

// RedisStore shares counters, limits, sessions, cached answers and resting keys with
// other processes over Redis.
type RedisStore struct {
	// URL is the server's address: redis://, rediss:// for TLS; docs/state.md has the
	// forms for Sentinel and Cluster. A placeholder may stand for it.
	URL string `json:"url"`

	// Prefix begins all keys and channels. Default "ai_gateway:". A placeholder may
	// stand for it.
	Prefix string `json:"prefix,omitempty"`

	// Fail says how a use goes on while Redis is away: open, local or closed, for
	// counters, limits, sessions, quarantine and cache.
	Fail map[state.Use]state.Mode `json:"fail,omitempty"`

	url, prefix string
}

// CaddyModule returns the Caddy module information.
func (*RedisStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: storeSpace + ".redis", New: func() caddy.Module { return new(RedisStore) }}
}

// Provision resolves the address and the prefix.
func (s *RedisStore) Provision(ctx caddy.Context) (err error) {
	repl := caddy.NewReplacer()
	if s.url, err = resolve(repl, s.URL); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	if s.Prefix != "" {
		if s.prefix, err = resolve(repl, s.Prefix); err != nil {
			return fmt.Errorf("prefix: %w", err)
		}
	}
	warnLiteralURL(ctx.Logger(), "store redis: url", s.URL)
	return redis.Check(s.url, s.options(nil))
}

func (s *RedisStore) options(logger *zap.Logger) redis.Options {
	return redis.Options{Prefix: s.prefix, Modes: s.Fail, Logger: logger}
}

// Identity implements Store.
func (s *RedisStore) Identity() string {
	modes, _ := json.Marshal(s.Fail) // of strings
	return "redis" + fingerprint(s.url, s.prefix, string(modes))
}

// Open implements Store.
func (s *RedisStore) Open(logger *zap.Logger) (OpenStore, error) {
	return redis.New(s.url, s.options(logger))
}

var redisWords = []string{"prefix", "fail"}

// UnmarshalCaddyfile sets up the store. Syntax:
//
//	redis <url> {
//		prefix <text>
//		fail   <use> open|local|closed
//	}
func (s *RedisStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) (err error) {
	d.Next() // redis
	r := &reader{Dispenser: d}
	if s.URL, err = r.one("store redis", "a URL such as redis://localhost:6379/0"+unsetHint); err != nil {
		return err
	}
	for d.NextBlock(0) {
		switch d.Val() {
		case "prefix":
			if s.Prefix, err = r.arg("a text that begins all keys"); err != nil {
				return err
			}
		case "fail":
			if err = s.unmarshalFail(r); err != nil {
				return err
			}
		default:
			return unknownWord(d, "store redis", redisWords)
		}
	}
	return nil
}

func (s *RedisStore) unmarshalFail(r *reader) error {
	args, err := r.args(2, 2, "a use and open, local or closed")
	if err != nil {
		return err
	}
	use, mode := state.Use(args[0]), state.Mode(args[1])
	switch {
	case !slices.Contains(state.Uses, use):
		return r.Errf("fail: unknown use '%s' (known: %s)", use, strings.ReplaceAll(alternatives(state.Uses), " or ", ", "))
	case !slices.Contains(state.Modes, mode):
		return r.Errf("fail %s: expected open, local or closed, not '%s'", use, mode)
	case s.Fail[use] != "":
		return r.Errf("fail %s: already specified", use)
	case s.Fail == nil:
		s.Fail = make(map[state.Use]state.Mode)
	}
	if err := redis.CheckMode(use, mode); err != nil {
		return r.Errf("fail %s: %v", use, err)
	}
	s.Fail[use] = mode
	return nil
}

// stores are those that are open, by Identity.
var stores = caddy.NewUsagePool()

type pooledStore struct{ OpenStore }

// Destruct implements caddy.Destructor.
func (s pooledStore) Destruct() error { return s.Close() }

// provisionStore takes the store out of the pool, or makes it.
func (a *App) provisionStore(ctx caddy.Context) error {
	var guest Store = new(MemoryStore)
	if a.StoreRaw != nil {
		m, err := ctx.LoadModule(a, "StoreRaw")
		if err != nil {
			return err
		}
		var ok bool
		if guest, ok = m.(Store); !ok {
			return fmt.Errorf("module %T is no store", m)
		}
	}
	key := guest.Identity()
	v, _, err := stores.LoadOrNew(key, func() (caddy.Destructor, error) {
		s, err := guest.Open(caddy.Log().Named("ai_gateway.store"))
		if err == nil && s == nil {
			err = errors.New("nothing was opened")
		}
		return pooledStore{s}, err
	})
	if err != nil {
		return err
	}
	a.release = append(a.release, func() error { _, err := stores.Delete(key); return err })
	a.store = v.(pooledStore).OpenStore
	return nil
}

// Interface guards
var (
	_ Store                 = (*MemoryStore)(nil)
	_ Store                 = (*RedisStore)(nil)
	_ caddy.Provisioner     = (*RedisStore)(nil)
	_ caddyfile.Unmarshaler = (*MemoryStore)(nil)
	_ caddyfile.Unmarshaler = (*RedisStore)(nil)
)
