package mongodb

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/universal-ai-gateway/magicproxy/users"
)

// errMalformed is a value that can't be what it is said to be.
var errMalformed = errors.New("malformed")

// userDocument is a user in the database. What it lists as tokens is what works.
type userDocument struct {
	Name      string         `bson:"_id"`
	ID        string         `bson:"id"`
	Created   time.Time      `bson:"created"`
	Disabled  bool           `bson:"disabled"`
	Overrides overrides      `bson:"overrides"`
	Tokens    []tokenElement `bson:"tokens"`
	Keys      []providerKey  `bson:"keys"`
}

type overrides struct {
	Allow       []string `bson:"allow"`  // null for nil: an empty list allows nothing
	Limits      []limit  `bson:"limits"` // likewise
	Concurrency int      `bson:"concurrency"`
}

type limit struct {
	N      int   `bson:"n"`
	Window int64 `bson:"window_ns"`
}

type tokenElement struct {
	ID      string    `bson:"id"`
	Hash    []byte    `bson:"hash"`
	Created time.Time `bson:"created"`
}

// providerKey is an element of a list, not a field: a provider's name stays data.
type providerKey struct {
	Provider string `bson:"provider"`
	Sealed   []byte `bson:"sealed"`
}

// tokenDocument leads from a token's hash to the user who lists it.
type tokenDocument struct {
	Hash []byte `bson:"_id"`
	User string `bson:"user"`
}

func newUser(u users.User, t users.Token) userDocument {
	d := userDocument{
		Name: u.Name, ID: u.ID, Created: u.Created, Disabled: u.Disabled,
		Overrides: newOverrides(u.Overrides),
		Tokens:    []tokenElement{newToken(t)},
		Keys:      make([]providerKey, 0, len(u.Keys)),
	}
	for p, k := range u.Keys {
		d.Keys = append(d.Keys, providerKey{p, sealed(k)})
	}
	return d
}

func newToken(t users.Token) tokenElement { return tokenElement{t.ID, t.Hash[:], t.Created} }

func newOverrides(o users.Overrides) overrides {
	d := overrides{Allow: o.Allow, Concurrency: o.Concurrency}
	if o.Limits != nil {
		d.Limits = make([]limit, 0, len(o.Limits))
	}
	for _, l := range o.Limits {
		d.Limits = append(d.Limits, limit{l.N, int64(l.Window)})
	}
	return d
}

// sealed makes an empty value one: nil would be null.
func sealed(k []byte) []byte {
	if k == nil {
		return []byte{}
	}
	return k
}

func (d *userDocument) user() users.User {
	u := users.User{ID: d.ID, Name: d.Name, Created: d.Created.UTC(), Disabled: d.Disabled,
		Overrides: users.Overrides{Allow: d.Overrides.Allow, Concurrency: d.Overrides.Concurrency}}
	if d.Overrides.Limits != nil {
		u.Overrides.Limits = make([]users.Limit, 0, len(d.Overrides.Limits))
	}
	for _, l := range d.Overrides.Limits {
		u.Overrides.Limits = append(u.Overrides.Limits, users.Limit{N: l.N, Window: time.Duration(l.Window)})
	}
	if len(d.Keys) > 0 {
		u.Keys = make(map[string][]byte, len(d.Keys))
	}
	for _, k := range d.Keys {
		u.Keys[k.Provider] = sealed(k.Sealed)
	}
	return u
}

// token returns the token of that hash, if the user lists it.
func (d *userDocument) token(hash users.Hash) (users.Token, bool) {
	for _, e := range d.Tokens {
		if bytes.Equal(e.Hash, hash[:]) {
			return users.Token{Hash: hash, ID: e.ID, Created: e.Created.UTC()}, true
		}
	}
	return users.Token{}, false
}

// tokens returns the user's tokens, the oldest first.
func (d *userDocument) tokens() ([]users.Token, error) {
	all := make([]users.Token, 0, len(d.Tokens))
	for _, e := range d.Tokens {
		t := users.Token{ID: e.ID, Created: e.Created.UTC()}
		if copy(t.Hash[:], e.Hash) != len(t.Hash) || len(e.Hash) != len(t.Hash) {
			return nil, fmt.Errorf("mongodb: a token of user %s: %w", d.Name, errMalformed)
		}
		all = append(all, t)
	}
	slices.SortStableFunc(all, func(a, b users.Token) int { return a.Created.Compare(b.Created) })
	return all, nil
}

// decode turns what the server has into a document. It was put there by somebody
// else if it is none: that is not the backend's being away.
func decode(raw bson.Raw, into any) error {
	if err := bson.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("mongodb: a document in the database: %w", errMalformed)
	}
	return nil
}
