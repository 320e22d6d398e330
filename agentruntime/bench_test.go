package agentruntime

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/universal-ai-gateway/magicproxy/mcp"
	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
	"github.com/universal-ai-gateway/magicproxy/provider/mock"
)

// BenchmarkAgentStep is a run of the mock with a simulated tool: a model call that
// calls the tool, the tool, and a model call that answers. Wall time says little on
// a shared machine; these are CPU time of the whole process, collector included:
//
//	cpu-ns/run       a run
//	mock-cpu-ns/run  the same model calls with no run around them
//	own-cpu-ns/run   the difference: what the runtime and rotation take
//	own-cpu-ns/step  of that, a model call and what follows from it
func BenchmarkAgentStep(b *testing.B) {
	for _, pattern := range []string{"native", "react"} {
		b.Run(pattern, func(b *testing.B) {
			s := newSubject(b, pattern, mcp.Simulate("docs", []string{"search"}))
			cpu := cpuOf(b, s.run, s.ask)
			run, model := cpu[0], cpu[1]
			b.ReportMetric(run, "cpu-ns/run")
			b.ReportMetric(model, "mock-cpu-ns/run")
			b.ReportMetric(run-model, "own-cpu-ns/run")
			b.ReportMetric((run-model)/float64(len(s.calls)), "own-cpu-ns/step")
		})
	}
}

// BenchmarkAgentToolCall is a run with a real tool server: one of the SDK's, in this
// process, over streamable HTTP on loopback. Beside it the SDK's own client makes the
// bare call, in turns. What the server takes is in both:
//
//	own-cpu-ns/run   a run with one call, without the mock's share
//	sdk-cpu-ns/call  the SDK's bare call
//	own/sdk          the ratio
//
// In the sub-benchmark call our client's bare call stands in place of the run.
func BenchmarkAgentToolCall(b *testing.B) {
	url := toolServer(b)
	server, err := mcp.New(mcp.Options{Name: "docs", URL: url}, new(mcp.State))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(server.Close)
	sdkCall := sdkCaller(b, url)

	report := func(b *testing.B, own, theirs float64, unit string) {
		b.ReportMetric(own, unit)
		b.ReportMetric(theirs, "sdk-cpu-ns/call")
		b.ReportMetric(own/theirs, "own/sdk")
	}
	b.Run("call", func(b *testing.B) {
		cpu := cpuOf(b, func(b *testing.B) {
			res, err := server.Call(b.Context(), mcp.Call{Tool: "search", Arguments: json.RawMessage(searchArgs)})
			if err != nil || res.Text != searchResult {
				b.Fatalf("%+v, %v", res, err)
			}
		}, sdkCall)
		report(b, cpu[0], cpu[1], "own-cpu-ns/call")
	})
	for _, pattern := range []string{"native", "react"} {
		b.Run(pattern, func(b *testing.B) {
			s := newSubject(b, pattern, server)
			cpu := cpuOf(b, s.run, s.ask, sdkCall)
			report(b, cpu[0]-cpu[1], cpu[2], "own-cpu-ns/run")
		})
	}
}

// cpuOf runs timed as the benchmark's loop, and others as often, in turns of a few
// so that a change of the machine's speed meets them all. It returns the CPU time
// of each, in ns. Allocations are those of timed.
func cpuOf(b *testing.B, timed func(*testing.B), others ...func(*testing.B)) []float64 {
	b.Helper()
	const turn = 128
	timed(b)
	for _, f := range others {
		f(b)
	}
	sum := make([]time.Duration, 1+len(others))
	n, since := 0, 0
	b.ReportAllocs()
	from := cpuTime(b)
	rest := func() {
		b.StopTimer()
		defer b.StartTimer()
		sum[0] += cpuTime(b) - from
		for i, f := range others {
			from = cpuTime(b)
			for range since {
				f(b)
			}
			sum[i+1] += cpuTime(b) - from
		}
		since, from = 0, cpuTime(b)
	}
	for b.Loop() {
		timed(b)
		n++
		if since++; since == turn {
			rest()
		}
	}
	rest()
	b.StopTimer()
	per := make([]float64, len(sum))
	for i, d := range sum {
		per[i] = float64(d) / float64(n)
	}
	return per
}

