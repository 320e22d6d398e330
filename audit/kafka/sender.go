package kafka

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/metadata"
	"go.uber.org/zap"

	"github.com/universal-ai-gateway/magicproxy/audit"
)

const (
	// sendTimeout bounds one write, the wait for the replicas included. A broker
	// that is frozen is not worth trying twice before: its answer comes the moment
	// it wakes up, and a second try only makes doubles.
	sendTimeout = 10 * time.Second

	// maxSet is how much goes into one write to a partition. Brokers take 1 MiB
	// unless told otherwise.
	maxSet = 900 << 10

	// minSet ends the search for what a topic takes.
	minSet = 1 << 10

	// relearn is how long a topic that takes less is believed to.
	relearn = time.Minute

	// overhead is what a record takes beside key, value and headers, at most.
	overhead = 64
)

// Sender writes records to the topic.
//
// It hands record sets to the client itself instead of using the library's Writer.
// A Writer cuts what is too much for one set into several, and sends the later ones
// also when an earlier one has failed, which turns the order within a key around; and
// it looks the partitions up once a message.
type Sender struct {
	client    *kafkago.Client
	transport *kafkago.Transport
	topic     string
	secret    string
	logger    *zap.Logger
	hash      kafkago.Hash

	mu       sync.Mutex
	max      int // bytes of a record set; less than maxSet until then
	then     time.Time
	finished bool

	// Kept from call to call; there is one at a time.
	sets    map[int][]int // by partition, indexes in the batch, in order
	numbers []int         // of the partitions
}

// New makes a Sender. It does not dial.
func New(o Options) (*Sender, error) {
	c, t, err := o.client()
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	return &Sender{
		client: c, transport: t, topic: o.Topic, secret: o.Password, logger: o.Logger,
		max: maxSet, sets: make(map[int][]int),
	}, nil
}

// Close closes the connections. A Send under way ends in its own time.
func (s *Sender) Close() error {
	s.mu.Lock()
	s.finished = true
	s.mu.Unlock()
	s.transport.CloseIdleConnections()
	return nil
}

// Send implements audit.Sender. A record has arrived when all replicas in sync have
// it. If one has not, none of the same partition behind it has been sent: sent again
// they arrive in order, doubles aside. Rejected is what is larger than the topic takes,
// and what a broker has looked into and refused.
func (s *Sender) Send(ctx context.Context, batch []audit.Record) []error {
	if len(batch) == 0 {
		return nil
	}
	results := make([]error, len(batch))
	n, err := s.partitions(ctx)
	if err != nil {
		for i := range results {
			results[i] = err
		}
		return results
	}
	for len(s.numbers) < n {
		s.numbers = append(s.numbers, len(s.numbers))
	}
	clear(s.sets)
	for i := range batch {
		p := s.hash.Balance(kafkago.Message{Key: batch[i].Key}, s.numbers[:n]...)
		s.sets[p] = append(s.sets[p], i)
	}
	var wg sync.WaitGroup
	for p, indexes := range s.sets {
		wg.Go(func() { s.sendTo(ctx, p, batch, indexes, results) })
	}
	wg.Wait()
	if !slices.ContainsFunc(results, func(err error) bool { return err != nil }) {
		return nil
	}
	return results
}

// sendTo writes what belongs to one partition, set by set. It ends with the first
// that fails: what is behind it must not overtake it.
func (s *Sender) sendTo(ctx context.Context, partition int, batch []audit.Record, indexes []int, results []error) {
	for len(indexes) > 0 {
		set, size := s.cut(batch, indexes)
		bad, err := s.produce(ctx, partition, batch, set)
		switch {
		case err == nil:
			indexes = indexes[len(set):]
		case tooLarge(err) && len(set) == 1:
			s.logger.Warn("an audit event is too large for the topic",
				zap.String("topic", s.topic), zap.Int("bytes", len(batch[set[0]].Value)))
			results[set[0]] = &rejected{s.say(err)}
			indexes = indexes[1:]
		case tooLarge(err):
			s.shrink(size)
		case len(bad) > 0:
			// The broker has named those it minds. Without them the set is fine.
			kept := make([]int, 0, len(indexes))
			for i, at := range indexes {
				if i < len(set) && bad[i] != nil {
					results[at] = &rejected{s.say(bad[i])}
					continue
				}
				kept = append(kept, at)
			}
			indexes = kept
		default:
			err = s.say(err)
			for _, at := range indexes {
				results[at] = err
			}
			return
		}
	}
}

