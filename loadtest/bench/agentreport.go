package main

import (
	"bufio"
	"fmt"
	"io"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"
)

// limitPerRun is what a run may take, in bytes.
const limitPerRun = 120e3

// agentReport is a run of -agents, as -json writes it.
type agentReport struct {
	Date    string      `json:"date"`
	Machine string      `json:"machine"`
	CPUs    int         `json:"cpus"`
	Go      string      `json:"go"`
	Plan    *agentPlan  `json:"plan"`
	Cells   []agentCell `json:"cells"`
}

func newAgentReport(p *agentPlan, cells []agentCell) *agentReport {
	return &agentReport{Date: time.Now().UTC().Format(time.RFC3339), Machine: machine(), CPUs: runtime.NumCPU(), Go: runtime.Version(), Plan: p, Cells: cells}
}

// agentMeasures are the rows of the table.
var agentMeasures = []struct {
	name   string
	value  func(*agentCell) float64
	format string
	limit  float64
}{
	{"runs/s", func(c *agentCell) float64 { return c.Throughput }, "%.0f", 0},
	{"p50 of a run (ms)", func(c *agentCell) float64 { return c.P50 }, "%.0f", 0},
	{"p99 of a run (ms)", func(c *agentCell) float64 { return c.P99 }, "%.0f", 0},
	{"floor, from the mock's tokens (ms)", func(c *agentCell) float64 { return c.Floor }, "%.0f", 0},
	{"p50 / floor", func(c *agentCell) float64 { return c.P50 / c.Floor }, "%.2f", 0},
	{"p99 / floor", func(c *agentCell) float64 { return c.P99 / c.Floor }, "%.2f", 0},
	{"CPU per run (µs)", func(c *agentCell) float64 { return c.CPU }, "%.0f", 0},
	{"busy cores, gateway", func(c *agentCell) float64 { return c.Cores }, "%.2f", 0},
	{"RSS warm (MB)", func(c *agentCell) float64 { return mega(c.Warm) }, "%.1f", 0},
	{"RSS peak (MB)", func(c *agentCell) float64 { return mega(c.Peak) }, "%.1f", 0},
	{"memory per run (kB)", func(c *agentCell) float64 { return c.PerRun / 1e3 }, "%.1f", limitPerRun / 1e3},
	{"heap in use (MB)", func(c *agentCell) float64 { return c.Heap / 1e6 }, "%.1f", 0},
	{"stacks in use (MB)", func(c *agentCell) float64 { return c.Stacks / 1e6 }, "%.1f", 0},
	{"goroutines", func(c *agentCell) float64 { return c.Goroutines }, "%.0f", 0},
}

// of returns a measure of an agent, in the order of rounds.
func (r *agentReport) of(agent string, value func(*agentCell) float64) (list []float64) {
	for i := range r.Cells {
		if r.Cells[i].Agent == agent {
			list = append(list, value(&r.Cells[i]))
		}
	}
	return list
}

// write prints the table: medians over the rounds, and how far these lie apart.
func (r *agentReport) write(w io.Writer) error {
	bw := bufio.NewWriter(w)
	fmt.Fprintf(bw, "%s, %d CPUs, %s, %s\n", r.Machine, r.CPUs, r.Go, r.Date)
	fmt.Fprintf(bw, "%d runs at once for %s, %d rounds of fresh processes: medians, and smallest to largest\n\n", r.Plan.Agents, r.Plan.Length, r.Plan.Rounds)
	tw := tabwriter.NewWriter(bw, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(tw, "\t")
	for _, want := range agentWants {
		fmt.Fprintf(tw, "%s\t\t", want.name)
	}
	fmt.Fprintln(tw, "limit\t")
	for _, m := range agentMeasures {
		fmt.Fprintf(tw, "%s\t", m.name)
		for _, want := range agentWants {
			list := r.of(want.name, m.value)
			fmt.Fprintf(tw, m.format+"\t"+m.format+" … "+m.format+"\t", median(list), slices.Min(list), slices.Max(list))
		}
		fmt.Fprintf(tw, "%s\t\n", optional(m.limit, "≤ %.0f"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(bw)
	for _, want := range agentWants {
		t := r.answers(want.name)
		fmt.Fprintf(bw, "answers, %s: %d, %d failed, %d truncated\n", want.name, t.Requests, t.Failed, t.Truncated)
	}
	for _, m := range r.missed() {
		fmt.Fprintf(bw, "missed: %s\n", m)
	}
	return bw.Flush()
}

func (r *agentReport) answers(agent string) (t tally) {
	for i := range r.Cells {
		if r.Cells[i].Agent == agent {
			t.add(r.Cells[i].tally)
		}
	}
	return t
}

// missed lists what is over its limit.
func (r *agentReport) missed() (out []string) {
	for _, want := range agentWants {
		for _, m := range agentMeasures {
			if v := median(r.of(want.name, m.value)); m.limit > 0 && v > m.limit {
				out = append(out, fmt.Sprintf("%s: %s is "+m.format+", limit %.0f", want.name, m.name, v, m.limit))
			}
		}
	}
	return out
}

// broken lists the agents whose answers did not all come whole.
func (r *agentReport) broken() (out []string) {
	for _, want := range agentWants {
		t := r.answers(want.name)
		if err := t.problem(); err != nil {
			out = append(out, want.name+": "+err.Error())
		}
	}
	return out
}
