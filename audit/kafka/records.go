package kafka

import (
	"bytes"
	"errors"
	"io"
	"sync"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/universal-ai-gateway/magicproxy/audit"
)

// Headers of a record, beside what W3C names.
const (
	headerTrace = "traceparent"
	headerType  = "event_type"
	headerID    = "event_id"
)

// records reads a part of a batch into a request, without a copy of its own. The
// client may still be encoding when its caller has given up: from end on nothing of
// the batch is touched.
type records struct {
	batch []audit.Record
	set   []int

	mu    sync.Mutex
	ended bool

	next       int
	record     kafkago.Record
	key, value field
	headers    [3]kafkago.Header
	scratch    []byte // what the headers say
}

var errEnded = errors.New("given up")

// ReadRecord implements kafkago.RecordReader.
func (r *records) ReadRecord() (*kafkago.Record, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return nil, errEnded
	}
	if r.next == len(r.set) {
		return nil, io.EOF
	}
	m := &r.batch[r.set[r.next]]
	r.next++
	r.record = kafkago.Record{Value: r.value.of(r, m.Value), Headers: r.head(m)}
	if len(m.Key) > 0 {
		r.record.Key = r.key.of(r, m.Key)
	}
	return &r.record, nil
}

// head returns the headers, valid until the next call.
func (r *records) head(m *audit.Record) []kafkago.Header {
	r.scratch = r.scratch[:0]
	n := 0
	add := func(key string, value []byte) {
		if len(value) == 0 {
			return
		}
		from := len(r.scratch)
		r.scratch = append(r.scratch, value...)
		r.headers[n] = kafkago.Header{Key: key, Value: r.scratch[from:len(r.scratch):len(r.scratch)]}
		n++
	}
	add(headerID, text(m.Value, `"event_id":"`))
	add(headerType, text(m.Value, `"event_type":"`))
	if m.TraceParent != "" {
		add(headerTrace, append(make([]byte, 0, 64), m.TraceParent...))
	}
	return r.headers[:n]
}

// text finds the string behind a name in an event's own fields, which stand at its
// beginning and need no escapes.
func text(value []byte, name string) []byte {
	const near = 4 << 10
	_, rest, ok := bytes.Cut(value[:min(len(value), near)], []byte(name))
	if !ok {
		return nil
	}
	said, _, ok := bytes.Cut(rest, []byte{'"'})
	if !ok || bytes.IndexByte(said, '\\') >= 0 {
		return nil
	}
	return said
}

// end lets go of the batch.
func (r *records) end() {
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
}

// field is a key or a value on its way into a request.
type field struct {
	r *records
	b bytes.Reader
}

func (f *field) of(r *records, b []byte) *field {
	f.r = r
	f.b.Reset(b)
	return f
}

// Len implements kafkago.Bytes.
func (f *field) Len() int { return f.b.Len() }

// Close implements kafkago.Bytes.
func (f *field) Close() error { return nil }

// Read implements kafkago.Bytes.
func (f *field) Read(p []byte) (int, error) {
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	if f.r.ended {
		return 0, errEnded
	}
	return f.b.Read(p)
}

// WriteTo implements io.WriterTo. w is a buffer of the client, in memory.
func (f *field) WriteTo(w io.Writer) (int64, error) {
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	if f.r.ended {
		return 0, errEnded
	}
	return f.b.WriteTo(w)
}

// Interface guards
var (
	_ kafkago.RecordReader = (*records)(nil)
	_ kafkago.Bytes        = (*field)(nil)
	_ io.WriterTo          = (*field)(nil)
)
