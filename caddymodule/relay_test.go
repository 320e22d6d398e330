package caddymodule

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
	"github.com/universal-ai-gateway/magicproxy/rotation"
)

// reads is an upstream whose every read brings one of the pieces.
type reads []string

func (r *reads) Do(context.Context, *provider.Call) (*provider.Response, error) {
	return &provider.Response{Status: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: io.NopCloser(r)}, nil
}

func (r *reads) Read(p []byte) (int, error) {
	if len(*r) == 0 {
		return 0, io.EOF
	}
	n := copy(p, (*r)[0])
	if (*r)[0] = (*r)[0][n:]; (*r)[0] == "" {
		*r = (*r)[1:]
	}
	return n, nil
}

func streamOf(t testing.TB, client provider.Provider, usage bool) *rotation.Stream {
	t.Helper()
	body := chatBody("m", true)
	if usage {
		body = strings.Replace(body, "{", `{"stream_options":{"include_usage":true},`, 1)
	}
	req, e := openai.ParseRequest(openai.Chat, []byte(body))
	if e != nil {
		t.Fatal(e)
	}
	p := boundProvider()
	p.Client = client
	chain := &rotation.Chain{Name: "m", Main: []*rotation.Target{rotation.NewTarget(p, "m")}, Direct: true}
	s, err := new(rotation.Caller).Stream(t.Context(), rotation.Call{Route: chain.Route(0), Request: req})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// writes keeps what arrives, write by write.
type writes []string

func (w *writes) Write(p []byte) (int, error) {
	*w = append(*w, string(p))
	return len(p), nil
}

// contract: S8, S2
func TestOneWritePerRead(t *testing.T) {
	for _, tt := range []struct {
		name  string
		in    reads
		usage bool
		want  writes
	}{
		{"event by event", reads{contentEvent, finishEvent, doneEvent}, false, writes{contentEvent, finishEvent, doneEvent}},
		{"all at once", reads{contentEvent + contentEvent + finishEvent + doneEvent}, false, writes{contentEvent + contentEvent + finishEvent + doneEvent}},
		{"start-up events leave with the first content", reads{roleEvent, contentEvent, finishEvent + doneEvent}, false, writes{roleEvent + contentEvent, finishEvent + doneEvent}},
		{"usage left out", reads{contentEvent + finishEvent + usageEvent + doneEvent}, false, writes{contentEvent + finishEvent + doneEvent}},
		{"usage asked for", reads{contentEvent + finishEvent + usageEvent + doneEvent}, true, writes{contentEvent + finishEvent + usageEvent + doneEvent}},
		{"usage too early and twice", reads{usageEvent, contentEvent + usageEvent + finishEvent, doneEvent}, true, writes{contentEvent, finishEvent, usageEvent + doneEvent}},
		{"usage without choices", reads{contentEvent + finishEvent, "data: {\"usage\":{\"total_tokens\":1}}\n\n", doneEvent}, false, writes{contentEvent + finishEvent, doneEvent}},
		{"an end that few can read", reads{contentEvent + finishEvent, "data:\ndata:   [DONE]\n\n"}, false, writes{contentEvent + finishEvent, doneEvent}},
		{"events without data", reads{contentEvent, "data:\n\n", ": wait\n\n", finishEvent + doneEvent}, false, writes{contentEvent, ": wait\n\n", finishEvent + doneEvent}},
		{"an event in two reads", reads{contentEvent[:9], contentEvent[9:] + finishEvent, doneEvent}, false, writes{contentEvent + finishEvent, doneEvent}},
		{"no [DONE]", reads{contentEvent + finishEvent}, false, writes{contentEvent + finishEvent, doneEvent}},
		{"larger than the buffer", reads{strings.Repeat(contentEvent, 200) + finishEvent + doneEvent}, false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			whole := strings.Join(tt.in, "")
			s := streamOf(t, &tt.in, tt.usage)
			defer s.Close()
			var got writes
			if err := relayEvents(&got, s, true); err != nil {
				t.Fatal(err)
			}
			if tt.want == nil {
				if strings.Join(got, "") != whole {
					t.Error("bytes were lost or changed")
				}
			} else if strings.Join(got, "|") != strings.Join(tt.want, "|") {
				t.Errorf("writes\n%q\nwant\n%q", got, tt.want)
			}
		})
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// contract: S9
func TestRelayStopsWhenTheClientHasLeft(t *testing.T) {
	in := reads{contentEvent, contentEvent, finishEvent + doneEvent}
	s := streamOf(t, &in, false)
	defer s.Close()
	if err := relayEvents(broken{}, s, true); !errors.Is(err, errClientLeft) {
		t.Errorf("%v", err)
	}
	if len(in) != 2 {
		t.Errorf("went on reading: %d pieces are left", len(in))
	}
}

// endless is an upstream that sends the same event for ever, one a read.
type endless struct{ event []byte }

func (e *endless) Do(context.Context, *provider.Call) (*provider.Response, error) {
	return &provider.Response{Status: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: io.NopCloser(e)}, nil
}
func (e *endless) Read(p []byte) (int, error) { return copy(p, e.event), nil }

// stops is a client that leaves after n writes.
type stops struct{ n int }

func (s *stops) Write(p []byte) (int, error) {
	if s.n--; s.n < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

// One event: read, split, scanned, written.
func BenchmarkRelayEvent(b *testing.B) {
	const perStream = 100_000 // a stream may have a million events at most
	b.ReportAllocs()
	for left := b.N; left > 0; left -= perStream {
		s := streamOf(b, &endless{[]byte(contentEvent)}, false)
		if err := relayEvents(&stops{min(left, perStream)}, s, true); !errors.Is(err, errClientLeft) {
			b.Fatal(err)
		}
		s.Close()
	}
	b.SetBytes(int64(len(contentEvent)))
}

func TestRelayEventAllocations(t *testing.T) {
	const events = 10_000
	perStream := testing.AllocsPerRun(5, func() {
		s := streamOf(t, &endless{[]byte(contentEvent)}, false)
		_ = relayEvents(&stops{events}, s, true) // ends with the client leaving
		s.Close()
	})
	if perEvent := perStream / events; perEvent > 0.01 {
		t.Errorf("%.2f allocations per event", perEvent)
	}
}

func TestAdjacent(t *testing.T) {
	all := []byte("abcdef")
	other := bytes.Clone(all)
	for name, tt := range map[string]struct {
		a, b []byte
		want bool
	}{
		"side by side":     {all[:2], all[2:4], true},
		"a gap":            {all[:2], all[3:4], false},
		"other memory":     {all[:2], other[2:4], false},
		"nothing before":   {nil, all[:2], false},
		"no room to grow":  {all[:2:2], all[2:4], false},
		"the same":         {all[:2], all[:2], false},
		"nothing to come":  {all[:2], nil, false},
		"not enough room":  {all[:2:3], all[2:4], false},
		"exactly the room": {all[:2:4], all[2:4], true},
	} {
		if got := adjacent(tt.a, tt.b); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
