// Command bench compares the gateway with Caddy's reverse_proxy, and both with the bare upstream, in one run of interleaved rounds.
//
// It starts its own instant upstream (this binary again, as a process of its own) and two Caddies with the configurations beside
// this file, loads them in turns over raw keep-alive connections, checks every answer whole and prints medians and the medians of
// the per-round ratios:
//
//	go run ./loadtest/bench                             # everything, under ten minutes
//	go run ./loadtest/bench -sse-check 50000 -c 16      # only: 0 of 50,000 streamed answers truncated
//	go run ./loadtest/bench -memory=false -profile prof # rounds, then CPU profiles of both Caddies
//	go run ./loadtest/bench -agents 1000                # only: so many runs of agents at once, with models and tools simulated
//
// CPU and memory of other processes are read from /proc, so it runs on Linux only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func init() {
	// The main goroutine starts the children; their death signal is tied to the thread it does so from.
	runtime.LockOSThread()
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	subcommand, args := "", os.Args[1:]
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		subcommand, args = args[0], args[1:]
	}
	switch subcommand {
	case "mock":
		return runMock(ctx, args)
	case "upstream":
		fs := flag.NewFlagSet("upstream", flag.ExitOnError)
		var t timing
		fs.DurationVar(&t.pace, "pace", time.Second, "between the events of slow streams")
		fs.DurationVar(&t.delay, "delay", 0, "before an answer")
		fs.DurationVar(&t.between, "between", 0, "between the events of streams")
		if err := fs.Parse(args); err != nil {
			return err
		}
		return runUpstream(t)
	}
	if !procSupported {
		return errors.New("CPU and memory of other processes are read from /proc: linux only")
	}
	switch subcommand {
	case "locust":
		return runLocust(ctx, args)
	case "sweep":
		return runSweep(ctx, args)
	case "soak":
		return runSoak(ctx, args)
	}

	var (
		p        plan
		caddy    = flag.String("caddy", "bin/caddy", "the Caddy binary, with the gateway built in")
		targets  = flag.String("targets", "", "what to compare (default all of "+strings.Join(allTargets, ",")+", "+shared+" only with its backends in the environment; of -sse-check: "+gateway+")")
		memoryOn = flag.Bool("memory", true, "measure the memory of open streams")
		sseCheck = flag.Int("sse-check", 0, "only check that `n` streamed answers of each Caddy come whole")
		agents   = flag.Int("agents", 0, "only keep `n` runs of agents going at once, each agent in a fresh gateway (the documented figures are of 1000)")
		agentsOn = flag.Duration("agents-time", 10*time.Second, "agents: length of the load per agent and round")
		profile  = flag.String("profile", "", "write CPU profiles of the Caddies under load into this `directory`")
		asJSON   = flag.Bool("json", false, "print JSON instead of the table")
		strict   = flag.Bool("strict", false, "exit 1 when a limit is missed")
	)
	flag.IntVar(&p.Rounds, "rounds", 5, "interleaved rounds")
	flag.IntVar(&p.Concurrency, "c", 16, "connections of the closed loop")
	flag.IntVar(&p.Requests, "n", 6000, "closed loop: plain requests per target and round")
	flag.IntVar(&p.Streams, "n-sse", 3000, "closed loop: streamed requests per target and round")
	flag.Float64Var(&p.Rate, "rate", 500, "open loop: requests a second")
	flag.DurationVar(&p.Open, "open", 6*time.Second, "open loop: length per target, kind and round")
	flag.IntVar(&p.Slices, "slices", 8, "parts each loop is cut in, targets taking turns")
	flag.IntVar(&p.OpenStreams, "streams", 2000, "memory: open streams")
	flag.DurationVar(&p.Pace, "pace", time.Second, "memory: between the events of a stream")
	flag.IntVar(&p.Prompt, "prompt", 2, "size of the prompts in KB")
	flag.DurationVar(&p.Delay, "delay", 0, "the upstream answers after so long, as a model would")
	flag.DurationVar(&p.Between, "between", 0, "the upstream writes the events of a stream so far apart")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	if p.Rounds < 1 || p.Concurrency < 1 || p.Requests < 1 || p.Streams < 1 || p.Rate <= 0 || p.Open <= 0 || p.OpenStreams < 1 || p.Slices < 1 || p.Pace <= 0 || p.Prompt < 1 || p.Delay < 0 || p.Between < 0 || *sseCheck < 0 || *agents < 0 || *agentsOn <= 0 {
		return errors.New("counts, rates and durations must be above zero")
	}

	binary, err := executable(*caddy)
	if err != nil {
		return err
	}
	if *agents > 0 {
		ap := &agentPlan{Agents: *agents, Length: *agentsOn, Rounds: p.Rounds, profile: *profile}
		return reportAgents(ctx, binary, ap, *asJSON, *strict)
	}
	if *targets == "" {
		*targets = strings.Join(defaultTargets(), ",")
		if *sseCheck > 0 {
			*targets = gateway
		}
	}
	names, err := parseTargets(ctx, *targets, binary)
	if err != nil {
		return err
	}
	if *sseCheck > 0 {
		return runCheck(ctx, binary, names, *sseCheck, &p)
	}
	r, err := runAll(ctx, binary, names, &p, *profile, *memoryOn)
	if err != nil {
		return err
	}
	return conclude(r, *asJSON, *strict)
}

