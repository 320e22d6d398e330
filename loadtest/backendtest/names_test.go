package backendtest_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	kafkago "github.com/segmentio/kafka-go"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
)

func TestNamesAreTheTestsOwn(t *testing.T) {
	t.Run("a name as long as tests have it, with / and ünusual letters in it, beyond what MongoDB takes", func(t *testing.T) {
		a, b := backendtest.MongoDatabase(t), backendtest.MongoDatabase(t)
		if a == b || len(a) > 63 || strings.ContainsAny(a, `/\. "$*<>:|?`) {
			t.Errorf("%q, %q", a, b)
		}
		if a, b := backendtest.RedisPrefix(t), backendtest.RedisPrefix(t); a == b || strings.ContainsAny(a, `*?[]\{}`) {
			t.Errorf("%q, %q", a, b)
		}
	})
}

func TestRedisPrefixLeavesNothing(t *testing.T) {
	addr := backendtest.Shared(t, "redis")
	client, err := redisClient(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	mine := backendtest.RedisPrefix(t) + "stays"
	var keys []string
	t.Run("user", func(t *testing.T) {
		prefix := backendtest.RedisPrefix(t)
		keys = []string{prefix + "a", "{" + prefix + "b}"}
		for _, key := range append(slices.Clone(keys), mine) {
			if err := client.Set(t.Context(), key, "v", 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
	})
	for _, key := range keys {
		if err := client.Get(t.Context(), key).Err(); !errors.Is(err, goredis.Nil) {
			t.Errorf("%s: %v", key, err)
		}
	}
	if err := client.Get(t.Context(), mine).Err(); err != nil {
		t.Errorf("another's key: %v", err)
	}
}

func TestMongoDatabaseLeavesNothing(t *testing.T) {
	addr := backendtest.Shared(t, "mongodb")
	var name string
	t.Run("user", func(t *testing.T) {
		name = backendtest.MongoDatabase(t)
		err := mongoDo(t.Context(), addr, func(c *mongo.Collection) error {
			_, err := c.Database().Client().Database(name).Collection("c").InsertOne(t.Context(), bson.M{"a": 1})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	err := mongoDo(t.Context(), addr, func(c *mongo.Collection) error {
		names, err := c.Database().Client().ListDatabaseNames(t.Context(), bson.M{"name": name})
		if len(names) > 0 {
			t.Errorf("there still is %v", names)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestKafkaTopic(t *testing.T) {
	brokers := backendtest.Shared(t, "kafka")
	var name string
	t.Run("user", func(t *testing.T) {
		name = backendtest.KafkaTopic(t, brokers, 2)
		if n := partitions(t, brokers, name); n != 2 {
			t.Errorf("%d partitions, want 2", n)
		}
		for i := range 2 {
			conn, err := kafkago.DialLeader(t.Context(), "tcp", brokers, name, i)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write([]byte("a")); err != nil { // at once: that is what KafkaTopic promises
				t.Errorf("partition %d: %v", i, err)
			}
			_ = conn.Close()
		}
	})
	// The broker hears of it a little after the controller.
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); ; <-tick.C {
		n := partitions(t, brokers, name)
		if n == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d partitions after the test, want none", n)
		}
	}
}

// partitions asks for all topics: to ask for one that is not there is an error.
func partitions(t *testing.T, brokers, topic string) int {
	t.Helper()
	conn, err := kafkago.DialContext(t.Context(), "tcp", strings.Split(brokers, ",")[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	all, err := conn.ReadPartitions()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, p := range all {
		if p.Topic == topic {
			n++
		}
	}
	return n
}
