package caddymodule

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fault: K8
// 100 reloads under 200 streams: none fails, none is cut, and afterwards there
// are as many goroutines and sockets as before.
func TestReloadsUnderStreams(t *testing.T) {
	const streams, reloads = 200, 100
	u := newUpstream(t)
	var done atomic.Bool
	u.when("", func(w http.ResponseWriter, r *http.Request) { // streams until the reloads are over
		w.Header().Set("Content-Type", "text/event-stream")
		rc := http.NewResponseController(w)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		events := roleEvent
		for !done.Load() {
			_, _ = w.Write([]byte(events + contentEvent))
			_ = rc.Flush()
			events = ""
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			}
		}
		_, _ = w.Write([]byte(finishEvent + usageEvent + doneEvent))
	})
	t.Setenv("KEY", "canary-key")
	cfg := config{
		// Open connections must not be closed under their streams.
		head:    "grace_period 60s",
		global:  "provider up openai {\n base_url " + u.base() + "\n key {env.KEY}\n}\n tier t {\n rotate up/m up/n\n}",
		handler: "auth off",
	}
	g := start(t, cfg)
	g.do("GET", "/v1/models", "").want(t, 200)
	g.client.CloseIdleConnections()
	goroutines, sockets := settled(runtime.NumGoroutine), settled(openSockets)

	var wg sync.WaitGroup
	var begun, whole, events atomic.Int64
	for range streams {
		wg.Go(func() {
			res := g.open("POST", "/v1/chat/completions", strings.NewReader(chatBody("t", true)))
			defer res.Body.Close()
			begun.Add(1)
			last := ""
			lines := bufio.NewScanner(res.Body)
			for lines.Scan() {
				if line := lines.Text(); strings.HasPrefix(line, "data: ") {
					last = line
					events.Add(1)
				} else if strings.HasPrefix(line, "event: error") {
					t.Error("a stream broke")
				}
			}
			if lines.Err() == nil && last == "data: [DONE]" {
				whole.Add(1)
			}
		})
	}
	eventually(t, "all streams have begun", func() bool { return begun.Load() == streams })
	from := time.Now()
	for i := range reloads {
		// The streams go on in between, each by an event or so.
		seen := events.Load()
		eventually(t, "the streams have gone on", func() bool { return events.Load() >= seen+streams })
		edited := cfg
		edited.global += fmt.Sprintf("\n tier n%d {\n rotate up/m\n}", i)
		g.mustLoad(edited)
		// New requests find the new configuration. Caddy drops what waits in the old
		// socket's backlog at that moment, as for every site; clients try again.
		eventually(t, "the new tier is there", func() bool {
			res, err := g.client.Get(fmt.Sprintf("http://%s/v1/models/n%d", g.addr, i))
			if err != nil {
				return false
			}
			_ = res.Body.Close()
			return res.StatusCode == http.StatusOK
		})
	}
	t.Logf("%d reloads in %s", reloads, time.Since(from).Round(time.Millisecond))
	done.Store(true)
	wg.Wait()
	if whole.Load() != streams {
		t.Errorf("%d of %d streams came whole", whole.Load(), streams)
	}
	g.client.CloseIdleConnections()
	g.mustLoad(cfg)
	g.mustLoad(config{global: cfg.global, handler: "auth optional"}) // the last idle connections go with their configuration
	eventually(t, "goroutines are back to the start", func() bool { return runtime.NumGoroutine() <= goroutines+10 })
	eventually(t, "sockets are back to the start", func() bool {
		g.client.CloseIdleConnections()
		return openSockets() <= sockets+4
	})
}

// settled returns a count once it no longer falls.
func settled(count func() int) int {
	n := count()
	for range 50 {
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // between two looks
		if m := count(); m >= n {
			return m
		} else {
			n = m
		}
	}
	return n
}

// openSockets counts this process's descriptors that are sockets; 0 where that
// cannot be known.
func openSockets() (n int) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

