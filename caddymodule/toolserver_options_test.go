package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	logtest "go.uber.org/zap/zaptest/observer"

	"github.com/universal-ai-gateway/magicproxy/mcp"
)

// serverOptions makes options of JSON, with real secrets or in mock mode.
func serverOptions(t *testing.T, name, config string, mock bool) (o mcp.Options, address, logged string, err error) {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	core, logs := logtest.New(zapcore.DebugLevel)
	var s *ToolServer
	if err := caddy.StrictUnmarshalJSON([]byte(config), &s); err != nil {
		t.Fatal(err)
	}
	o, address, err = s.options(ctx, caddy.NewReplacer(), zap.New(core), name, mock)
	for _, e := range logs.All() {
		logged += fmt.Sprintln(e.Message, e.ContextMap())
	}
	return o, address, logged, err
}

// TestToolServerErrors has what may be wrong with a tool server. Whatever it is,
// the message does not hold the secret.
//
// security: X5, X11, X13
func TestToolServerErrors(t *testing.T) {
	t.Setenv("GATEWAY_TEST_KEY", canary)
	t.Setenv("GATEWAY_TEST_EMPTY", "")
	t.Setenv("GATEWAY_TEST_NEWLINE", canary+"\r\nX-Evil: 1")
	t.Setenv("GATEWAY_TEST_USERINFO", "https://user:"+canary+"@search.example.com/mcp")
	t.Setenv("GATEWAY_TEST_FRAGMENT", "https://search.example.com/mcp#"+canary)
	t.Setenv("GATEWAY_TEST_PUBLIC", "http://search.example.com/"+canary)
	const empty = "evaluated placeholder {env.GATEWAY_TEST_EMPTY} is empty"
	const travel = "url: the header would travel unencrypted to search.example.com; use https (http is for loopback and private addresses)"
	web := func(fields string) string { return `{"url":"https://search.example.com/mcp",` + fields + `}` }
	process := func(fields string) string { return `{"command":["docs-server"],` + fields + `}` }
	for _, tt := range []struct{ name, config, want string }{
		{"null", `null`, "neither url nor command"},
		{"empty", `{}`, "neither url nor command"},
		{"both", web(`"command":["a"]`), "both url and command"},
		{"empty command", `{"command":["","a"]}`, "command: empty"},
		{"header of a process", process(`"header":{"X-Team":["a"]}`), "header: only for a server with a url"},
		{"transport of a process", process(`"transport":{"protocol":"http"}`), "transport: only for a server with a url"},
		{"env of a URL", web(`"env":{"A":"b"}`), "env: only for a server with a command"},
		{"dir of a URL", web(`"dir":"/srv"`), "dir: only for a server with a command"},
		{"timeout", web(`"timeout":-1`), "timeout: must not be negative"},
		{"breaker's failures", web(`"breaker":{"failures":-1}`), "breaker: must not be negative"},
		{"breaker's window", web(`"breaker":{"window":-1}`), "breaker: must not be negative"},
		{"breaker's open", web(`"breaker":{"open":-1}`), "breaker: must not be negative"},
		{"pin", web(`"pin":"yes"`), `pin: expected warn, on or off, not "yes"`},
		{"allow", web(`"allow":["a","search::b"]`), `allow: "search::b" names a server; within one its tools stand alone: b`},
		{"deny", web(`"deny":["search::"]`), `deny: "search::" names a server; within one its tools stand alone: *`},
		{"idempotent", web(`"idempotent":["*::a"]`), `idempotent: "*::a" names a server; within one its tools stand alone: a`},

		{"URL unset", `{"url":"{env.GATEWAY_TEST_EMPTY}"}`, "url: " + empty},
		{"URL misspelt", `{"url":"https://{evn.HOST}/mcp"}`, "url: unrecognized placeholder {evn.HOST}"},
		{"URL that is a key", `{"url":"{env.GATEWAY_TEST_KEY}"}`, "url: must begin with http:// or https://; a command stands behind stdio"},
		{"URL with credentials", `{"url":"{env.GATEWAY_TEST_USERINFO}"}`, "url: must not hold credentials; use header"},
		{"URL with a fragment", `{"url":"{env.GATEWAY_TEST_FRAGMENT}"}`, "url: a fragment has no place behind search.example.com"},
		{"URL without host", `{"url":"https:///mcp"}`, "url: no host"},
		{"URL that is none", `{"url":"https://%zz"}`, "url: not a URL"},

		{"header", web(`"header":{"authorization":["Bearer {env.GATEWAY_TEST_KEY}"]}`), ""},
		{"header unset", web(`"header":{"Authorization":["{env.GATEWAY_TEST_EMPTY}"]}`), "header Authorization: " + empty},
		{"header with a newline", web(`"header":{"X-Key":["{env.GATEWAY_TEST_NEWLINE}"]}`), "header X-Key: control characters in the value"},
		{"header with a control byte", web(`"header":{"X-Team":["a\u0001b"]}`), "header X-Team: control characters in the value"},
		{"header's name", web(`"header":{"X Team":["a"]}`), `header "X Team": not a header's name`},
		{"header of the connection", web(`"header":{"host":["a"]}`), "header Host: belongs to the connection, not to the configuration"},
		{"secret over http", `{"url":"http://search.example.com/mcp","header":{"X-Key":["{env.GATEWAY_TEST_KEY}"]}}`, travel},
		{"literal secret over http", `{"url":"http://search.example.com/mcp","header":{"authorization":["` + canary + `"]}}`, travel},
		{"secret and a URL of the environment", `{"url":"{env.GATEWAY_TEST_PUBLIC}","header":{"X-Key":["{env.GATEWAY_TEST_KEY}"]}}`, travel},
		{"secret over http on the machine", `{"url":"http://localhost:9000/mcp","header":{"X-Key":["{env.GATEWAY_TEST_KEY}"]}}`, ""},
		{"no secret over http", `{"url":"http://search.example.com/mcp","header":{"X-Team":["research"]}}`, ""},

		{"transport", web(`"transport":{"protocol":"fastcgi"}`), "transport: only http is possible, not *fastcgi.Transport"},
		{"transport's field", web(`"transport":{"protocol":"http","dial":1}`), `transport: loading module 'http': decoding module config: http.reverse_proxy.transport.http: json: unknown field "dial"`},
		{"TLS over http", `{"url":"http://search.example.com/mcp","transport":{"protocol":"http","tls":{}}}`, "transport: tls is configured, but the url of search.example.com begins with http://"},

		{"env", process(`"env":{"API_KEY":"{env.GATEWAY_TEST_KEY}"}`), ""},
		{"env unset", process(`"env":{"API_KEY":"{env.GATEWAY_TEST_EMPTY}"}`), "env API_KEY: " + empty},
		{"env's name", process(`"env":{"API-KEY":"a"}`), `env "API-KEY": ` + envNameRule},
		{"env with a zero byte", process(`"env":{"API_KEY":"` + canary + `\u0000"}`), "env API_KEY: a zero byte"},
		{"dir unset", process(`"dir":"{env.GATEWAY_TEST_EMPTY}"`), "dir: " + empty},
		{"argument unset", `{"command":["docs-server","{env.GATEWAY_TEST_EMPTY}"]}`, "command: value 2: " + empty},
		{"argument with a zero byte", `{"command":["docs-server","a\u0000"]}`, "command: value 2: a zero byte"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, address, logged, err := serverOptions(t, "search", tt.config, false)
			wantText(t, err, tt.want)
			if text := fmt.Sprint(address, logged, err); strings.Contains(text, canary) {
				t.Errorf("shows the secret: %s", text)
			}
		})
	}
	_, _, _, err := serverOptions(t, "Search", web(`"timeout":1`), false)
	wantText(t, err, lowerNameRule)
}

