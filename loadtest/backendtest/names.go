package backendtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	kafkago "github.com/segmentio/kafka-go"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// patience is how long the servers may take for what is asked here.
const patience = 20 * time.Second

var strange = regexp.MustCompile(`[^A-Za-z0-9]+`)

// unique is a name that says which test it is of, and that no other call returns: 45 letters, digits, - and _ at most, which is
// good for all three servers.
func unique(t testing.TB) string {
	name := strange.ReplaceAllString(t.Name(), "_")
	return "test_" + name[:min(len(name), 30)] + "_" + strings.ToLower(rand.Text()[:9])
}

// RedisPrefix returns a prefix for the test's keys, test_…: with a colon at the end. What has it anywhere in its key is deleted
// from the shared Redis when the test ends.
func RedisPrefix(t testing.TB) string {
	t.Helper()
	prefix := unique(t) + ":"
	cleanup(t, redis, func(ctx context.Context, addr string) error {
		opts, err := goredis.ParseURL(addr)
		if err != nil {
			return err
		}
		client := goredis.NewClient(opts)
		defer client.Close() //nolint:errcheck // it is done
		keys := client.Scan(ctx, 0, "*"+prefix+"*", 1000).Iterator()
		for keys.Next(ctx) {
			if err := client.Del(ctx, keys.Val()).Err(); err != nil {
				return err
			}
		}
		return keys.Err()
	})
	return prefix
}

// MongoDatabase returns a name for the test's database. It is dropped from the shared MongoDB when the test ends.
func MongoDatabase(t testing.TB) string {
	t.Helper()
	name := unique(t)
	cleanup(t, mongodb, func(ctx context.Context, addr string) error {
		client, err := mongo.Connect(options.Client().ApplyURI(addr))
		if err != nil {
			return err
		}
		return errors.Join(client.Database(name).Drop(ctx), client.Disconnect(ctx))
	})
	return name
}

// cleanup runs at the end of the test if it, or one before it, used the shared server.
func cleanup(t testing.TB, server string, do func(ctx context.Context, addr string) error) {
	t.Cleanup(func() {
		shared.Lock()
		s := shared.servers[server]
		shared.Unlock()
		if s.addr == "" || s.err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := do(ctx, s.addr); err != nil {
			t.Errorf("cleaning the shared %s: %v", server, err)
		}
	})
}

// KafkaTopic makes a topic for the test, and returns its name when every partition takes messages. Brokers are host:port, with
// commas between them. The topic is deleted when the test ends, if they are the shared ones.
func KafkaTopic(t testing.TB, brokers string, partitions int) string {
	t.Helper()
	topic := unique(t)
	transport := &kafkago.Transport{MetadataTTL: 50 * time.Millisecond}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := makeTopic(ctx, kafkaClient(brokers, transport), topic, partitions); err != nil {
		t.Fatalf("making topic %s: %v", topic, err)
	}
	cleanup(t, kafka, func(ctx context.Context, addr string) error {
		if addr != brokers {
			return nil
		}
		transport := &kafkago.Transport{}
		defer transport.CloseIdleConnections()
		r, err := kafkaClient(brokers, transport).DeleteTopics(ctx, &kafkago.DeleteTopicsRequest{Topics: []string{topic}})
		if err != nil {
			return err
		}
		return r.Errors[topic]
	})
	return topic
}

func kafkaClient(brokers string, transport *kafkago.Transport) *kafkago.Client {
	return &kafkago.Client{Addr: kafkago.TCP(strings.Split(brokers, ",")...), Timeout: patience, Transport: transport}
}

// makeTopic asks again until the time is over: just after its start the client may not know the controller. A broker hears of a
// topic a little after the controller has made it, and leads its partitions a little later still.
func makeTopic(ctx context.Context, client *kafkago.Client, topic string, partitions int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	created := false
	for {
		var missing error
		if !created {
			missing = create(ctx, client, topic, partitions)
			created = missing == nil
		}
		if created {
			missing = useless(ctx, client, topic, partitions)
		}
		if missing == nil || ctx.Err() != nil {
			return missing
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func create(ctx context.Context, client *kafkago.Client, topic string, partitions int) error {
	r, err := client.CreateTopics(ctx, &kafkago.CreateTopicsRequest{Topics: []kafkago.TopicConfig{{
		Topic: topic, NumPartitions: partitions, ReplicationFactor: -1, // as the brokers are set
	}}})
	if err != nil {
		return err
	}
	if err := r.Errors[topic]; !errors.Is(err, kafkago.TopicAlreadyExists) { // it does where an answer was lost
		return err
	}
	return nil
}

// useless says which partition takes no messages yet, nil if each does.
func useless(ctx context.Context, client *kafkago.Client, topic string, partitions int) error {
	m, err := client.Metadata(ctx, &kafkago.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return err
	}
	if err := leaderless(m, partitions); err != nil {
		return err
	}
	return idle(ctx, client, topic, partitions)
}

// idle says which partition's leader does not yet act as one, nil if each does. Only a leader knows where its partition ends.
func idle(ctx context.Context, client *kafkago.Client, topic string, partitions int) error {
	ask := make([]kafkago.OffsetRequest, partitions)
	for i := range ask {
		ask[i] = kafkago.LastOffsetOf(i)
	}
	r, err := client.ListOffsets(ctx, &kafkago.ListOffsetsRequest{Topics: map[string][]kafkago.OffsetRequest{topic: ask}})
	if err != nil {
		return err
	}
	if n := len(r.Topics[topic]); n != partitions {
		return fmt.Errorf("%d of %d partitions answer", n, partitions)
	}
	for _, p := range r.Topics[topic] {
		if p.Error != nil {
			return fmt.Errorf("partition %d: %w", p.Partition, p.Error)
		}
	}
	return nil
}

// leaderless says which partition has no leader yet, nil if each has.
func leaderless(m *kafkago.MetadataResponse, partitions int) error {
	if len(m.Topics) != 1 || len(m.Topics[0].Partitions) != partitions {
		return fmt.Errorf("the brokers know %v", m.Topics)
	}
	for _, p := range m.Topics[0].Partitions {
		if p.Error != nil {
			return fmt.Errorf("partition %d: %w", p.ID, p.Error)
		}
		if p.Leader.Host == "" {
			return fmt.Errorf("partition %d has no leader", p.ID)
		}
	}
	return nil
}
