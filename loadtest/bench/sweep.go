package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// sweepPlan is a run of `bench sweep`; every field is a flag.
type sweepPlan struct {
	Connections []int         `json:"connections"`
	Prompts     []int         `json:"prompts_kb"`
	OpenStreams []int         `json:"open_streams"`
	Rounds      int           `json:"rounds"`
	Length      time.Duration `json:"length_ns"` // of one loop, about
}

// point is one target at one place of a sweep.
type point struct {
	Target     string  `json:"target"`
	Kind       string  `json:"kind"`
	X          int     `json:"x"` // connections, KB of prompt, or open streams
	Throughput float64 `json:"requests_per_second,omitempty"`
	CPU        float64 `json:"cpu_us,omitempty"`
	P50        float64 `json:"p50_us,omitempty"`
	P99        float64 `json:"p99_us,omitempty"`
	RSS        float64 `json:"rss_mb,omitempty"`
}

// sweepReport is a whole run.
type sweepReport struct {
	Date        string     `json:"date"`
	Machine     string     `json:"machine"`
	CPUs        int        `json:"cpus"`
	Go          string     `json:"go"`
	Plan        *sweepPlan `json:"plan"`
	Connections []point    `json:"by_connections"`
	Prompts     []point    `json:"by_prompt"`
	Streams     []point    `json:"by_open_streams"`
}

// runSweep is the subcommand sweep: how throughput and cost go with connections and prompts, and memory with open streams.
func runSweep(ctx context.Context, args []string) error {
	p := &sweepPlan{}
	fs := flag.NewFlagSet("sweep", flag.ExitOnError)
	caddy := fs.String("caddy", "bin/caddy", "the Caddy binary, with the gateway built in")
	targets := fs.String("targets", strings.Join([]string{reverseProxy, gateway, embedded}, ","), "what to compare")
	connections := fs.String("c", "1,4,16,64,256,1000", "connections")
	prompts := fs.String("prompts", "2,30,100", "prompts, in KB")
	streams := fs.String("streams", "500,2000,4000,8000", "open streams; empty: not measured")
	out := fs.String("results", "loadtest/results/sweep", "`directory` for what was measured")
	fs.IntVar(&p.Rounds, "rounds", 3, "rounds")
	fs.DurationVar(&p.Length, "time", time.Second, "length of one loop, about")
	if err := fs.Parse(args); err != nil {
		return err
	}
	for list, into := range map[*string]*[]int{connections: &p.Connections, prompts: &p.Prompts, streams: &p.OpenStreams} {
		for s := range strings.SplitSeq(*list, ",") {
			if s == "" {
				continue
			}
			n, err := strconv.Atoi(strings.TrimSpace(s))
			if err != nil || n < 1 {
				return fmt.Errorf("%q is no number above zero", s)
			}
			*into = append(*into, n)
		}
	}
	if fs.NArg() > 0 || p.Rounds < 1 || p.Length <= 0 {
		return errors.New("unexpected argument, or a count that is not above zero")
	}
	binary, err := executable(*caddy)
	if err != nil {
		return err
	}
	names, err := parseTargets(ctx, *targets, binary)
	if err != nil {
		return err
	}
	r := &sweepReport{Date: time.Now().Format("2006-01-02"), Machine: machine(), CPUs: runtime.NumCPU(), Go: runtime.Version(), Plan: p}
	if err := r.measure(ctx, binary, names); err != nil {
		return err
	}
	if err := r.save(*out); err != nil {
		return err
	}
	return r.write(os.Stdout)
}

func (r *sweepReport) measure(ctx context.Context, caddy string, names []string) error {
	most := 1
	for _, c := range r.Plan.Connections {
		most = max(most, c)
	}
	if err := raiseFileLimit(uint64(4*most + 500)); err != nil {
		return err
	}
	for _, prompt := range r.Plan.Prompts {
		base := &plan{Concurrency: most, Prompt: prompt, Pace: time.Second}
		if prompt != r.Plan.Prompts[0] { // connections are swept with the first
			base.Concurrency = 16
		}
		if err := r.measureLoops(ctx, caddy, names, base, prompt == r.Plan.Prompts[0]); err != nil {
			return err
		}
	}
	for _, n := range r.Plan.OpenStreams {
		for _, name := range names {
			if name == direct || name == embedded || name == shared { // what is on does not matter to a stream once it is open
				continue
			}
			m, err := measureMemory(ctx, caddy, name, &plan{Concurrency: 16, Prompt: 2, OpenStreams: n, Pace: time.Second}, os.Stderr)
			if err != nil {
				return err
			}
			r.Streams = append(r.Streams, point{Target: name, X: n, RSS: mega(m.Open)})
		}
	}
	return nil
}

