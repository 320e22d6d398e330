package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"go.uber.org/zap"
)

const (
	fetchBytes   = 4 << 20
	fetchWait    = 500 * time.Millisecond // a broker holds a fetch that long if there is nothing
	fetchTimeout = 10 * time.Second
	listTimeout  = 5 * time.Second

	// patience is how long Read goes on without an answer, unless it follows.
	patience = 30 * time.Second

	firstWait, longestWait = 100 * time.Millisecond, 2 * time.Second

	// lookAgain is how often a reader that follows looks for new partitions.
	lookAgain = 5 * time.Second
)

// Reading says what to read of a topic. The zero value reads what comes from now on
// to the present end, which is nothing.
type Reading struct {
	// FromStart begins with the oldest events that the brokers have, else with what
	// comes from now on.
	FromStart bool

	// Follow goes on at the end and waits for more, until the context ends.
	Follow bool

	// Begin, if set, is called once, before the first event: how many there are up
	// to the present end, and whether the brokers have deleted older ones.
	Begin func(events int64, cut bool)
}

// Read returns the events of all partitions, each partition in its order. An event
// may be kept.
//
// Errors of brokers are tried again: for ever if it follows, else until none has
// answered for 30 s. An error ends the reading; the end of ctx is one.
func Read(ctx context.Context, o Options, what Reading) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		c, transport, err := o.client()
		if err != nil {
			yield(nil, fmt.Errorf("kafka: %w", err))
			return
		}
		defer transport.CloseIdleConnections()
		ctx, cancel := context.WithCancel(ctx)
		r := &reader{client: c, o: o, what: what, out: make(chan piece), patience: patience}
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		wg.Go(func() {
			defer close(r.out)
			r.run(ctx)
		})
		for p := range r.out {
			if p.err != nil {
				yield(nil, p.err)
				return
			}
			for _, v := range p.values {
				if !yield(v, nil) {
					return
				}
			}
		}
		if err := ctx.Err(); err != nil {
			yield(nil, err)
		}
	}
}

// reader reads the partitions of one topic, each on a goroutine of its own.
type reader struct {
	client   *kafkago.Client
	o        Options
	what     Reading
	out      chan piece
	patience time.Duration
}

// piece is what a partition has sent at once, or why there will be no more.
type piece struct {
	values [][]byte
	err    error
}

// span is what a partition has: offsets from first, and end is the next one's.
type span struct{ first, end int64 }

func (r *reader) send(ctx context.Context, p piece) bool {
	select {
	case r.out <- p:
		return true
	case <-ctx.Done():
		return false
	}
}

// run reads all partitions, also those that are added while it follows.
func (r *reader) run(ctx context.Context) {
	spans, err := retried(ctx, r, func(ctx context.Context) ([]span, error) { return r.spans(ctx, 0) })
	if err != nil {
		r.send(ctx, piece{err: err})
		return
	}
	if r.what.Begin != nil {
		r.what.Begin(r.total(spans))
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	start := func(partition int, s span) { wg.Go(func() { r.partition(ctx, partition, s) }) }
	for p, s := range spans {
		if !r.what.FromStart {
			s.first = s.end
		}
		start(p, s)
	}
	if !r.what.Follow {
		return
	}
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for n := len(spans); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		added, err := r.spans(ctx, n)
		if err != nil {
			continue // the partitions say it
		}
		for _, s := range added {
			start(n, s)
			n++
		}
	}
}

func (r *reader) total(spans []span) (events int64, cut bool) {
	for _, s := range spans {
		if r.what.FromStart {
			events += s.end - s.first
		}
		cut = cut || s.first > 0
	}
	return events, cut || !r.what.FromStart
}

