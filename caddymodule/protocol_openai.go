package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
	"github.com/universal-ai-gateway/magicproxy/provider/leanhttp"
	"github.com/universal-ai-gateway/magicproxy/provider/openaihttp"
)

func init() {
	caddy.RegisterModule(new(OpenAI))
}

// OpenAI speaks OpenAI's protocol over HTTP.
type OpenAI struct {
	// BaseURL is the upstream's address up to, and without, /chat/completions.
	BaseURL string `json:"base_url,omitempty"`

	// Header is added to every request. A value may be a placeholder; it replaces
	// what would be sent otherwise, Authorization too.
	Header http.Header `json:"header,omitempty"`

	// Drop lists top-level fields of requests that the upstream does not accept.
	Drop []string `json:"drop,omitempty"`

	// Rename gives top-level fields the names that the upstream knows.
	Rename map[string]string `json:"rename,omitempty"`

	// Usage is off for upstreams that do not accept stream_options; their streams
	// are not counted. Default on.
	Usage string `json:"usage,omitempty"`

	// TransportRaw is the transport of reverse_proxy; only http is possible.
	TransportRaw json.RawMessage `json:"transport,omitempty" caddy:"namespace=http.reverse_proxy.transport inline_key=protocol"`

	client  *openaihttp.Provider
	url     *url.URL
	secrets []string
}

// credentialHeaders hold secrets also when their values are no placeholders.
var credentialHeaders = map[string]bool{
	"Authorization": true, "Proxy-Authorization": true, "Cookie": true,
	"Api-Key": true, "X-Api-Key": true, "X-Goog-Api-Key": true,
}

// CaddyModule returns the Caddy module information.
func (*OpenAI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "ai_gateway.providers.openai", New: func() caddy.Module { return new(OpenAI) }}
}

// connections bounds the idle connections kept per upstream. The transport's own
// default of 32 makes busier gateways dial for most of their requests.
//
// The buffers are smaller than net/http's 4 KiB, as every open stream has a pair
// of them: an event fits, and so does an ordinary request with its header.
const (
	connections       = 1024
	readBuffer        = 2 << 10
	writeBuffer       = 3 << 10
	maxResponseHeader = 256 << 10
)

// Provision makes the client.
func (o *OpenAI) Provision(ctx caddy.Context) error {
	repl := caddy.NewReplacer()
	base, err := repl.ReplaceOrErr(o.BaseURL, true, true)
	if err != nil {
		return fmt.Errorf("base_url: %w", err)
	}
	if base == "" {
		return errors.New("base_url: missing, and the provider's name is none of the known ones")
	}
	if o.url, err = openaihttp.ParseBaseURL(base); err != nil {
		return err
	}
	usage, err := truth(o.Usage)
	if err != nil {
		return fmt.Errorf("usage: %w", err)
	}
	header := make(http.Header, len(o.Header))
	for name, values := range o.Header {
		for _, v := range values {
			value, err := resolve(repl, v)
			if err != nil {
				return fmt.Errorf("header %s: %w", name, err)
			}
			header.Add(name, value)
			credential := credentialHeaders[http.CanonicalHeaderKey(name)]
			if credential {
				warnLiteral(ctx.Logger(), "header "+name, v)
			}
			if credential || strings.Contains(v, "{") { // a placeholder: likely a secret
				o.secrets = append(o.secrets, value, strings.TrimPrefix(value, "Bearer "))
			}
		}
	}
	opts := openaihttp.Options{BaseURL: base, Header: header, Drop: o.Drop, NoUsage: o.Usage != "" && !usage}
	for _, from := range slices.Sorted(maps.Keys(o.Rename)) {
		opts.Rename = append(opts.Rename, openai.Rename{From: from, To: o.Rename[from]})
	}
	for _, field := range slices.Concat(o.Drop, slices.Collect(maps.Keys(o.Rename)), slices.Collect(maps.Values(o.Rename))) {
		switch field {
		case "":
			return errors.New("drop, rename: empty field")
		case "model", "messages", "stream":
			return fmt.Errorf("drop, rename: the field %s is the gateway's own", field)
		}
	}
	t, err := o.transport(ctx)
	if err != nil {
		return err
	}
	opts.Transport, opts.CloseIdle, opts.IsDial = t, t.Transport.CloseIdleConnections, isDial
	if t.TLS != nil && o.url.Scheme == "http" {
		return fmt.Errorf("transport: tls is configured, but base_url %s begins with http://", o.url.Redacted())
	}
	if plain(t, o.url) {
		lean := &leanhttp.Transport{
			Dial: t.Transport.DialContext, MaxIdlePerHost: t.Transport.MaxIdleConnsPerHost,
			IdleTimeout: t.Transport.IdleConnTimeout, MaxHeader: t.Transport.MaxResponseHeaderBytes,
		}
		opts.Transport = &bySize{small: lean, large: t}
		opts.CloseIdle = func() {
			lean.CloseIdleConnections()
			t.Transport.CloseIdleConnections()
		}
	}
	o.client, err = openaihttp.New(opts)
	return err
}

