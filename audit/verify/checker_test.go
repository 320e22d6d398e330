package verify

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// ev is an event in short: request, number, type and id.
type ev struct {
	request string
	seq     int
	kind    string // empty for session_start
	id      int    // 0 for one of its own
}

var bodies = map[string]string{
	"session_start": `{"new":true}`,
	"request":       `{"endpoint":"chat","stream":false,"bytes":1}`,
	"answer":        `{"status":200,"seconds":1,"bytes":1}`,
	"error":         `{"status":500,"class":"gateway","seconds":1}`,
}

var epoch = time.Date(2026, 11, 25, 4, 0, 0, 0, time.UTC)

// encode makes the n-th event of a sequence, a millisecond after the one before.
func (e ev) encode(n int) []byte {
	if e.kind == "" {
		e.kind = "session_start"
	}
	if e.id == 0 {
		e.id = 1_000_000 + n
	}
	return fmt.Appendf(nil, `{"event_id":"%032x","time":%q,"request_id":%q,"event_seq":%d,"event_type":%q,"payload":%s}`,
		e.id, stamp(epoch.UnixMicro()+int64(n)*1000), e.request, e.seq, e.kind, bodies[e.kind])
}

// contract: U1
// contract: U2
func TestChecker(t *testing.T) {
	whole := []ev{{"a", 1, "request", 0}, {"a", 2, "", 0}, {"b", 1, "request", 0}, {"a", 3, "answer", 0}, {"b", 2, "error", 0}, {"a", 4, "", 0}}
	for _, tc := range []struct {
		name    string
		partial bool
		events  []ev
		want    Summary // its numbers
		problem string
	}{
		{name: "nothing", want: Summary{OK: true}},
		{name: "whole", events: whole, want: Summary{OK: true, Events: 6, Requests: 2, Ended: 2}},
		{
			name: "open", events: []ev{{"a", 1, "request", 0}, {"b", 1, "error", 0}, {"proc", 1, "", 0}},
			want: Summary{OK: true, Events: 3, Requests: 3, Ended: 1, Open: 1},
		},
		{
			name: "once ended, ended", events: []ev{{"a", 1, "error", 0}, {"a", 2, "error", 0}, {"a", 3, "request", 0}},
			want: Summary{OK: true, Events: 3, Requests: 1, Ended: 1},
		},
		{
			name: "doubles", events: []ev{{"a", 1, "", 1}, {"a", 2, "", 2}, {"a", 1, "", 1}, {"a", 2, "", 2}, {"a", 3, "", 3}},
			want: Summary{OK: true, Events: 5, Doubles: 2, Requests: 1},
		},
		{
			name: "gap", events: []ev{{"a", 1, "", 0}, {"a", 3, "", 0}, {"a", 7, "", 0}},
			want: Summary{Events: 3, Requests: 1, Missing: 4, Gapped: 1}, problem: "gap: event_seq 2, 4 to 6 missing, request a",
		},
		{
			name: "gaps of two", events: []ev{{"b", 2, "", 0}, {"a", 3, "", 0}},
			want: Summary{Events: 2, Requests: 2, Missing: 3, Gapped: 2}, problem: "gap: event_seq 1 to 2 missing, request a",
		},
		{
			name: "partial", partial: true, events: []ev{{"a", 4, "", 0}, {"a", 5, "", 0}, {"b", 1, "", 0}},
			want: Summary{OK: true, Events: 3, Requests: 2, Joined: 1},
		},
		{
			name: "gap of a joined one", partial: true, events: []ev{{"a", 4, "", 0}, {"a", 6, "", 0}},
			want: Summary{Events: 2, Requests: 1, Joined: 1, Missing: 1, Gapped: 1}, problem: "gap: event_seq 5",
		},
		{
			name: "late", events: []ev{{"a", 1, "", 0}, {"a", 5, "", 0}, {"a", 3, "", 0}},
			want: Summary{Events: 3, Requests: 1, Missing: 2, Gapped: 1, Disorder: 1}, problem: "gap: event_seq 2, 4 missing",
		},
		{
			name: "turned around", events: []ev{{"a", 2, "", 0}, {"a", 1, "", 0}, {"a", 5, "", 0}, {"a", 3, "", 0}, {"a", 4, "", 0}},
			want: Summary{Events: 5, Requests: 1, Disorder: 3}, problem: "order: event_seq 1 comes behind 2",
		},
		{
			name: "double out of place", events: []ev{{"a", 1, "", 1}, {"a", 3, "", 3}, {"a", 1, "", 1}, {"a", 2, "", 2}},
			want: Summary{Events: 4, Doubles: 1, Requests: 1, Disorder: 1}, problem: "order: event_seq 2 comes behind 3",
		},
		{
			name: "two with one number", events: []ev{{"a", 1, "", 0}, {"a", 1, "", 0}},
			want: Summary{Events: 2, Requests: 1, Conflicts: 1}, problem: "conflict: event_seq 1 is another event's already",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := checker(t, Options{Partial: tc.partial})
			for n, e := range tc.events {
				c.Add(e.encode(n))
			}
			s := c.Summary()
			unique := uint64(0)
			for _, n := range s.Types {
				unique += n
			}
			if unique != s.Events-s.Doubles {
				t.Errorf("%d events by type, %d in all, %d doubles", unique, s.Events, s.Doubles)
			}
			got := s
			got.Types, got.First, got.Last, got.first, got.last, got.Problems = nil, "", "", 0, 0, nil
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", tc.want) {
				t.Errorf("found %+v\n want %+v", got, tc.want)
			}
			switch {
			case tc.problem == "" && len(s.Problems) > 0, tc.problem != "" && (len(s.Problems) == 0 || !strings.HasPrefix(s.Problems[0].String(), tc.problem)):
				t.Errorf("problems are %v", s.Problems)
			}
			if len(tc.events) > 0 && (s.First != "2026-11-25T04:00:00.000000Z" || s.Last != stamp(epoch.UnixMicro()+int64(len(tc.events)-1)*1000)) && s.Doubles == 0 {
				t.Errorf("from %s to %s", s.First, s.Last)
			}
		})
	}
}

