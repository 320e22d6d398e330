package users

import (
	"context"
	"errors"
	"regexp"
	"time"
)

// User is somebody who may call, as a store keeps it.
type User struct {
	// ID is the store's own, "user_" and 24 characters: it is never given out
	// again, so what is keyed by it never falls to another user of the same name.
	ID string

	// Name is unique among the users that exist: [a-z0-9_-]{1,64}.
	Name string

	Created time.Time // UTC, to the millisecond

	// Disabled users are known, and refused.
	Disabled bool

	Overrides Overrides

	// Keys are the user's own provider keys, by the provider's name, sealed (see
	// Cipher): a store does not know what they hold.
	Keys map[string][]byte
}

// Overrides is what an operator lays down for one user, beside what the route
// says.
type Overrides struct {
	// Allow are the models the user may use, * and ? being wildcards; nil for what
	// the route allows. What the route does not allow stays forbidden.
	Allow []string `json:"allow,omitempty"`

	// Limits take the place of the route's rate limits; nil for the route's.
	Limits []Limit `json:"limits,omitempty"`

	// Concurrency takes the place of the route's; 0 for the route's.
	Concurrency int `json:"concurrency,omitempty"`
}

// Limit is N requests in Window.
type Limit struct {
	N      int           `json:"n"`
	Window time.Duration `json:"window"`
}

// Token is what a store keeps of one token.
type Token struct {
	// Hash is the token's SHA-256: the key it is found by.
	Hash Hash

	// ID names the token to its user, "tok_" and 16 characters. It says nothing of
	// the token.
	ID string

	Created time.Time // UTC, to the millisecond
}

// Errors of stores. Every other error is the backend's trouble.
var (
	// ErrTaken: there is a user of that name, or a token of that hash.
	ErrTaken = errors.New("the name is taken")

	// ErrUnknown: there is no such user, or no such token.
	ErrUnknown = errors.New("unknown")

	// ErrTooMany: a user has MaxTokens tokens, or MaxKeys keys.
	ErrTooMany = errors.New("too many")
)

// Bounds of one user.
const (
	MaxTokens = 32
	MaxKeys   = 32
)

// name is what users are called.
var name = regexp.MustCompile(`^[a-z0-9_-]{1,64}$`)

// ValidName reports whether s may be a user's name.
func ValidName(s string) bool { return name.MatchString(s) }

// Store keeps users and their tokens.
//
// Handlers and the admin API call it, concurrently, each call with a deadline; a
// store adds shorter ones where its backend could hang. What a method reports as
// done is on disk, also after the power has failed. Values given and returned are
// the caller's own. Names and ids are data: a store must not let them become part
// of a query's shape (security X7).
//
// A store is made without dialling or opening anything; it does so when first
// used, and works again once its backend does.
type Store interface {
	// Create makes a user with one token. ErrTaken.
	Create(ctx context.Context, u User, t Token) error

	// Find returns the user of a token, and the token. ErrUnknown.
	Find(ctx context.Context, h Hash) (User, Token, error)

	// Get returns a user by name. ErrUnknown.
	Get(ctx context.Context, name string) (User, error)

	// List returns up to limit users in the order of their names, beginning after
	// a name ("" for the first).
	List(ctx context.Context, after string, limit int) ([]User, error)

	// Disable sets whether a user is refused. ErrUnknown.
	Disable(ctx context.Context, name string, disabled bool) error

	// Override sets a user's overrides. ErrUnknown.
	Override(ctx context.Context, name string, o Overrides) error

	// Delete forgets a user and all tokens. The name is free again. ErrUnknown.
	Delete(ctx context.Context, name string) error

	// AddToken gives a user (by name and ID, which must belong together) a further
	// token. ErrUnknown, ErrTooMany.
	AddToken(ctx context.Context, name, id string, t Token) error

	// Tokens lists a user's tokens, the oldest first. ErrUnknown if there is no
	// such user.
	Tokens(ctx context.Context, name, id string) ([]Token, error)

	// RemoveToken revokes one of the user's tokens, by the token's ID, and returns
	// it. ErrUnknown if the user, or the token of this user, does not exist.
	RemoveToken(ctx context.Context, name, id, token string) (Token, error)

	// ReplaceToken puts t in the place of one of the user's tokens, by that one's ID,
	// and returns it: both are done, or neither. ErrUnknown as for RemoveToken, ErrTaken.
	ReplaceToken(ctx context.Context, name, id, token string, t Token) (Token, error)

	// SetKey keeps the user's sealed key for a provider, instead of a former one;
	// nil removes it. ErrUnknown if there is no such user, ErrTooMany.
	SetKey(ctx context.Context, name, id, provider string, sealed []byte) error

	// Health says how the backend does, for operators: it does no I/O.
	Health() Health
}

// Health is how a store's backend does.
type Health struct {
	// Backend is its kind, such as "local" or "mongodb".
	Backend string `json:"backend"`

	// Up is false while the backend is away. Since is when that last changed, zero
	// before the first use.
	Up    bool      `json:"up"`
	Since time.Time `json:"since,omitzero"`

	// Error is what it said last, while it is away. It holds no secret.
	Error string `json:"error,omitempty"`
}
