package mongodb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
)

// security: X3
func TestPasswords(t *testing.T) {
	address := backendtest.Shared(t, "mongodb")
	client, err := mongo.Connect(options.Client().ApplyURI(address))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Disconnect(context.Background()) //nolint:errcheck // a test's own
	admin := client.Database("admin")
	name, pass := word(), word()
	err = admin.RunCommand(t.Context(), bson.D{{Key: "createUser", Value: name}, {Key: "pwd", Value: pass},
		{Key: "roles", Value: bson.A{bson.D{{Key: "role", Value: "readWriteAnyDatabase"}, {Key: "db", Value: "admin"}}}}}).Err()
	if err != nil {
		t.Fatal(err)
	}
	defer admin.RunCommand(context.Background(), bson.D{{Key: "dropUser", Value: name}})
	host := strings.TrimPrefix(address, scheme)
	host = host[:strings.IndexAny(host+"/", "/?")]
	with := func(pass string) string {
		return scheme + name + ":" + pass + "@" + host + "/?directConnection=true&authSource=admin"
	}
	t.Run("right", func(t *testing.T) {
		s := quickStore(t, with(pass))
		defer closeStore(t, s)
		works(t, s, 10*time.Second)
	})
	t.Run("wrong", func(t *testing.T) {
		wrong := word()
		s := quickStore(t, with(wrong))
		defer closeStore(t, s)
		eventually(t, 10*time.Second, "refused", func() bool {
			_, err := s.Get(t.Context(), "nobody")
			return err != nil && strings.Contains(err.Error(), "the user or the password is wrong")
		})
		h := s.Health()
		if h.Up || !strings.Contains(h.Error, "wrong") {
			t.Errorf("%+v", h)
		}
		for _, secret := range []string{wrong, name} {
			if strings.Contains(fmt.Sprintf("%+v", h), secret) {
				t.Errorf("it tells: %+v", h)
			}
		}
	})
}

// What a server says may repeat what it was sent: none of it gets out.
//
// security: X3
func TestErrorsHoldNoSecret(t *testing.T) {
	s, err := New("mongodb://root:Pa55@127.0.0.1:1/people", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	const secret = "Pa55"
	for _, tt := range []struct {
		err  error
		want string
		up   bool
	}{
		{mongo.CommandError{Code: 13, Name: "Unauthorized", Message: secret}, "database people", false},
		{mongo.CommandError{Code: 18, Name: "AuthenticationFailed", Message: secret}, "password is wrong", false},
		{mongo.CommandError{Code: 10107, Name: "NotWritablePrimary", Message: secret}, "NotWritablePrimary [10107]", false},
		{mongo.CommandError{Code: 6, Message: secret, Labels: []string{"NetworkError"}}, "broke", false},
		{mongo.WriteException{WriteErrors: mongo.WriteErrors{{Code: 121, Message: secret}}}, "refused: [121]", true},
		{mongo.WriteException{WriteConcernError: &mongo.WriteConcernError{Code: 64, Name: secret, Message: secret}}, "refused: [64]", false},
		{fmt.Errorf("connecting to %s: %w", s.url, context.DeadlineExceeded), "no answer in time", false},
		{errors.New(s.url), "failed", false},
	} {
		t.Run(tt.want, func(t *testing.T) {
			s.health.answered()
			err := s.judge(t.Context(), tt.err, time.Second)
			if !strings.Contains(err.Error(), tt.want) || s.Health().Up != tt.up {
				t.Errorf("%v; %+v", err, s.Health())
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				if strings.Contains(e.Error(), secret) {
					t.Errorf("it tells: %v", e)
				}
			}
			if text := fmt.Sprintf("%+v %#v", err, s.Health()); strings.Contains(text, secret) {
				t.Errorf("it tells: %s", text)
			}
		})
	}
}
