// Package verify finds out whether an audit is whole: it counts events, and finds
// those that are missing, came twice, stand in the wrong order, or are not what the
// schema says (contracts U1–U3).
//
//	c, err := verify.NewChecker(verify.Options{})
//	for event, err := range kafka.Read(ctx, options, kafka.Reading{FromStart: true}) {
//		c.Add(event)
//	}
//	summary := c.Summary()
package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/universal-ai-gateway/magicproxy/audit"
)

// Options say how to check. The zero value is usable.
type Options struct {
	// Partial: what is checked does not begin where the audit does, so that the first
	// events of requests may be missing without having been lost.
	Partial bool

	// MaxRequests is how many requests are remembered; 0 means 500,000. Of more, those
	// that ended longest ago are forgotten, so that memory stays bounded whatever
	// comes: about 200 bytes each, and 40 MB for the ids of the last million events
	// and more.
	MaxRequests int
}

const (
	defaultRequests = 500_000

	// idWindow is how many ids of events are surely remembered. What comes twice comes
	// twice within a batch of a sender, a thousand or so.
	idWindow = 1 << 20

	// maxProblems bounds what a summary tells in words; all are counted.
	maxProblems = 50

	// maxGaps bounds the requests whose missing numbers are remembered one by one.
	maxGaps = 100_000
)

// Checker takes events one after the other. Events of one request must come in the
// order of their partition or file. It is not safe for concurrent use.
type Checker struct {
	o      Options
	schema *jsonschema.Schema
	sum    Summary

	seed     [2]maphash.Seed
	ids      window[uint64, struct{}]
	requests window[[2]uint64, request]
	gaps     map[[2]uint64]*gap

	// horizon is the time of the last event of those requests that are forgotten. An
	// event from before it may be of one of them, sent once more.
	horizon int64
	blind   bool // requests that had not ended are forgotten

	report func(Problem) // told each problem when it is found, if set
}

// request is what is remembered of one.
type request struct {
	max    uint64 // the highest number
	first  uint64 // the lowest that ought to be there
	last   int64  // microseconds, time of the newest event
	asked  bool   // there was a request event
	ended  bool   // an answer or an error
	gapped bool
}

// NewChecker returns a Checker that has seen nothing.
func NewChecker(o Options) (*Checker, error) {
	if o.MaxRequests <= 0 {
		o.MaxRequests = defaultRequests
	}
	s, err := compile()
	if err != nil {
		return nil, err
	}
	c := &Checker{o: o, schema: s, gaps: make(map[[2]uint64]*gap)}
	c.seed = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	c.ids.half = idWindow
	c.requests.half = max(o.MaxRequests/2, 1)
	c.sum.Types = make(map[string]uint64)
	return c, nil
}

// event is what the Checker looks at itself.
type event struct {
	id, request, kind string
	seq               uint64
	at                int64
}

// Add checks one event: one JSON object. It keeps nothing of it.
func (c *Checker) Add(raw []byte) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		c.unreadable("no JSON")
		return
	}
	c.sum.Events++
	e, ok := c.read(doc)
	if ok && !c.fresh(e.id) {
		c.sum.Doubles++
		return
	}
	if err := c.schema.Validate(doc); err != nil {
		c.sum.Violations++
		c.problem("schema", e.request, e.id, violation(err))
	}
	if !ok {
		return // the schema has said it
	}
	if c.sum.First == "" || e.at < c.sum.first {
		c.sum.First, c.sum.first = stamp(e.at), e.at
	}
	if e.at > c.sum.last {
		c.sum.Last, c.sum.last = stamp(e.at), e.at
	}
	if !c.place(e) {
		c.sum.Doubles++
		return
	}
	c.sum.Types[e.kind]++
}

// unreadable counts what should have been an event.
func (c *Checker) unreadable(why string) {
	c.sum.Events++
	c.sum.Unreadable++
	c.problem("unreadable", "", "", why)
}

// read takes the members that every event has; ok is false if one is missing.
func (c *Checker) read(doc any) (e event, ok bool) {
	m, _ := doc.(map[string]any)
	e.id, _ = m["event_id"].(string)
	e.request, _ = m["request_id"].(string)
	e.kind, _ = m["event_type"].(string)
	if n, isNumber := m["event_seq"].(json.Number); isNumber {
		if i, err := n.Int64(); err == nil && i > 0 {
			e.seq = uint64(i)
		}
	}
	if s, isText := m["time"].(string); isText {
		if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
			e.at = t.UnixMicro()
		}
	}
	return e, e.id != "" && e.request != "" && e.kind != "" && e.seq > 0
}

// fresh remembers an event's id, and reports whether it was new.
func (c *Checker) fresh(id string) bool {
	h := maphash.String(c.seed[0], id)
	if _, known := c.ids.get(h); known {
		return false
	}
	c.ids.put(h, struct{}{}, nil)
	return true
}

// place puts an event into its request, and reports whether it may be new.
func (c *Checker) place(e event) bool {
	key := [2]uint64{maphash.String(c.seed[0], e.request), maphash.String(c.seed[1], e.request)}
	r, known := c.requests.get(key)
	switch {
	case !known:
		r = c.begin(key, e)
	case e.seq > r.max:
		if e.seq > r.max+1 {
			c.miss(&r, key, e.request, r.max+1, e.seq-1)
		}
		r.max = e.seq
	case c.fill(&r, key, e.seq):
		c.sum.Disorder++
		c.problem("order", e.request, e.id, fmt.Sprintf("event_seq %d comes behind %d", e.seq, r.max))
	case e.seq < r.first:
		// Of a request that was under way when this began.
	case c.ids.forgot:
		return false // it has been here, too long ago for its id to be known
	default:
		c.sum.Conflicts++
		c.problem("conflict", e.request, e.id, fmt.Sprintf("event_seq %d is another event's already", e.seq))
	}
	r.last = max(r.last, e.at)
	switch audit.Type(e.kind) { //nolint:exhaustive // the others neither begin nor end
	case audit.TypeRequest:
		if !r.asked && !r.ended {
			c.sum.Open++
		}
		r.asked = true
	case audit.TypeAnswer, audit.TypeError:
		if !r.ended {
			c.sum.Ended++
			if r.asked {
				c.sum.Open--
			}
		}
		r.ended = true
	}
	c.requests.put(key, r, c.stay)
	return true
}

// stay decides, when there are too many requests, which of the old are remembered on:
// those that have not ended, up to a half of the room. They are few, unless gateways
// were killed again and again.
func (c *Checker) stay(_ [2]uint64, r request) bool {
	if !r.ended && len(c.requests.cur) < c.requests.half/2 {
		return true
	}
	c.blind = c.blind || !r.ended
	c.horizon = max(c.horizon, r.last)
	return false
}

// begin makes the request of an event that is the first of it to be seen.
func (c *Checker) begin(key [2]uint64, e event) request {
	r := request{max: e.seq, first: 1, last: e.at}
	c.sum.Requests++
	if e.seq == 1 {
		return r
	}
	if c.o.Partial || c.blind || e.at <= c.horizon {
		r.first = e.seq
		c.sum.Joined++
		return r
	}
	c.miss(&r, key, e.request, 1, e.seq-1)
	return r
}
