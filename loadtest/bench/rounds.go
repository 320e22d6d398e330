package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// plan is what a run does; every field is a flag.
type plan struct {
	Rounds      int           `json:"rounds"`
	Concurrency int           `json:"concurrency"`
	Requests    int           `json:"requests_plain"` // closed loop, per target and round
	Streams     int           `json:"requests_sse"`
	Rate        float64       `json:"rate_per_second"` // open loop
	Open        time.Duration `json:"open_loop_ns"`    // its length, per target, kind and round
	Slices      int           `json:"slices"`          // each loop of a round is cut in, targets taking turns
	OpenStreams int           `json:"open_streams"`    // for the memory figure; 0: not measured
	Pace        time.Duration `json:"pace_ns"`         // between events of those
	Prompt      int           `json:"prompt_kb"`
	Delay       time.Duration `json:"delay_ns"`   // of the upstream's answers
	Between     time.Duration `json:"between_ns"` // the events of its streams
}

func (p *plan) upstream() timing { return timing{p.Pace, p.Delay, p.Between} }

func (p *plan) count(k kind) int {
	if k == plain {
		return p.Requests
	}
	return p.Streams
}

// poolSize: the open loop needs as many connections as there are requests on the way, and spare ones for those that a stall delays.
func (p *plan) poolSize() int {
	const events = contentEvents + 2
	underway := p.Rate * (p.Delay + events*p.Between).Seconds()
	return max(p.Concurrency, 64+2*int(underway))
}

// cell is what one target did in one round with one kind of request. Times are microseconds.
type cell struct {
	Target     string  `json:"target"`
	Kind       string  `json:"kind"`
	Round      int     `json:"round"`
	CPU        float64 `json:"cpu_us"` // of the proxy process, per request of the closed loop
	Throughput float64 `json:"requests_per_second"`
	ClosedP50  float64 `json:"closed_p50_us"`
	ClosedP99  float64 `json:"closed_p99_us"`
	OpenP50    float64 `json:"open_p50_us"`
	OpenP99    float64 `json:"open_p99_us"`
	OpenLag    float64 `json:"open_lag_p99_us"` // how late our own requests left: the figures are no finer than this
	tally
}

// order of n targets in a round: turned by one every second round, and backwards in every other, so that over the rounds each
// follows each of the others. With turning alone one would always run in the wake of the same neighbour.
func order(n, round int) []int {
	o := make([]int, n)
	for i := range o {
		o[i] = (i + round/2) % n
	}
	if round%2 == 1 {
		slices.Reverse(o)
	}
	return o
}

// runRounds loads the targets in turns, so that a drift of the machine meets all of them.
func runRounds(ctx context.Context, b *bed, p *plan, progress io.Writer) ([]cell, error) {
	for _, t := range b.targets {
		for _, k := range kinds {
			fmt.Fprintf(progress, "warm-up %s %s\n", t.name, k)
			r := closedLoop(ctx, t.pool, k, max(p.count(k)/4, 500), p.Concurrency)
			if err := r.problem(); err != nil {
				return nil, fmt.Errorf("warm-up of %s, %s: %w", t.name, k, err)
			}
		}
	}
	var cells []cell
	for round := range p.Rounds {
		for _, k := range kinds {
			of, err := runRound(ctx, b, k, round, p)
			if err != nil {
				return nil, err
			}
			cells = append(cells, of...)
			for _, c := range of {
				fmt.Fprintf(progress, "round %d/%d %-5s %-13s %6.1f µs CPU %7.0f/s  open loop p50 %6.0f p99 %6.0f µs\n",
					c.Round, p.Rounds, c.Kind, c.Target, c.CPU, c.Throughput, c.OpenP50, c.OpenP99)
			}
		}
	}
	return cells, nil
}

// runRound gives every target its closed loop, then its open loop, each in short slices taken in turns: on a shared machine the
// speed changes by tens of percent from one second to the next, and what is compared has to meet the same seconds.
func runRound(ctx context.Context, b *bed, k kind, round int, p *plan) ([]cell, error) {
	n := len(b.targets)
	closed, open, cpu := make([]result, n), make([]result, n), make([]time.Duration, n)
	for s := range p.Slices {
		for _, i := range order(n, round+s) {
			t := b.targets[i]
			before, err := cpuTime(t.proc.pid())
			if err != nil {
				return nil, err
			}
			closed[i].merge(closedLoop(ctx, t.pool, k, share(p.count(k), s, p.Slices), p.Concurrency))
			after, err := cpuTime(t.proc.pid())
			if err != nil {
				return nil, err
			}
			cpu[i] += after - before
		}
	}
	for s := range p.Slices {
		for _, i := range order(n, round+s) {
			if err := pause(ctx, 20*time.Millisecond); err != nil { // the one before settles
				return nil, err
			}
			open[i].merge(openLoop(ctx, b.targets[i].pool, k, share(int(p.Rate*p.Open.Seconds()), s, p.Slices), p.Rate))
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := b.alive(); err != nil {
		return nil, err
	}
	cells := make([]cell, n)
	for i, t := range b.targets {
		c := cell{Target: t.name, Kind: k.String(), Round: round + 1}
		if closed[i].Requests > 0 {
			c.CPU = micros(cpu[i]) / float64(closed[i].Requests)
		}
		c.Throughput = closed[i].throughput()
		c.ClosedP50, c.ClosedP99 = micros(closed[i].p(0.50)), micros(closed[i].p(0.99))
		c.OpenP50, c.OpenP99 = micros(open[i].p(0.50)), micros(open[i].p(0.99))
		c.OpenLag = micros(percentile(open[i].lag, 0.99))
		c.add(closed[i].tally)
		c.add(open[i].tally)
		cells[i] = c
	}
	return cells, nil
}

// share is the part of n that falls to slice s of all.
func share(n, s, all int) int { return n*(s+1)/all - n*s/all }

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// checkStreams sends n streamed requests and says how many did not come whole.
func checkStreams(ctx context.Context, t *target, n, c int, progress io.Writer) tally {
	var sum tally
	const batch = 5000
	for sum.Requests < n && ctx.Err() == nil {
		r := closedLoop(ctx, t.pool, stream, min(batch, n-sum.Requests), c)
		sum.add(r.tally)
		fmt.Fprintf(progress, "%s: %d of %d streams, %d truncated, %d failed\n", t.name, sum.Requests, n, sum.Truncated, sum.Failed)
		if t.proc.alive() != nil {
			break
		}
	}
	return sum
}
