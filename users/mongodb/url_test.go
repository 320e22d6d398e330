package mongodb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// No error repeats what must not be read.
func TestURL(t *testing.T) {
	const pass = "Pa55"
	for _, tt := range []struct {
		url, database string
		err           string // a part of it, empty for none
	}{
		{"mongodb://localhost", "ai_gateway", ""},
		{"mongodb://localhost/", "ai_gateway", ""},
		{"mongodb://root:Pa55@a,b:1,c/people?replicaSet=rs0&authSource=admin", "people", ""},
		{"mongodb://root:Pa55%40%3A@a/peo%70le", "people", ""},
		{"mongodb://localhost/people?appName=a/b", "people", ""},
		{"mongodb+srv://root:Pa55@cluster.example.org/people?srvMaxHosts=3", "people", ""},
		{"mongodb+srv://cluster.example.org", "ai_gateway", ""},

		{"", "", "must begin with"},
		{"root:Pa55@localhost", "", "must begin with"},
		{"postgres://root:Pa55@localhost", "", "must begin with"},
		{"mongodb://", "", "host"},
		{"mongodb://root:Pa55%zz@localhost/", "", "escape"},
		{"mongodb://root:Pa55@Pa55@localhost/", "", "escape"},
		{"mongodb://root:Pa55/Pa55@localhost/", "", "escape"},
		{"mongodb://root:Pa55:Pa55@localhost/", "", "escape"},
		{"mongodb://root:@Pa55?@localhost/", "", "escape"},
		{"mongodb://root:Pa55@localhost:x/", "", "port"},
		{"mongodb://root:Pa55@localhost/?tls=maybe", "", "tls"},
		{"mongodb://root:Pa55@localhost/?tls=true&tlsCAFile=missing.pem", "", "missing.pem"},
		{"mongodb://localhost/?authMechanism=MONGODB-AWS&authMechanismProperties=Pa55", "", "escape"},
		{"mongodb://root:Pa55@localhost/?authMechanism=GUESS", "", "auth mechanism"},
		{"mongodb://root:Pa55@a,b/?directConnection=true", "", "direct"},
		{"mongodb://root:Pa55@localhost/a.b", "", "database"},
		{"mongodb+srv://root:Pa55@a,b/", "", "one host"},
		{"mongodb+srv://root:Pa55@a:27017/", "", "one host"},
		{"mongodb+srv://root:Pa55@/", "", "one host"},
		{"mongodb+srv://root:Pa55@Pa55@a.example.org/", "", "escape"},
		{"mongodb+srv://root:Pa55@a.example.org/?w=x&retryWrites=maybe", "", "retryWrites"},
	} {
		t.Run(tt.url, func(t *testing.T) {
			s, err := New(tt.url, Options{})
			if tt.err == "" {
				if err != nil || s.database != tt.database {
					t.Fatalf("%v; %+v", err, s)
				}
				closeStore(t, s)
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("%v does not say %q", err, tt.err)
			}
			if strings.Contains(err.Error(), pass) || strings.Contains(err.Error(), "root") {
				t.Errorf("the error tells: %v", err)
			}
		})
	}
}

func TestDatabase(t *testing.T) {
	s, err := New("mongodb://localhost/people", Options{Database: "other"})
	if err != nil || s.database != "other" {
		t.Fatalf("%v; %+v", err, s)
	}
	closeStore(t, s)
	for _, name := range []string{"a b", "a/b", "$a", strings.Repeat("a", 64)} {
		if _, err := New("mongodb://localhost", Options{Database: name}); err == nil {
			t.Errorf("%q was accepted", name)
		}
	}
}

// An address that has to be looked up first is when it is used, for no longer than
// a call may take, and again until it works.
func TestLookupOfServers(t *testing.T) {
	s, err := New("mongodb+srv://root:Pa55@cluster.example.org/", Options{})
	if err != nil {
		t.Fatal(err)
	}
	failure := fmt.Errorf("error parsing %s: %w", s.url, &net.DNSError{Err: "no such host", Name: "cluster.example.org"})
	answer := make(chan *options.ClientOptions)
	asked := make(chan struct{}, 8)
	s.resolve = func(string) (*options.ClientOptions, error) {
		asked <- struct{}{}
		if o := <-answer; o != nil {
			return o, nil
		}
		return nil, failure
	}
	if len(asked) > 0 {
		t.Error("New has asked")
	}
	began := time.Now()
	_, err = s.Get(t.Context(), "nobody")
	wantError(t, "while it takes long", err, context.DeadlineExceeded)
	if d := time.Since(began); d > 500*time.Millisecond {
		t.Errorf("took %v", d)
	}
	answer <- nil
	eventually(t, 5*time.Second, "given up", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.opening == nil
	})
	go func() { answer <- nil }()
	if _, err = s.Get(t.Context(), "nobody"); err == nil || !strings.Contains(err.Error(), "no such host") || strings.Contains(err.Error(), "Pa55") {
		t.Errorf("when it fails: %v", err)
	}
	if h := s.Health(); h.Up || h.Error != err.Error() {
		t.Errorf("%+v", h)
	}
	go func() { answer <- options.Client().ApplyURI(unused(t)) }()
	if raw(t, s) == nil || len(asked) != 3 {
		t.Errorf("asked %d times", len(asked))
	}
	closeStore(t, s)
}

func TestCloseWhileServersAreLookedUp(t *testing.T) {
	s, err := New("mongodb+srv://cluster.example.org/", Options{})
	if err != nil {
		t.Fatal(err)
	}
	let := make(chan struct{})
	s.resolve = func(string) (*options.ClientOptions, error) { <-let; return options.Client().ApplyURI(unused(t)), nil }
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	wantError(t, "Close", s.Close(ctx), context.DeadlineExceeded)
	o := s.opening
	close(let)
	<-o.done
	if !errors.Is(o.err, errClosed) || s.conn != nil {
		t.Errorf("connected all the same: %v", o.err)
	}
}

// unused returns the URL of a port where nobody listens.
func unused(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return "mongodb://root:Pa55@" + l.Addr().String() + "/"
}
