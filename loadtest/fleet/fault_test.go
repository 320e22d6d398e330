package fleet

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
)

// clients and rate are the load under which faults happen: about half of what two
// cores shared with the tests can do.
const (
	clients = 16
	rate    = 12 // a second, of each
)

// with returns the environment with other values.
func with(env []string, more ...string) []string {
	return append(append([]string(nil), env...), more...)
}

// fault: K1
func TestRedisAway(t *testing.T) {
	env := shared(t)
	for _, fault := range []string{"killed", "frozen"} {
		t.Run(fault, func(t *testing.T) {
			redis := backendtest.Redis(t)
			p := launch(t, with(env, "FLEET_REDIS="+redis.Addr)...)
			models := []string{"turn", "thinker"}
			l, stop := drive(clients, func(n int) answer { return p.chat(opsToken, models[n/clients%2], n%2 == 0) })
			defer stop()
			begin := time.Now()
			until(t, time.Minute, "there is a baseline", func() bool { return l.count() > 400 })
			broken := time.Now()
			if fault == "killed" {
				redis.Kill()
			} else {
				redis.Freeze()
			}
			until(t, 10*time.Second, "health says so", func() bool {
				return strings.Contains(p.do(t.Context(), http.MethodGet, "/v1/health", "", "").body, `"status":"degraded"`)
			})
			noticed := time.Now()
			time.Sleep(lasting(3*time.Second, 20*time.Second)) //nolint:forbidigo // how long the fault lasts
			mended := time.Now()
			if fault == "killed" {
				redis.Start()
			} else {
				redis.Thaw()
			}
			until(t, 20*time.Second, "it is used again", func() bool {
				return strings.Contains(p.do(t.Context(), http.MethodGet, "/v1/health", "", "").body, `{"status":"ok"`)
			})
			back := time.Now()
			n := l.count()
			until(t, time.Minute, "requests go on", func() bool { return l.count() > n+200 })
			stop()
			t.Logf("noticed after %s, used again %s after its return", noticed.Sub(broken).Round(time.Millisecond), back.Sub(mended).Round(time.Millisecond))
			l.figures(t, span{"before", begin.Add(time.Second), broken}, span{"the first second", broken, broken.Add(time.Second)},
				span{"afterwards", broken.Add(time.Second), mended}, span{"when it is back", back, time.Now()})
			l.noneFailed(t)
		})
	}
}

// fault: K2
func TestMongoDBAway(t *testing.T) {
	env := shared(t)
	mongo := backendtest.Mongo(t)
	p := launch(t, with(env, "FLEET_MONGODB="+database(mongo.Addr, "fleet"))...)
	known, _ := p.register("ann")
	var unknown []string
	for i := range 40 {
		token, _ := p.register(fmt.Sprintf("user-%d", i))
		unknown = append(unknown, token)
	}
	p.kill() // so that nothing of them is remembered
	p.start(caddy(t))
	if a := p.chat(known, "turn", false); !a.whole() {
		t.Fatalf("%d %s", a.status, a.body)
	}
	l, stop := drive(4, func(n int) answer { return p.chat(known, "turn", n%2 == 0) })
	defer stop()
	begin := time.Now()
	until(t, time.Minute, "there is a baseline", func() bool { return l.count() > 100 })
	broken := time.Now()
	mongo.Kill()
	var strangers []answer
	for i := 0; time.Since(broken) < lasting(5*time.Second, 30*time.Second); i++ {
		a := p.chat(unknown[i%(len(unknown)-1)], "turn", false)
		strangers = append(strangers, a)
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("a token that nobody remembers: %d %s", a.status, a.body)
		}
	}
	if a := p.chat("sk-magic-"+strings.Repeat("A", 43), "turn", false); a.status != http.StatusServiceUnavailable {
		t.Errorf("a token that nobody has: %d", a.status)
	}
	mended := time.Now()
	mongo.Start()
	started := time.Now()
	until(t, 20*time.Second, "tokens are looked up again", func() bool { return p.chat(unknown[len(unknown)-1], "turn", false).whole() })
	back := time.Now()
	stop()
	t.Logf("tokens nobody remembers: 503 after p50 %s, p99 %s; looked up again %s after its return", quantile(strangers, 0.5), quantile(strangers, 0.99), back.Sub(started).Round(time.Millisecond))
	l.figures(t, span{"before", begin, broken}, span{"while it is away", broken, mended})
	l.noneFailed(t)
}

