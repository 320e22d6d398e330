package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// tools is a server with some tools, made with the SDK.
func tools(t *testing.T) *sdk.Server { return newTools(t.Context().Done()) }

// newTools is tools until quit.
func newTools(quit <-chan struct{}) *sdk.Server {
	s := sdk.NewServer(&sdk.Implementation{Name: "test", Version: "1"}, nil)
	type in struct {
		Text string `json:"text" jsonschema:"what to say"`
	}
	sdk.AddTool(s, &sdk.Tool{Name: "echo", Description: "says it again"}, func(_ context.Context, _ *sdk.CallToolRequest, in in) (*sdk.CallToolResult, any, error) {
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: in.Text}}}, nil, nil
	})
	sdk.AddTool(s, &sdk.Tool{Name: "fail", Description: "fails"}, func(context.Context, *sdk.CallToolRequest, in) (*sdk.CallToolResult, any, error) {
		return nil, nil, errors.New("it did not work")
	})
	sdk.AddTool(s, &sdk.Tool{Name: "progress", Description: "tells how far it is"}, func(ctx context.Context, r *sdk.CallToolRequest, _ in) (*sdk.CallToolResult, any, error) {
		for i := range 3 {
			_ = r.Session.NotifyProgress(ctx, &sdk.ProgressNotificationParams{ProgressToken: r.Params.GetProgressToken(), Progress: float64(i + 1), Total: 3})
		}
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: "done"}}}, nil, nil
	})
	sdk.AddTool(s, &sdk.Tool{Name: "hang", Description: "never answers"}, func(ctx context.Context, _ *sdk.CallToolRequest, _ in) (*sdk.CallToolResult, any, error) {
		select {
		case <-ctx.Done():
		case <-quit: // the SDK's stateless server does not hear that a client has left
		}
		return nil, nil, errors.New("given up")
	})
	return s
}

// streamable serves s over streamable HTTP. opts may be nil.
func streamable(t *testing.T, s *sdk.Server, opts *sdk.StreamableHTTPOptions) *httptest.Server {
	t.Helper()
	srv := serve(t, sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, opts))
	endSessions(t, s)
	return srv
}

// endSessions ends what the SDK's server would keep for clients that have gone.
func endSessions(t *testing.T, s *sdk.Server) {
	t.Cleanup(func() {
		for ss := range s.Sessions() {
			_ = ss.Close()
		}
	})
}

// overSSE serves s as of 2024-11-05.
func overSSE(t *testing.T, s *sdk.Server) *httptest.Server {
	t.Helper()
	srv := serve(t, sdk.NewSSEHandler(func(*http.Request) *sdk.Server { return s }, nil))
	endSessions(t, s)
	return srv
}

// serve starts a server that ends with the test, its connections broken off.
func serve(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return srv
}

// open makes a Server that ends before what it speaks to.
func open(t *testing.T, o Options) *Server {
	t.Helper()
	return openWith(t, o, new(State))
}

func openWith(t *testing.T, o Options, st *State) *Server {
	t.Helper()
	if o.Name == "" {
		o.Name = "test"
	}
	s, err := New(o, st)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func say(t *testing.T, s *Server, text string) {
	t.Helper()
	res, err := s.Call(t.Context(), Call{Tool: "echo", Arguments: args(text)})
	if err != nil {
		t.Fatalf("a good call: %v (%v)", err, errors.Unwrap(err))
	}
	if res.Text != text || res.Failed {
		t.Fatalf("a good call said %q", res.Text)
	}
}

func args(text string) json.RawMessage {
	b, _ := json.Marshal(map[string]string{"text": text})
	return b
}

func kindOf(t *testing.T, err error) Kind {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got error %v, want an *Error", err)
	}
	return e.Kind
}

func names(o Offer) string {
	var n []string
	for _, t := range o.Tools {
		n = append(n, t.Name)
	}
	return strings.Join(n, " ")
}

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

// contract: M1
func TestServer(t *testing.T) {
	backends := map[string]func(t *testing.T) Options{
		"streamable": func(t *testing.T) Options { return Options{URL: streamable(t, tools(t), nil).URL} },
		"streamable stateless": func(t *testing.T) Options {
			return Options{URL: streamable(t, tools(t), &sdk.StreamableHTTPOptions{Stateless: true}).URL}
		},
		"streamable json": func(t *testing.T) Options {
			return Options{URL: streamable(t, tools(t), &sdk.StreamableHTTPOptions{JSONResponse: true}).URL}
		},
		"sse":   func(t *testing.T) Options { return Options{URL: overSSE(t, tools(t)).URL} },
		"stdio": func(t *testing.T) Options { return program(t, "tools") },
	}
	for name, backend := range backends {
		t.Run(name, func(t *testing.T) {
			s := open(t, backend(t))
			if got := names(s.Offer(t.Context())); got != "echo fail hang progress" {
				t.Fatalf("offers %q: %+v", got, s.Status())
			}

			say(t, s, "hello 世界")
			res, err := s.Call(t.Context(), Call{Tool: "fail", Arguments: args("x")})
			if err != nil || !res.Failed || res.Text != "it did not work" {
				t.Errorf("a failing tool: %+v, %v", res, err)
			}
			var heard []string
			res, err = s.Call(t.Context(), Call{Tool: "progress", Arguments: args("x"), Progress: func(s string) { heard = append(heard, s) }})
			if err != nil || res.Text != "done" {
				t.Errorf("progress: %+v, %v", res, err)
			}
			if got := fmt.Sprint(heard); name != "streamable json" && got != "[1 of 3 2 of 3 3 of 3]" {
				t.Errorf("heard %s", got)
			}
			_, err = s.Call(t.Context(), Call{Tool: "nothing", Arguments: args("x")})
			if k := kindOf(t, err); k != KindUnknown {
				t.Errorf("an unknown tool: %v", err)
			}
			res, err = s.Call(t.Context(), Call{Tool: "echo", Arguments: json.RawMessage(`{"text":7}`)})
			if err == nil && !res.Failed || err != nil && kindOf(t, err) != KindRejected {
				t.Errorf("bad arguments: %+v, %v", res, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err = s.Call(ctx, Call{Tool: "hang", Arguments: args("x")})
			if k := kindOf(t, err); k != KindCanceled {
				t.Errorf("a call given up: %v", err)
			}
			say(t, s, "still there")
		})
	}
}

// contextWith is one with a deadline of ours.
func contextWith(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeoutCause(t.Context(), d, errTimeout)
}
