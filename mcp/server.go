package mcp

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options configure a Server.
type Options struct {
	// Name is the part before :: in the names of its tools, and how logs and metrics
	// call it.
	Name string

	// URL is where it listens, over http or https: streamable HTTP, or HTTP+SSE as
	// of 2024-11-05. Either URL or Command is set.
	URL string

	// Command is a program and its arguments, spoken to over its standard input and
	// output. No shell reads it.
	Command []string

	// Env is added to the minimal environment of the command: what finds programs,
	// home, temporary files and the language, and nothing that may hold keys.
	Env map[string]string

	// Dir is where the command runs, empty for ours.
	Dir string

	// Header is sent with every request. Those that the protocol sets itself can't be
	// given.
	Header http.Header

	// Secrets are what must not show in anything the server says; nil for all values
	// of Header and Env.
	Secrets []string

	// Transport carries the requests; nil for one of its own. It must not decompress.
	Transport http.RoundTripper

	// CloseIdle closes Transport's idle connections, may be nil.
	CloseIdle func()

	// Timeout bounds a call, connecting included; 60 s.
	Timeout time.Duration

	// Allow and Deny are globs over the names of tools: offered and called are those
	// that one of Allow matches (or there is none) and none of Deny.
	Allow, Deny []string

	// Idempotent are globs over the tools that may be called again when a call has
	// broken off half-way.
	Idempotent []string

	// Pin says what becomes of a tool whose definition changes; the zero value warns.
	Pin PinMode

	// Input answers what the server asks for during a call. With nil, as in the
	// gateway, the ability is not declared, and whoever asks is refused.
	Input Input

	// Roots are the folders, as file URIs, that a server is told to keep to when it
	// asks; with none, as in the gateway, it is told that there is nothing to ask.
	Roots []string

	// Breaker says when the server is left alone.
	Breaker BreakerPolicy

	// Pins keeps the pins over restarts; nil keeps them in the State only.
	Pins PinStore

	// Observer hears what happens; nil for nobody.
	Observer Observer
}

// Server is a tool server. It is immutable, and safe for concurrent use.
type Server struct {
	o     Options
	state *State
	scrub scrubber
	base  http.RoundTripper
	idle  func()

	attached sync.Once
	offer    atomic.Pointer[view]

	mu      sync.Mutex
	closed  bool
	current *session
	dialing *dialing
	tokens  atomic.Uint64
}

// DefaultTimeout bounds a call when the configuration does not.
const DefaultTimeout = time.Minute

// protocolHeaders belong to the protocol.
var protocolHeaders = []string{
	"Accept", "Accept-Encoding", "Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding", "Connection", "Upgrade", "Te", "Trailer",
	"Mcp-Session-Id", "Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name", "Last-Event-Id",
}

// New checks the options. It dials nothing and starts nothing. The State is that of
// the server's name and address; it may be shared by the Servers of several
// configurations.
func New(o Options, s *State) (*Server, error) {
	if o.Name == "" {
		return nil, errors.New("a tool server needs a name")
	}
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("tool server %s: %w", o.Name, err)
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Observer == nil {
		o.Observer = NoObserver{}
	}
	header := make(http.Header, len(o.Header))
	var secrets []string
	for name, values := range o.Header {
		header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
		secrets = append(secrets, values...)
	}
	o.Header, o.Env, o.Roots = header, maps.Clone(o.Env), slices.Clone(o.Roots)
	for _, v := range o.Env {
		secrets = append(secrets, v)
	}
	if o.Secrets != nil {
		secrets = o.Secrets
	}
	srv := &Server{o: o, state: s, scrub: newScrubber(secrets), base: o.Transport, idle: o.CloseIdle}
	if o.URL != "" && srv.base == nil {
		t := newTransport()
		srv.base, srv.idle = t, t.CloseIdleConnections
	}
	if srv.idle == nil {
		srv.idle = func() {}
	}
	return srv, nil
}

func (o *Options) check() error {
	if (o.URL == "") == (len(o.Command) == 0) {
		return errors.New("it has either a URL or a command")
	}
	for _, root := range o.Roots {
		if u, err := url.Parse(root); err != nil || u.Scheme != "file" {
			return fmt.Errorf("the root %q is not a file URI", root)
		}
	}
	if o.URL == "" {
		if o.Command[0] == "" {
			return errors.New("the command is empty")
		}
		return nil
	}
	u, err := url.Parse(o.URL)
	switch {
	case err != nil:
		return errors.New("the URL can't be read") // its own message repeats it, secrets and all
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("the URL's scheme is %q, want http or https", u.Scheme)
	case u.Host == "":
		return errors.New("the URL has no host")
	case u.User != nil:
		return errors.New("the URL has credentials: give them as a header")
	}
	for name, values := range o.Header {
		if c := http.CanonicalHeaderKey(name); slices.Contains(protocolHeaders, c) {
			return fmt.Errorf("the header %s belongs to the protocol", c)
		}
		if len(values) == 0 {
			return fmt.Errorf("the header %s has no value", name)
		}
	}
	return nil
}

// newTransport returns a transport of a server's own.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
	}
}

// Name returns the server's name.
func (s *Server) Name() string { return s.o.Name }

// attach makes the State this server's: the policy and the observer of the newest
// configuration in use hold. New does not, for a configuration may yet be refused.
func (s *Server) attach() {
	s.attached.Do(func() {
		s.state.breaker.SetPolicy(s.o.Breaker)
		s.state.breaker.OnChange(func(from, to string, cause Kind) {
			s.o.Observer.Breaker(s.o.Name, from, to, cause)
		})
	})
}

// Refresh lists the tools again in the background, as an operator's wish: whatever
// the last tries have come to, unless the breaker is open.
func (s *Server) Refresh() {
	s.attach()
	s.state.refresh(s, true)
}

// Close says that the configuration is gone. Sessions that nobody uses close now,
// the others when their last call ends; a call that comes later gets a session for
// itself. Close waits for nothing.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	ss := s.current
	if ss != nil && ss.refs > 0 {
		ss = nil
	}
	if ss != nil {
		s.retire(ss)
	}
	if s.dialing != nil && s.dialing.waiters == 0 {
		s.dialing.cancel()
	}
	s.mu.Unlock()
	if ss == nil {
		s.idle()
	}
}

// fail makes the error of a fault.
func (s *Server) fail(f *fault) *Error {
	e := &Error{Kind: f.kind, Server: s.o.Name, Message: f.text}
	if f.cause != nil {
		e.Err = errors.New(s.scrub.line(f.cause.Error(), maxSaid))
	}
	return e
}

func now() int64 { return time.Now().UnixNano() }
