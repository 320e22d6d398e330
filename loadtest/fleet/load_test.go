package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/audit/kafka"
	"github.com/universal-ai-gateway/magicproxy/audit/verify"
)

// full says that faults last as long as the design's rows say; else they are shorter.
var full = os.Getenv("FLEET_FULL") != ""

func lasting(short, long time.Duration) time.Duration {
	if full {
		return long
	}
	return short
}

// load is what clients saw while they kept asking.
type load struct {
	mu      sync.Mutex
	answers []answer
	begun   []time.Time // by answer
}

// drive asks with so many clients, each rate times a second, until stop is called, which
// waits for their last answers.
func drive(clients int, ask func(n int) answer) (l *load, stop func()) {
	l = new(load)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			tick := time.NewTicker(time.Second / rate)
			defer tick.Stop()
			for n := c; ; n += clients {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				from := time.Now()
				a := ask(n)
				l.mu.Lock()
				l.answers, l.begun = append(l.answers, a), append(l.begun, from)
				l.mu.Unlock()
			}
		})
	}
	return l, sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
}

// between returns the answers to what was asked in a span of time.
func (l *load) between(from, to time.Time) (some []answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, a := range l.answers {
		if !l.begun[i].Before(from) && l.begun[i].Before(to) {
			some = append(some, a)
		}
	}
	return some
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.answers)
}

// failed returns the answers that are not good ones.
func failed(all []answer) (bad []answer) {
	for _, a := range all {
		if !a.whole() {
			bad = append(bad, a)
		}
	}
	return bad
}

// noneFailed requires good answers only.
func (l *load) noneFailed(t *testing.T) {
	t.Helper()
	bad := failed(l.answers)
	for _, a := range bad[:min(len(bad), 5)] {
		t.Errorf("failed: %v %d %.300s", a.err, a.status, a.body)
	}
	if len(bad) > 0 {
		t.Errorf("%d of %d failed", len(bad), len(l.answers))
	}
	if len(l.answers) == 0 {
		t.Error("nothing was asked")
	}
}

// quantile of the times that answers took.
func quantile(all []answer, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	took := make([]time.Duration, len(all))
	for i, a := range all {
		took[i] = a.took
	}
	slices.Sort(took)
	return took[min(int(float64(len(took))*q), len(took)-1)].Round(10 * time.Microsecond)
}

// figures prints p50 and p99 of spans of time, and how much they are above the first.
func (l *load) figures(t *testing.T, spans ...span) {
	t.Helper()
	var p50, p99 time.Duration
	for i, s := range spans {
		some := l.between(s.from, s.to)
		a, b := quantile(some, 0.5), quantile(some, 0.99)
		if i == 0 {
			p50, p99 = a, b
		}
		t.Logf("%-28s %6d answers, %d failed, p50 %9s (%+.2f ms), p99 %9s (%+.2f ms)", s.name, len(some), len(failed(some)),
			a, ms(a-p50), b, ms(b-p99))
	}
}

type span struct {
	name     string
	from, to time.Time
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// shipped waits until everything that the gateways have recorded is in the topic.
func shipped(t *testing.T, all ...*process) {
	t.Helper()
	for _, p := range all {
		until(t, time.Minute, "all events of "+p.url+" are acknowledged", func() bool {
			s := p.auditStats()
			return s.Queued == 0 && s.Journaled == 0
		})
		if s := p.auditStats(); s.Dropped > 0 {
			t.Errorf("%s has dropped %d events: %s", p.url, s.Dropped, s.Error)
		}
	}
}

// topic is what an auditor finds in the topic.
type topic struct {
	summary verify.Summary
	types   map[string][]string // by request
}

// read reads the topic to its end.
func read(t *testing.T, env []string) topic {
	t.Helper()
	o := kafka.Options{Brokers: []string{value(env, "FLEET_KAFKA")}, Topic: value(env, "FLEET_TOPIC")}
	c, err := verify.NewChecker(verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := topic{types: make(map[string][]string)}
	seen := make(map[string]bool)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for raw, err := range kafka.Read(ctx, o, kafka.Reading{FromStart: true}) {
		if err != nil {
			t.Fatal(err)
		}
		c.Add(raw)
		var e struct {
			ID      string `json:"event_id"`
			Request string `json:"request_id"`
			Type    string `json:"event_type"`
		}
		if err := json.Unmarshal(raw, &e); err != nil {
			t.Fatal(err)
		}
		if !seen[e.ID] {
			seen[e.ID] = true
			got.types[e.Request] = append(got.types[e.Request], e.Type)
		}
	}
	got.summary = c.Summary()
	return got
}

func value(env []string, name string) string {
	for _, v := range slices.Backward(env) {
		if rest, ok := strings.CutPrefix(v, name+"="); ok {
			return rest
		}
	}
	return ""
}

// audited requires that the topic holds all that the gateways recorded, each event as
// the schema says, and each request without a gap.
func audited(t *testing.T, env []string, all ...*process) topic {
	t.Helper()
	shipped(t, all...)
	got := read(t, env)
	s := got.summary
	t.Logf("audit: %d events, %d doubles, %d requests, %d missing, %d violations", s.Events, s.Doubles, s.Requests, s.Missing, s.Violations)
	if !s.OK {
		t.Errorf("the audit is not whole: %+v", s)
	}
	return got
}

// complete reports what of a request's events is missing, nil if nothing is.
func (tp topic) complete(a answer) error {
	types := tp.types[a.id()]
	for _, want := range []string{"request", "llm_call", "answer", "usage"} {
		if !slices.Contains(types, want) {
			return errors.New(a.id() + " has only " + strings.Join(types, " "))
		}
	}
	return nil
}
