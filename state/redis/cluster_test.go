package redis

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
	"github.com/universal-ai-gateway/magicproxy/state"
)

const slots = 16384

// startCluster starts a cluster of three masters, and returns it with a client for each.
func startCluster(t *testing.T) (url string, nodes []*node, clients []*goredis.Client) {
	t.Helper()
	const n = 3
	var hosts []string
	for range n {
		nodes = append(nodes, clusterNode(t))
		hosts = append(hosts, nodes[len(nodes)-1].addr())
		clients = append(clients, plain(t, "redis://"+hosts[len(hosts)-1]))
	}
	for i, c := range clients {
		if err := c.ClusterAddSlotsRange(t.Context(), i*slots/n, (i+1)*slots/n-1).Err(); err != nil {
			t.Fatal(err)
		}
		do(t, c, "CLUSTER", "MEET", "127.0.0.1", nodes[0].port, nodes[0].bus)
	}
	for _, c := range clients {
		await(t, "the nodes know each other", func() bool {
			info, err := c.ClusterInfo(t.Context()).Result()
			return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_ok:16384")
		})
	}
	return "redis+cluster://" + strings.Join(hosts, ","), nodes, clients
}

func clusterNode(t *testing.T) *node {
	t.Helper()
	return serve(t, func(n *node) []string {
		return onDemand(n, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(n.bus), "--cluster-node-timeout", "2000",
			"--cluster-require-full-coverage", "no", "--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0")
	})
}

func TestCluster(t *testing.T) {
	url, nodes, clients := startCluster(t)
	open := func(t *testing.T) (a, b *Store) {
		o := Options{Prefix: backendtest.RedisPrefix(t), Wait: calm}
		return connect(t, url, o), connect(t, "redis+cluster://"+nodes[2].addr(), o) // one is enough to find the others
	}
	together(t, open)

	t.Run("the keys are on all nodes", func(t *testing.T) {
		for i, c := range clients {
			if n, err := c.DBSize(t.Context()).Result(); err != nil || n == 0 {
				t.Errorf("node %d has %d, %v", i, n, err)
			}
		}
	})
	t.Run("a script is told to every node", func(t *testing.T) {
		s, _ := open(t)
		for _, c := range clients {
			do(t, c, "SCRIPT", "FLUSH")
		}
		for i := range 50 {
			limit := plenty("user " + strconv.Itoa(i) + "|x")
			if got := s.Admit(t.Context(), state.Admission{Limits: []state.Limit{limit}}); got.Limit != limit || bySelf(s) {
				t.Fatalf("%+v, %+v", got, s.Health())
			}
		}
	})
	t.Run("slots that move", func(t *testing.T) { movingSlots(t, open, clients) })
	t.Run("a node that dies", func(t *testing.T) { dyingNode(t, open, nodes[1], clients) })
}

// Slots move to another node while starts are taken from them. They move one way only:
// two nodes that take from each other at this speed may disagree on who has what.
func movingSlots(t *testing.T, open pair, clients []*goredis.Client) {
	a, b := open(t)
	const chains = 20
	key := func(i int) string { return a.prefix + "chain:{" + strconv.Itoa(i) + "}" }
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	starts := make([][]uint64, chains)
	var took [chains]chan struct{}
	for i := range chains {
		took[i] = make(chan struct{}, 1)
		wg.Go(func() {
			for j := 0; ctx.Err() == nil; j++ {
				s := []*Store{a, b}[j%2]
				starts[i] = append(starts[i], s.Admit(t.Context(), state.Admission{Chain: strconv.Itoa(i)}).Start)
				select {
				case took[i] <- struct{}{}:
				default:
				}
			}
		})
	}
	from, to := clients[0], clients[1]
	fromID, toID := from.ClusterMyID(t.Context()).Val(), to.ClusterMyID(t.Context()).Val()
	_, port, _ := strings.Cut(to.Options().Addr, ":")
	moved := 0
	for i := range chains {
		<-took[i]
		slot := int(from.ClusterKeySlot(t.Context(), key(i)).Val())
		if slot >= slots/len(clients) {
			continue // it is not there
		}
		do(t, to, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromID)
		do(t, from, "CLUSTER", "SETSLOT", slot, "MIGRATING", toID)
		for _, k := range from.ClusterGetKeysInSlot(t.Context(), slot, 1000).Val() {
			do(t, from, "MIGRATE", "127.0.0.1", port, k, 0, 5000)
		}
		do(t, to, "CLUSTER", "SETSLOT", slot, "NODE", toID)
		do(t, from, "CLUSTER", "SETSLOT", slot, "NODE", toID)
		moved++
	}
	if moved == 0 {
		t.Error("nothing has moved")
	}
	for i := range chains {
		<-took[i]
	}
	stop()
	wg.Wait()
	for i := range chains {
		dense(t, starts[i])
	}
	for _, s := range []*Store{a, b} {
		if bySelf(s) {
			t.Errorf("%+v", s.Health())
		}
	}
}

// No admission fails while a master is gone and its replica has not taken over: the
// store goes on alone. Then it is shared again.
//
// fault: K1
func dyingNode(t *testing.T, open pair, n *node, masters []*goredis.Client) {
	replica := clusterNode(t)
	c := plain(t, "redis://"+replica.addr())
	do(t, c, "CLUSTER", "MEET", "127.0.0.1", n.port, n.bus)
	id := masters[1].ClusterMyID(t.Context()).Val()
	await(t, "the replica follows", func() bool { return c.ClusterReplicate(t.Context(), id).Err() == nil })
	await(t, "the replica is complete", func() bool {
		return strings.Contains(c.Info(t.Context(), "replication").Val(), "master_link_status:up")
	})
	for _, m := range masters {
		await(t, "all know it", func() bool {
			return strings.Contains(m.ClusterNodes(t.Context()).Val(), replica.addr()+"@"+strconv.Itoa(replica.bus)+" slave "+id)
		})
	}

	a, b := open(t)
	o := Options{Prefix: a.prefix}
	s := connect(t, "redis+cluster://"+strings.Join([]string{replica.addr(), n.addr()}, ","), o)
	var slowest time.Duration
	ask := func() {
		for i := range 100 {
			name, at := strconv.Itoa(i), time.Now()
			got := s.Admit(t.Context(), state.Admission{Limits: []state.Limit{plenty("user " + name + "|x")}, Chain: name})
			if got.Refused || got.Closed || got.Limit.N == 0 {
				t.Errorf("%+v", got)
			}
			slowest = max(slowest, time.Since(at))
		}
	}
	await(t, "the store knows all nodes", func() bool { before := s.Health().Alone; ask(); return s.Health().Alone == before })
	n.kill()
	from := time.Now()
	slowest = 0
	await(t, "it is noticed", func() bool { ask(); return !s.Health().Up })
	await(t, "all is shared again", func() bool { before := s.Health().Alone; ask(); return s.Health().Alone == before })
	t.Logf("shared again %s after the master's end; the slowest admission took %s, %d were alone",
		time.Since(from).Round(time.Millisecond), slowest.Round(time.Microsecond), s.Health().Alone)
	for _, s := range []*Store{a, b} { // those that were not there
		if got := s.Admit(t.Context(), state.Admission{Chain: "c"}); bySelf(s) || got.Start == 0 {
			t.Errorf("%+v, %+v", got, s.Health())
		}
	}
}
