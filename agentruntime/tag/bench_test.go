package tag

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// turn is a turn of an agent as models write them: 2.6 KB, five tags and a fence.
const turn = `<THOUGHT title="What the log says">
The proxy answers 502 since 14:07, but only for uploads above 8 MB. The log of the unit names a time-out of the *write* to the app
server, thirty seconds after the request began, so the app does not read. Two explanations fit:

1. The app server's body limit is lower than the proxy's, and it stops reading without an answer. That would show as a line with
   ` + "`client intended to send too large body`" + ` in the app's own log.
2. The disk that takes the temporary files is full. Then smaller uploads, which stay in memory (below 8 MB – the default of the
   framework), would go on working. That is just what the users report, and a < b here means more than a coincidence.

I have seen neither log nor disk so far. The cheapest check is the disk: one call, no side effects. If it has room, the app's log is
next. I must not restart anything before I know, since a restart would free the temporary files and with them the evidence.
</THOUGHT>
<ACTION>{"tool_name":"ops::run_check","arguments":{"unit":"app","check":"disk","paths":["/var/lib/app/tmp","/var/log"],"note":"needs \"df\" only\n"}}</ACTION>
<DRAFT>
- 14:07 first 502, see the proxy's journal
- uploads below 8 MB work: Grüße aus Köln, the German form, was sent at 14:31
- not checked yet: disk, the app's own log
</DRAFT>
<FINAL_ANSWER>
The disk of the app server is full, so uploads that need a temporary file fail. Nothing is wrong with the proxy itself.

` + "```sh\ndf -h /var/lib/app/tmp\nfind /var/lib/app/tmp -name 'upload-*' -mtime +1 -print0 | xargs -0 rm --\nsystemctl status app 2>&1 | grep -c '<error>'\n```" + `

Files in that folder are left over whenever a client goes away during an upload; the framework removes them at its next start. Until
the cause is mended, a timer that removes what is older than a day is enough. Set ` + "`TMPDIR`" + ` to a larger disk if uploads of this size
are to become common. I would also raise the alarm's threshold: it warned at 95 %, which was eleven minutes before the first error,
and nobody could have acted on it in time.
</FINAL_ANSWER>
`

type discard struct{ bytes, tags int }

func (d *discard) Open(Name, []byte)        { d.tags++ }
func (d *discard) Text(_ Name, text []byte) { d.bytes += len(text) }
func (d *discard) Close(Name)               {}

func feed(p *Parser, in []byte, size int, sink Sink) {
	for len(in) > 0 {
		n := min(size, len(in))
		p.Feed(in[:n], sink)
		in = in[n:]
	}
	p.End(sink)
}

// BenchmarkTagParser compares with a bare search for each < in the same chunks:
// x-IndexByte is how many times longer we take.
func BenchmarkTagParser(b *testing.B) {
	turns := []byte(strings.Repeat(turn, 400))
	prose := []byte(strings.Repeat(turn[36:1500], 700))
	for _, bb := range []struct {
		name string
		in   []byte
		size int
	}{
		{"chunk=4", turns, 4},
		{"chunk=32", turns, 32},
		{"chunk=4096", turns, 4096},
		{"chunk=4096/prose", prose, 4096},
		{"whole", turns, len(turns)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			var p Parser
			var sink discard
			b.SetBytes(int64(len(bb.in)))
			b.ReportAllocs()
			for b.Loop() {
				feed(&p, bb.in, bb.size, &sink)
			}
			start := time.Now()
			for range b.N {
				for in := bb.in; len(in) > 0; {
					n := min(bb.size, len(in))
					search(in[:n])
					in = in[n:]
				}
			}
			b.ReportMetric(float64(b.Elapsed())/float64(time.Since(start)), "x-IndexByte")
		})
	}
}

var found int

func search(b []byte) {
	for {
		i := bytes.IndexByte(b, '<')
		if i < 0 {
			return
		}
		found++
		b = b[i+1:]
	}
}

// BenchmarkHostile must not fall behind by more than a constant factor.
func BenchmarkHostile(b *testing.B) {
	for _, h := range hostile {
		in := []byte(strings.Repeat(h.unit, 1<<20/len(h.unit)))
		b.Run(strings.ReplaceAll(h.name, " ", "-"), func(b *testing.B) {
			var p Parser
			var sink discard
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				p.Feed([]byte(h.start), &sink)
				feed(&p, in, 4096, &sink)
			}
		})
	}
}