// measureLoops loads all targets with one prompt: with 16 connections for the sweep over prompts, and if connections is true with
// all numbers of connections.
func (r *sweepReport) measureLoops(ctx context.Context, caddy string, names []string, p *plan, connections bool) error {
	b, err := newBed(ctx, caddy, names, p.Concurrency, p)
	if err != nil {
		return err
	}
	defer b.stop()
	counts := []int{16}
	if connections {
		counts = r.Plan.Connections
	}
	for _, k := range kinds {
		for _, c := range counts {
			points, err := r.measurePoint(ctx, b, k, c)
			if err != nil {
				return err
			}
			for _, x := range points {
				fmt.Fprintf(os.Stderr, "%-5s %4d connections, %3d KB, %-13s %7.0f/s %6.1f µs CPU  p50 %7.0f p99 %7.0f µs\n", k, c, p.Prompt, x.Target, x.Throughput, x.CPU, x.P50, x.P99)
			}
			if connections {
				r.Connections = append(r.Connections, points...)
			}
			if c == 16 {
				for _, x := range points {
					x.X = p.Prompt
					r.Prompts = append(r.Prompts, x)
				}
			}
		}
	}
	return nil
}

// measurePoint gives every target a closed loop of about the planned length in each round, and takes medians.
func (r *sweepReport) measurePoint(ctx context.Context, b *bed, k kind, c int) ([]point, error) {
	n := len(b.targets)
	rate, cpu, p50, p99 := make([][]float64, n), make([][]float64, n), make([][]float64, n), make([][]float64, n)
	requests := make([]int, n)
	for i, t := range b.targets { // warm, and find out how many a loop of that length has
		w := closedLoop(ctx, t.pool, k, max(500, 4*c), c)
		if err := w.problem(); err != nil {
			return nil, fmt.Errorf("%s, %s: %w", t.name, k, err)
		}
		requests[i] = max(500, 4*c, int(w.throughput()*r.Plan.Length.Seconds()))
	}
	for round := range r.Plan.Rounds {
		for _, i := range order(n, round) {
			t := b.targets[i]
			before, err := cpuTime(t.proc.pid())
			if err != nil {
				return nil, err
			}
			res := closedLoop(ctx, t.pool, k, requests[i], c)
			after, err := cpuTime(t.proc.pid())
			if err == nil {
				err = errors.Join(res.problem(), ctx.Err(), b.alive())
			}
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", t.name, k, err)
			}
			rate[i] = append(rate[i], res.throughput())
			cpu[i] = append(cpu[i], micros(after-before)/float64(res.Requests))
			p50[i] = append(p50[i], micros(res.p(0.5)))
			p99[i] = append(p99[i], micros(res.p(0.99)))
		}
	}
	points := make([]point, n)
	for i, t := range b.targets {
		points[i] = point{Target: t.name, Kind: k.String(), X: c, Throughput: median(rate[i]), CPU: median(cpu[i]), P50: median(p50[i]), P99: median(p99[i])}
	}
	return points, nil
}

func (r *sweepReport) save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "report.json"), append(b, '\n'), 0o644)
}

// write prints the tables.
func (r *sweepReport) write(w io.Writer) error {
	fmt.Fprintf(w, "\n%s, %s, %d CPUs, %s; medians of %d rounds of about %s\n", r.Date, r.Machine, r.CPUs, r.Go, r.Plan.Rounds, r.Plan.Length)
	for _, part := range []struct {
		name   string
		points []point
	}{{"connections", r.Connections}, {"KB of prompt, 16 connections", r.Prompts}} {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(t, "\n%s\t\t\trequests/s\tCPU, µs\tp50, µs\tp99, µs\t\n", part.name)
		for _, x := range part.points {
			fmt.Fprintf(t, "%d\t%s\t%s\t%.0f\t%.1f\t%.0f\t%.0f\t\n", x.X, x.Kind, x.Target, x.Throughput, x.CPU, x.P50, x.P99)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if len(r.Streams) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\nopen streams\t\tMB\t\n")
	for _, x := range r.Streams {
		fmt.Fprintf(t, "%d\t%s\t%.1f\t\n", x.X, x.Target, x.RSS)
	}
	return t.Flush()
}
