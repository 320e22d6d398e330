package main

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	tests := []struct {
		sorted []time.Duration
		p      float64
		want   time.Duration
	}{
		{nil, 0.99, 0},
		{[]time.Duration{7}, 0.5, 7},
		{[]time.Duration{7}, 0.99, 7},
		{[]time.Duration{1, 2}, 0.5, 1},
		{[]time.Duration{1, 2, 3}, 0.5, 2},
		{hundred, 0.07, 7}, // 0.07*100 is a little above 7 in floating point
		{hundred, 0.5, 50},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
		{hundred[:10], 0.99, 10},
	}
	for _, tt := range tests {
		if got := percentile(tt.sorted, tt.p); got != tt.want {
			t.Errorf("percentile of %d values, %g: %d, want %d", len(tt.sorted), tt.p, got, tt.want)
		}
	}
}

func TestMedian(t *testing.T) {
	if got := median([]float64{9, 1, 5}); got != 5 {
		t.Errorf("odd: %g", got)
	}
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("even: %g", got)
	}
	if !math.IsNaN(median(nil)) {
		t.Error("median of nothing is a number")
	}
}

func TestMedianRatio(t *testing.T) {
	// The second round was slow for both: its ratio counts as any other.
	if got := medianRatio([]float64{10, 44, 12}, []float64{10, 40, 10}); math.Abs(got-1.1) > 1e-9 {
		t.Errorf("ratio = %g", got)
	}
	if !math.IsNaN(medianRatio([]float64{1}, nil)) {
		t.Error("a ratio without its other half")
	}
}

func TestTally(t *testing.T) {
	var a, b tally
	a.count(nil)
	b.count(fmt.Errorf("x: %w", errTruncated))
	b.count(errors.New("refused"))
	a.add(b)
	if a.Requests != 3 || a.Truncated != 1 || a.Failed != 1 || a.FirstErr != "x: truncated" || a.clean() {
		t.Errorf("%+v", a)
	}
}

func TestNewRow(t *testing.T) {
	cells := []cell{
		{Target: direct, Kind: "plain", CPU: 1}, {Target: reverseProxy, Kind: "plain", CPU: 100}, {Target: gateway, Kind: "plain", CPU: 90},
		{Target: reverseProxy, Kind: "sse", CPU: 1e6}, {Target: gateway, Kind: "plain", CPU: 180}, {Target: reverseProxy, Kind: "plain", CPU: 150},
	}
	w := newRow(plain, measures[0], allTargets, cells)
	if _, ok := w.Medians[direct]; ok || w.Medians[reverseProxy] != 125 || w.Medians[gateway] != 135 {
		t.Errorf("medians %v", w.Medians)
	}
	if math.Abs(w.Ratios[gateway]-1.05) > 1e-9 { // of 0.9 and 1.2
		t.Errorf("ratio %g", w.Ratios[gateway])
	}
}
