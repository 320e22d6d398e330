package kafka_test

import (
	"context"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/audit"
	"github.com/universal-ai-gateway/magicproxy/audit/kafka"
	"github.com/universal-ai-gateway/magicproxy/audit/verify"
	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
)

const (
	eventRate    = 5000
	eventsOfOne  = 10 // request
	smallOutage  = 4 * time.Second
	outageSecond = "AUDIT_OUTAGE_SECONDS" // a longer one, for figures
)

// Events wait in the journal while the broker is away, and all are in the topic after.
//
// fault: K3
// contract: U3
func TestBrokerFails(t *testing.T) {
	length := smallOutage
	if n, err := strconv.Atoi(os.Getenv(outageSecond)); err == nil {
		length = time.Duration(n) * time.Second
	}
	for _, tc := range []struct {
		name          string
		before        func(*backendtest.Server) // the log is opened
		fail, recover func(*backendtest.Server)
	}{
		{"killed", nil, (*backendtest.Server).Kill, (*backendtest.Server).Start},
		{"frozen", nil, (*backendtest.Server).Freeze, (*backendtest.Server).Thaw},
		{"absent at start", (*backendtest.Server).Stop, func(*backendtest.Server) {}, (*backendtest.Server).Start},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := backendtest.Kafka(t)
			if tc.before != nil {
				tc.before(s)
			}
			o := kafka.Options{Brokers: []string{s.Addr}}
			log := open(t, o)
			well := load(log, time.Second)
			if tc.before == nil {
				flush(t, log)
			}
			heap := heapInUse()

			tc.fail(s)
			away := load(log, length)
			grown := heapInUse() - heap
			if frozen := tc.name == "frozen" && length < 15*time.Second; log.Stats().SenderUp != frozen { // it may only be slow
				t.Errorf("while the broker is away: %+v", log.Stats())
			}
			backlog := log.Stats().Journaled
			back := make(chan struct{})
			var returned time.Time
			go func() {
				defer close(back)
				tc.recover(s)
				returned = time.Now()
				await(log)
			}()
			after := load(log, 0, back)
			from, acked := time.Now(), log.Stats().Acked
			flush(t, log)
			st := log.Stats()
			t.Logf("away %s at %d/s: p99 of Record %s (before %s), heap %+.1f MiB, backlog %d; back: p99 %s, sends after %s, then %.0f/s",
				length, eventRate, away, well, grown/(1<<20), backlog, after, from.Sub(returned).Round(time.Millisecond),
				float64(st.Acked-acked)/time.Since(from).Seconds())
			if backlog == 0 || st.Dropped != 0 || st.Acked != st.Produced {
				t.Errorf("figures: %+v, backlog %d", st, backlog)
			}
			if grown > 32<<20 {
				t.Errorf("the heap has grown by %.0f bytes", grown)
			}
			whole(t, o, st.Produced)
		})
	}
}

// A reader that follows goes on where it was when the broker is there again.
//
// fault: K3
func TestReadGoesOn(t *testing.T) {
	s := backendtest.Kafka(t)
	o := kafka.Options{Brokers: []string{s.Addr}}
	log := open(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	trail := log.Trail(audit.Subject{Request: "req_1"})
	e := audit.Event{Payload: audit.SessionStart{}}
	trail.Record(e)
	n := 0
	for _, err := range kafka.Read(ctx, o, kafka.Reading{FromStart: true, Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 2 {
			return
		}
		s.Stop()
		s.Start()
		trail.Record(e)
	}
}

func open(t *testing.T, o kafka.Options) *audit.Log {
	t.Helper()
	s, err := kafka.New(o)
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.Open(t.TempDir(), audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	log.Use(s)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := log.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return log
}

// await returns when something is acked.
func await(log *audit.Log) {
	acked := log.Stats().Acked
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); log.Stats().Acked == acked && time.Now().Before(deadline); {
		<-tick.C
	}
}

func flush(t *testing.T, log *audit.Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := log.Flush(ctx); err != nil {
		t.Fatalf("%v; %+v", err, log.Stats())
	}
}

// load records events for a time, and until all channels are closed, and returns the
// 99th percentile of what Record takes.
func load(log *audit.Log, d time.Duration, until ...chan struct{}) time.Duration {
	const perTick = eventRate / 500
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	var took []time.Duration
	var trail *audit.Trail
	content := string(slices.Repeat([]byte("x"), 600))
	began := time.Now()
	for n := 0; ; {
		over := time.Since(began) >= d
		for _, c := range until {
			select {
			case <-c:
			default:
				over = false
			}
		}
		if over && n%eventsOfOne == 0 {
			break
		}
		<-tick.C
		// A machine that is busy elsewhere misses ticks.
		due := int(time.Since(began).Seconds() * eventRate)
		for range max(due-n, perTick) / eventsOfOne * eventsOfOne {
			e := audit.Event{Model: "m", Payload: audit.Answer{Status: 200, Content: content}}
			if n%eventsOfOne == 0 {
				trail = log.Trail(audit.Subject{Request: "req_" + strconv.FormatInt(time.Now().UnixNano(), 36) + "_" + strconv.Itoa(n), User: "u"})
				e.Payload = audit.Request{Endpoint: "chat", Stream: true, Bytes: 600, Body: []byte(`"` + content + `"`)}
			}
			from := time.Now()
			trail.Record(e)
			took = append(took, time.Since(from))
			n++
		}
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

func heapInUse() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapInuse)
}

// whole checks that all that was produced is in the topic, in order.
func whole(t *testing.T, o kafka.Options, produced uint64) {
	t.Helper()
	c, err := verify.NewChecker(verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for v, err := range kafka.Read(ctx, o, kafka.Reading{FromStart: true}) {
		if err != nil {
			t.Fatal(err)
		}
		c.Add(v)
	}
	s := c.Summary()
	got := uint64(0)
	for _, n := range s.Types {
		got += n
	}
	t.Logf("in the topic: %d events, %d doubles, %d requests", s.Events, s.Doubles, s.Requests)
	if !s.OK || got != produced || s.Open != 0 {
		t.Errorf("%d were produced, %d arrived; %+v", produced, got, s)
	}
	if math.Abs(float64(s.Requests)*eventsOfOne-float64(produced)) != 0 {
		t.Errorf("%d requests of %d events", s.Requests, produced)
	}
}