// TestToolServerOptions has what becomes of a configuration.
func TestToolServerOptions(t *testing.T) {
	t.Setenv("GATEWAY_TEST_KEY", canary)
	t.Setenv("GATEWAY_TEST_HOST", "search.example.com")
	secret := filepath.ToSlash(filepath.Join(t.TempDir(), "root"))
	if err := os.WriteFile(secret, []byte("/srv/docs\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("defaults", func(t *testing.T) {
		o, address, logged, err := serverOptions(t, "search", `{"url":"https://search.example.com/mcp"}`, false)
		want := mcp.BreakerPolicy{Failures: 3, Window: 30 * time.Second, Open: time.Minute}
		if err != nil || o.Name != "search" || o.URL != "https://search.example.com/mcp" || o.Timeout != time.Minute ||
			o.Pin != mcp.PinWarn || o.Breaker != want || o.Transport == nil || o.CloseIdle == nil || o.Command != nil || logged != "" ||
			!strings.HasPrefix(address, "https://search.example.com#") {
			t.Errorf("%+v at %s, %s %v", o, address, logged, err)
		}
	})
	t.Run("URL", func(t *testing.T) {
		o, address, _, err := serverOptions(t, "search", `{
			"url":"https://{env.GATEWAY_TEST_HOST}/mcp?key={env.GATEWAY_TEST_KEY}", "header":{"authorization":["Bearer {env.GATEWAY_TEST_KEY}"],"X-Team":["research","b"]},
			"timeout":"20s","allow":["a*"],"deny":["ab"],"idempotent":["ac"],"pin":"on","breaker":{"failures":5,"open":"90s"}}`, false)
		want := mcp.BreakerPolicy{Failures: 5, Window: 30 * time.Second, Open: 90 * time.Second}
		if err != nil || o.URL != "https://search.example.com/mcp?key="+canary || o.Timeout != 20*time.Second || o.Pin != mcp.PinOn || o.Breaker != want ||
			fmt.Sprint(o.Allow, o.Deny, o.Idempotent) != "[a*] [ab] [ac]" ||
			fmt.Sprint(o.Header) != "map[Authorization:[Bearer "+canary+"] X-Team:[research b]]" {
			t.Errorf("%+v, %v", o, err)
		}
		if strings.Contains(address, canary) {
			t.Errorf("the address shows the secret: %s", address)
		}
	})
	t.Run("process", func(t *testing.T) {
		o, address, _, err := serverOptions(t, "docs", `{
			"command":["/usr/bin/docs-server","--json={\"a\":1}","{file.`+secret+`}","{env.GATEWAY_TEST_KEY}","x{env.GATEWAY_TEST_KEY}"],
			"env":{"API_KEY":"{env.GATEWAY_TEST_KEY}","LOG_LEVEL":"warn"},"dir":"{file.`+secret+`}","pin":"off"}`, false)
		want := []string{"/usr/bin/docs-server", `--json={"a":1}`, "/srv/docs", canary, "x{env.GATEWAY_TEST_KEY}"}
		if err != nil || !slices.Equal(o.Command, want) || o.Dir != "/srv/docs" || fmt.Sprint(o.Env) != "map[API_KEY:"+canary+" LOG_LEVEL:warn]" ||
			o.Pin != mcp.PinOff || o.URL != "" || o.Transport != nil {
			t.Errorf("%+v, %v", o, err)
		}
		if !strings.HasPrefix(address, "stdio:docs-server#") || strings.Contains(address, canary) {
			t.Errorf("address %s", address)
		}
	})
	t.Run("mock mode", func(t *testing.T) {
		for _, config := range []string{
			`{"url":"{env.GATEWAY_TEST_UNSET}","header":{"Authorization":["{env.GATEWAY_TEST_UNSET}"]},"transport":{"protocol":"http"},"allow":["a"]}`,
			`{"command":["{env.GATEWAY_TEST_UNSET}"],"env":{"A":"{env.GATEWAY_TEST_UNSET}"},"dir":"{env.GATEWAY_TEST_UNSET}","allow":["a"]}`,
		} {
			o, address, logged, err := serverOptions(t, "search", config, true)
			if err != nil || o.Name != "search" || o.URL != "" || o.Command != nil || o.Header != nil || o.Env != nil || o.Transport != nil ||
				o.Timeout != time.Minute || !slices.Equal(o.Allow, []string{"a"}) || address != mockName || logged != "" {
				t.Errorf("%+v at %s, %s %v", o, address, logged, err)
			}
		}
		_, _, _, err := serverOptions(t, "search", `{}`, true)
		wantText(t, err, "neither url nor command")
	})
}

