package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// What the gateway has to keep to, as ratios to reverse_proxy and as bytes.
const limitPerStream = 60e3

var (
	limitCPU     = map[string]float64{gateway: 1.2, embedded: 1.5}
	limitLatency = map[string]float64{gateway: 1.1}
)

// measureOf is a row of the table.
type measureOf struct {
	name  string
	unit  string
	value func(cell) float64
	limit map[string]float64 // of the ratios to reverse_proxy, by target
	proxy bool               // a figure that direct does not have
}

var measures = []measureOf{
	{"CPU per request", "µs", func(c cell) float64 { return c.CPU }, limitCPU, true},
	{"throughput", "/s", func(c cell) float64 { return c.Throughput }, nil, false},
	{"closed loop p50", "µs", func(c cell) float64 { return c.ClosedP50 }, nil, false},
	{"closed loop p99", "µs", func(c cell) float64 { return c.ClosedP99 }, nil, false},
	{"open loop p50", "µs", func(c cell) float64 { return c.OpenP50 }, limitLatency, false},
	{"open loop p99", "µs", func(c cell) float64 { return c.OpenP99 }, limitLatency, false},
}

// row holds the medians of one measure and the median of its per-round ratios.
type row struct {
	Kind    string             `json:"kind"`
	Measure string             `json:"measure"`
	Unit    string             `json:"unit"`
	Medians map[string]float64 `json:"medians"`          // by target
	Ratios  map[string]float64 `json:"ratios,omitempty"` // by target, to reverse_proxy
	Limits  map[string]float64 `json:"limits,omitempty"` // by target
}

// report is a whole run, as -json writes it.
type report struct {
	Date    string           `json:"date"`
	Machine string           `json:"machine"`
	CPUs    int              `json:"cpus"`
	Go      string           `json:"go"`
	Plan    *plan            `json:"plan"`
	Targets []string         `json:"targets"`
	Rows    []row            `json:"rows"`
	Memory  []*memory        `json:"memory,omitempty"`
	Answers map[string]tally `json:"answers"` // by target, over the whole run
	Cells   []cell           `json:"cells"`
}

func newReport(targets []string, p *plan, cells []cell) *report {
	r := &report{Date: time.Now().UTC().Format(time.RFC3339), Machine: machine(), CPUs: runtime.NumCPU(), Go: runtime.Version(),
		Plan: p, Targets: targets, Cells: cells, Answers: map[string]tally{}}
	for _, c := range cells {
		t := r.Answers[c.Target]
		t.add(c.tally)
		r.Answers[c.Target] = t
	}
	for _, k := range kinds {
		for _, m := range measures {
			r.Rows = append(r.Rows, newRow(k, m, targets, cells))
		}
	}
	return r
}

func newRow(k kind, m measureOf, targets []string, cells []cell) row {
	byTarget := map[string][]float64{} // in the order of rounds
	for _, c := range cells {
		if c.Kind == k.String() {
			byTarget[c.Target] = append(byTarget[c.Target], m.value(c))
		}
	}
	w := row{Kind: k.String(), Measure: m.name, Unit: m.unit, Limits: m.limit, Medians: map[string]float64{}, Ratios: map[string]float64{}}
	for _, t := range targets {
		if m.proxy && t == direct {
			continue
		}
		w.Medians[t] = median(byTarget[t])
		if t == direct || t == reverseProxy {
			continue
		}
		if ratio := medianRatio(byTarget[t], byTarget[reverseProxy]); !math.IsNaN(ratio) {
			w.Ratios[t] = ratio
		}
	}
	return w
}

// missed lists what is over its limit, and what came back broken.
func (r *report) missed() (out []string) {
	for _, w := range r.Rows {
		for _, t := range r.Targets {
			if limit := w.Limits[t]; limit > 0 && w.Ratios[t] > limit {
				out = append(out, fmt.Sprintf("%s: %s %s is %.2f × reverse_proxy's, limit %.1f", t, w.Kind, w.Measure, w.Ratios[t], limit))
			}
		}
	}
	for _, m := range r.Memory {
		if m.Target == gateway && m.PerStream > limitPerStream {
			out = append(out, fmt.Sprintf("memory per open stream is %.1f kB, limit %.0f", m.PerStream/1e3, limitPerStream/1e3))
		}
	}
	return append(out, r.broken()...)
}

