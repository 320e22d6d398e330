// Package backendtest gives tests real servers: Redis, MongoDB (a replica set of one) and Kafka, on loopback, through the
// script loadtest/backends, which says where they come from.
//
// A test that breaks a server starts its own with Redis, Mongo or Kafka. Every other uses Shared, under names that RedisPrefix,
// MongoDatabase and KafkaTopic make, so that tests meet nowhere. Where a server can't be had, tests skip; with CI=true they fail.
package backendtest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Server is a server that one test has for itself. The methods return when what they do is done; an error fails the test, from
// any goroutine. Not for concurrent use.
type Server struct {
	// Addr is redis://127.0.0.1:PORT/0, mongodb://127.0.0.1:PORT/?replicaSet=rs0&directConnection=true, or Kafka's
	// 127.0.0.1:PORT. It stays the same through everything.
	Addr string

	t    testing.TB
	name string
	dir  string
}

// Redis starts a Redis. It writes nothing to disk, so it is empty again after Kill or Stop, and Start.
func Redis(t testing.TB) *Server {
	t.Helper()
	return start(t, redis)
}

// Mongo starts a MongoDB as the primary of a replica set of one.
func Mongo(t testing.TB) *Server {
	t.Helper()
	return start(t, mongodb)
}

// Kafka starts a broker, also its own controller, with the topic agent_audit_events of three partitions; it makes no topic
// unasked.
func Kafka(t testing.TB) *Server {
	t.Helper()
	return start(t, kafka)
}

func start(t testing.TB, name string) *Server {
	t.Helper()
	dir, err := up(name)
	need(t, err)
	t.Cleanup(func() {
		if err := down(dir); err != nil {
			t.Errorf("ending %s: %v", name, err)
		}
	})
	env, err := environment(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Addr: env[variables[name]], t: t, name: name, dir: dir}
	if s.Addr == "" {
		t.Fatalf("%s runs nowhere: %v", name, env)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log of %s ends with:\n%s", name, s.log())
		}
	})
	return s
}

// log is the end of what the server wrote; nothing is there where Docker keeps it.
func (s *Server) log() string {
	b, err := os.ReadFile(filepath.Join(s.dir, s.name, "log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// need ends the test where a server can't be had.
func need(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case os.Getenv("CI") != "true" && unavailable(err):
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

// Kill ends the server with SIGKILL: what it had not written is lost.
func (s *Server) Kill() { s.t.Helper(); s.do("kill") }

// Freeze stops the server with SIGSTOP: connections stay and are accepted, and nobody answers.
func (s *Server) Freeze() { s.t.Helper(); s.do("freeze") }

// Thaw lets a frozen server go on.
func (s *Server) Thaw() { s.t.Helper(); s.do("thaw") }

// Stop ends the server as an operator does, with SIGTERM.
func (s *Server) Stop() { s.t.Helper(); s.do("stop") }

// Start starts the server again after Kill or Stop, on the same port and data, and returns when it answers. Kafka's controller
// waits after Kill until it holds the broker for gone: up to 9 s.
func (s *Server) Start() { s.t.Helper(); s.do("start") }

// PID is the server's process, 0 while it does not run.
func (s *Server) PID() int {
	s.t.Helper()
	env, err := environment(s.dir)
	if err != nil {
		s.t.Error(err)
	}
	pid, _ := strconv.Atoi(env[strings.ToUpper(s.name)+"_PID"])
	return pid
}

func (s *Server) do(verb string) {
	s.t.Helper()
	if _, err := script(verb, s.name, "--dir", s.dir); err != nil {
		s.t.Errorf("%s %s: %v", verb, s.name, err)
	}
}
