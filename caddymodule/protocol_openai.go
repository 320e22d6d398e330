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

// CaddyModule returns the Caddy module information.
func (*OpenAI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "ai_gateway.providers.openai", New: func() caddy.Module { return new(OpenAI) }}
}

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
	header, secrets, err := resolveHeader(repl, o.Header, func(what, value string) { warnLiteral(ctx.Logger(), what, value) })
	if err != nil {
		return err
	}
	o.secrets = secrets
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
	t, err := loadTransport(ctx, o, &o.TransportRaw)
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
	if n == 0 && len(o.secrets) == 0 || !exposed(o.url) {
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
