package mock

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/universal-ai-gateway/magicproxy/openai"
)

const ms = time.Millisecond

// arrival is what one Read returned, and when.
type arrival struct {
	after  time.Duration
	events int
}

func arrivals(t *testing.T, p *Provider, pause time.Duration) (list []arrival, took time.Duration, end error) {
	t.Helper()
	start := time.Now()
	res := do(t, p, openai.Chat, helloStream)
	if d := time.Since(start); d != 0 {
		t.Errorf("the header of a stream took %v", d)
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := res.Body.Read(buf)
		if err != nil {
			return list, time.Since(start), err
		}
		list = append(list, arrival{time.Since(start), strings.Count(string(buf[:n]), "\n\n")})
		time.Sleep(pause) //nolint:forbidigo // the clock is the bubble's
	}
}

func equal(t *testing.T, got, want []arrival) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %v\nwant %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("read %d: got %v, want %v", i, got[i], want[i])
		}
	}
}

func TestTokensComeInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, took, end := arrivals(t, newMock(Options{TokenDelay: 10 * ms}), 0)
		equal(t, got, []arrival{
			{0, 1}, {10 * ms, 1}, {20 * ms, 1}, {30 * ms, 1}, {40 * ms, 1}, {50 * ms, 1}, {60 * ms, 1}, {70 * ms, 1},
			{80 * ms, 3}, // the last token, the finish reason, [DONE]
		})
		if end != io.EOF || took != 80*ms {
			t.Errorf("ended after %v with %v", took, end)
		}
	})
}

// A reader that is busy for a while finds what has become due meanwhile, and the
// whole is not late.
func TestSlowReaderDoesNotDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, took, _ := arrivals(t, newMock(Options{TokenDelay: 10 * ms}), 25*ms)
		equal(t, got, []arrival{{0, 1}, {25 * ms, 2}, {50 * ms, 3}, {75 * ms, 2}, {100 * ms, 3}})
		if took != 125*ms {
			t.Errorf("took %v", took)
		}
	})
}

func TestStall(t *testing.T) {
	for name, c := range map[string]struct {
		after int
		want  []arrival
	}{
		"before the first token": {0, []arrival{{0, 1}, {1010 * ms, 1}, {1020 * ms, 3}}},
		"in the middle":          {1, []arrival{{0, 1}, {10 * ms, 1}, {1020 * ms, 3}}},
		"before the end":         {2, []arrival{{0, 1}, {10 * ms, 1}, {20 * ms, 1}, {1020 * ms, 2}}},
		"longer than the answer": {9, []arrival{{0, 1}, {10 * ms, 1}, {20 * ms, 1}, {1020 * ms, 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newMock(Options{TokenDelay: 10 * ms, Tokens: 2, StallAfter: c.after, Stall: time.Second})
				got, _, _ := arrivals(t, p, 0)
				equal(t, got, c.want)
			})
		})
	}
}

func TestCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newMock(Options{TokenDelay: 10 * ms, Cut: 3})
		got, took, end := arrivals(t, p, 0)
		equal(t, got, []arrival{{0, 1}, {10 * ms, 1}, {20 * ms, 1}, {30 * ms, 1}})
		if end != io.ErrUnexpectedEOF || took != 30*ms {
			t.Errorf("ended after %v with %v", took, end)
		}
		start := time.Now()
		body, end := read(t, p, openai.Chat, hello)
		if _, err := openai.ScanAnswer([]byte(body)); err == nil || body == "" || end != io.ErrUnexpectedEOF || time.Since(start) != 30*ms {
			t.Errorf("without stream, after %v: %v, %s", time.Since(start), end, body)
		}
	})
}

// contract: S4 (a mock that could end well would not show it)
func TestCutIsNeverAWholeAnswer(t *testing.T) {
	for ep, body := range map[openai.Endpoint]string{
		openai.Chat:        helloStream,
		openai.Completions: `{"model":"m","prompt":"x","stream":true}`,
		openai.Responses:   `{"model":"m","input":"x","stream":true}`,
		openai.Embeddings:  `{"model":"m","input":"x"}`,
	} {
		whole := ask(t, newMock(Options{}), ep, body)
		for _, n := range []int{1, 8, 100} {
			got, end := read(t, newMock(Options{Cut: n}), ep, body)
			if end != io.ErrUnexpectedEOF || len(got) >= len(whole) || !strings.HasPrefix(whole, got) {
				t.Errorf("%v cut after %d: %v, %s", ep, n, end, got)
			}
		}
	}
}