func (r *report) broken() (out []string) {
	for _, name := range r.Targets {
		t := r.Answers[name]
		if err := t.problem(); err != nil {
			out = append(out, name+": "+err.Error())
		}
	}
	return out
}

// write prints the table. Every column is a median over the rounds.
func (r *report) write(w io.Writer) error {
	bw := bufio.NewWriter(w)
	fmt.Fprintf(bw, "%s, %d CPUs, %s, %s\n", r.Machine, r.CPUs, r.Go, r.Date)
	fmt.Fprintf(bw, "%d rounds; closed loop: %d connections, %d plain, %d sse; open loop: %.0f/s for %s; prompts of %d KB; the upstream answers after %s, events %s apart\n\n",
		r.Plan.Rounds, r.Plan.Concurrency, r.Plan.Requests, r.Plan.Streams, r.Plan.Rate, r.Plan.Open, r.Plan.Prompt, r.Plan.Delay, r.Plan.Between)
	tw := tabwriter.NewWriter(bw, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tw, "\t\t%s\t", strings.Join(r.Targets, "\t"))
	for _, t := range r.Targets {
		if t != direct && t != reverseProxy {
			fmt.Fprintf(tw, "%s/%s\tlimit\t", t, reverseProxy)
		}
	}
	fmt.Fprintln(tw)
	for _, row := range r.Rows {
		fmt.Fprintf(tw, "%s\t%s (%s)", row.Kind, row.Measure, row.Unit)
		for _, t := range r.Targets {
			v, ok := row.Medians[t]
			if !ok {
				fmt.Fprint(tw, "\t–")
				continue
			}
			fmt.Fprintf(tw, "\t%.1f", v)
		}
		for _, t := range r.Targets {
			if t != direct && t != reverseProxy {
				fmt.Fprintf(tw, "\t%s\t%s", optional(row.Ratios[t], "%.3f"), optional(row.Limits[t], "≤ %.1f"))
			}
		}
		fmt.Fprintln(tw, "\t")
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if len(r.Memory) > 0 {
		fmt.Fprintln(bw)
	}
	for _, m := range r.Memory {
		fmt.Fprintf(bw, "memory, %s: %.1f MB warm, %.1f MB with %d open streams: %.1f kB per stream", m.Target, mega(m.Warm), mega(m.Open), m.Streams, m.PerStream/1e3)
		if m.Target == gateway {
			fmt.Fprintf(bw, " (limit %.0f)", limitPerStream/1e3)
		}
		fmt.Fprintln(bw)
	}
	fmt.Fprintln(bw)
	var lag float64
	for _, c := range r.Cells {
		lag = max(lag, c.OpenLag)
	}
	fmt.Fprintf(bw, "open loop: 99 %% of our own requests left within %.0f µs of their time, in the worst cell\n", lag)
	for _, name := range r.Targets {
		t := r.Answers[name]
		fmt.Fprintf(bw, "answers, %s: %d, %d failed, %d truncated\n", name, t.Requests, t.Failed, t.Truncated)
	}
	for _, m := range r.missed() {
		fmt.Fprintf(bw, "missed: %s\n", m)
	}
	return bw.Flush()
}

func optional(v float64, format string) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf(format, v)
}

func writeJSON(w io.Writer, report any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(report)
}

// machine names the processor where the system says it.
func machine() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		lines := strings.Split(string(b), "\n")
		if i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "model name") }); i >= 0 {
			_, name, _ := strings.Cut(lines[i], ":")
			return strings.TrimSpace(name)
		}
	}
	return runtime.GOOS + "/" + runtime.GOARCH
}
