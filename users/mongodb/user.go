package mongodb

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/universal-ai-gateway/magicproxy/users"
)

// Filters and updates are written out here, with constant fields; what callers
// give is a string, a number or bytes in the place of a value (security X7).

// lastToken and lastKey exist when a user has all that are allowed.
var (
	lastToken = "tokens." + strconv.Itoa(users.MaxTokens-1)
	lastKey   = "keys." + strconv.Itoa(users.MaxKeys-1)
)

// byName finds a user; byID also makes sure that it is not another one of the
// same name.
func byName(name string) bson.D { return bson.D{{Key: "_id", Value: name}} }

func byID(name, id string, more ...bson.E) bson.D {
	return append(bson.D{{Key: "_id", Value: name}, {Key: "id", Value: id}}, more...)
}

func set(field string, v any) bson.D {
	return bson.D{{Key: "$set", Value: bson.D{{Key: field, Value: v}}}}
}

func absent(field string) bson.E {
	return bson.E{Key: field, Value: bson.D{{Key: "$exists", Value: false}}}
}

// find returns one document, as it is. users.ErrUnknown.
func find(ctx context.Context, c *mongo.Collection, filter bson.D, into any) error {
	raw, err := c.FindOne(ctx, filter).Raw()
	return found(raw, err, into)
}

func found(raw bson.Raw, err error, into any) error {
	if errors.Is(err, mongo.ErrNoDocuments) {
		return users.ErrUnknown
	}
	if err != nil {
		return err
	}
	return decode(raw, into)
}

// Create implements users.Store. The token comes first: a user without one could
// not be made again.
func (s *Store) Create(ctx context.Context, u users.User, t users.Token) error {
	if !users.ValidName(u.Name) {
		return fmt.Errorf("mongodb: the name is %w", errMalformed)
	}
	if len(u.Keys) > users.MaxKeys {
		return users.ErrTooMany
	}
	d := newUser(u, t)
	return s.call(ctx, s.change, func(ctx context.Context, c *connection) error {
		if err := c.addToken(ctx, u.Name, t.Hash); err != nil {
			return err
		}
		_, err := c.users.InsertOne(ctx, d)
		if mongo.IsDuplicateKeyError(err) || refusesValue(err) {
			c.dropTokens(ctx, d.Tokens)
		}
		return taken(err)
	})
}

func taken(err error) error {
	if mongo.IsDuplicateKeyError(err) {
		return users.ErrTaken
	}
	return err
}

// Get implements users.Store.
func (s *Store) Get(ctx context.Context, name string) (users.User, error) {
	if !users.ValidName(name) {
		return users.User{}, users.ErrUnknown
	}
	var d userDocument
	err := s.call(ctx, s.lookup, func(ctx context.Context, c *connection) error {
		return find(ctx, c.users, byName(name), &d)
	})
	if err != nil {
		return users.User{}, err
	}
	return d.user(), nil
}

// List implements users.Store. Names are compared byte by byte.
func (s *Store) List(ctx context.Context, after string, limit int) ([]users.User, error) {
	if limit <= 0 { // which the server takes for no limit
		return nil, ctx.Err()
	}
	var list []users.User
	filter := bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: after}}}}
	err := s.call(ctx, s.change, func(ctx context.Context, c *connection) error {
		cursor, err := c.users.Find(ctx, filter,
			options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(int64(limit)))
		if err != nil {
			return err
		}
		defer cursor.Close(ctx) //nolint:errcheck // the server forgets it anyway
		for cursor.Next(ctx) {
			var d userDocument
			if err := decode(cursor.Current, &d); err != nil {
				return err
			}
			list = append(list, d.user())
		}
		return cursor.Err()
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Disable implements users.Store.
func (s *Store) Disable(ctx context.Context, name string, disabled bool) error {
	return s.update(ctx, name, set("disabled", disabled))
}

// Override implements users.Store.
func (s *Store) Override(ctx context.Context, name string, o users.Overrides) error {
	return s.update(ctx, name, set("overrides", newOverrides(o)))
}

func (s *Store) update(ctx context.Context, name string, update bson.D) error {
	if !users.ValidName(name) {
		return users.ErrUnknown
	}
	return s.call(ctx, s.change, func(ctx context.Context, c *connection) error {
		r, err := c.users.UpdateOne(ctx, byName(name), update)
		if err == nil && r.MatchedCount == 0 {
			err = users.ErrUnknown
		}
		return err
	})
}

// Delete implements users.Store. With the user's document its tokens have stopped
// working; what leads to them is cleared away after that.
func (s *Store) Delete(ctx context.Context, name string) error {
	if !users.ValidName(name) {
		return users.ErrUnknown
	}
	return s.call(ctx, s.change, func(ctx context.Context, c *connection) error {
		var d userDocument
		raw, err := c.users.FindOneAndDelete(ctx, byName(name)).Raw()
		if err = found(raw, err, &d); err == nil {
			c.dropTokens(ctx, d.Tokens)
		}
		if errors.Is(err, errMalformed) { // it is gone all the same
			err = nil
		}
		return err
	})
}

// SetKey implements users.Store.
func (s *Store) SetKey(ctx context.Context, name, id, provider string, key []byte) error {
	if !users.ValidName(name) {
		return users.ErrUnknown
	}
	return s.call(ctx, s.change, func(ctx context.Context, c *connection) error {
		if key == nil {
			return c.changeUser(ctx, byID(name, id),
				bson.D{{Key: "$pull", Value: bson.D{{Key: "keys", Value: bson.D{{Key: "provider", Value: provider}}}}}})
		}
		// Either it replaces a key, or adds one. Both may miss, if another call adds or
		// removes the same key between them: then once more.
		for {
			err := c.changeUser(ctx, byID(name, id, bson.E{Key: "keys.provider", Value: provider}), set("keys.$.sealed", key))
			if !errors.Is(err, users.ErrUnknown) {
				return err
			}
			err = c.changeUser(ctx,
				byID(name, id, absent(lastKey), bson.E{Key: "keys.provider", Value: bson.D{{Key: "$ne", Value: provider}}}),
				push("keys", providerKey{provider, key}))
			if !errors.Is(err, users.ErrUnknown) {
				return err
			}
			var d userDocument
			if err := find(ctx, c.users, byID(name, id), &d); err != nil {
				return err
			}
			if _, ok := d.user().Keys[provider]; !ok && len(d.Keys) >= users.MaxKeys {
				return users.ErrTooMany
			}
		}
	})
}

func push(field string, v any) bson.D {
	return bson.D{{Key: "$push", Value: bson.D{{Key: field, Value: v}}}}
}

// changeUser updates the user that a filter finds. users.ErrUnknown if it finds
// none.
func (c *connection) changeUser(ctx context.Context, filter, update bson.D) error {
	r, err := c.users.UpdateOne(ctx, filter, update)
	if err == nil && r.MatchedCount == 0 {
		err = users.ErrUnknown
	}
	return err
}
