package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/universal-ai-gateway/magicproxy/users"
	"github.com/universal-ai-gateway/magicproxy/users/local"
	"github.com/universal-ai-gateway/magicproxy/users/mongodb"
)

func init() {
	caddy.RegisterModule(new(LocalUsers))
	caddy.RegisterModule(new(MongoDBUsers))
}

const usersSpace = "ai_gateway.users"

// Users say where registered users are kept, beside those whom the configuration
// names.
type Users struct {
	// EncryptionKeys encrypt the provider keys that users bring: 32 bytes in base64
	// or hex each, as of `openssl rand -base64 32`. The first one encrypts, all of
	// them decrypt. Use placeholders. Without any, users can bring no keys.
	EncryptionKeys []string `json:"encryption_keys,omitempty"`

	// CacheTTL is how long a token is believed without asking the backend again, and
	// so how long a revoked one may go on where no news of it comes. Default 30s.
	CacheTTL caddy.Duration `json:"cache_ttl,omitempty"`

	// BackendRaw is where users are. Default local.
	BackendRaw json.RawMessage `json:"backend,omitempty" caddy:"namespace=ai_gateway.users inline_key=name"`
}

// UserBackend is a guest module in the namespace ai_gateway.users. Its methods are
// called after Provision.
type UserBackend interface {
	caddy.Module

	// Identity tells backends apart: configurations with the same one share what
	// Open made. It is not shown anywhere.
	Identity() string

	// Open makes the store. It dials nothing, and writes nothing.
	Open(logger *zap.Logger) (OpenUsers, error)
}

// OpenUsers is a store of users that works in the background once started, and can
// be closed.
type OpenUsers interface {
	users.Store

	// Start opens what has to be open, and may be called again. It does not wait for
	// a network.
	Start() error

	// Close ends the work, at the latest when ctx does.
	Close(ctx context.Context) error
}

// LocalUsers keeps users in a file of this machine. It is the default.
type LocalUsers struct {
	// Path is the file. Default: ai_gateway/users.db in Caddy's data directory. It is
	// made when the first user is.
	Path string `json:"path,omitempty"`

	path string
}

// CaddyModule returns the Caddy module information.
func (*LocalUsers) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: usersSpace + ".local", New: func() caddy.Module { return new(LocalUsers) }}
}

// Provision finds the file's place.
func (l *LocalUsers) Provision(caddy.Context) (err error) {
	if l.path, err = caddy.NewReplacer().ReplaceOrErr(l.Path, true, true); err != nil {
		return fmt.Errorf("path: %w", err)
	}
	if l.path == "" {
		l.path = filepath.Join(caddy.AppDataDir(), "ai_gateway", "users.db")
	}
	l.path, err = filepath.Abs(l.path)
	return err
}

// Identity implements UserBackend.
func (l *LocalUsers) Identity() string { return "local" + fingerprint(l.path) }

// Open implements UserBackend.
func (l *LocalUsers) Open(*zap.Logger) (OpenUsers, error) { return local.New(l.path), nil }

// UnmarshalCaddyfile sets up the backend. Syntax:
//
//	local [<path>]
func (l *LocalUsers) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // local
	if d.NextArg() {
		if l.Path = d.Val(); l.Path == "" || d.NextArg() {
			return d.Err("users local: expected one path, or none")
		}
	}
	for d.NextBlock(0) {
		return unknownWord(d, "users local", userWords)
	}
	return nil
}

// MongoDBUsers keeps users in MongoDB, for several machines.
type MongoDBUsers struct {
	// URL is the deployment's connection string; its path names the database, by
	// default ai_gateway. A placeholder may stand for it.
	URL string `json:"url"`

	url string
}

// CaddyModule returns the Caddy module information.
func (*MongoDBUsers) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: usersSpace + ".mongodb", New: func() caddy.Module { return new(MongoDBUsers) }}
}

// Provision resolves the address.
func (m *MongoDBUsers) Provision(ctx caddy.Context) (err error) {
	if m.url, err = resolve(caddy.NewReplacer(), m.URL); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	warnLiteralURL(ctx.Logger(), "users mongodb: url", m.URL)
	return nil
}

// Identity implements UserBackend.
func (m *MongoDBUsers) Identity() string { return "mongodb" + fingerprint(m.url) }