func (o *OpenAI) transport(ctx caddy.Context) (*reverseproxy.HTTPTransport, error) {
	if len(o.TransportRaw) == 0 || string(o.TransportRaw) == "null" {
		o.TransportRaw = json.RawMessage(`{"protocol":"http"}`)
	}
	var configured struct {
		KeepAlive struct {
			PerHost int `json:"max_idle_conns_per_host"`
		} `json:"keep_alive"`
	}
	if err := json.Unmarshal(o.TransportRaw, &configured); err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	mod, err := ctx.LoadModule(o, "TransportRaw")
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	t, ok := mod.(*reverseproxy.HTTPTransport)
	if !ok {
		return nil, fmt.Errorf("transport: only http is possible, not %T", mod)
	}
	// LoadModule decodes and provisions in one go, so what should not follow the
	// transport's defaults is changed after it and before the first request.
	std := t.Transport
	if configured.KeepAlive.PerHost == 0 {
		std.MaxIdleConnsPerHost = connections
	}
	std.DisableCompression = true
	if std.ReadBufferSize == 0 {
		std.ReadBufferSize = readBuffer
	}
	if std.WriteBufferSize == 0 {
		std.WriteBufferSize = writeBuffer
	}
	if std.MaxResponseHeaderBytes == 0 {
		std.MaxResponseHeaderBytes = maxResponseHeader
	}
	return t, nil
}

// bySize sends large requests with Caddy's transport: it listens while it writes,
// so that an upstream can refuse a body before it has taken all of it. A small one
// is in the socket's buffer before anybody could refuse it.
type bySize struct{ small, large http.RoundTripper }

const largeBody = 64 << 10

func (b *bySize) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.ContentLength > largeBody {
		return b.large.RoundTrip(req)
	}
	return b.small.RoundTrip(req)
}

// plain reports whether all that is wanted of the transport is what leanhttp does
// with the transport's own dialer: HTTP/1.1 without TLS and without a proxy.
func plain(t *reverseproxy.HTTPTransport, u *url.URL) bool {
	if u.Scheme != "http" || t.TLS != nil || t.ProxyProtocol != "" || t.MaxConnsPerHost != 0 ||
		t.ResponseHeaderTimeout != 0 || t.Transport.DisableKeepAlives ||
		!slices.Contains(t.Versions, "1.1") || slices.Contains(t.Versions, "h2c") {
		return false
	}
	proxy, err := t.Transport.Proxy((&http.Request{URL: u}).WithContext(context.Background()))
	return proxy == nil && err == nil && len(t.NetworkProxyRaw) == 0
}

// isDial recognises the error that Caddy's transport makes of a failed dial: it
// hides the cause.
func isDial(err error) bool { return errors.As(err, new(reverseproxy.DialError)) }

// Client implements Protocol.
func (o *OpenAI) Client() provider.Provider { return o.client }

// Address implements Protocol.
func (o *OpenAI) Address() string { return o.url.String() }

// Secrets implements Protocol.
func (o *OpenAI) Secrets() []string { return o.secrets }

// CheckKeys implements Protocol: keys go over TLS, or not beyond the machine's
// own network (security X13).
func (o *OpenAI) CheckKeys(n int) error {
	if n == 0 && len(o.secrets) == 0 || o.url.Scheme == "https" || private(o.url.Hostname()) {
		return nil
	}
	return fmt.Errorf("base_url: the key would travel unencrypted to %s; use https (http is for loopback and private addresses)", o.url.Host)
}

// private reports whether a host is reached without crossing a public network:
// private addresses, and the names that only a local resolver can know.
func private(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".internal")
}

// Cleanup closes idle connections. Calls under way end in their own time, and
// the last of them closes what is left.
func (o *OpenAI) Cleanup() error {
	if o.client != nil {
		o.client.Close()
	}
	return nil
}

// Interface guards
var (
	_ Protocol           = (*OpenAI)(nil)
	_ caddy.Provisioner  = (*OpenAI)(nil)
	_ caddy.CleanerUpper = (*OpenAI)(nil)
)
