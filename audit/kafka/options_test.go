package kafka

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	kafkago "github.com/segmentio/kafka-go"
)

func TestParseBrokers(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want []string
	}{
		{"a:9092", []string{"a:9092"}},
		{"a:1, [::1]:65535,10.0.0.1:9092 ", []string{"a:1", "[::1]:65535", "10.0.0.1:9092"}},
		{"", nil},
		{"a", nil},
		{"a:9092,", nil},
		{"a:0", nil},
		{"a:65536", nil},
		{":9092", nil},
		{"kafka://a:9092", nil},
		{"user@a:9092", nil},
	} {
		got, err := ParseBrokers(tc.in)
		if !slices.Equal(got, tc.want) || (err == nil) != (tc.want != nil) {
			t.Errorf("%q: %q, %v", tc.in, got, err)
		}
	}
}

func TestOptions(t *testing.T) {
	ok := []string{"127.0.0.1:9092"}
	for _, tc := range []struct {
		name string
		o    Options
		want string // of the error; empty for none
	}{
		{"smallest", Options{Brokers: ok}, ""},
		{"all", Options{Brokers: ok, Topic: "a.b_c-9", TLS: &tls.Config{MinVersion: tls.VersionTLS12}, Mechanism: "scram-sha-512", User: "u", Password: "p"}, ""},
		{"plain", Options{Brokers: ok, Mechanism: "plain", User: "u", Password: "p"}, ""},
		{"scram-sha-256", Options{Brokers: ok, Mechanism: "scram-sha-256", User: "u", Password: "p"}, ""},
		{"no broker", Options{}, "no broker"},
		{"second broker", Options{Brokers: []string{"a:1", "b"}}, "broker 2"},
		{"topic", Options{Brokers: ok, Topic: "a b"}, "topic"},
		{"long topic", Options{Brokers: ok, Topic: strings.Repeat("a", 250)}, "topic"},
		{"dots", Options{Brokers: ok, Topic: ".."}, "topic"},
		{"mechanism", Options{Brokers: ok, Mechanism: "gssapi", User: "u", Password: "p"}, "scram-sha-512"},
		{"no password", Options{Brokers: ok, Mechanism: "plain", User: "u"}, "password"},
		{"no mechanism", Options{Brokers: ok, User: "u", Password: "p"}, "mechanism"},
		{"odd password", Options{Brokers: ok, Mechanism: "scram-sha-256", User: "u", Password: "p\x01secret"}, "SCRAM"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := New(tc.o)
			if err == nil {
				s.Close() //nolint:errcheck // has no error
			}
			switch {
			case (err == nil) != (tc.want == ""), err != nil && !strings.Contains(err.Error(), tc.want):
				t.Errorf("error is %v", err)
			case err != nil && strings.Contains(err.Error(), "secret"):
				t.Errorf("the error holds the password: %v", err)
			}
		})
	}
}

// security: X5
func TestNoSecretInErrors(t *testing.T) {
	err := say(errors.New("bad credentials for u:hunter2-hunter2"), "t", "hunter2-hunter2")
	if want := "kafka: bad credentials for u:[redacted]"; err.Error() != want {
		t.Errorf("says %q", err)
	}
	long := say(errors.New(strings.Repeat("ä", 1000)), "t", "")
	if n := len(long.Error()); n > 310 {
		t.Errorf("says %d bytes", n)
	}
	if err := say(kafkago.SASLAuthenticationFailed, "t", ""); !errors.Is(err, kafkago.SASLAuthenticationFailed) || !strings.Contains(err.Error(), "password") {
		t.Errorf("says %q", err)
	}
}

// security: X5
func TestPasswordGoesNowhereInPlain(t *testing.T) {
	for a, want := range map[string]bool{
		"127.0.0.1:9": false, "[::1]:9": false, "10.1.2.3:9": false, "192.168.0.1:9": false, "[fd00::1]:9": false,
		"203.0.113.1:9": true, "[2001:db8::1]:9": true, "[::ffff:203.0.113.1]:9": true, "[::ffff:127.0.0.1]:9": false,
	} {
		if got := exposed(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(a))); got != want {
			t.Errorf("%s exposed: %v", a, got)
		}
	}
	if !exposed(&net.UnixAddr{Name: "odd"}) {
		t.Error("an address that is none is not exposed")
	}
	for _, tc := range []struct {
		o    Options
		want bool
	}{
		{Options{Mechanism: "plain", User: "u", Password: "p"}, true},
		{Options{Mechanism: "plain", User: "u", Password: "p", TLS: new(tls.Config)}, false},
		{Options{Mechanism: "scram-sha-256", User: "u", Password: "p"}, false},
		{Options{}, false},
	} {
		if got := tc.o.dialer().private; got != tc.want {
			t.Errorf("%s, tls %v: private is %v", tc.o.Mechanism, tc.o.TLS != nil, got)
		}
	}
}
