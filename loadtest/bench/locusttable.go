package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/universal-ai-gateway/magicproxy/audit/verify"
)

// seedFigure is what the project's seed page says of a scenario: four vCPU, 20 users, a mock of 8 tokens × 10 ms. Milliseconds.
type seedFigure struct{ average, median, max float64 }

// seeds are the seed's figures by configuration and row. Its rotation has streams without tokens, so it is compared with our time
// to the first text; its agent run is ten model turns that never answer.
var seeds = map[string]map[string]seedFigure{
	embedded:   {"stress": {93, 89, 188}, "agent": {1179, 900, 0}, "rotation, first text": {11, 6, 0}, rowRegister: {13, 0, 0}},
	fullConfig: {"stress": {101, 96, 0}, "agent": {1442, 940, 0}, "rotation, first text": {17, 13, 0}},
}

// rowsOfTable are the rows, and which of the floor's each stands on.
var rowsOfTable = []struct {
	name, floor string
	turns       int // of the model: the floor is so many of its answers
}{
	{"stress", "stress", 1},
	{"stress, first text", "stress, first text", 1},
	{"rotation", "rotation", 1},
	{"rotation" + failsFirst, "rotation", 1},
	{"rotation, first text", "rotation, first text", 1},
	{"rotation, first text" + failsFirst, "rotation, first text", 1},
	{"agent", "stress", agentTurns},
	{"agent, first text", "", 0},
	{rowRegister, "", 0},
}

// agentTurns are the model calls of a run of standard_agent: one that ends in a tool call, one that answers.
const agentTurns = 2

// locustReport is a whole run.
type locustReport struct {
	Date      string         `json:"date"`
	Machine   string         `json:"machine"`
	CPUs      int            `json:"cpus"`
	Go        string         `json:"go"`
	Plan      *locustPlan    `json:"plan"`
	Rows      []locustRow    `json:"rows"`
	Failovers int            `json:"failed_attempts"` // at the target that always fails
	Produced  uint64         `json:"audit_produced"`
	Consumed  verify.Summary `json:"audit_consumed"`

	ours, floor map[string]*series
}

// locustRow is a row of the table. Times are milliseconds; of the floor they are 0 where there is none.
type locustRow struct {
	Name    string       `json:"name"`
	N       int          `json:"n"`
	Failed  int          `json:"failed"`
	Problem string       `json:"problem,omitempty"`
	Ours    locustFigure `json:"ours"`
	Floor   locustFigure `json:"floor"`
	FloorN  int          `json:"floor_n"`
	Seed    *seedFigure  `json:"-"`
}

type locustFigure struct {
	Average float64 `json:"average_ms"`
	Median  float64 `json:"median_ms"`
	P99     float64 `json:"p99_ms"`
	Max     float64 `json:"max_ms"`
}

func newLocustReport(p *locustPlan) *locustReport {
	return &locustReport{
		Date: time.Now().Format("2006-01-02"), Machine: machine(), CPUs: runtime.NumCPU(), Go: runtime.Version(), Plan: p,
		ours: make(map[string]*series), floor: make(map[string]*series),
	}
}

func figureOf(s *series) locustFigure {
	return locustFigure{millis(s.average()), millis(s.p(0.5)), millis(s.p(0.99)), millis(s.p(1))}
}

// tabulate makes the rows.
func (r *locustReport) tabulate() {
	r.Rows = nil
	for _, t := range rowsOfTable {
		s := r.ours[t.name]
		if s == nil {
			s = new(series)
		}
		row := locustRow{Name: t.name, N: len(s.sorted), Failed: s.failed, Problem: s.problem, Ours: figureOf(s)}
		if f := r.floor[t.floor]; f != nil {
			row.Floor, row.FloorN = figureOf(f), len(f.sorted)
			// What every further turn takes is the tokens' time; what the load generator and the floor's own server add comes once.
			more := float64(t.turns-1) * millis(mockTokens*mockDelay)
			row.Floor.Average += more
			row.Floor.Median += more
			row.Floor.P99 += more
			row.Floor.Max += more
		}
		if seed, ok := seeds[r.Plan.Config][t.name]; ok {
			row.Seed = &seed
		}
		r.Rows = append(r.Rows, row)
	}
}

// save writes everything beside the raw times.
func (r *locustReport) save(dir string) error {
	r.tabulate()
	f, err := os.Create(filepath.Join(dir, "report.json"))
	if err != nil {
		return err
	}
	enc := json.NewEncoder(f)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// write prints the table.
func (r *locustReport) write(w io.Writer) error {
	fmt.Fprintf(w, "\n%s, %s, %d CPUs, %s; %s: %d users, %d rounds of %s, milliseconds\n\n", r.Date, r.Machine, r.CPUs, r.Go, r.Plan.Config, r.Plan.Users, r.Plan.Rounds, r.Plan.Length)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\tseed\t\tours\t\t\t\tfloor\t\t\tabove the floor\t\t\t")
	fmt.Fprintln(t, "\taverage\tmedian\taverage\tmedian\tp99\tmax\taverage\tmedian\tp99\taverage\tp99\tsamples\tfailed")
	for _, row := range r.Rows {
		seed, floor, above := "–\t–", "–\t–\t–", "–\t–"
		if row.Seed != nil {
			seed = figure(row.Seed.average) + "\t" + figure(row.Seed.median)
		}
		if row.FloorN > 0 && row.N > 0 {
			floor = fmt.Sprintf("%.1f\t%.1f\t%.1f", row.Floor.Average, row.Floor.Median, row.Floor.P99)
			above = fmt.Sprintf("%+.1f\t%+.1f", row.Ours.Average-row.Floor.Average, row.Ours.P99-row.Floor.P99)
		}
		fmt.Fprintf(t, "%s\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t%s\t%s\t%d\t%d\n", row.Name, seed, row.Ours.Average, row.Ours.Median, row.Ours.P99, row.Ours.Max, floor, above, row.N, row.Failed)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nfailovers: %d attempts at a target that always fails\n", r.Failovers)
	c := r.Consumed
	fmt.Fprintf(w, "audit: %d events produced, %d read back (%d of them twice), %d missing, %d out of order, %d against the schema\n", r.Produced, c.Events, c.Doubles, c.Missing, c.Disorder, c.Violations)
	return nil
}

func figure(ms float64) string {
	if ms == 0 {
		return "–"
	}
	return fmt.Sprintf("%g", ms)
}

// broken says what makes the run a failure.
func (r *locustReport) broken() []string {
	var bad []string
	for _, row := range r.Rows {
		if row.Failed > 0 {
			bad = append(bad, fmt.Sprintf("%s: %d failed: %s", row.Name, row.Failed, row.Problem))
		}
	}
	for name, s := range r.floor {
		if s.failed > 0 {
			bad = append(bad, fmt.Sprintf("floor, %s: %d failed: %s", name, s.failed, s.problem))
		}
	}
	for _, name := range []string{"stress", "agent", "rotation", "rotation" + failsFirst, rowRegister} {
		if s := r.ours[name]; s == nil || len(s.sorted) == 0 {
			bad = append(bad, name+": nothing was measured")
		}
	}
	if r.Failovers == 0 {
		bad = append(bad, "the target that always fails was never tried")
	}
	if c := r.Consumed; c.Events-c.Doubles != r.Produced || !c.OK {
		bad = append(bad, strings.TrimSpace(fmt.Sprintf("audit: %d events produced, %d read back, problems: %v", r.Produced, c.Events-c.Doubles, c.Problems)))
	}
	return bad
}
