package caddymodule

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/universal-ai-gateway/magicproxy/rotation"
)

// metrics are made once and registered in every configuration's registry, so
// that a reload resets nothing.
var metrics = newMetricSet()

type metricSet struct {
	requests, attempts, tokens *prometheus.CounterVec
	firstContent               *prometheus.HistogramVec
	overhead                   prometheus.Histogram
	streams                    prometheus.Gauge

	runs, recovered                        *prometheus.CounterVec
	refusals, cache                        *prometheus.CounterVec
	turns, toolSeconds                     *prometheus.HistogramVec
	toolCalls, breakerChanges, toolChanges *prometheus.CounterVec
}

func newMetricSet() *metricSet {
	name := func(n, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "caddy", Subsystem: "ai_gateway", Name: n, Help: help}
	}
	histogram := func(n, help string, buckets []float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Namespace: "caddy", Subsystem: "ai_gateway", Name: n, Help: help, Buckets: buckets}
	}
	return &metricSet{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts(name("requests_total",
			"Requests answered, by how it went: ok, canceled, or whose trouble it was.")), []string{"endpoint", "model", "outcome", "code"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts(name("attempts_total",
			"Attempts at upstreams, by how they ended.")), []string{"provider", "outcome"}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts(name("tokens_total",
			"Tokens as upstreams count them. cached is a part of prompt, reasoning a part of completion.")), []string{"provider", "kind"}),
		firstContent: prometheus.NewHistogramVec(histogram("first_content_seconds",
			"Time from a request's arrival to the first content of its answer, tries that failed included.",
			[]float64{.025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 40, 80}), []string{"model"}),
		overhead: prometheus.NewHistogram(histogram("overhead_seconds",
			"Time a request spent in the gateway itself, without waiting for upstreams.",
			[]float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .05, .25})),
		streams: prometheus.NewGauge(prometheus.GaugeOpts(name("streams_in_flight", "Streams being answered."))),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts(name("refusals_total",
			"Requests refused by a policy: rate_limit, concurrency, register, or store, whose backend is away.")), []string{"reason"}),
		cache: prometheus.NewCounterVec(prometheus.CounterOpts(name("cache_total",
			"Requests whose answer might have been cached: hit or miss.")), []string{"result"}),
		runs: prometheus.NewCounterVec(prometheus.CounterOpts(name("agent_runs_total",
			"Runs of agents, by the finish_reason of their answers, canceled, or error.")), []string{"agent", "reason"}),
		turns: prometheus.NewHistogramVec(histogram("agent_turns",
			"Model calls that a run took.", []float64{1, 2, 3, 4, 6, 8, 11, 16, 32}), []string{"agent"}),
		recovered: prometheus.NewCounterVec(prometheus.CounterOpts(name("recovered_calls_total",
			"Tool calls that were not as they should be and could be read all the same, by what it took.")), []string{"how"}),
		toolCalls: prometheus.NewCounterVec(prometheus.CounterOpts(name("tool_calls_total",
			"Calls of tools, by how they ended.")), []string{"server", "outcome"}),
		toolSeconds: prometheus.NewHistogramVec(histogram("tool_call_seconds",
			"Time that calls of tools took.", []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}), []string{"server"}),
		breakerChanges: prometheus.NewCounterVec(prometheus.CounterOpts(name("breaker_changes_total",
			"Changes of tool servers' circuit breakers, by the state they changed to.")), []string{"server", "to"}),
		toolChanges: prometheus.NewCounterVec(prometheus.CounterOpts(name("tool_definition_changes_total",
			"Definitions of tools that are no longer what they were when first seen.")), []string{"server"}),
	}
}

// register adds the collectors to a configuration's registry. The states of keys
// and targets are read when they are asked for.
func (m *metricSet) register(r *prometheus.Registry) error {
	for _, c := range []prometheus.Collector{
		m.requests, m.attempts, m.tokens, m.firstContent, m.overhead, m.streams, m.runs, m.turns, m.recovered,
		m.toolCalls, m.toolSeconds, m.breakerChanges, m.toolChanges, m.refusals, m.cache, stateCollector{}, partCollector{},
	} {
		if err := r.Register(c); err != nil && !errors.As(err, new(prometheus.AlreadyRegisteredError)) {
			return err
		}
	}
	return nil
}

// otherModel stands for models that the configuration does not name: what
// clients write must not make series (contract O1).
const otherModel = "other"

// finish counts a request.
func (m *metricSet) finish(x *exchange) {
	model := ""
	if x.model != "" {
		if model = otherModel; x.h.app.named(x.model) {
			model = x.model
		}
	}
	code := "200"
	switch {
	case x.left:
		code = strconv.Itoa(statusClientLeft)
	case x.failure != nil:
		code = strconv.Itoa(x.failure.Status)
	}
	m.requests.WithLabelValues(x.endpoint, model, x.outcome(), code).Inc()
	m.overhead.Observe(x.overhead().Seconds())
	if d := x.firstContent(); d > 0 {
		m.firstContent.WithLabelValues(model).Observe(d.Seconds())
	}
}

// attempt counts an attempt and its tokens.
func (m *metricSet) attempt(a rotation.Attempt) {
	provider := a.Target.Provider.Name
	m.attempts.WithLabelValues(provider, kindOf(a).String()).Inc()
	add := func(kind string, n int64) {
		if n > 0 {
			m.tokens.WithLabelValues(provider, kind).Add(float64(n))
		}
	}
	add("prompt", a.Usage.Prompt)
	add("completion", a.Usage.Completion)
	add("cached", a.Usage.Cached)
	add("reasoning", a.Usage.Reasoning)
}

// stateCollector reads the running configuration's states at every scrape, so
// that no series outlives its provider.
type stateCollector struct{}

var (
	keysDesc    = prometheus.NewDesc("caddy_ai_gateway_keys", "API keys by state.", []string{"provider", "state"}, nil)
	breakerDesc = prometheus.NewDesc("caddy_ai_gateway_breaker_open", "Whether a tool server's circuit breaker is open, and its tools are kept away.", []string{"server"}, nil)
	callDesc    = prometheus.NewDesc("caddy_ai_gateway_calls_in_flight", "Calls under way, and those waiting in the queue of max_concurrent.", []string{"provider", "state"}, nil)
)

// Describe implements prometheus.Collector.
func (stateCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- keysDesc
	ch <- callDesc
	ch <- breakerDesc
}

// Collect implements prometheus.Collector.
func (stateCollector) Collect(ch chan<- prometheus.Metric) {
	app := runningApp()
	if app == nil {
		return
	}
	now := time.Now()
	providers := app.table.Providers()
	for _, name := range slices.Sorted(maps.Keys(providers)) {
		p := providers[name]
		count := make(map[string]int)
		for _, k := range p.KeyStatuses(now) {
			count[k.State]++
		}
		for _, state := range rotation.States {
			ch <- prometheus.MustNewConstMetric(keysDesc, prometheus.GaugeValue, float64(count[state]), name, state)
		}
		active, waiting := p.Load()
		ch <- prometheus.MustNewConstMetric(callDesc, prometheus.GaugeValue, float64(active), name, "active")
		ch <- prometheus.MustNewConstMetric(callDesc, prometheus.GaugeValue, float64(waiting), name, "waiting")
	}
	for _, name := range slices.Sorted(maps.Keys(app.servers)) {
		open := 0.0
		if app.servers[name].Status().Breaker.State == "open" {
			open = 1
		}
		ch <- prometheus.MustNewConstMetric(breakerDesc, prometheus.GaugeValue, open, name)
	}
}

// Interface guards
var _ prometheus.Collector = stateCollector{}
