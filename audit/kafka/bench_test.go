package kafka

import (
	"fmt"
	"strings"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/audit"
)

// BenchmarkSend ships events of 1 KiB into a real broker, 1,000 a call, 100 keys,
// three partitions.
func BenchmarkSend(b *testing.B) {
	s := sender(b, topic(b, broker(b), 3))
	const n = 1000
	batch := make([]audit.Record, n)
	for i := range batch {
		v := fmt.Sprintf(`{"event_id":"0199d8e0-0000-7000-8000-%012d","event_type":"llm_call","payload":"`, i)
		v += strings.Repeat("x", 1024-2-len(v)) + `"}`
		batch[i] = audit.Record{
			Key: fmt.Appendf(nil, "session-%d", i%100), Value: []byte(v),
			TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		}
	}
	ship(b, s, batch)
	b.ReportAllocs()
	cpu := cpuTime()
	events := 0
	for b.Loop() {
		ship(b, s, batch)
		events += n
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/float64(events), "cpu-ns/event")
}