// reportAgents is -agents.
func reportAgents(ctx context.Context, caddy string, p *agentPlan, asJSON, strict bool) error {
	if _, err := parseTargets(ctx, gateway, caddy); err != nil {
		return err
	}
	cells, err := runAgents(ctx, caddy, p, os.Stderr)
	if err != nil {
		return err
	}
	return conclude(newAgentReport(p, cells), asJSON, strict)
}

// conclude prints a report. The error is what in it makes the exit status.
func conclude(r interface {
	write(io.Writer) error
	broken() []string
	missed() []string
}, asJSON, strict bool) error {
	var err error
	if asJSON {
		err = writeJSON(os.Stdout, r)
	} else {
		err = r.write(os.Stdout)
	}
	switch {
	case err != nil:
		return err
	case len(r.broken()) > 0:
		return errors.New("answers came back broken: " + strings.Join(r.broken(), "; "))
	case strict && len(r.missed()) > 0:
		return errors.New("missed: " + strings.Join(r.missed(), "; "))
	}
	return nil
}

// runAll is the whole comparison. Memory comes last, from fresh processes.
func runAll(ctx context.Context, caddy string, names []string, p *plan, profile string, memoryOn bool) (*report, error) {
	cells, err := func() ([]cell, error) {
		b, err := newBed(ctx, caddy, names, p.poolSize(), p)
		if err != nil {
			return nil, err
		}
		defer b.stop()
		cells, err := runRounds(ctx, b, p, os.Stderr)
		if err == nil && profile != "" {
			err = profileTargets(ctx, b, profile, p, os.Stderr)
		}
		return cells, err
	}()
	if err != nil {
		return nil, err
	}
	r := newReport(names, p, cells)
	for _, name := range names {
		if name == direct || !memoryOn {
			continue
		}
		m, err := measureMemory(ctx, caddy, name, p, os.Stderr)
		if err != nil {
			return nil, err
		}
		r.Memory = append(r.Memory, m)
	}
	return r, nil
}

// runCheck is -sse-check.
func runCheck(ctx context.Context, caddy string, names []string, n int, p *plan) error {
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == direct })
	if len(names) == 0 {
		return errors.New("-sse-check needs a Caddy among -targets")
	}
	b, err := newBed(ctx, caddy, names, p.Concurrency, p)
	if err != nil {
		return err
	}
	defer b.stop()
	var errs []error
	for _, t := range b.targets {
		sum := checkStreams(ctx, t, n, p.Concurrency, os.Stderr)
		fmt.Printf("%s: %d streamed answers at concurrency %d: %d truncated, %d failed\n", t.name, sum.Requests, p.Concurrency, sum.Truncated, sum.Failed)
		if err := sum.problem(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", t.name, err))
		}
	}
	return errors.Join(append(errs, ctx.Err(), b.alive())...)
}
