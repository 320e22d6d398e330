package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/universal-ai-gateway/magicproxy/users"
)

// Errors of arguments, which say nothing of the file.
var (
	errName     = errors.New("not a user's name")
	errProvider = errors.New("not a provider's name")
)

// Create implements users.Store.
func (s *Store) Create(ctx context.Context, u users.User, t users.Token) error {
	if !users.ValidName(u.Name) || u.ID == "" || t.ID == "" {
		return errName
	}
	return s.update(ctx, true, func(tx *bolt.Tx) error {
		if tx.Bucket(usersBucket).Get([]byte(u.Name)) != nil {
			return users.ErrTaken
		}
		r := recordOf(u)
		return give(tx, u.Name, r, t)
	})
}

// give adds a token to a record, and writes both.
func give(tx *bolt.Tx, name string, r *record, t users.Token) error {
	names := tx.Bucket(tokensBucket)
	if names.Get(t.Hash[:]) != nil {
		return users.ErrTaken
	}
	r.add(t)
	if err := names.Put(t.Hash[:], []byte(name)); err != nil {
		return err
	}
	return store(tx, name, r)
}

// Find implements users.Store.
func (s *Store) Find(ctx context.Context, h users.Hash) (u users.User, t users.Token, err error) {
	err = s.view(ctx, func(tx *bolt.Tx) error {
		name := string(tx.Bucket(tokensBucket).Get(h[:]))
		if name == "" {
			return users.ErrUnknown
		}
		r, err := load(tx, name)
		if err != nil && !errors.Is(err, users.ErrUnknown) {
			return err
		}
		i := -1
		if err == nil {
			i = r.byHash(h)
		}
		if i < 0 { // both are written in one go
			return fmt.Errorf("the entry of a token is damaged: it is not one of user %q", name)
		}
		u, t = r.user(name), r.Tokens[i].token()
		return nil
	})
	return u, t, err
}

// Get implements users.Store.
func (s *Store) Get(ctx context.Context, name string) (u users.User, err error) {
	err = s.view(ctx, func(tx *bolt.Tx) error {
		r, err := load(tx, name)
		if err == nil {
			u = r.user(name)
		}
		return err
	})
	return u, err
}

// List implements users.Store.
func (s *Store) List(ctx context.Context, after string, limit int) (all []users.User, err error) {
	err = s.view(ctx, func(tx *bolt.Tx) error {
		c := tx.Bucket(usersBucket).Cursor()
		k, v := c.Seek([]byte(after))
		if string(k) == after {
			k, v = c.Next()
		}
		for ; k != nil && len(all) < limit; k, v = c.Next() {
			r, err := decode(v)
			if err != nil {
				return fmt.Errorf("the record of user %q: %w", k, err)
			}
			all = append(all, r.user(string(k)))
		}
		return nil
	})
	if errors.Is(err, users.ErrUnknown) { // there is no file
		err = nil
	}
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Disable implements users.Store.
func (s *Store) Disable(ctx context.Context, name string, disabled bool) error {
	return s.change(ctx, name, func(r *record) { r.Disabled = disabled })
}

// Override implements users.Store.
func (s *Store) Override(ctx context.Context, name string, o users.Overrides) error {
	return s.change(ctx, name, func(r *record) { r.override(o) })
}

// change changes the record of a name.
func (s *Store) change(ctx context.Context, name string, do func(*record)) error {
	return s.update(ctx, false, func(tx *bolt.Tx) error {
		r, err := load(tx, name)
		if err != nil {
			return err
		}
		do(r)
		return store(tx, name, r)
	})
}

// Delete implements users.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	return s.update(ctx, false, func(tx *bolt.Tx) error {
		r, err := load(tx, name)
		if err != nil {
			return err
		}
		for _, t := range r.Tokens {
			if err := tx.Bucket(tokensBucket).Delete(t.Hash); err != nil {
				return err
			}
		}
		return tx.Bucket(usersBucket).Delete([]byte(name))
	})
}

// AddToken implements users.Store.
func (s *Store) AddToken(ctx context.Context, name, id string, t users.Token) error {
	if t.ID == "" {
		return errName
	}
	return s.update(ctx, false, func(tx *bolt.Tx) error {
		r, err := owned(tx, name, id)
		switch {
		case err != nil:
			return err
		case len(r.Tokens) >= users.MaxTokens:
			return users.ErrTooMany
		}
		return give(tx, name, r, t)
	})
}

// Tokens implements users.Store.
func (s *Store) Tokens(ctx context.Context, name, id string) (all []users.Token, err error) {
	err = s.view(ctx, func(tx *bolt.Tx) error {
		r, err := owned(tx, name, id)
		if err != nil {
			return err
		}
		for _, t := range r.Tokens {
			all = append(all, t.token())
		}
		return nil
	})
	slices.SortStableFunc(all, func(a, b users.Token) int { return a.Created.Compare(b.Created) })
	return all, err
}

// RemoveToken implements users.Store.
func (s *Store) RemoveToken(ctx context.Context, name, id, token string) (t users.Token, err error) {
	err = s.update(ctx, false, func(tx *bolt.Tx) error {
		r, taken, err := take(tx, name, id, token)
		if err != nil {
			return err
		}
		t = taken
		return store(tx, name, r)
	})
	return t, err
}

// ReplaceToken implements users.Store.
func (s *Store) ReplaceToken(ctx context.Context, name, id, token string, fresh users.Token) (old users.Token, err error) {
	if fresh.ID == "" {
		return old, errName
	}
	err = s.update(ctx, false, func(tx *bolt.Tx) error {
		r, taken, err := take(tx, name, id, token)
		switch {
		case err != nil:
			return err
		case taken.Hash == fresh.Hash:
			return users.ErrTaken
		}
		old = taken
		return give(tx, name, r, fresh)
	})
	if err != nil {
		return users.Token{}, err
	}
	return old, nil
}

// take takes a token out of a record, which the caller writes. ErrUnknown.
func take(tx *bolt.Tx, name, id, token string) (r *record, t users.Token, err error) {
	if r, err = owned(tx, name, id); err != nil {
		return nil, t, err
	}
	i := slices.IndexFunc(r.Tokens, byID(token))
	if i < 0 {
		return nil, t, users.ErrUnknown
	}
	t = r.Tokens[i].token()
	r.Tokens = slices.Delete(r.Tokens, i, i+1)
	return r, t, tx.Bucket(tokensBucket).Delete(t.Hash[:])
}

func byID(id string) func(token) bool { return func(t token) bool { return t.ID == id } }

// SetKey implements users.Store.
func (s *Store) SetKey(ctx context.Context, name, id, provider string, sealed []byte) error {
	if !users.ValidName(provider) {
		return errProvider
	}
	return s.update(ctx, false, func(tx *bolt.Tx) error {
		r, err := owned(tx, name, id)
		if err != nil {
			return err
		}
		_, there := r.Keys[provider]
		switch {
		case sealed == nil:
			delete(r.Keys, provider)
		case !there && len(r.Keys) >= users.MaxKeys:
			return users.ErrTooMany
		default:
			if r.Keys == nil {
				r.Keys = make(map[string][]byte)
			}
			r.Keys[provider] = bytes.Clone(sealed)
		}
		return store(tx, name, r)
	})
}

// Interface guards
var _ users.Store = (*Store)(nil)
