package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// parameter is a field of a chat completion that an agent may have a default for.
type parameter struct {
	lo, hi  float64 // of a number; both 0 for a word
	integer bool
}

// sampling are OpenAI's parameters, with the ranges of its API, and those of the
// servers of open models. Whether a model takes one is the provider's to say.
var sampling = map[string]parameter{
	"temperature":        {lo: 0, hi: 2},
	"top_p":              {lo: 0, hi: 1},
	"presence_penalty":   {lo: -2, hi: 2},
	"frequency_penalty":  {lo: -2, hi: 2},
	"seed":               {lo: math.MinInt64, hi: math.MaxInt64, integer: true},
	"reasoning_effort":   {},
	"verbosity":          {},
	"top_k":              {lo: -1, hi: math.MaxInt32, integer: true}, // -1: all, to vLLM
	"min_p":              {lo: 0, hi: 1},
	"repetition_penalty": {lo: 0, hi: 2},
}

var samplingWords = slices.Sorted(maps.Keys(sampling))

// wordValue is what efforts and the like look like. Providers have values of
// their own beside OpenAI's.
var wordValue = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)

// syntax says what the parameter's values are.
func (p parameter) syntax() string {
	switch {
	case p.hi == 0:
		return "a word such as low, medium or high"
	case p.hi >= math.MaxInt64:
		return "a whole number of at most 64 bits"
	case p.integer:
		return fmt.Sprintf("a whole number from %.0f to %.0f", p.lo, p.hi)
	}
	return fmt.Sprintf("a number from %.0f to %.0f", p.lo, p.hi)
}

// parse makes JSON of a Caddyfile's value. A number keeps its spelling.
func (p parameter) parse(v string) (json.RawMessage, error) {
	raw := json.RawMessage(v)
	if p.hi == 0 {
		raw, _ = json.Marshal(v) // a text cannot fail
	}
	if !p.holds(raw) {
		return nil, fmt.Errorf("expected %s, not '%s'", p.syntax(), v)
	}
	return raw, nil
}

// holds reports whether raw is one of the parameter's values.
func (p parameter) holds(raw json.RawMessage) bool {
	if p.hi == 0 {
		var s *string // tells null from a text
		return json.Unmarshal(raw, &s) == nil && s != nil && wordValue.MatchString(*s)
	}
	// JSON has fewer spellings than ParseFloat, and more than numbers.
	x, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || !json.Valid(raw) || x < p.lo || x > p.hi || p.integer && x != math.Trunc(x) {
		return false
	}
	if p.hi >= math.MaxInt64 { // a float is too coarse for the bounds
		_, err = strconv.ParseInt(string(raw), 10, 64)
	}
	return err == nil
}

// checkSampling has what JSON may get wrong about an agent's sampling.
func checkSampling(defaults map[string]json.RawMessage) error {
	for _, name := range slices.Sorted(maps.Keys(defaults)) {
		p, ok := sampling[name]
		if !ok {
			return fmt.Errorf("sampling: unknown parameter %q (known: %s)", name, strings.Join(samplingWords, ", "))
		}
		if !p.holds(defaults[name]) {
			return errors.New("sampling: " + name + ": expected " + p.syntax())
		}
	}
	return nil
}
