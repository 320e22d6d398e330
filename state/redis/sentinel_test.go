package redis

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
	"github.com/universal-ai-gateway/magicproxy/state"
)

const masterName = "gateway"

// startSentinel starts a master, a replica, and a sentinel that watches them.
func startSentinel(t *testing.T) (url string, master, replica *node) {
	t.Helper()
	master = serve(t, func(n *node) []string { return onDemand(n, "--repl-diskless-sync-delay", "0") })
	replica = serve(t, func(n *node) []string {
		return onDemand(n, "--replicaof", "127.0.0.1 "+strconv.Itoa(master.port))
	})
	sentinel := serve(t, func(n *node) []string {
		file := filepath.Join(n.dir, "sentinel.conf")
		text := fmt.Sprintf("bind 127.0.0.1\nport %d\ndir %s\nsentinel monitor %s 127.0.0.1 %d 1\n"+
			"sentinel down-after-milliseconds %s 500\nsentinel failover-timeout %s 5000\n",
			n.port, n.dir, masterName, master.port, masterName, masterName)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{file, "--sentinel"}
	})
	look := plain(t, "redis://"+sentinel.addr())
	await(t, "the sentinel knows the replica", func() bool {
		all, err := look.Do(t.Context(), "SENTINEL", "replicas", masterName).Slice()
		if err != nil || len(all) != 1 {
			return false
		}
		m, ok := all[0].(map[any]any)
		return ok && m["master-link-status"] == "ok" && m["flags"] == "slave"
	})
	return fmt.Sprintf("redis+sentinel://%s/%s", sentinel.addr(), masterName), master, replica
}

func TestSentinel(t *testing.T) {
	url, master, replica := startSentinel(t)
	together(t, on(url))
	t.Run("failover", func(t *testing.T) {
		s := connect(t, url, Options{Prefix: backendtest.RedisPrefix(t)})
		look := plain(t, "redis://"+replica.addr())
		key := s.prefix + "chain:{c}"
		admit := func() {
			if got := s.Admit(t.Context(), state.Admission{Limits: []state.Limit{plenty("a|b")}, Chain: "c"}); got.Refused || got.Closed || got.Limit.N == 0 {
				t.Errorf("%+v", got)
			}
		}
		await(t, "the replica has the counter", func() bool { admit(); return look.Exists(t.Context(), key).Val() == 1 })
		master.kill()
		from, slowest := time.Now(), time.Duration(0)
		before := look.Get(t.Context(), key).Val()
		await(t, "the replica counts", func() bool {
			at := time.Now()
			admit()
			slowest = max(slowest, time.Since(at))
			now := look.Get(t.Context(), key).Val()
			return now != before && look.Do(t.Context(), "ROLE").Val().([]any)[0] == "master"
		})
		t.Logf("the replica serves %s after the master's end; the slowest admission took %s, %d were alone",
			time.Since(from).Round(time.Millisecond), slowest.Round(time.Microsecond), s.Health().Alone)
		await(t, "it is known", func() bool { admit(); return s.Health().Up })
	})
}
