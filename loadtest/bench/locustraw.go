package main

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"
)

// sample is one line of what loadtest/locustfile.py has measured.
type sample struct {
	start   float64 // Unix seconds
	name    string
	took    time.Duration
	request string // the gateway's id of it
	problem string
}

var rawHeader = []string{"start", "name", "user", "ms", "bytes", "request_id", "problem"}

// readRaw reads a file of LOADTEST_RAW.
func readRaw(path string) ([]sample, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.FieldsPerRecord = len(rawHeader)
	header, err := r.Read()
	if err != nil || !slices.Equal(header, rawHeader) {
		return nil, fmt.Errorf("%s: not what the locustfile writes: %q (%w)", path, header, err)
	}
	var all []sample
	for {
		row, err := r.Read()
		switch {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		start, err := strconv.ParseFloat(row[0], 64)
		if err != nil {
			return nil, fmt.Errorf("%s: start: %w", path, err)
		}
		ms, err := strconv.ParseFloat(row[3], 64)
		if err != nil {
			return nil, fmt.Errorf("%s: ms: %w", path, err)
		}
		all = append(all, sample{start, row[1], time.Duration(ms * float64(time.Millisecond)), row[5], row[6]})
	}
}

// series are the good samples of one row of the table, in order, and what has failed.
type series struct {
	sorted  []time.Duration
	failed  int
	problem string // the first
}

func (s *series) add(x sample) {
	if x.problem != "" {
		if s.failed++; s.problem == "" {
			s.problem = x.problem
		}
		return
	}
	at, _ := slices.BinarySearch(s.sorted, x.took)
	s.sorted = slices.Insert(s.sorted, at, x.took)
}

func (s *series) average() time.Duration {
	if len(s.sorted) == 0 {
		return 0
	}
	var sum time.Duration
	for _, d := range s.sorted {
		sum += d
	}
	return sum / time.Duration(len(s.sorted))
}

func (s *series) p(q float64) time.Duration { return percentile(s.sorted, q) }

// gather sorts samples into series by name. What began while users were still being started does not count, but for what they do
// when they start.
func gather(into map[string]*series, all []sample, ramp time.Duration, name func(sample) string) {
	if len(all) == 0 {
		return
	}
	first := slices.MinFunc(all, func(a, b sample) int { return cmp.Compare(a.start, b.start) }).start
	for _, x := range all {
		if x.start < first+ramp.Seconds() && x.problem == "" && x.name != rowRegister {
			continue
		}
		n := name(x)
		if into[n] == nil {
			into[n] = new(series)
		}
		into[n].add(x)
	}
}
