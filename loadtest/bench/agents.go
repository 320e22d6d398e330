package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// agentCell is what one agent did in one round, in a gateway of its own.
type agentCell struct {
	Agent      string  `json:"agent"`
	Round      int     `json:"round"`
	Floor      float64 `json:"floor_ms"` // what the mock's tokens take: no run is faster
	P50        float64 `json:"p50_ms"`
	P99        float64 `json:"p99_ms"`
	Throughput float64 `json:"runs_per_second"`
	CPU        float64 `json:"cpu_us"` // of the gateway, per run
	Cores      float64 `json:"cores"`  // that the gateway kept busy
	Warm       int64   `json:"rss_warm_bytes"`
	Peak       int64   `json:"rss_peak_bytes"` // the largest of the samples
	PerRun     float64 `json:"bytes_per_run"`  // of those that go on at once
	Heap       float64 `json:"heap_bytes"`     // in use halfway, as the Go runtime says
	Stacks     float64 `json:"stack_bytes"`
	Goroutines float64 `json:"goroutines"`
	tally
}

// agentPlan is what -agents does.
type agentPlan struct {
	Agents  int           `json:"runs_at_once"`
	Length  time.Duration `json:"length_ns"` // of the load, per agent and round
	Rounds  int           `json:"rounds"`
	profile string        // directory, "" for none
}

const (
	tokenPace       = 10 * time.Millisecond // the mock's default
	sessionsPerUser = 1000                  // the gateway's bound; every run is a session here
)

// runAgents gives each agent a fresh gateway a round.
func runAgents(ctx context.Context, caddy string, p *agentPlan, progress io.Writer) ([]agentCell, error) {
	if most := agentUsers * sessionsPerUser; p.Agents > most {
		return nil, fmt.Errorf("at most %d runs at once: the configuration has %d users, and one may have %d sessions", most, agentUsers, sessionsPerUser)
	}
	if err := raiseFileLimit(uint64(p.Agents + 500)); err != nil { //nolint:gosec // not negative
		return nil, err
	}
	var cells []agentCell
	for round := range p.Rounds {
		for _, i := range order(len(agentWants), round) {
			c, err := measureAgent(ctx, caddy, agentWants[i], round, p)
			if err != nil {
				return nil, fmt.Errorf("agent %s: %w", agentWants[i].name, err)
			}
			fmt.Fprintf(progress, "round %d/%d %-6s %6.0f runs/s  p50 %4.0f p99 %4.0f ms (floor %.0f)  %5.0f µs CPU  %5.1f kB a run\n",
				c.Round, p.Rounds, c.Agent, c.Throughput, c.P50, c.P99, c.Floor, c.CPU, c.PerRun/1e3)
			cells = append(cells, *c)
		}
	}
	return cells, nil
}

