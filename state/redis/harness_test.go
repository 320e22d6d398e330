package redis

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
	"github.com/universal-ai-gateway/magicproxy/state"
)

const (
	// deadline is for what comes at once, on a machine that has other things to do.
	deadline = 20 * time.Second

	// calm is an Options.Wait that a busy machine does not use up.
	calm = 30 * time.Second
)

// connect opens a store for the test.
func connect(t testing.TB, url string, o Options) *Store {
	t.Helper()
	s, err := New(url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// shared opens a store on the Redis of all tests, with keys of its own.
func shared(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Prefix == "" {
		o.Prefix = backendtest.RedisPrefix(t)
	}
	return connect(t, backendtest.Shared(t, "redis"), o)
}

// plain is a client as the library makes it, to look at a server.
func plain(t testing.TB, url string) *goredis.Client {
	t.Helper()
	o, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := goredis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// await polls until something is so.
func await(t testing.TB, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(deadline); !so(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", deadline, what)
		}
	}
}

// bySelf reports whether a store has gone on without its Redis so far.
func bySelf(s *Store) bool { return s.Health().Alone > 0 }

// plenty is a limit that has room for everything.
func plenty(key string) state.Limit { return state.Limit{Key: key, N: 1 << 30, Window: time.Hour} }

// dense fails unless values are all different and nothing is missing between them.
func dense(t testing.TB, values []uint64) {
	t.Helper()
	if len(values) == 0 {
		t.Fatal("no values")
	}
	seen := make(map[uint64]bool, len(values))
	first, last, doubles := values[0], values[0], 0
	for _, v := range values {
		if seen[v] {
			doubles++
		}
		seen[v] = true
		first, last = min(first, v), max(last, v)
	}
	if gaps := last - first + 1 - uint64(len(seen)); doubles > 0 || gaps > 0 {
		t.Errorf("%d values from %d to %d: %d doubles, %d missing", len(values), first, last, doubles, gaps)
	}
}

// node is a Redis process that a test starts by hand: a kind that package
// backendtest does not know. It ends when its stdin does, so also with the test's
// process.
type node struct {
	t         testing.TB
	dir       string
	port, bus int
	cmd       *exec.Cmd
	life      io.Closer
}

// keeper runs a server until its own stdin ends.
const keeper = `"$@" & p=$!; read -r _; kill -9 $p; wait $p`

// serve starts a redis-server with arguments that may depend on its ports.
func serve(t testing.TB, args func(n *node) []string) *node {
	t.Helper()
	backendtest.Shared(t, "redis") // installs what may be missing
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	for range 5 { // a port may be taken by somebody else in the meantime
		n := &node{t: t, dir: t.TempDir(), port: backendtest.FreePort(t), bus: backendtest.FreePort(t)}
		n.start(args(n))
		t.Cleanup(n.kill)
		if n.ready() {
			return n
		}
		n.kill()
	}
	t.Fatal("no server has started")
	return nil
}

func (n *node) start(args []string) {
	n.t.Helper()
	log, err := os.Create(filepath.Join(n.dir, "log"))
	if err != nil {
		n.t.Fatal(err)
	}
	defer log.Close()
	n.cmd = exec.Command("sh", append([]string{"-c", keeper, "sh", "redis-server"}, args...)...) // kill ends it
	n.cmd.Dir, n.cmd.Stdout, n.cmd.Stderr = n.dir, log, log
	if n.life, err = n.cmd.StdinPipe(); err != nil {
		n.t.Fatal(err)
	}
	if err = n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
}

// ready waits until it takes connections; false if it says that it cannot have the
// port.
func (n *node) ready() bool {
	n.t.Helper()
	up, taken := false, false
	await(n.t, "a server has started", func() bool {
		log, _ := os.ReadFile(filepath.Join(n.dir, "log"))
		up = bytes.Contains(log, []byte("Ready to accept connections")) || bytes.Contains(log, []byte("Sentinel ID is"))
		taken = bytes.Contains(log, []byte("bind: Address already in use"))
		return up || taken
	})
	return up && !taken
}

// kill ends the process with SIGKILL.
func (n *node) kill() {
	if n.cmd == nil {
		return
	}
	n.life.Close()
	_ = n.cmd.Wait() // it was killed
	n.cmd = nil
	if n.t.Failed() {
		log, _ := os.ReadFile(filepath.Join(n.dir, "log"))
		n.t.Logf("the log on port %d ends with:\n%s", n.port, log[max(0, len(log)-2000):])
	}
}

func (n *node) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(n.port)) }

// onDemand are a server's arguments: loopback, nothing on disk.
func onDemand(n *node, more ...string) []string {
	return append([]string{"--bind", "127.0.0.1", "--port", strconv.Itoa(n.port), "--save", "", "--appendonly", "no"}, more...)
}

// calls returns how often each command has run since the last CONFIG RESETSTAT,
// those within scripts included.
func calls(t testing.TB, c *goredis.Client) map[string]int {
	t.Helper()
	text, err := c.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int)
	for line := range strings.Lines(text) {
		name, rest, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "cmdstat_"), ":calls=")
		n, _, _ := strings.Cut(rest, ",")
		if count, err := strconv.Atoi(n); ok && err == nil {
			got[name] = count
		}
	}
	return got
}
