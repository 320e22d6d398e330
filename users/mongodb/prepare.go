package mongodb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.uber.org/zap"

	"github.com/universal-ai-gateway/magicproxy/users"
)

const (
	// probing is how often a backend that is away is asked: without calls nobody
	// would notice that it is back.
	probing = time.Second

	// patience is the longest wait before a server that would not prepare the
	// database is asked again.
	patience = time.Minute
)

// tend prepares the database and looks after a backend that is away, until Close.
func (s *Store) tend(c *connection) {
	prepared, wait := false, probing
	for {
		up := s.probe() == nil
		if up && !prepared {
			err := s.prepare(c)
			switch {
			case err == nil:
				prepared = true
			case s.ctx.Err() == nil:
				s.logger.Warn("the database could not be prepared; users work without",
					zap.String("database", s.database), zap.Error(err), zap.Duration("again_in", wait))
			}
		}
		next := probing
		switch {
		case up && prepared:
			select {
			case <-s.ctx.Done():
				return
			case <-s.health.fell:
			}
		case up:
			next, wait = wait, min(2*wait, patience)
		}
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(next):
		}
	}
}

// probe looks for a token that nobody has.
func (s *Store) probe() error {
	return s.call(s.ctx, s.lookup, func(ctx context.Context, c *connection) error {
		var none tokenDocument
		err := find(ctx, c.tokens, bson.D{{Key: "_id", Value: []byte{}}}, &none)
		if errors.Is(err, users.ErrUnknown) {
			return nil
		}
		return err
	})
}

// rules are what the server checks of documents, so that no other program puts in
// what would not be understood. Fields that a later version adds do not break them.
var rules = []struct {
	collection string
	schema     bson.D
}{
	{"users", schema(bson.D{
		field("_id", "string"), field("id", "string"), field("created", "date"), field("disabled", "bool"),
		field("overrides", "object"), field("tokens", "array"), field("keys", "array"),
	})},
	{"tokens", schema(bson.D{field("_id", "binData"), field("user", "string")})},
}

func field(name, kind string) bson.E {
	return bson.E{Key: name, Value: bson.D{{Key: "bsonType", Value: kind}}}
}

func schema(fields bson.D) bson.D {
	names := make(bson.A, 0, len(fields))
	for _, f := range fields {
		names = append(names, f.Key)
	}
	return bson.D{{Key: "$jsonSchema", Value: bson.D{
		{Key: "bsonType", Value: "object"}, {Key: "required", Value: names}, {Key: "properties", Value: fields},
	}}}
}

// prepare makes the collections with their rules. Nothing depends on it: servers
// make a collection when the first document comes. There is no index to make:
// everything is found by its _id.
func (s *Store) prepare(c *connection) error {
	ctx, cancel := context.WithTimeout(s.ctx, 4*change) // it is nobody's request
	defer cancel()
	for _, r := range rules {
		err := c.db.CreateCollection(ctx, r.collection, options.CreateCollection().SetValidator(r.schema))
		if hasCode(err, 48) { // it exists, perhaps made by a first document
			err = c.rule(ctx, r.collection, r.schema)
		}
		if err != nil {
			return fmt.Errorf("collection %s: %w", r.collection, s.describe(err))
		}
	}
	return nil
}

// rule gives rules to a collection that has none.
func (c *connection) rule(ctx context.Context, collection string, schema bson.D) error {
	all, err := c.db.ListCollectionSpecifications(ctx, bson.D{{Key: "name", Value: collection}})
	if err != nil {
		return err
	}
	for _, one := range all {
		if _, err := one.Options.LookupErr("validator"); err == nil {
			return nil
		}
	}
	return c.db.RunCommand(ctx, bson.D{{Key: "collMod", Value: collection}, {Key: "validator", Value: schema}}).Err()
}