// TestToolServerAddress tells servers apart whose state must not be shared, and
// no others.
func TestToolServerAddress(t *testing.T) {
	address := func(config string) string {
		t.Helper()
		_, a, _, err := serverOptions(t, "search", config, false)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	seen := make(map[string]string)
	for _, config := range []string{
		`{"url":"https://a.example.com/mcp"}`, `{"url":"http://a.example.com/mcp"}`, `{"url":"https://a.example.com/mcp?tenant=a"}`,
		`{"url":"https://a.example.com/other"}`, `{"url":"https://b.example.com/mcp"}`,
		`{"command":["a","b","c"]}`, `{"command":["a","bc"]}`, `{"command":["a","b c"]}`, `{"command":["/bin/a","b","c"]}`, `{"command":["a","b","c"],"dir":"/srv"}`,
	} {
		a := address(config)
		if seen[a] != "" {
			t.Errorf("%s and %s are at %s", seen[a], config, a)
		}
		seen[a] = config
	}
	for a, config := range seen {
		same := strings.TrimSuffix(config, "}") + `,"timeout":"3s","allow":["x"],"pin":"on"}`
		if again := address(same); again != a {
			t.Errorf("%s is at %s, %s at %s", config, a, same, again)
		}
	}
}

// TestToolServerWarnings says which literals are likely to be secrets.
//
// security: X13
func TestToolServerWarnings(t *testing.T) {
	t.Setenv("GATEWAY_TEST_KEY", canary)
	for _, tt := range []struct{ name, config, where string }{
		{"header", `{"url":"https://a.example.com","header":{"authorization":["Bearer ` + canary + `"]}}`, "mcp search: header authorization"},
		{"header of a placeholder", `{"url":"https://a.example.com","header":{"Authorization":["Bearer {env.GATEWAY_TEST_KEY}"]}}`, ""},
		{"other header", `{"url":"https://a.example.com","header":{"X-Team":["research"]}}`, ""},
		{"env", `{"command":["a"],"env":{"GITHUB_TOKEN":"` + canary + `"}}`, "mcp search: env GITHUB_TOKEN"},
		{"env in lower case", `{"command":["a"],"env":{"db_password":"` + canary + `"}}`, "mcp search: env db_password"},
		{"env of a placeholder", `{"command":["a"],"env":{"GITHUB_TOKEN":"{env.GATEWAY_TEST_KEY}"}}`, ""},
		{"other env", `{"command":["a"],"env":{"LOG_LEVEL":"warn"}}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, logged, err := serverOptions(t, "search", tt.config, false)
			if err != nil {
				t.Fatal(err)
			}
			if tt.where == "" && logged != "" || !strings.Contains(logged, tt.where) {
				t.Errorf("where %q: %s", tt.where, logged)
			}
			if strings.Contains(logged, canary) {
				t.Errorf("shows the secret: %s", logged)
			}
		})
	}
}

// TestToolServerTransport makes round trips: a server's answer arrives as it was
// sent, and a failed dial has the type by which package mcp knows it.
func TestToolServerTransport(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "encodings: %s", r.Header.Get("Accept-Encoding"))
	}))
	defer server.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	get := func(url string) (body string, err error) {
		t.Helper()
		o, _, _, err := serverOptions(t, "search", `{"url":"`+url+`"}`, false)
		if err != nil {
			t.Fatal(err)
		}
		defer o.CloseIdle()
		req, err := http.NewRequestWithContext(t.Context(), "POST", o.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := o.Transport.RoundTrip(req)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		return string(b), err
	}
	if body, err := get(server.URL); body != "encodings: " || err != nil {
		t.Errorf("%s %v", body, err)
	}
	_, err := get(gone.URL)
	if op, ok := errors.AsType[*net.OpError](err); !ok || op.Op != "dial" {
		t.Errorf("%T: %v", err, err)
	}
}
