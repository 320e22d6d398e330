package caddymodule

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"golang.org/x/net/http/httpguts"
)

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

// loadTransport brings up the transport whose configuration is owner's field
// TransportRaw, at raw; Caddy's own if there is none.
func loadTransport(ctx caddy.Context, owner any, raw *json.RawMessage) (*reverseproxy.HTTPTransport, error) {
	if len(*raw) == 0 || string(*raw) == "null" {
		*raw = json.RawMessage(`{"protocol":"http"}`)
	}
	var configured struct {
		KeepAlive struct {
			PerHost int `json:"max_idle_conns_per_host"`
		} `json:"keep_alive"`
	}
	if err := json.Unmarshal(*raw, &configured); err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	mod, err := ctx.LoadModule(owner, "TransportRaw")
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

// credentialHeaders hold secrets also when their values are no placeholders.
var credentialHeaders = map[string]bool{
	"Authorization": true, "Proxy-Authorization": true, "Cookie": true,
	"Api-Key": true, "X-Api-Key": true, "X-Goog-Api-Key": true,
}

// resolveHeader returns a configured header with its placeholders resolved, and
// the secrets in it. It calls literal with the name of each header whose
// credential is written out.
func resolveHeader(repl *caddy.Replacer, configured http.Header, literal func(what, value string)) (header http.Header, secrets []string, err error) {
	header = make(http.Header, len(configured))
	for name, values := range configured {
		for _, v := range values {
			value, err := resolve(repl, v)
			if err != nil {
				return nil, nil, fmt.Errorf("header %s: %w", name, err)
			}
			header.Add(name, value)
			credential := credentialHeaders[http.CanonicalHeaderKey(name)]
			if credential {
				literal("header "+name, v)
			}
			if credential || strings.Contains(v, "{") { // a placeholder: likely a secret
				secrets = append(secrets, value, strings.TrimPrefix(value, "Bearer "))
			}
		}
	}
	return header, secrets, nil
}

// exposed reports whether what is sent to u could be read on the way.
func exposed(u *url.URL) bool { return u.Scheme != "https" && !private(u.Hostname()) }

// checkHeader refuses what cannot travel in a header (security X11), and what
// belongs to the connection. What belongs to a protocol, its package knows.
func checkHeader(h http.Header) error {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("header %q: not a header's name", name)
		}
		switch name {
		case "Content-Length", "Transfer-Encoding", "Connection", "Host", "Accept-Encoding",
			"Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Upgrade":
			return fmt.Errorf("header %s: belongs to the connection, not to the configuration", name)
		}
		for _, v := range h[name] {
			if !httpguts.ValidHeaderFieldValue(v) {
				return fmt.Errorf("header %s: control characters in the value", name)
			}
		}
	}
	return nil
}