// Open implements UserBackend.
func (m *MongoDBUsers) Open(logger *zap.Logger) (OpenUsers, error) {
	return mongodb.New(m.url, mongodb.Options{Logger: logger})
}

// UnmarshalCaddyfile sets up the backend. Syntax:
//
//	mongodb <url>
func (m *MongoDBUsers) UnmarshalCaddyfile(d *caddyfile.Dispenser) (err error) {
	d.Next() // mongodb
	if m.URL, err = (&reader{Dispenser: d}).one("users mongodb", "a URL such as mongodb://localhost:27017/ai_gateway"+unsetHint); err != nil {
		return err
	}
	for d.NextBlock(0) {
		return unknownWord(d, "users mongodb", userWords)
	}
	return nil
}

// userStores are the stores of users that are open, by the backend's Identity;
// directories what is remembered of them, also by how long that holds: a file must not
// be opened twice because somebody edits that.
var userStores, directories = caddy.NewUsagePool(), caddy.NewUsagePool()

type pooledUsers struct {
	key    string
	store  OpenUsers
	logger *zap.Logger
}

// Destruct implements caddy.Destructor.
func (p *pooledUsers) Destruct() error {
	closings.start(p.key, p.logger, p.store.Close)
	return nil
}

// open opens what has to be open, once a store before it on the same backend is closed.
func (p *pooledUsers) open() error {
	closings.wait(p.key)
	return p.store.Start()
}

type pooledDirectory struct{ *users.Directory }

// Destruct implements caddy.Destructor.
func (pooledDirectory) Destruct() error { return nil }

// people are the users of a configuration.
type people struct {
	*pooledUsers
	directory *users.Directory
}

func (a *App) provisionUsers(ctx caddy.Context, repl *caddy.Replacer) error {
	c := a.Users
	if c == nil {
		c = new(Users)
	}
	if c.CacheTTL < 0 {
		return errors.New("cache_ttl: must not be negative")
	}
	var secrets []string
	for i, s := range c.EncryptionKeys {
		secret, err := resolve(repl, s)
		if err != nil {
			return fmt.Errorf("encryption_key %d: %w", i+1, err)
		}
		warnLiteral(a.logger, "users: encryption_key", s)
		secrets = append(secrets, secret)
	}
	if len(secrets) > 0 {
		var err error
		if a.cipher, err = users.NewCipher(secrets[0], secrets[1:]...); err != nil {
			return fmt.Errorf("encryption_key: %w", err)
		}
	}
	var guest UserBackend
	if c.BackendRaw == nil {
		l := new(LocalUsers)
		if err := l.Provision(ctx); err != nil {
			return err
		}
		guest = l
	} else {
		m, err := ctx.LoadModule(c, "BackendRaw")
		if err != nil {
			return err
		}
		var ok bool
		if guest, ok = m.(UserBackend); !ok {
			return fmt.Errorf("module %T keeps no users", m)
		}
	}
	key := guest.Identity()
	v, _, err := userStores.LoadOrNew(key, func() (caddy.Destructor, error) {
		logger := caddy.Log().Named("ai_gateway.users")
		s, err := guest.Open(logger)
		return &pooledUsers{key, s, logger}, err
	})
	if err != nil {
		return err
	}
	a.release = append(a.release, func() error { _, err := userStores.Delete(key); return err })
	a.people.pooledUsers = v.(*pooledUsers)
	ttl := time.Duration(c.CacheTTL)
	memory := key + " " + ttl.String()
	d, _ := directories.LoadOrStore(memory, pooledDirectory{users.NewDirectory(a.people.store, users.DirectoryOptions{TTL: ttl})})
	a.release = append(a.release, func() error { _, err := directories.Delete(memory); return err })
	a.people.directory = d.(pooledDirectory).Directory
	return nil
}

// Interface guards
var (
	_ UserBackend           = (*LocalUsers)(nil)
	_ UserBackend           = (*MongoDBUsers)(nil)
	_ caddy.Provisioner     = (*LocalUsers)(nil)
	_ caddy.Provisioner     = (*MongoDBUsers)(nil)
	_ caddyfile.Unmarshaler = (*LocalUsers)(nil)
	_ caddyfile.Unmarshaler = (*MongoDBUsers)(nil)
)
