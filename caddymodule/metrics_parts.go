package caddymodule

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// partCollector reads how the store, the users and the audit do at every scrape.
type partCollector struct{}

var (
	upDesc = prometheus.NewDesc("caddy_ai_gateway_backend_up", "Whether a part's backend is there. Parts are store and users.",
		[]string{"part", "backend"}, nil)
	modeDesc = prometheus.NewDesc("caddy_ai_gateway_store_mode", "How each use of the store goes on now: shared, or else local, open or closed. The one that holds is 1.",
		[]string{"use", "mode"}, nil)
	auditDesc = prometheus.NewDesc("caddy_ai_gateway_audit_events_total", "Audit events of this process by what became of them: produced, acked, dropped; and adopted ones that an earlier process left.",
		[]string{"what"}, nil)
	droppedDesc = prometheus.NewDesc("caddy_ai_gateway_audit_dropped_total", "Audit events that were lost, by why.", []string{"reason"}, nil)
	backlogDesc = prometheus.NewDesc("caddy_ai_gateway_audit_backlog", "Audit events that wait: queued in memory, journaled on disk.", []string{"where"}, nil)
	diskDesc    = prometheus.NewDesc("caddy_ai_gateway_audit_disk_bytes", "Size of the audit journal.", nil, nil)
	lagDesc     = prometheus.NewDesc("caddy_ai_gateway_audit_lag_seconds", "Age of the oldest audit event that is not where it belongs.", nil, nil)
)

// shared is the mode of a use whose backend is there.
const shared = "shared"

// Describe implements prometheus.Collector.
func (partCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{upDesc, modeDesc, auditDesc, droppedDesc, backlogDesc, diskDesc, lagDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (partCollector) Collect(ch chan<- prometheus.Metric) {
	app := runningApp()
	if app == nil {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	s, u := app.store.Health(), app.people.store.Health()
	gauge(upDesc, number(s.Up), "store", s.Backend)
	gauge(upDesc, number(u.Up), "users", u.Backend)
	for _, use := range state.Uses {
		for _, mode := range []string{shared, string(state.ModeLocal), string(state.ModeOpen), string(state.ModeClosed)} {
			gauge(modeDesc, number(s.Modes[use] == mode), string(use), mode)
		}
	}
	log := app.recorder.log()
	if log == nil {
		return
	}
	st := log.Stats()
	counter(auditDesc, st.Produced, "produced")
	counter(auditDesc, st.Acked, "acked")
	counter(auditDesc, st.Dropped, "dropped")
	counter(auditDesc, st.Adopted, "adopted")
	for reason, n := range st.DroppedBy {
		counter(droppedDesc, n, reason)
	}
	gauge(backlogDesc, float64(st.Queued), "queued")
	gauge(backlogDesc, float64(st.Journaled), "journaled")
	gauge(diskDesc, float64(st.DiskBytes))
	gauge(lagDesc, st.Lag.Seconds())
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Interface guards
var _ prometheus.Collector = partCollector{}
