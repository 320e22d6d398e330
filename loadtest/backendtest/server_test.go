package backendtest_test

import (
	"context"
	"errors"
	"io"
	"strconv"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	kafkago "github.com/segmentio/kafka-go"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
)

// kind is a server as a client sees it: add stores one more thing, count tells how many are stored.
type kind struct {
	name   string
	start  func(testing.TB) *backendtest.Server
	scheme string
	keeps  bool
	add    func(ctx context.Context, addr string) error
	count  func(ctx context.Context, addr string) (int, error)
}

var kinds = []kind{
	{"redis", backendtest.Redis, "redis://127.0.0.1:", false, addRedis, countRedis},
	{"mongodb", backendtest.Mongo, "mongodb://127.0.0.1:", true, addMongo, countMongo},
	{"kafka", backendtest.Kafka, "127.0.0.1:", true, addKafka, countKafka},
}

func TestServerThroughFaults(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			s := k.start(t)
			addr, pid := s.Addr, s.PID()
			if len(addr) < len(k.scheme) || addr[:len(k.scheme)] != k.scheme || pid == 0 {
				t.Fatalf("address %q, pid %d", addr, pid)
			}
			k.mustAdd(t, addr)
			k.mustAdd(t, addr)

			s.Freeze()
			k.mustFail(t, addr)
			if s.PID() != pid {
				t.Errorf("frozen: pid %d, want %d", s.PID(), pid)
			}
			s.Thaw()
			k.mustAdd(t, addr)

			s.Kill()
			k.mustFail(t, addr)
			if s.PID() != 0 {
				t.Errorf("killed: pid %d, want 0", s.PID())
			}
			s.Start()
			if s.PID() == 0 || s.PID() == pid || s.Addr != addr {
				t.Errorf("after the restart: pid %d, address %s", s.PID(), s.Addr)
			}
			// What timed out may have come through later, so there may be one more.
			if n := k.mustCount(t, addr); k.keeps && (n < 3 || n > 4) || !k.keeps && n != 0 {
				t.Errorf("after kill and start it holds %d", n)
			}

			s.Stop()
			k.mustFail(t, addr)
			s.Start()
			k.mustAdd(t, addr)
		})
	}
}

func (k kind) mustAdd(t *testing.T, addr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := k.add(ctx, addr); err != nil {
		t.Fatalf("%s does not answer: %v", k.name, err)
	}
}

func (k kind) mustFail(t *testing.T, addr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := k.add(ctx, addr); err == nil {
		t.Fatalf("%s answers", k.name)
	}
}

func (k kind) mustCount(t *testing.T, addr string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	n, err := k.count(ctx, addr)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func redisClient(addr string) (*goredis.Client, error) {
	opts, err := goredis.ParseURL(addr)
	if err != nil {
		return nil, err
	}
	opts.ContextTimeoutEnabled, opts.MaxRetries = true, -1
	return goredis.NewClient(opts), nil
}

func addRedis(ctx context.Context, addr string) error {
	client, err := redisClient(addr)
	if err != nil {
		return err
	}
	return errors.Join(client.Incr(ctx, "added").Err(), client.Close())
}

func countRedis(ctx context.Context, addr string) (int, error) {
	client, err := redisClient(addr)
	if err != nil {
		return 0, err
	}
	n, err := client.Get(ctx, "added").Int()
	if errors.Is(err, goredis.Nil) {
		err = nil
	}
	return n, errors.Join(err, client.Close())
}

// mongoDo disconnects even where the context has ended.
func mongoDo(ctx context.Context, addr string, do func(*mongo.Collection) error) error {
	client, err := mongo.Connect(options.Client().ApplyURI(addr).SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: new(true)}))
	if err != nil {
		return err
	}
	err = do(client.Database("test").Collection("added"))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, client.Disconnect(ctx))
}

func addMongo(ctx context.Context, addr string) error {
	return mongoDo(ctx, addr, func(c *mongo.Collection) error {
		_, err := c.InsertOne(ctx, bson.M{"a": 1})
		return err
	})
}

func countMongo(ctx context.Context, addr string) (n int, err error) {
	err = mongoDo(ctx, addr, func(c *mongo.Collection) error {
		many, err := c.CountDocuments(ctx, bson.M{})
		n = int(many)
		return err
	})
	return n, err
}

const topic = "agent_audit_events"

func addKafka(ctx context.Context, addr string) error {
	transport := &kafkago.Transport{}
	defer transport.CloseIdleConnections()
	w := &kafkago.Writer{
		Addr: kafkago.TCP(addr), Topic: topic, RequiredAcks: kafkago.RequireAll, BatchTimeout: time.Millisecond, MaxAttempts: 1,
		WriteTimeout: time.Second, Transport: transport,
	}
	return errors.Join(w.WriteMessages(ctx, kafkago.Message{Value: []byte("a")}), w.Close())
}

// countKafka reads each of the three partitions up to its end.
func countKafka(ctx context.Context, addr string) (int, error) {
	n := 0
	for partition := range 3 {
		conn, err := kafkago.DialLeader(ctx, "tcp", addr, topic, partition)
		if err != nil {
			return 0, err
		}
		first, last, err := conn.ReadOffsets()
		_ = conn.Close()
		if err != nil {
			return 0, err
		}
		r := kafkago.NewReader(kafkago.ReaderConfig{Brokers: []string{addr}, Topic: topic, Partition: partition, MaxWait: 100 * time.Millisecond})
		for range last - first {
			if _, err = r.ReadMessage(ctx); err != nil && !errors.Is(err, io.EOF) {
				break
			}
			n++
		}
		if err = errors.Join(err, r.Close()); err != nil {
			return 0, errors.New("partition " + strconv.Itoa(partition) + ": " + err.Error())
		}
	}
	return n, nil
}

func TestShared(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			addr := backendtest.Shared(t, k.name)
			k.mustAdd(t, addr)
			if again := backendtest.Shared(t, k.name); again != addr {
				t.Errorf("the second call returns %s, the first %s", again, addr)
			}
		})
	}
}
