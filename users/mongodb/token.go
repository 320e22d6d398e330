package mongodb

import (
	"context"
	"errors"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/universal-ai-gateway/magicproxy/users"
)

// Find implements users.Store.
func (s *Store) Find(ctx context.Context, h users.Hash) (users.User, users.Token, error) {
	var d userDocument
	var t users.Token
	err := s.call(ctx, s.lookup, func(ctx context.Context, c *connection) error {
		var owner tokenDocument
		if err := find(ctx, c.tokens, bson.D{{Key: "_id", Value: h[:]}}, &owner); err != nil {
			return err
		}
		if err := find(ctx, c.users, byName(owner.User), &d); err != nil {
			return err
		}
		var ok bool
		if t, ok = d.token(h); !ok {
			return users.ErrUnknown
		}
		return nil
	})
	if err != nil {
		return users.User{}, users.Token{}, err
	}
	return d.user(), t, nil
}

// AddToken implements users.Store. It returns users.ErrTaken if there is a token
// of that hash.
func (s *Store) AddToken(ctx context.Context, name, id string, t users.Token) error {
	if !users.ValidName(name) {
		return users.ErrUnknown
	}
	e := newToken(t)
	return s.call(ctx, s.change, func(ctx context.Context, c *connection) error {
		if err := c.addToken(ctx, name, t.Hash); err != nil {
			return err
		}
		err := c.changeUser(ctx, byID(name, id, absent(lastToken)), push("tokens", e))
		if !errors.Is(err, users.ErrUnknown) {
			return err
		}
		c.dropTokens(ctx, []tokenElement{e})
		var d userDocument
		if err := find(ctx, c.users, byID(name, id), &d); err != nil {
			return err
		}
		return users.ErrTooMany // or was until now
	})
}

// addToken makes what leads from a hash to a user. It works once the user lists
// the token. users.ErrTaken.
func (c *connection) addToken(ctx context.Context, name string, h users.Hash) error {
	_, err := c.tokens.InsertOne(ctx, tokenDocument{h[:], name})
	return taken(err)
}

// dropTokens clears away what leads to tokens that nobody lists any more. If it
// fails something is left that takes room, and does nothing.
func (c *connection) dropTokens(ctx context.Context, tokens []tokenElement) {
	hashes := make(bson.A, 0, len(tokens))
	for _, t := range tokens {
		hashes = append(hashes, t.Hash)
	}
	_, _ = c.tokens.DeleteMany(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: hashes}}}})
}

// Tokens implements users.Store.
func (s *Store) Tokens(ctx context.Context, name, id string) ([]users.Token, error) {
	if !users.ValidName(name) {
		return nil, users.ErrUnknown
	}
	var tokens []users.Token
	err := s.call(ctx, s.lookup, func(ctx context.Context, c *connection) error {
		var d userDocument
		err := find(ctx, c.users, byID(name, id), &d)
		if err == nil {
			tokens, err = d.tokens()
		}
		return err
	})
	return tokens, err
}

// RemoveToken implements users.Store.
func (s *Store) RemoveToken(ctx context.Context, name, id, token string) (users.Token, error) {
	if !users.ValidName(name) {
		return users.Token{}, users.ErrUnknown
	}
	var removed users.Token
	update := bson.D{{Key: "$pull", Value: bson.D{{Key: "tokens", Value: bson.D{{Key: "id", Value: token}}}}}}
	err := s.call(ctx, s.change, func(ctx context.Context, c *connection) (err error) {
		removed, err = c.takeToken(ctx, name, id, token, update)
		return err
	})
	return removed, err
}

// ReplaceToken implements users.Store.
func (s *Store) ReplaceToken(ctx context.Context, name, id, token string, fresh users.Token) (users.Token, error) {
	if !users.ValidName(name) {
		return users.Token{}, users.ErrUnknown
	}
	var removed users.Token
	e := newToken(fresh)
	update := bson.D{{Key: "$set", Value: bson.D{{Key: "tokens.$", Value: e}}}}
	err := s.call(ctx, s.change, func(ctx context.Context, c *connection) error {
		err := c.addToken(ctx, name, fresh.Hash)
		if err != nil {
			return err
		}
		if removed, err = c.takeToken(ctx, name, id, token, update); errors.Is(err, users.ErrUnknown) {
			c.dropTokens(ctx, []tokenElement{e})
		}
		return err
	})
	return removed, err
}

// takeToken makes an update that takes a token out of a user's, and returns the token.
func (c *connection) takeToken(ctx context.Context, name, id, token string, update bson.D) (users.Token, error) {
	var d userDocument
	raw, err := c.users.FindOneAndUpdate(ctx, byID(name, id, bson.E{Key: "tokens.id", Value: token}), update,
		options.FindOneAndUpdate().SetReturnDocument(options.Before)).Raw()
	if err = found(raw, err, &d); err != nil {
		return users.Token{}, err
	}
	// Of the others nothing is asked: this one is gone, whatever they are like.
	e := d.Tokens[slices.IndexFunc(d.Tokens, func(e tokenElement) bool { return e.ID == token })]
	c.dropTokens(ctx, []tokenElement{e})
	t := users.Token{ID: e.ID, Created: e.Created.UTC()}
	copy(t.Hash[:], e.Hash)
	return t, nil
}
