package mcp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// The protocol's eras: the first version without sessions, and the last with.
const (
	modernVersion = "2026-07-28"
	legacyVersion = "2025-11-25"
)

// route is how a server is spoken to, found once (contract M1).
type route struct {
	transport string // streamable, sse, stdio; empty: not known yet
	version   string
}

func (r route) modern() bool { return r.version >= modernVersion }

// discoverTimeout is how long a server may think about what it does not know: one of
// the older era may leave it unanswered.
const discoverTimeout = 4 * time.Second

// connect opens a session on the known route. If there is none, or it does not lead
// there any more, it looks for one.
func (s *Server) connect(ctx, life context.Context, kill context.CancelFunc) (*session, *fault) {
	known := s.state.known()
	if known.transport != "" {
		ss, f := s.try(ctx, life, kill, known)
		if f == nil || f.kind == KindDial || f.kind == KindTimeout || f.kind == KindServer || f.kind == KindLimited {
			return ss, f
		}
		s.state.found(route{})
	}
	if s.o.URL == "" {
		ss, f := s.try(ctx, life, kill, route{transport: "stdio"})
		if f != nil && f.kind == KindProtocol && ctx.Err() == nil {
			// Some of the older era fall over what they do not know.
			ss, f = s.try(ctx, life, kill, route{transport: "stdio", version: legacyVersion})
		}
		return ss, f
	}
	ss, f := s.try(ctx, life, kill, route{transport: "streamable"})
	if f != nil && slices.Contains([]int{http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed}, f.status) {
		// The specification's way to tell a server of 2024-11-05.
		if old, g := s.try(ctx, life, kill, route{transport: "sse", version: legacyVersion}); g == nil {
			return old, nil
		}
	}
	return ss, f
}

// try opens a session on a route.
func (s *Server) try(ctx, life context.Context, kill context.CancelFunc, r route) (*session, *fault) {
	iso := &isolate{
		base: s.base, header: s.o.Header, life: life, scrub: s.scrub, probe: min(discoverTimeout, s.dialTimeout()/3),
		changed: func() { s.state.refresh(s, false) }, roots: s.o.Roots,
	}
	var transport sdk.Transport
	switch r.transport {
	case "streamable":
		transport = &sdk.StreamableClientTransport{
			Endpoint: s.o.URL,
			HTTPClient: &http.Client{
				Transport:     iso,
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			},
			DisableStandaloneSSE: true,
			MaxEventSize:         -1, // the isolation has bounds of its own
		}
	case "sse":
		transport = &sseTransport{iso: iso, url: s.o.URL}
	default:
		transport = &stdioTransport{iso: iso, o: &s.o, said: func(line string) { s.o.Observer.Said(s.o.Name, line) }}
	}
	x := new(exchange)
	opts := new(sdk.ClientSessionOptions)
	if r.version != "" && !r.modern() {
		opts.ProtocolVersion = legacyVersion
	}
	cs, err := s.newClient().Connect(x.with(ctx), transport, opts)
	if err != nil {
		return nil, s.connectFault(ctx, x, err)
	}
	r.version = cs.InitializeResult().ProtocolVersion
	iso.modern.Store(r.modern())
	s.state.found(r)
	if r.transport == "streamable" && !r.modern() && (s.o.Input != nil || len(s.o.Roots) > 0) {
		iso.beside(ctx, s.o.URL, cs.ID())
	}
	ss := &session{cs: cs, iso: iso, headers: r.modern() && r.transport == "streamable", kill: kill}
	if l := s.state.list.Load(); l != nil && ss.headers {
		ss.teach(ctx, l.entries)
	}
	return ss, nil
}

// connectFault says why connecting has failed.
func (s *Server) connectFault(ctx context.Context, x *exchange, err error) *fault {
	_, f, _ := x.end()
	var notice *fault
	switch {
	case f != nil:
	case errors.As(err, &notice):
		f = notice
	case ctx.Err() != nil:
		f = &fault{kind: KindTimeout, text: "did not connect in time", cause: ctx.Err()}
	default:
		f = &fault{kind: KindProtocol, text: "does not speak a protocol that we know", cause: err}
	}
	g := *f
	if g.kind == KindRejected || g.kind == KindUnknown {
		g.kind, g.text = KindProtocol, "refused to open a session: "+g.text
		if g.status/100 == 4 {
			g.kind = KindRefused
		}
	}
	return &g
}

// clientInfo is how we introduce ourselves.
var clientInfo = &sdk.Implementation{Name: "ai-gateway", Version: "1"}

// doesNothing is what a server reads that asks for what we have not declared.
const doesNothing = "this client does nothing for servers"

// newClient returns a client that can do nothing for a server but ask it, and declares
// no more: questions for Input and roots where there are any. The former never get as
// far as the SDK.
func (s *Server) newClient() *sdk.Client {
	can := new(sdk.ClientCapabilities)
	if s.o.Input != nil {
		can.Elicitation = &sdk.ElicitationCapabilities{Form: &sdk.FormElicitationCapabilities{}}
	}
	if len(s.o.Roots) > 0 {
		can.RootsV2 = &sdk.RootCapabilities{} //nolint:staticcheck // deprecated, and still in the protocol
	}
	c := sdk.NewClient(clientInfo, &sdk.ClientOptions{
		Logger:         slog.New(slog.DiscardHandler),
		Capabilities:   can,
		MultiRoundTrip: &sdk.MultiRoundTripOptions{Disabled: true},
		// It makes the SDK listen in the newer era; the isolation hears it first.
		ToolListChangedHandler: func(context.Context, *sdk.ToolListChangedRequest) {},
	})
	c.AddReceivingMiddleware(func(next sdk.MethodHandler) sdk.MethodHandler {
		return func(ctx context.Context, method string, req sdk.Request) (sdk.Result, error) {
			switch {
			case method == methodPing:
				return next(ctx, method, req)
			case method == methodRoots && len(s.o.Roots) > 0:
				return rootsResult(s.o.Roots), nil
			}
			return nil, &jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: doesNothing}
		}
	})
	return c
}
