package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/universal-ai-gateway/magicproxy/users"
)

// version is the first byte of a record, before its JSON. A reader that meets
// another one, or a field it does not know, must not write the record back.
const version = 1

// record is a user as the file keeps it, with the tokens: what is found by a token
// cannot differ from what is found by the name.
type record struct {
	ID          string            `json:"id"`
	Created     int64             `json:"created"` // Unix time in milliseconds
	Disabled    bool              `json:"disabled,omitempty"`
	Allow       []string          `json:"allow"` // null is not the same as []
	Limits      []users.Limit     `json:"limits"`
	Concurrency int               `json:"concurrency,omitempty"`
	Keys        map[string][]byte `json:"keys,omitempty"`
	Tokens      []token           `json:"tokens"`
}

// token is one of a user's tokens.
type token struct {
	Hash    []byte `json:"hash"`
	ID      string `json:"id"`
	Created int64  `json:"created"`
}

func recordOf(u users.User) *record {
	r := &record{ID: u.ID, Created: u.Created.UnixMilli(), Disabled: u.Disabled, Keys: u.Keys}
	r.override(u.Overrides)
	return r
}

func (r *record) override(o users.Overrides) {
	r.Allow, r.Limits, r.Concurrency = o.Allow, o.Limits, o.Concurrency
}

// user returns the user of a name.
func (r *record) user(name string) users.User {
	return users.User{
		ID: r.ID, Name: name, Created: time.UnixMilli(r.Created).UTC(), Disabled: r.Disabled,
		Overrides: users.Overrides{Allow: r.Allow, Limits: r.Limits, Concurrency: r.Concurrency}, Keys: r.Keys,
	}
}

func (r *record) add(t users.Token) {
	r.Tokens = append(r.Tokens, token{t.Hash[:], t.ID, t.Created.UnixMilli()})
}

func (t token) token() users.Token {
	return users.Token{Hash: users.Hash(t.Hash), ID: t.ID, Created: time.UnixMilli(t.Created).UTC()}
}

// byHash returns the place of a token, -1 if it is not the user's.
func (r *record) byHash(h users.Hash) int {
	return slices.IndexFunc(r.Tokens, func(t token) bool { return bytes.Equal(t.Hash, h[:]) })
}

// load returns the record of a name. ErrUnknown.
func load(tx *bolt.Tx, name string) (*record, error) {
	b := tx.Bucket(usersBucket).Get([]byte(name))
	if b == nil {
		return nil, users.ErrUnknown
	}
	r, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("the record of user %q: %w", name, err)
	}
	return r, nil
}

// owned returns the record of a name and an id that belong together. ErrUnknown.
func owned(tx *bolt.Tx, name, id string) (*record, error) {
	r, err := load(tx, name)
	if err == nil && r.ID != id {
		return nil, users.ErrUnknown
	}
	return r, err
}

// store writes the record of a name.
func store(tx *bolt.Tx, name string, r *record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return tx.Bucket(usersBucket).Put([]byte(name), append([]byte{version}, b...))
}

// decode reads a record. It keeps nothing of b, which the file may reuse.
func decode(b []byte) (*record, error) {
	if len(b) == 0 || b[0] != version {
		return nil, fmt.Errorf("is damaged, or of a later version: it begins with %.8x", b)
	}
	r := new(record)
	d := json.NewDecoder(bytes.NewReader(b[1:]))
	d.DisallowUnknownFields()
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("is damaged, or of a later version: %w", err)
	}
	if r.ID == "" || d.More() {
		return nil, errors.New("is damaged")
	}
	for _, t := range r.Tokens {
		if len(t.Hash) != len(users.Hash{}) || t.ID == "" {
			return nil, errors.New("is damaged: a token without its hash, or its id")
		}
	}
	return r, nil
}
