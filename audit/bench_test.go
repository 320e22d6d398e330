//go:build unix

package audit

import (
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// nowhere is a disk that is fast.
type nowhere struct{ fs.FileInfo }

func (nowhere) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }
func (nowhere) Truncate(int64) error                   { return nil }
func (nowhere) Sync() error                            { return nil }
func (nowhere) Close() error                           { return nil }
func (nowhere) Stat() (fs.FileInfo, error)             { return nil, fs.ErrInvalid }

// exchangeEvents are those of an agent's request, content on: 6 events, 660 bytes in the
// journal on average. Each is made anew, as a request makes it.
func exchangeEvents() []func(int) Event {
	body := []byte(`{"model":"agent","stream":true,"messages":[{"role":"user","content":"` + strings.Repeat("what is the weather like? ", 16) + `"}]}`)
	found := strings.Repeat("sunny, 21 degrees\n", 16)
	said := strings.Repeat("It will be sunny. ", 22)
	return []func(int) Event{
		func(i int) Event {
			return Event{Model: "agent", Payload: Request{Endpoint: "chat", Stream: true, Bytes: i, Body: body}}
		},
		func(i int) Event {
			return Event{Provider: "openai", Model: "gpt-5-mini", Payload: LLMCall{Outcome: "ok", Status: 200, Key: "0a1b2c3d", Seconds: 1.234567, First: 0.2, Prompt: int64(i), Completion: 20}}
		},
		func(i int) Event {
			return Event{Payload: ToolCall{ID: "call_1", Server: "weather", Tool: "forecast", Bytes: i, Arguments: `{"city":"Berlin","days":3,"unit":"c"}`}}
		},
		func(i int) Event {
			return Event{Payload: ToolResult{ID: "call_1", Server: "weather", Tool: "forecast", Outcome: "ok", Seconds: 0.1, Bytes: i, Text: found}}
		},
		func(i int) Event {
			return Event{Model: "agent", Payload: Answer{Finish: "stop", Status: 200, Target: "openai/gpt-5-mini", Seconds: 2.5, Bytes: i, Content: said}}
		},
		func(i int) Event {
			return Event{Model: "agent", Payload: Usage{Prompt: int64(i), Completion: 90, Total: 290, Attempts: 2, Turns: 2, ToolCalls: 1}}
		},
	}
}

var benchSubject = Subject{
	Request: "req_01JD9Z3N5B8Q7W6E", Session: "session-0123456789abcdef", User: "u_0123456789abcdef", Agent: "agent",
	TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAuditEnqueue is all the work of a request's goroutine for one event. Paced,
// it is measured at 50,000 events/s from two goroutines, with the journal on disk; the
// CPU time is all of the process, writer and syncer and the clock of the benchmark
// included.
func BenchmarkAuditEnqueue(b *testing.B) {
	b.Run("flat out", func(b *testing.B) {
		l := open(b, b.TempDir(), Options{QueueBytes: 256 << 20, create: func(string) (file, error) { return nowhere{}, nil }})
		events := exchangeEvents()
		trail := l.Trail(benchSubject)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			trail.Record(events[i%len(events)](i))
		}
		if s := l.Stats(); s.DroppedBy[DroppedQueueFull] > 0 {
			b.Errorf("%+v", s)
		}
	})
	b.Run("paced", func(b *testing.B) {
		const callers, burst = 2, 25 // a millisecond
		l := open(b, b.TempDir(), Options{})
		took := make([][]time.Duration, callers)
		for c := range took {
			took[c] = make([]time.Duration, 0, b.N/callers+1)
		}
		runtime.GC()
		before, from := cpu(), time.Now()
		b.ResetTimer()
		var wg sync.WaitGroup
		for c := range callers {
			wg.Go(func() {
				events := exchangeEvents()
				tick := time.NewTicker(time.Millisecond)
				defer tick.Stop()
				trail := l.Trail(benchSubject)
				for i := range cap(took[c]) {
					if i%len(events) == 0 {
						trail = l.Trail(benchSubject)
					}
					at := time.Now()
					trail.Record(events[i%len(events)](i))
					took[c] = append(took[c], time.Since(at))
					if due := from.Add(time.Duration(i/burst+1) * time.Millisecond); i%burst == burst-1 && time.Until(due) > 0 {
						<-tick.C
					}
				}
			})
		}
		wg.Wait()
		flush(b, l)
		used := cpu() - before
		b.StopTimer()
		s := l.Stats()
		if s.Dropped > 0 {
			b.Errorf("%+v", s)
		}
		all := slices.Concat(took...)
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)/2].Nanoseconds()), "p50-ns")
		b.ReportMetric(float64(all[len(all)*99/100].Nanoseconds()), "p99-ns")
		b.ReportMetric(float64(used.Nanoseconds())/float64(len(all)), "cpu-ns/event")
		b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "events/s")
		b.ReportMetric(float64(s.DiskBytes)/float64(s.Journaled), "bytes/event")
	})
}

// fault: K3
func TestMemoryWhileTheSenderIsDown(t *testing.T) {
	l := open(t, t.TempDir(), Options{})
	l.Use(&target{send: whileDown(nil)})
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse
	}
	runtime.GC()
	start, most := heap(), uint64(0)
	events := exchangeEvents()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	const n = 15000 // three seconds of them
	for i := range n {
		l.Trail(Subject{Request: fmt.Sprint(i)}).Record(events[i%len(events)](i))
		if i%50 == 49 {
			<-tick.C
			most = max(most, heap())
		}
	}
	eventually(t, "all is on disk", func() bool { return l.Stats().Journaled == n })
	if grown := int64(most) - int64(start); grown > 32<<20 {
		t.Errorf("%d KiB more heap", grown>>10)
	} else {
		t.Logf("%d KiB more heap with %d KiB on disk", grown>>10, l.Stats().DiskBytes>>10)
	}
}
