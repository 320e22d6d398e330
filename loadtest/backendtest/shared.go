package backendtest

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

// shared are the servers of this process, by name.
var shared = struct {
	sync.Mutex
	servers map[string]sharedServer
}{servers: map[string]sharedServer{}}

type sharedServer struct {
	addr string
	err  error
}

// Shared returns the address of the server that all tests use, in the form of Server.Addr; name is redis, mongodb or kafka.
// It is the one that REDIS_URL, MONGODB_URL or KAFKA_BROKERS names, as in make test; else one that the first call starts, and
// that ends with the process. Nobody breaks it, or uses names that another test could choose.
func Shared(t testing.TB, name string) string {
	t.Helper()
	if variables[name] == "" {
		t.Fatalf("no server is called %q", name)
	}
	s := share(name)
	need(t, s.err)
	return s.addr
}

func share(name string) sharedServer {
	shared.Lock()
	defer shared.Unlock()
	s, ok := shared.servers[name]
	if !ok {
		if s.addr = os.Getenv(variables[name]); s.addr == "" {
			s.addr, s.err = startShared(name)
		}
		shared.servers[name] = s
	}
	return s
}

func startShared(name string) (string, error) {
	dir, err := up(name)
	if err != nil {
		return "", err
	}
	env, err := environment(dir)
	if err == nil && env[variables[name]] == "" {
		err = fmt.Errorf("%s runs nowhere: %v", name, env)
	}
	return env[variables[name]], err
}
