package main

import (
	"errors"
	"math"
	"slices"
	"time"
)

// percentile is the nearest-rank percentile of sorted: the smallest value that at least p (0..1] of all values do not exceed.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	// The subtrahend absorbs products such as 0.07*100 = 7.000000000000001, which would take a rank too many.
	rank := int(math.Ceil(p*float64(len(sorted)) - 1e-9))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// median of values; NaN of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	if m := len(s) / 2; len(s)%2 == 1 {
		return s[m]
	} else {
		return (s[m-1] + s[m]) / 2
	}
}

// medianRatio is the median over rounds of a[i]/b[i]: a drift of the machine over the run hits both halves of a ratio alike.
func medianRatio(a, b []float64) float64 {
	var ratios []float64
	for i := range min(len(a), len(b)) {
		if b[i] > 0 {
			ratios = append(ratios, a[i]/b[i])
		}
	}
	return median(ratios)
}

// tally counts the outcomes of requests.
type tally struct {
	Requests  int    `json:"requests"`
	Failed    int    `json:"failed"`    // refused, reset, not 200, an error event
	Truncated int    `json:"truncated"` // 200, but not the whole answer
	FirstErr  string `json:"first_error,omitempty"`
}

func (t *tally) count(err error) {
	t.Requests++
	if err == nil {
		return
	}
	if errors.Is(err, errTruncated) {
		t.Truncated++
	} else {
		t.Failed++
	}
	if t.FirstErr == "" {
		t.FirstErr = err.Error()
	}
}

func (t *tally) add(o tally) {
	t.Requests += o.Requests
	t.Failed += o.Failed
	t.Truncated += o.Truncated
	if t.FirstErr == "" {
		t.FirstErr = o.FirstErr
	}
}

func (t *tally) clean() bool { return t.Failed == 0 && t.Truncated == 0 }
