package caddymodule

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// ToolServer is a server of tools that speaks the Model Context Protocol: at a
// URL, or a process of the gateway's own.
type ToolServer struct {
	// URL is the server's address. A placeholder may stand in it.
	URL string `json:"url,omitempty"`

	// Command is a program and its arguments, to be spoken to over its standard
	// input and output. No shell reads it. An argument that as a whole is one
	// {env.…} or {file.…} is a placeholder. Either URL or Command is needed.
	Command []string `json:"command,omitempty"`

	// Header is added to every request to a URL. A value may be a placeholder.
	Header http.Header `json:"header,omitempty"`

	// Timeout bounds a call. Default 60s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// Allow are globs over the server's tools, without the server's name: what
	// agents may use of it. Default: all. Deny takes tools away from that.
	Allow []string `json:"allow,omitempty"`
	Deny  []string `json:"deny,omitempty"`

	// Idempotent are globs over tools whose calls may be repeated after a failure
	// that leaves open whether they were made. Default: none.
	Idempotent []string `json:"idempotent,omitempty"`

	// Pin says what happens when a tool's definition changes: nothing (off), a
	// warning (warn), or the tool is disabled until an admin approves (on). Default
	// warn.
	Pin string `json:"pin,omitempty"`

	// Breaker says when the server's tools rest.
	Breaker *Breaker `json:"breaker,omitempty"`

	// Env is added to the process's environment, which is small otherwise. A value
	// may be a placeholder.
	Env map[string]string `json:"env,omitempty"`

	// Dir is where the process runs. Default: where Caddy does.
	Dir string `json:"dir,omitempty"`

	// TransportRaw is the transport of reverse_proxy to a URL; only http is
	// possible.
	TransportRaw json.RawMessage `json:"transport,omitempty" caddy:"namespace=http.reverse_proxy.transport inline_key=protocol"`
}

// Breaker keeps runs away from a tool server that fails.
type Breaker struct {
	// Failures within Window open it; a connection that is refused counts as all
	// of them. Defaults 3 and 30s.
	Failures int            `json:"failures,omitempty"`
	Window   caddy.Duration `json:"window,omitempty"`

	// Open is how long the server's tools are left out, until one call tries
	// again. Default 60s.
	Open caddy.Duration `json:"open,omitempty"`
}

// pinValues begin with the default.
var pinValues = []string{"warn", "on", "off"}

// check has what JSON may get wrong about the server called name, also null for
// one.
func (s *ToolServer) check(name string) error {
	switch {
	case !lowerName.MatchString(name):
		return errors.New(lowerNameRule)
	case s == nil, s.URL == "" && len(s.Command) == 0:
		return errors.New("neither url nor command")
	case s.URL != "" && len(s.Command) > 0:
		return errors.New("both url and command")
	case s.URL == "" && s.Command[0] == "":
		return errors.New("command: empty")
	case s.URL == "" && len(s.Header) > 0:
		return errors.New("header: only for a server with a url")
	case s.URL == "" && len(s.TransportRaw) > 0:
		return errors.New("transport: only for a server with a url")
	case s.URL != "" && len(s.Env) > 0:
		return errors.New("env: only for a server with a command")
	case s.URL != "" && s.Dir != "":
		return errors.New("dir: only for a server with a command")
	case s.Timeout < 0:
		return errors.New("timeout: must not be negative")
	case s.Breaker != nil && (s.Breaker.Failures < 0 || s.Breaker.Window < 0 || s.Breaker.Open < 0):
		return errors.New("breaker: must not be negative")
	}
	for _, key := range slices.Sorted(maps.Keys(s.Env)) {
		if !envName.MatchString(key) {
			return fmt.Errorf("env %q: %s", key, envNameRule)
		}
	}
	for _, list := range []struct {
		name  string
		globs []string
	}{{"allow", s.Allow}, {"deny", s.Deny}, {"idempotent", s.Idempotent}} {
		for _, glob := range list.globs {
			if err := checkOwnGlob(glob); err != nil {
				return fmt.Errorf("%s: %w", list.name, err)
			}
		}
	}
	return checkChoice("pin", s.Pin, pinValues)
}

// checkOwnGlob refuses the form that tools have outside of their server.
func checkOwnGlob(glob string) error {
	if _, tool, found := strings.Cut(glob, "::"); found {
		return fmt.Errorf("%q names a server; within one its tools stand alone: %s", glob, cmp.Or(tool, "*"))
	}
	return nil
}

// parseServerURL checks a tool server's address. The errors repeat no more of it
// than the host: anything else may be a misplaced key.
func parseServerURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New("not a URL")
	case u.User != nil:
		return nil, errors.New("must not hold credentials; use header")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("must begin with http:// or https://; a command stands behind stdio")
	case u.Host == "":
		return nil, errors.New("no host")
	case u.Fragment != "":
		return nil, fmt.Errorf("a fragment has no place behind %s", u.Host)
	}
	return u, nil
}