func TestGarbage(t *testing.T) {
	c := checker(t, Options{})
	for _, v := range []string{"", "nonsense", "[]", "null", "{}", `{"event_id":1}`, good + "x", `{"event_seq":1e99}`} {
		c.Add([]byte(v))
	}
	s := c.Summary()
	if s.Events != 8 || s.Unreadable != 3 || s.Violations != 5 || s.Requests != 0 || s.OK {
		t.Errorf("found %+v", s)
	}
}

// What is forgotten raises no alarm when it comes again, and hides no loss.
func TestForgets(t *testing.T) {
	n := 0
	add := func(c *Checker, e ev) { c.Add(e.encode(n)); n++ }
	fill := func(c *Checker, from, to int) {
		for i := from; i < to; i++ {
			add(c, ev{fmt.Sprint("r", i), 1, "request", 0})
			add(c, ev{fmt.Sprint("r", i), 2, "answer", 0})
		}
	}
	t.Run("ended", func(t *testing.T) {
		c := checker(t, Options{MaxRequests: 100})
		c.ids.half = 200
		old := n
		fill(c, 0, 1000)
		if got := len(c.requests.cur) + len(c.requests.prev); got > 100 {
			t.Errorf("%d requests are remembered", got)
		}
		if got := len(c.ids.cur) + len(c.ids.prev); got > 400 {
			t.Errorf("%d ids are remembered", got)
		}
		c.Add(ev{"r0", 2, "answer", 0}.encode(old + 1)) // sent again, long after
		if s := c.Summary(); !s.OK || s.Joined != 1 {
			t.Errorf("found %+v", s)
		}
		add(c, ev{"new", 2, "answer", 0}) // its request is lost
		if s := c.Summary(); s.Missing != 1 {
			t.Errorf("found %+v", s)
		}
	})
	t.Run("open", func(t *testing.T) {
		c := checker(t, Options{MaxRequests: 100})
		add(c, ev{"slow", 1, "request", 0})
		add(c, ev{"proc", 1, "", 0})
		fill(c, 0, 1000)
		add(c, ev{"slow", 3, "answer", 0})
		add(c, ev{"proc", 2, "", 0})
		if s := c.Summary(); s.Missing != 1 || s.Joined != 0 || s.Open != 0 || s.Requests != 1002 {
			t.Errorf("found %+v", s)
		}
	})
	t.Run("more open than there is room for", func(t *testing.T) {
		c := checker(t, Options{MaxRequests: 100})
		for i := range 1000 {
			add(c, ev{fmt.Sprint("o", i), 1, "request", 0})
		}
		if got := len(c.requests.cur) + len(c.requests.prev); got > 100 {
			t.Errorf("%d requests are remembered", got)
		}
		for i := range 1000 {
			add(c, ev{fmt.Sprint("o", i), 2, "answer", 0})
		}
		if s := c.Summary(); !s.OK || s.Ended != 1000 {
			t.Errorf("found %+v", s)
		}
	})
	t.Run("double of a forgotten id", func(t *testing.T) {
		c := checker(t, Options{})
		c.ids.half = 2
		for i := range 10 {
			c.Add(ev{"a", i + 1, "", i + 1}.encode(i))
		}
		c.Add(ev{"a", 3, "", 3}.encode(2))
		if s := c.Summary(); !s.OK || s.Doubles != 1 || s.Types["session_start"] != 10 {
			t.Errorf("found %+v", s)
		}
	})
}

// Of many problems all are counted, and some are told.
func TestManyProblems(t *testing.T) {
	c := checker(t, Options{})
	for i := range 3 * maxProblems {
		c.Add(ev{fmt.Sprint("r", i), 3, "", 0}.encode(i))
		c.Add([]byte("garbage"))
	}
	s := c.Summary()
	if s.Missing != 6*maxProblems || s.Gapped != 3*maxProblems || s.Unreadable != 3*maxProblems || len(s.Problems) != 2*maxProblems {
		t.Errorf("%d missing, %d unreadable, %d told", s.Missing, s.Unreadable, len(s.Problems))
	}
}

// BenchmarkChecker checks 10 events a request, and reports what it holds afterwards.
func BenchmarkChecker(b *testing.B) {
	c := checker(b, Options{})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	for b.Loop() {
		e := ev{fmt.Sprint("req_", n/10), n%10 + 1, "", 0}
		switch n % 10 {
		case 0:
			e.kind = "request"
		case 9:
			e.kind = "answer"
		}
		c.Add(e.encode(n))
		n++
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB-held")
	if s := c.Summary(); !s.OK {
		b.Errorf("found %+v", s)
	}
}
