package redis

import (
	"slices"
	"strings"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
	"github.com/universal-ai-gateway/magicproxy/state"
)

func TestURL(t *testing.T) {
	for _, tc := range []struct {
		url     string
		hosts   string
		db      int
		master  string
		cluster bool
		tls     bool
	}{
		{"redis://host", "host:6379", 0, "", false, false},
		{"redis://user:word@host:1/2", "host:1", 2, "", false, false},
		{"redis://[::1]", "[::1]:6379", 0, "", false, false},
		{"redis://[::1]:7/", "[::1]:7", 0, "", false, false},
		{"rediss://host", "host:6379", 0, "", false, true},
		{"redis+sentinel://a,b:1/master", "a:26379 b:1", 0, "master", false, false},
		{"rediss+sentinel://:word@a/master/3?sentinel_password=x", "a:26379", 3, "master", false, true},
		{"redis+cluster://a", "a:6379", 0, "", true, false},
		{"rediss+cluster://a:1,b,[::1]:2/0", "a:1 b:6379 [::1]:2", 0, "", true, true},
	} {
		t.Run(tc.url, func(t *testing.T) {
			a, err := parse(tc.url)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(a.hosts, " "); got != tc.hosts || a.database != tc.db || a.master != tc.master || a.cluster != tc.cluster || (a.tls != nil) != tc.tls {
				t.Errorf("%+v", a)
			}
		})
	}
}

// Errors name what is wrong, and no secret.
//
// security: X5
func TestURLsThatAreRefused(t *testing.T) {
	const secret = "canary-4711"
	for _, tc := range []struct{ url, says string }{
		{"redis://:" + secret + "@host:port", "port"},
		{"redis://:" + secret + "@host:0", "port"},
		{"redis+cluster://:" + secret + "@a:65536,b", "port"},
		{"redis+cluster://:" + secret + "@a,,b", "host"},
		{"redis://:" + secret + "@a b", "host"},
		{"redis://:" + secret + "\x7f@host", "URL"},
		{"http://:" + secret + "@host", "redis://"},
		{":" + secret + "@host", "URL"},
		{"host:6379", "redis://"},
		{"redis+ring://:" + secret + "@host", "sentinel or cluster"},
		{"redis://:" + secret + "@", "host"},
		{"redis://:" + secret + "@:6379", "host"},
		{"redis://:" + secret + "@a,b", "redis+cluster://"},
		{"redis+sentinel://:" + secret + "@a", "master"},
		{"redis+cluster://:" + secret + "@a/1", "no databases"},
		{"redis://:" + secret + "@a/one", "database"},
		{"redis://:" + secret + "@a/-1", "database"},
		{"redis://:" + secret + "@a/1/2", "path"},
		{"redis://:" + secret + "@a?db=1", "db"},
		{"redis://:" + secret + "@a?ca=/dev/null", "ca"},
		{"rediss://:" + secret + "@a?ca=/nowhere", "ca"},
		{"redis://:" + secret + "@a?x=%zz" + secret, "?"},
		{"redis+cluster://a?sentinel_password=" + secret, "sentinel_password"},
	} {
		t.Run(tc.url, func(t *testing.T) {
			s, err := New(tc.url, Options{})
			if err == nil {
				_ = s.Close()
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), secret) {
				t.Error(err)
			}
			if checked := Check(tc.url, Options{}); checked == nil || checked.Error() != err.Error() {
				t.Errorf("Check: %v", checked)
			}
		})
	}
}

func TestModesThatMakeSense(t *testing.T) {
	const url = "redis://127.0.0.1:1"
	sense := map[state.Use]string{
		state.UseCounters: "closed, local", state.UseLimits: "closed, local, open", state.UseSessions: "closed, local, open",
		state.UseQuarantine: "local", state.UseCache: "local, open",
	}
	for _, use := range state.Uses {
		for _, mode := range state.Modes {
			err := Check(url, Options{Modes: map[state.Use]state.Mode{use: mode}})
			if slices.Contains(strings.Split(sense[use], ", "), string(mode)) {
				if err != nil {
					t.Errorf("%s %s: %v", use, mode, err)
				}
			} else if err == nil || !strings.Contains(err.Error(), string(use)) || !strings.Contains(err.Error(), sense[use]) {
				t.Errorf("%s %s: %v", use, mode, err)
			}
		}
	}
	for use, mode := range map[state.Use]state.Mode{"luck": state.ModeLocal, state.UseCache: "half"} {
		if Check(url, Options{Modes: map[state.Use]state.Mode{use: mode}}) == nil {
			t.Errorf("%s %s is accepted", use, mode)
		}
	}
}

// A store dials when it is first used.
func TestNewDialsNothing(t *testing.T) {
	p := between(t, backendtest.Shared(t, "redis"))
	s, err := New(p.url, Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := s.Health()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if p.conns.Load() != 0 || !h.Up || !h.Since.IsZero() || h.Backend != "redis" {
		t.Errorf("%d connections, %+v", p.conns.Load(), h)
	}
}