func TestWithoutStreamTakesAsLong(t *testing.T) {
	for ep, c := range map[openai.Endpoint]struct {
		body string
		want time.Duration
	}{
		openai.Chat:        {hello, 1080 * ms},
		openai.Completions: {`{"model":"m","prompt":"x","max_tokens":2}`, 1020 * ms},
		openai.Responses:   {`{"model":"m","input":"x"}`, 1080 * ms},
		openai.Embeddings:  {`{"model":"m","input":["x","y"]}`, 1010 * ms},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			ask(t, newMock(Options{TokenDelay: 10 * ms, StallAfter: 4, Stall: time.Second}), ep, c.body)
			if took := time.Since(start); took != c.want {
				t.Errorf("%v took %v instead of %v", ep, took, c.want)
			}
		})
	}
}

// contract: S9
func TestCancelEndsAWait(t *testing.T) {
	gone := errors.New("gone")
	p := newMock(Options{TokenDelay: time.Second})
	for name, c := range map[string]struct {
		ep     openai.Endpoint
		body   string
		before bool // Do itself waits
	}{
		"stream":     {openai.Chat, helloStream, false},
		"document":   {openai.Chat, hello, true},
		"embeddings": {openai.Embeddings, `{"model":"m","input":"x"}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(500*ms, func() { cancel(gone) })
				start := time.Now()
				res, err := p.Do(ctx, callTo(t, c.ep, c.body))
				if (err != nil) != c.before {
					t.Fatalf("Do: %v", err)
				}
				if err == nil {
					_, err = io.ReadAll(res.Body)
					defer res.Body.Close()
				}
				if !errors.Is(err, gone) || time.Since(start) != 500*ms {
					t.Errorf("after %v: %v", time.Since(start), err)
				}
			})
		})
	}
}

func TestCancelEndsWhatIsReady(t *testing.T) {
	gone := errors.New("gone")
	for _, body := range []string{hello, helloStream} {
		ctx, cancel := context.WithCancelCause(t.Context())
		res, err := newMock(Options{}).Do(ctx, callTo(t, openai.Chat, body))
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 10)
		if n, err := res.Body.Read(p); n != len(p) || err != nil {
			t.Errorf("before: %d, %v", n, err)
		}
		cancel(gone)
		if _, err := res.Body.Read(p); !errors.Is(err, gone) {
			t.Errorf("after: %v", err)
		}
		_ = res.Body.Close()
	}
}

func TestCloseEndsAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		res := do(t, newMock(Options{TokenDelay: time.Hour}), openai.Chat, helloStream)
		time.AfterFunc(time.Second, func() { _ = res.Body.Close() })
		start := time.Now()
		_, err := io.ReadAll(res.Body)
		if !errors.Is(err, http.ErrBodyReadAfterClose) || time.Since(start) != time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		if _, err = res.Body.Read(make([]byte, 10)); !errors.Is(err, http.ErrBodyReadAfterClose) {
			t.Errorf("then %v", err)
		}
	})
}

// BenchmarkStream reads a whole answer of 64 tokens as a gateway does; its
// allocations are those of the answer, not of its events.
func BenchmarkStream(b *testing.B) {
	const tokens = 64
	p := New(Options{Tokens: tokens})
	call := callTo(b, openai.Chat, helloStream)
	buf := make([]byte, 4<<10)
	b.ReportAllocs()
	for b.Loop() {
		res, err := p.Do(b.Context(), call)
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = res.Body.Read(buf)
		}
		_ = res.Body.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/tokens, "ns/event")
}

func TestEventsDoNotAllocate(t *testing.T) {
	count := func(tokens int) float64 {
		p := New(Options{Tokens: tokens})
		call := callTo(t, openai.Chat, helloStream)
		buf := make([]byte, 4<<10)
		return testing.AllocsPerRun(50, func() {
			res, err := p.Do(t.Context(), call)
			for err == nil {
				_, err = res.Body.Read(buf)
			}
		})
	}
	few, many := count(40), count(440)
	if many > few {
		t.Errorf("%v allocations for 40 tokens, %v for 440", few, many)
	}
}