// cut returns the longest beginning of indexes that goes into one write, of one
// record at least, and its size.
func (s *Sender) cut(batch []audit.Record, indexes []int) (set []int, size int) {
	s.mu.Lock()
	limit := s.max
	if limit < maxSet && time.Since(s.then) > relearn {
		limit, s.max = maxSet, maxSet
	}
	s.mu.Unlock()
	for i, at := range indexes {
		r := &batch[at]
		n := len(r.Key) + len(r.Value) + len(r.TraceParent) + overhead
		if i > 0 && size+n > limit {
			return indexes[:i], size
		}
		size += n
	}
	return indexes, size
}

// shrink remembers that a set of that size was refused.
func (s *Sender) shrink(size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.max == maxSet {
		s.logger.Warn("the topic takes smaller batches than usual; see its max.message.bytes", zap.String("topic", s.topic))
	}
	s.max = max(min(s.max, size)/2, minSet)
	s.then = time.Now()
}

// produce writes one set. bad are the records that a broker minds, by their place in
// the set.
func (s *Sender) produce(ctx context.Context, partition int, batch []audit.Record, set []int) (bad map[int]error, err error) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	records := &records{batch: batch, set: set}
	defer records.end()
	r, err := s.client.Produce(ctx, &kafkago.ProduceRequest{
		Topic: s.topic, Partition: partition, RequiredAcks: kafkago.RequireAll, Records: records,
	})
	if err != nil {
		return nil, err
	}
	if r.Error != nil && errors.Is(r.Error, kafkago.InvalidRecord) {
		bad = r.RecordErrors
	}
	return bad, r.Error
}

// partitions returns how many the topic has, as of up to metadataTTL ago.
func (s *Sender) partitions(ctx context.Context) (int, error) {
	s.mu.Lock()
	finished := s.finished
	s.mu.Unlock()
	if finished {
		return 0, errors.New("kafka: the sender is closed")
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	n, err := countPartitions(ctx, s.client, s.topic)
	if err != nil {
		return 0, s.say(err)
	}
	return n, nil
}

func countPartitions(ctx context.Context, c *kafkago.Client, topic string) (int, error) {
	// The transport answers from its cache. Client.Metadata would make a copy.
	r, err := c.Transport.RoundTrip(ctx, c.Addr, &metadata.Request{TopicNames: []string{topic}})
	if err != nil {
		return 0, err
	}
	m, ok := r.(*metadata.Response)
	if !ok {
		return 0, fmt.Errorf("an answer of type %T", r)
	}
	for i := range m.Topics {
		t := &m.Topics[i]
		switch {
		case t.Name != topic:
		case t.ErrorCode != 0:
			return 0, kafkago.Error(t.ErrorCode)
		case len(t.Partitions) > 0:
			return len(t.Partitions), nil
		}
	}
	return 0, kafkago.UnknownTopicOrPartition
}

func tooLarge(err error) bool {
	return errors.Is(err, kafkago.MessageSizeTooLarge) || errors.Is(err, kafkago.RecordListTooLarge)
}

// rejected is why a record will never be taken.
type rejected struct{ err error }

func (e *rejected) Error() string        { return e.err.Error() }
func (e *rejected) Unwrap() error        { return e.err }
func (e *rejected) Is(target error) bool { return target == audit.ErrRejected }

// failure is an error whose text is fit to be shown.
type failure struct {
	text string
	err  error
}

func (e *failure) Error() string { return e.text }
func (e *failure) Unwrap() error { return e.err }

// say puts an error into words for an operator. What brokers say is cut, and the
// password is not in it (security X5).
func (s *Sender) say(err error) error { return say(err, s.topic, s.secret) }

func say(err error, topic, secret string) error {
	var text string
	switch {
	case errors.Is(err, kafkago.UnknownTopicOrPartition), errors.Is(err, protocol.ErrNoTopic):
		text = fmt.Sprintf("kafka: the brokers know no topic %s; it is not created by the gateway", topic)
	case errors.Is(err, kafkago.TopicAuthorizationFailed):
		text = fmt.Sprintf("kafka: not allowed to use the topic %s", topic)
	case errors.Is(err, kafkago.SASLAuthenticationFailed):
		text = "kafka: the brokers do not accept the user or the password"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		text = "kafka: no answer in time"
	default:
		text = "kafka: " + err.Error()
	}
	if secret != "" {
		text = strings.ReplaceAll(text, secret, "[redacted]")
	}
	const most = 300
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return &failure{text: text, err: err}
}

// Interface guards
var _ audit.Sender = (*Sender)(nil)