// fault: K3
// contract: U3
func TestKafkaAway(t *testing.T) {
	env := shared(t)
	for _, fault := range []string{"killed", "frozen", "absent at the start"} {
		t.Run(fault, func(t *testing.T) {
			broker := backendtest.Kafka(t)
			env := with(env, "FLEET_KAFKA="+broker.Addr, "FLEET_TOPIC=agent_audit_events")
			if fault == "absent at the start" {
				broker.Kill()
			}
			broken := time.Now()
			p := launch(t, env...)
			l, stop := drive(clients, func(n int) answer { return p.chat(opsToken, []string{"turn", "thinker"}[n/clients%2], n%2 == 0) })
			defer stop()
			begin := time.Now()
			until(t, time.Minute, "there is a baseline", func() bool { return l.count() > 400 })
			switch fault {
			case "killed":
				broken = time.Now()
				broker.Kill()
			case "frozen":
				broken = time.Now()
				broker.Freeze()
			}
			time.Sleep(lasting(4*time.Second, 60*time.Second)) //nolint:forbidigo // how long the fault lasts
			waiting := p.auditStats()
			mended := time.Now()
			if fault == "frozen" {
				broker.Thaw()
			} else {
				broker.Start()
			}
			started := time.Now()
			until(t, time.Minute, "events arrive again", func() bool { s := p.auditStats(); return s.SenderUp && s.Acked > waiting.Acked })
			stop()
			end := time.Now()
			l.figures(t, span{"before", begin, broken}, span{"while it is away", broken, mended}, span{"when it is back", started, end})
			l.noneFailed(t)
			got := audited(t, env, p)
			s := p.auditStats()
			t.Logf("%d events waited on disk; all %d in the topic %s after its return", waiting.Journaled, s.Produced, time.Since(started).Round(time.Millisecond))
			if s.Dropped != 0 || s.Produced != got.summary.Events-got.summary.Doubles {
				t.Errorf("produced %d, in the topic %d and %d doubles, dropped %d", s.Produced, got.summary.Events, got.summary.Doubles, s.Dropped)
			}
			for _, a := range l.answers {
				if err := got.complete(a); err != nil {
					t.Error(err)
					break
				}
			}
		})
	}
}

// After kill -9 of a gateway, and of the broker before it, under load: what clients
// have seen the end of is in the topic once the gateway has run again.
//
// contract: U3
// fault: K7
func TestKillUnderLoad(t *testing.T) {
	env := shared(t)
	broker := backendtest.Kafka(t)
	env = with(env, "FLEET_KAFKA="+broker.Addr, "FLEET_TOPIC=agent_audit_events")
	one, two := launch(t, env...), launch(t, env...)
	var gone atomic.Bool
	l, stop := drive(clients, func(n int) answer {
		p := []*process{one, two}[n%2]
		if p == one && gone.Load() {
			p = two
		}
		return p.chat(opsToken, []string{"turn", "thinker"}[n/clients%2], n%3 != 0)
	})
	defer stop()
	until(t, time.Minute, "there is a load", func() bool { return l.count() > 300 })
	broker.Kill()
	n := l.count()
	until(t, time.Minute, "requests go on", func() bool { return l.count() > n+300 })
	killed := time.Now()
	one.kill()
	gone.Store(true)
	n = l.count()
	until(t, time.Minute, "requests go on", func() bool { return l.count() > n+100 })
	broker.Start()
	one.start(caddy(t))
	gone.Store(false)
	n = l.count()
	until(t, time.Minute, "requests go on", func() bool { return l.count() > n+200 })
	stop()
	if s := one.auditStats(); s.Adopted == 0 {
		t.Error("nothing was left on disk: the test shows nothing")
	} else {
		t.Logf("%d events were found on disk after kill -9", s.Adopted)
	}
	shipped(t, one, two)
	got := read(t, env)
	checked, lost := 0, 0
	for _, a := range l.answers {
		if !a.whole() || a.at.After(killed.Add(-50*time.Millisecond)) && a.at.Before(killed.Add(50*time.Millisecond)) {
			continue
		}
		checked++
		if err := got.complete(a); err != nil {
			if lost++; lost < 5 {
				t.Error(err)
			}
		}
	}
	bad := failed(l.answers)
	for _, a := range bad {
		if a.at.Before(killed) || a.at.After(killed.Add(time.Second)) {
			t.Errorf("failed: %v %d %.200s", a.err, a.status, a.body)
		}
	}
	s := got.summary
	t.Logf("%d answers, %d of them cut off by kill -9; %d checked, %d lost; topic: %d events, %d doubles, %d missing, %d violations", len(l.answers), len(bad), checked, lost, s.Events, s.Doubles, s.Missing, s.Violations)
	if s.Missing > uint64(4*clients) || s.Violations > 0 || s.Disorder > 0 {
		t.Errorf("%+v", s)
	}
}

// fault: K7
func TestTerminate(t *testing.T) {
	env := shared(t)
	p := launch(t, env...)
	l, stop := drive(4, func(int) answer { return p.chat(opsToken, "turn", true) })
	until(t, time.Minute, "there is a load", func() bool { return l.count() > 50 })
	stop()
	// Streams that take a second, and begin before the signal.
	long := make(chan answer, 8)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range cap(long) {
		go func() {
			long <- p.do(ctx, http.MethodPost, "/v1/chat/completions", opsToken, chat("steady/x", true, ""))
		}()
	}
	until(t, 10*time.Second, "they run", func() bool {
		return strings.Contains(p.metrics(), `caddy_ai_gateway_streams_in_flight 8`)
	})
	state, took := p.terminate()
	for range cap(long) {
		if a := <-long; !a.whole() {
			t.Errorf("a stream was cut: %v %d %.200s", a.err, a.status, a.body)
		} else if err := read(t, env).complete(a); err != nil {
			t.Error(err)
		}
	}
	t.Logf("ended %s after SIGTERM with %s", took.Round(time.Millisecond), state)
	if !state.Success() {
		t.Errorf("it ended with %s", state)
	}
	l.noneFailed(t)
	got := read(t, env)
	for _, a := range l.answers {
		if err := got.complete(a); err != nil {
			t.Error(err)
			break
		}
	}
	if !got.summary.OK || got.summary.Open != 0 {
		t.Errorf("%+v", got.summary)
	}
}
