package caddymodule

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/universal-ai-gateway/magicproxy/mcp"
)

// The defaults of ToolServer and Breaker.
const (
	defaultCall     = 60 * time.Second
	defaultFailures = 3
	defaultWindow   = 30 * time.Second
	defaultOpen     = 60 * time.Second
)

var pinModes = map[string]mcp.PinMode{"off": mcp.PinOff, "warn": mcp.PinWarn, "on": mcp.PinOn}

// options returns what the server called name is made from, and an address that
// tells servers apart: it holds no secret. A secret that is written out is warned
// about. In mock mode nothing is resolved, and there is neither a transport nor an
// address to speak of.
func (s *ToolServer) options(ctx caddy.Context, repl *caddy.Replacer, logger *zap.Logger, name string, mock bool) (o mcp.Options, address string, err error) {
	if err := s.check(name); err != nil {
		return o, "", err
	}
	o = mcp.Options{
		Name: name, Timeout: cmp.Or(time.Duration(s.Timeout), defaultCall),
		Allow: s.Allow, Deny: s.Deny, Idempotent: s.Idempotent, Pin: pinModes[cmp.Or(s.Pin, pinValues[0])],
		Breaker: mcp.BreakerPolicy{Failures: defaultFailures, Window: defaultWindow, Open: defaultOpen},
	}
	if b := s.Breaker; b != nil {
		o.Breaker = mcp.BreakerPolicy{
			Failures: cmp.Or(b.Failures, defaultFailures),
			Window:   cmp.Or(time.Duration(b.Window), defaultWindow),
			Open:     cmp.Or(time.Duration(b.Open), defaultOpen),
		}
	}
	warn := func(what, value string) { warnLiteral(logger, "mcp "+name+": "+what, value) }
	switch {
	case mock:
		return o, mockName, nil
	case s.URL != "":
		address, err = s.web(ctx, repl, warn, &o)
	default:
		address, err = s.process(repl, warn, &o)
	}
	return o, address, err
}

// web adds what a server at a URL has.
func (s *ToolServer) web(ctx caddy.Context, repl *caddy.Replacer, warn func(what, value string), o *mcp.Options) (address string, err error) {
	if o.URL, err = repl.ReplaceOrErr(s.URL, true, true); err != nil {
		return "", fmt.Errorf("url: %w", err)
	}
	u, err := parseServerURL(o.URL)
	if err != nil {
		return "", fmt.Errorf("url: %w", err)
	}
	var secrets []string
	o.Header, secrets, err = resolveHeader(repl, s.Header, warn)
	if err != nil {
		return "", err
	}
	if err := checkHeader(o.Header); err != nil {
		return "", err
	}
	o.Secrets = append([]string{}, secrets...) // not nil: the other values are none
	if len(secrets) > 0 && exposed(u) {
		return "", fmt.Errorf("url: the header would travel unencrypted to %s; use https (http is for loopback and private addresses)", u.Host)
	}
	t, err := loadTransport(ctx, s, &s.TransportRaw)
	if err != nil {
		return "", err
	}
	if t.TLS != nil && u.Scheme == "http" {
		return "", fmt.Errorf("transport: tls is configured, but the url of %s begins with http://", u.Host)
	}
	o.Transport, o.CloseIdle = dialErrors{t}, t.Transport.CloseIdleConnections
	return u.Scheme + "://" + u.Host + fingerprint(o.URL), nil
}

// process adds what a server of the gateway's own has.
func (s *ToolServer) process(repl *caddy.Replacer, warn func(what, value string), o *mcp.Options) (address string, err error) {
	for i, arg := range s.Command {
		v, err := literalOrPlaceholder(repl, arg)
		if err != nil {
			return "", fmt.Errorf("command: value %d: %w", i+1, err)
		}
		if strings.ContainsRune(v, 0) {
			return "", fmt.Errorf("command: value %d: a zero byte", i+1)
		}
		o.Command = append(o.Command, v)
	}
	if o.Dir, err = repl.ReplaceOrErr(s.Dir, true, true); s.Dir != "" && err != nil {
		return "", fmt.Errorf("dir: %w", err)
	}
	o.Env, o.Secrets = make(map[string]string, len(s.Env)), []string{}
	for _, key := range slices.Sorted(maps.Keys(s.Env)) {
		v, err := resolve(repl, s.Env[key])
		if err != nil {
			return "", fmt.Errorf("env %s: %w", key, err)
		}
		if strings.ContainsRune(v, 0) {
			return "", fmt.Errorf("env %s: a zero byte", key)
		}
		if credentialVariable(key) {
			warn("env "+key, s.Env[key])
		}
		if credentialVariable(key) || strings.Contains(s.Env[key], "{") { // a placeholder: likely a secret
			o.Secrets = append(o.Secrets, v)
		}
		o.Env[key] = v
	}
	return stdioName + ":" + filepath.Base(o.Command[0]) + fingerprint(append([]string{o.Dir}, o.Command...)...), nil
}

// credentialVariable reports whether a variable is likely to hold a secret.
func credentialVariable(name string) bool {
	name = strings.ToUpper(name)
	for _, part := range []string{"KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// fingerprint tells addresses apart that must not be shown: paths, queries and
// arguments may hold secrets.
func fingerprint(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return "#" + hex.EncodeToString(h.Sum(nil)[:6])
}

// dialErrors gives failed dials the type that net gives them: that of Caddy's
// transport hides the cause.
type dialErrors struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (d dialErrors) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := d.RoundTripper.RoundTrip(req)
	if err != nil && isDial(err) {
		err = &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	return res, err
}