// A configuration that is refused, early or after every app was provisioned,
// changes nothing.
func TestRefusedReload(t *testing.T) {
	u, other := newUpstream(t), newUpstream(t)
	t.Setenv("KEY", "canary-key")
	cfg := config{global: "token ops {env.KEY}\n provider up openai {\n base_url " + u.base() + "\n key {env.KEY}\n}", handler: "auth off"}
	g := start(t, cfg)
	u.when("", status(429, "Retry-After", "600"))
	g.chat("up/m", false).want(t, 429)
	u.when("", nil)
	cooling := func() bool { return g.provider("up").Keys[0].State == "cooling" }
	if !cooling() {
		t.Fatal("the key is not cooling")
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	moved := "provider up openai {\n base_url " + other.base() + "\n}\n provider new openai {\n base_url " + other.base() + "\n}"
	for name, bad := range map[string]config{
		"unknown tier":              {global: moved + "\n tier x {\n rotate nobody\n}", handler: "auth off"},
		"empty secret":              {global: moved + "\n token ops {env.NOT_SET_AT_ALL}", handler: "auth off"},
		"late: an address is taken": {global: moved, handler: "auth off", site: "bind 127.0.0.1\n}\nhttp://" + taken.Addr().String() + " {\n bind 127.0.0.1\n respond ok"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := g.load(bad); err == nil {
				t.Fatal("was not refused")
			}
			if !cooling() {
				t.Error("the key's state is gone")
			}
			var text string
			if g.adminDo("GET", "/metrics", &text); !strings.Contains(text, `caddy_ai_gateway_keys{provider="up",state="cooling"} 1`) || !strings.Contains(text, "caddy_ai_gateway_requests_total{") {
				t.Error("the metrics are gone")
			}
			if status := g.adminDo("GET", "/ai_gateway/providers/new", nil); status != 404 {
				t.Errorf("the admin API shows a provider that never ran: %d", status)
			}
			before := len(other.seen())
			if a := g.chat("new/m", false); a.StatusCode != 404 {
				t.Errorf("status %d for a provider that never ran", a.StatusCode)
			}
			g.chat("up/other", false).want(t, 200)
			if len(other.seen()) != before {
				t.Error("the refused configuration's upstream was asked")
			}
			u.when("", status(429, "Retry-After", "600")) // cool again: the probe above healed the key
			g.chat("up/m", false).want(t, 429)
			u.when("", nil)
		})
	}
	t.Run("an entry that a good reload removed", func(t *testing.T) {
		next := config{global: "provider new openai {\n base_url " + other.base() + "\n}", handler: "auth off"}
		g.mustLoad(next)
		g.chat("up/m", false).want(t, 404)
		g.chat("new/m", false).want(t, 200)
		if status := g.adminDo("GET", "/ai_gateway/providers/up", nil); status != 404 {
			t.Errorf("admin API: %d", status)
		}
		var text string
		g.adminDo("GET", "/metrics", &text)
		if strings.Contains(text, `caddy_ai_gateway_keys{provider="up"`) {
			t.Error("the metrics still show the removed provider's keys")
		}
	})
}

// The admin API lists what the running configuration names, and what rests.
func TestAdminForgetsModelsThatAreGone(t *testing.T) {
	u := newUpstream(t)
	with := func(models string) config {
		return config{global: "provider up openai {\n base_url " + u.base() + "\n}\n tier t {\n rotate " + models + "\n}", handler: "auth off"}
	}
	g := start(t, with("up/a up/b"))
	u.when("b", status(500))
	for range 2 {
		g.chat("t", false).want(t, 200)
	}
	g.chat("up/unnamed", false).want(t, 200)
	g.mustLoad(with("up/c"))
	models := g.provider("up").Models
	if len(models) != 2 || models["b"].State != "cooling" || models["c"].State != "healthy" {
		t.Errorf("%+v", models)
	}
}