// subject is an agent with the mock for its model.
type subject struct {
	manager *Manager
	agent   *Agent
	request *openai.Request

	// The mock, and the model calls of a run.
	model provider.Provider
	calls []*provider.Call
	buf   [2 << 10]byte
}

func newSubject(b *testing.B, pattern string, server ToolServer) *subject {
	b.Helper()
	s := &subject{model: mock.New(mock.Options{})}
	s.manager, s.agent = agentOf(&recorder{s.model, &s.calls}, pattern, server)
	s.request = requestOf(b)
	s.run(b)
	calls := s.calls
	s.manager, s.agent = agentOf(s.model, pattern, server)
	s.run(b)
	if s.calls = calls; len(calls) != 2 {
		b.Fatalf("a run has %d model calls", len(calls))
	}
	return s
}

func requestOf(b *testing.B) *openai.Request {
	b.Helper()
	req, e := openai.ParseRequest(openai.Chat, []byte(chat("What is Go?")))
	if e != nil {
		b.Fatal(e)
	}
	return req
}

// run makes one run, and checks it.
func (s *subject) run(b *testing.B) {
	run, e := s.manager.Run(b.Context(), Call{Agent: s.agent, Request: s.request})
	if e != nil {
		b.Fatal(e)
	}
	text, finished := 0, false
	for ev, err := range run.Events() {
		if err != nil {
			b.Fatal(err)
		}
		if ev.Kind == Content {
			text += len(ev.Text)
		}
		finished = ev.Kind == Finish && ev.Reason == finishStop
	}
	// The mock's answer repeats the tool's.
	if text < len(`The tool answered: `+searchArgs) || !finished || run.Calls() != 1 || run.Turns() != 2 {
		b.Fatalf("%d bytes of text, finished: %t, %d calls in %d turns", text, finished, run.Calls(), run.Turns())
	}
}

// ask makes the model calls of one run.
func (s *subject) ask(b *testing.B) {
	for _, c := range s.calls {
		res, err := s.model.Do(b.Context(), c)
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = res.Body.Read(s.buf[:])
		}
		res.Body.Close()
		if err != io.EOF {
			b.Fatal(err)
		}
	}
}

// recorder keeps the calls that go through it.
type recorder struct {
	provider.Provider
	calls *[]*provider.Call
}

func (r *recorder) Do(ctx context.Context, c *provider.Call) (*provider.Response, error) {
	kept := *c
	*r.calls = append(*r.calls, &kept)
	return r.Provider.Do(ctx, c)
}

const (
	searchArgs   = `{"query":"mock"}` // as the mock makes them from the schema
	searchResult = "Found in docs: mock"
)

// toolServer starts a tool server of the SDK's with the tool search, and returns
// its URL.
func toolServer(b *testing.B) string {
	b.Helper()
	s := sdk.NewServer(&sdk.Implementation{Name: "docs", Version: "1"}, nil)
	type in struct {
		Query string `json:"query" jsonschema:"What to look for."`
	}
	sdk.AddTool(s, &sdk.Tool{Name: "search", Description: "Searches the documents."}, func(_ context.Context, _ *sdk.CallToolRequest, in in) (*sdk.CallToolResult, any, error) {
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: "Found in docs: " + in.Query}}}, nil, nil
	})
	srv := httptest.NewServer(sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, nil))
	b.Cleanup(func() {
		for ss := range s.Sessions() {
			_ = ss.Close()
		}
		srv.CloseClientConnections()
		srv.Close()
	})
	return srv.URL
}

// sdkCaller connects the SDK's client, and returns what calls the tool once.
func sdkCaller(b *testing.B, url string) func(*testing.B) {
	b.Helper()
	client := sdk.NewClient(&sdk.Implementation{Name: "bench", Version: "1"}, nil)
	session, err := client.Connect(b.Context(), &sdk.StreamableClientTransport{Endpoint: url, HTTPClient: &http.Client{Transport: new(http.Transport)}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = session.Close() })
	args := json.RawMessage(searchArgs)
	return func(b *testing.B) {
		res, err := session.CallTool(b.Context(), &sdk.CallToolParams{Name: "search", Arguments: args})
		if err != nil || len(res.Content) != 1 {
			b.Fatalf("%+v, %v", res, err)
		}
		if text, ok := res.Content[0].(*sdk.TextContent); !ok || text.Text != searchResult {
			b.Fatalf("%+v", res.Content[0])
		}
	}
}