// measureAgent starts a gateway, warms it up, keeps the runs going and samples the resident size meanwhile.
func measureAgent(ctx context.Context, caddy string, want agentWant, round int, p *agentPlan) (_ *agentCell, err error) {
	dir, err := os.MkdirTemp("", "bench-agents-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // temporary anyway
	token := randomSecret()
	t, err := startCaddy(dir, caddy, "agents", []string{"", ""}, token, p.Agents, 2)
	if err != nil {
		return nil, err
	}
	defer t.stop()
	l := &agentLoad{want: &want, pool: t.pool, reqs: agentRequests(t.pool.clients[0].addr, token, want.name)}
	if err := l.ready(ctx, t); err != nil {
		return nil, err
	}
	const warmConnections, warmTime = 32, 3 * time.Second
	if r := l.run(ctx, min(warmConnections, p.Agents), warmTime); !r.clean() {
		return nil, fmt.Errorf("warm-up: %w", r.problem())
	}
	if err := pause(ctx, time.Second); err != nil {
		return nil, err
	}
	c := &agentCell{Agent: want.name, Round: round + 1, Floor: millis(time.Duration(want.tokens) * tokenPace)}
	if c.Warm, err = residentBytes(t.proc.pid()); err != nil {
		return nil, err
	}
	before, err := cpuTime(t.proc.pid())
	if err != nil {
		return nil, err
	}
	watched := make(chan error, 1)
	ended := make(chan struct{})
	go func() { watched <- c.watch(ctx, ended, t, round, p) }()
	r := l.run(ctx, p.Agents, p.Length)
	close(ended)
	after, err := cpuTime(t.proc.pid())
	if err := errors.Join(t.proc.alive(), <-watched, err, ctx.Err()); err != nil {
		return nil, err
	}
	c.tally = r.tally
	c.P50, c.P99, c.Throughput = millis(r.p(0.50)), millis(r.p(0.99)), r.throughput()
	c.CPU = micros(after-before) / float64(max(r.Requests, 1))
	c.Cores = (after - before).Seconds() / r.elapsed.Seconds()
	c.PerRun = float64(c.Peak-c.Warm) / float64(p.Agents)
	return c, nil
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// watch samples the resident size until the load has ended, and halfway asks the Go runtime of the gateway. A profile disturbs the
// figures of its round.
func (c *agentCell) watch(ctx context.Context, ended <-chan struct{}, t *target, round int, p *agentPlan) error {
	half := time.After(p.Length / 2)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		rss, err := residentBytes(t.proc.pid())
		if err != nil {
			return err
		}
		c.Peak = max(c.Peak, rss)
		select {
		case <-tick.C:
		case <-half:
			if err := c.askRuntime(ctx, t.admin); err != nil {
				return err
			}
			if p.profile != "" && round == 0 {
				if err := profileAgent(ctx, t.admin, p.profile, c.Agent); err != nil {
					return err
				}
			}
		case <-ended:
			return nil
		}
	}
}

// askRuntime reads the gauges that Caddy's admin API has anyway.
func (c *agentCell) askRuntime(ctx context.Context, admin string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/metrics", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	gauges := map[string]*float64{"go_memstats_heap_inuse_bytes": &c.Heap, "go_memstats_stack_inuse_bytes": &c.Stacks, "go_goroutines": &c.Goroutines}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if g := gauges[name]; g != nil {
			if *g, err = strconv.ParseFloat(value, 64); err != nil {
				return err
			}
		}
	}
	return lines.Err()
}

// profileAgent writes profiles of a gateway under load: <dir>/<agent>-<kind>.pprof.
func profileAgent(ctx context.Context, admin, dir, agent string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, what := range []string{"heap", "goroutine", "profile"} {
		if err := fetchProfile(ctx, admin, what, 2, filepath.Join(dir, agent+"-"+what+".pprof")); err != nil {
			return fmt.Errorf("profile: %w", err)
		}
	}
	return nil
}

// agentLoad keeps runs of one agent going.
type agentLoad struct {
	want *agentWant
	pool *pool
	reqs [][]byte // by user
}

// run keeps n runs going at once for so long. Each connection has a run at a time; the last ones are waited for.
func (l *agentLoad) run(ctx context.Context, n int, length time.Duration) result {
	parts := make([]result, n)
	floor := time.Duration(l.want.tokens) * tokenPace
	var wg sync.WaitGroup
	start := time.Now()
	for w := range n {
		wg.Go(func() {
			// Begun all at once, they would go on in step, and their tokens would be due together.
			if pause(ctx, floor*time.Duration(w)/time.Duration(n)) != nil {
				return
			}
			part, cl, req := &parts[w], l.pool.clients[w], l.reqs[w%len(l.reqs)]
			for ctx.Err() == nil && time.Since(start) < length {
				t := time.Now()
				err := cl.do(req, l.want.check)
				part.count(err)
				if err == nil {
					part.sorted = append(part.sorted, time.Since(t))
				}
			}
		})
	}
	wg.Wait()
	r := result{elapsed: time.Since(start)}
	for i := range parts {
		r.add(parts[i].tally)
		r.sorted = append(r.sorted, parts[i].sorted...)
	}
	slices.Sort(r.sorted)
	return r
}

// ready polls until the agent gives a whole answer, and notes what it takes.
func (l *agentLoad) ready(ctx context.Context, t *target) error {
	const patience = 15 * time.Second
	c := l.pool.clients[0]
	for deadline := time.Now().Add(patience); ; {
		err := c.do(l.reqs[0], l.want.check)
		if err == nil {
			l.want.tokens = completionTokens(c.body)
			return nil
		}
		if gone := t.proc.alive(); gone != nil {
			return gone
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no good answer in %s: %w: %s", patience, err, t.proc.tail())
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}