// spans returns what the partitions from the n-th on have.
func (r *reader) spans(ctx context.Context, n int) ([]span, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	count, err := countPartitions(ctx, r.client, r.o.Topic)
	if err != nil || count <= n {
		return nil, err
	}
	spans := make([]span, count-n)
	ask := make([]kafkago.OffsetRequest, 0, 2*len(spans))
	for p := n; p < count; p++ {
		ask = append(ask, kafkago.FirstOffsetOf(p), kafkago.LastOffsetOf(p))
	}
	res, err := r.client.ListOffsets(ctx, &kafkago.ListOffsetsRequest{Topics: map[string][]kafkago.OffsetRequest{r.o.Topic: ask}})
	if err != nil {
		return nil, err
	}
	answers := 0
	for _, p := range res.Topics[r.o.Topic] {
		switch {
		case p.Error != nil:
			return nil, p.Error
		case p.Partition < n || p.Partition >= count:
			continue
		}
		spans[p.Partition-n] = span{first: p.FirstOffset, end: p.LastOffset}
		answers++
	}
	if answers != len(spans) {
		return nil, errors.New("not all partitions have answered")
	}
	return spans, nil
}

// partition reads one partition from its first offset to its end, or on and on.
func (r *reader) partition(ctx context.Context, partition int, s span) {
	next := s.first
	for r.what.Follow || next < s.end {
		values, after, err := r.next(ctx, partition, next)
		if err == nil && len(values) == 0 && !r.what.Follow {
			err = fmt.Errorf("kafka: partition %d has nothing at %d, but ends at %d", partition, next, s.end)
		}
		if err != nil {
			r.send(ctx, piece{err: err})
			return
		}
		next = after
		if len(values) > 0 && !r.send(ctx, piece{values: values}) {
			return
		}
	}
}

// next returns what stands at an offset, and where to go on.
func (r *reader) next(ctx context.Context, partition int, offset int64) (values [][]byte, after int64, err error) {
	after = offset
	values, err = retried(ctx, r, func(ctx context.Context) ([][]byte, error) {
		v, end, err := r.fetch(ctx, partition, after)
		if !errors.Is(err, kafkago.OffsetOutOfRange) {
			if err == nil {
				after = end
			}
			return v, err
		}
		// What was to be read has been deleted meanwhile, by its age.
		spans, lerr := r.spans(ctx, partition)
		if lerr != nil || len(spans) == 0 {
			return nil, err
		}
		r.o.Logger.Warn("events were deleted before they were read",
			zap.Int("partition", partition), zap.Int64("events", spans[0].first-after))
		after = spans[0].first
		return nil, err
	})
	return values, after, err
}

func (r *reader) fetch(ctx context.Context, partition int, offset int64) (values [][]byte, after int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	res, err := r.client.Fetch(ctx, &kafkago.FetchRequest{
		Topic: r.o.Topic, Partition: partition, Offset: offset,
		MinBytes: 1, MaxBytes: fetchBytes, MaxWait: fetchWait,
	})
	if err != nil {
		return nil, 0, err
	}
	if res.Error != nil {
		return nil, 0, res.Error
	}
	after = offset
	for {
		rec, err := res.Records.ReadRecord()
		if err == io.EOF {
			return values, after, nil
		}
		if err != nil {
			return nil, 0, err
		}
		var value []byte
		if rec.Value != nil {
			if value, err = kafkago.ReadAll(rec.Value); err != nil {
				return nil, 0, err
			}
			rec.Value.Close()
		}
		if rec.Key != nil {
			rec.Key.Close()
		}
		if rec.Offset >= offset { // a batch may begin before it
			values, after = append(values, value), rec.Offset+1
		}
	}
}

// retried calls f until it succeeds. It gives up when ctx ends or, unless the reader
// follows, when nothing has succeeded for as long as its patience lasts.
func retried[T any](ctx context.Context, r *reader, f func(context.Context) (T, error)) (T, error) {
	began := time.Now()
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		v, err := f(ctx)
		if err == nil {
			return v, nil
		}
		if ctx.Err() != nil {
			return v, ctx.Err()
		}
		err = say(err, r.o.Topic, r.o.Password)
		if !r.what.Follow && time.Since(began) > r.patience {
			return v, err
		}
		r.o.Logger.Debug("reading is tried again", zap.Error(err))
		select {
		case <-ctx.Done():
			return v, ctx.Err()
		case <-time.After(wait + rand.N(wait/2)): //nolint:gosec // jitter is no secret
		}
	}
}
