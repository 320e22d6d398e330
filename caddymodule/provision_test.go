package caddymodule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// TestReferences has the errors of configurations whose parts do not fit
// together.
func TestReferences(t *testing.T) {
	const providers = "provider groq\nprovider mistral {\nmodel small ministral-8b\n}\n"
	for _, tt := range []struct{ name, global, want string }{
		{"provider of rotate", "tier coding {\nrotate grok/x\n}", `tier coding: rotate: unknown provider "grok" (known: groq, mistral)`},
		{"provider of fallback", "tier coding {\nrotate groq/x\nfallback grok/x\n}", `tier coding: fallback: unknown provider "grok" (known: groq, mistral)`},
		{"tier", "tier coding {\nrotate chat\n}\ntier fast {\nrotate groq/x\n}", `tier coding: rotate: unknown tier "chat" (known: coding, fast); a model is written provider/model`},
		{"tier within another", "tier a {\nrotate b\n}\ntier b {\nrotate groq/x\nfallback c\n}", `tier a: fallback: unknown tier "c" (known: a, b); a model is written provider/model`},
		{"no model", "tier coding {\nrotate groq/\n}", `tier coding: rotate: "groq/" names no model`},
		{"tier of itself", "tier a {\nrotate a\n}", "tier a: rotate: cycle a -> a"},
		{"cycle", "tier a {\nrotate groq/x\nfallback b\n}\ntier b {\nrotate c\n}\ntier c {\nrotate a\n}", "tier a: rotate: cycle a -> b -> c -> a"},
		{"alias", "tier coding {\nrotate mistral/small mistral/other\n}", ""},
		{"diamond", "tier a {\nrotate b c\n}\ntier b {\nrotate d\n}\ntier c {\nrotate d\n}\ntier d {\nrotate groq/x\n}", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := validate(t, providers+tt.global)
			wantError(t, err, tt.want)
		})
	}
}

// TestNoProvider says what to do about an empty configuration.
func TestNoProvider(t *testing.T) {
	const want = "no provider is configured: add one, such as provider openai with its key, or mock on"
	_, err := validate(t, "mock off")
	wantError(t, err, want)
	_, err = validateJSON(t, `{}`)
	wantError(t, err, want)
	_, err = validate(t, "mock on")
	wantError(t, err, "")
}

// TestMockMode reads the switch from the environment, and needs no secret when
// it is on.
func TestMockMode(t *testing.T) {
	const (
		needsKey = "provider groq: key 1: evaluated placeholder {env.GATEWAY_TEST_UNSET} is empty"
		garbage  = `mock: "perhaps" is neither on nor off`
	)
	for _, tt := range []struct{ value, want string }{
		{"on", ""}, {"ON", ""}, {"yes", ""}, {"true", ""}, {"1", ""}, {" on ", ""},
		{"off", needsKey}, {"no", needsKey}, {"false", needsKey}, {"0", needsKey}, {"", needsKey},
		{"perhaps", garbage},
	} {
		t.Run(tt.value, func(t *testing.T) {
			t.Setenv("GATEWAY_TEST_MOCK", tt.value)
			_, err := validate(t, "mock {env.GATEWAY_TEST_MOCK}\nprovider groq {\nkey {env.GATEWAY_TEST_UNSET}\nkeys_file /absent/keys\n}\nprovider onprem openai\n")
			wantError(t, err, tt.want)
		})
	}
	t.Run("misspelt placeholder", func(t *testing.T) {
		_, err := validate(t, "mock {evn.GATEWAY_TEST_MOCK}\nprovider groq")
		wantError(t, err, "mock: unrecognized placeholder {evn.GATEWAY_TEST_MOCK}")
	})
	t.Run("callers' secrets are needed", func(t *testing.T) {
		_, err := validate(t, "mock on\ntoken ops {env.GATEWAY_TEST_UNSET}")
		wantError(t, err, "token ops: secret 1: evaluated placeholder {env.GATEWAY_TEST_UNSET} is empty")
	})
}

// TestJSON has what the Caddyfile's adapter would not let through.
func TestJSON(t *testing.T) {
	for _, tt := range []struct{ name, app, want string }{
		{"unknown field", `{"provider":{"groq":{}}}`, `decoding module config: ai_gateway: json: unknown field "provider"`},
		{"unknown field of a provider", `{"providers":{"groq":{"key":["x"]}}}`, `decoding module config: ai_gateway: json: unknown field "key"`},
		{"unknown field of openai", `{"providers":{"groq":{"protocol":{"name":"openai","keys":["x"]}}}}`, `decoding module config: ai_gateway.providers.openai: json: unknown field "keys"`},
		{"unknown field of mock", `{"providers":{"sim":{"protocol":{"name":"mock","token":3}}}}`, `decoding module config: ai_gateway.providers.mock: json: unknown field "token"`},
		{"unknown protocol", `{"providers":{"sim":{"protocol":{"name":"other"}}}}`, "unknown module: ai_gateway.providers.other"},
		{"no protocol", `{"providers":{"onprem":{}}}`, "provider onprem: no protocol is given, and it is none of the known providers (" + knownProviderNames() + ")"},
		{"no base_url", `{"providers":{"onprem":{"protocol":{"name":"openai"}}}}`, "base_url: missing, and the provider's name is none of the known ones"},
		{"known provider", `{"providers":{"groq":{}}}`, ""},
		{"known provider, protocol alone", `{"providers":{"groq":{"protocol":{"name":"openai","usage":"off"}}}}`, ""},
		{"null for a known provider", `{"providers":{"groq":null}}`, ""},
		{"mock by its name", `{"providers":{"mock":{}}}`, ""},
		{"null for a tier", `{"providers":{"groq":{}},"tiers":{"chat":null}}`, "tier chat: rotate: no target"},
		{"tier without rotate", `{"providers":{"groq":{}},"tiers":{"chat":{"fallback":["groq/x"]}}}`, "tier chat: rotate: no target"},
		{"name of a provider", `{"providers":{"Groq":{}}}`, "provider Groq: " + lowerNameRule},
		{"name of a tier", `{"providers":{"groq":{}},"tiers":{"a/b":{}}}`, `tier "a/b": ` + modelNameRule},
		{"name of an alias", `{"providers":{"groq":{"models":{"a b":["x"]}}}}`, `provider groq: model "a b": ` + modelNameRule},
		{"name of a user", `{"mock":"on","tokens":{"Ops":["canary-token"]}}`, `token "Ops": ` + lowerNameRule},
		{"user without secret", `{"mock":"on","tokens":{"ops":[]}}`, "token ops: no secret"},
		{"alias without id", `{"providers":{"groq":{"models":{"fast":[]}}}}`, "provider groq: model fast: no id"},
		{"alias with an empty id", `{"providers":{"groq":{"models":{"fast":["x",""]}}}}`, `provider groq: model fast: id "": empty`},
		{"first_timeout", `{"providers":{"groq":{"first_timeout":-1}}}`, "provider groq: first_timeout: must not be negative"},
		{"idle_timeout", `{"providers":{"groq":{"idle_timeout":-1}}}`, "provider groq: idle_timeout: must not be negative"},
		{"timeout", `{"providers":{"groq":{"timeout":-1}}}`, "provider groq: timeout: must not be negative"},
		{"quarantine may be negative", `{"providers":{"groq":{"quarantine":-1}}}`, ""},
		{"max_concurrent", `{"providers":{"groq":{"max_concurrent":-1}}}`, "provider groq: max_concurrent: must not be negative"},
		{"queue", `{"providers":{"groq":{"queue":-1}}}`, "provider groq: queue: must not be negative"},
		{"mock's status", `{"providers":{"sim":{"protocol":{"name":"mock","fail":200}}}}`, "fail: 200 is no status of a failure"},
		{"mock's number", `{"providers":{"sim":{"protocol":{"name":"mock","cut":-1}}}}`, "numbers and durations must not be negative"},
		{"mock's answer", `{"providers":{"sim":{"protocol":{"name":"mock","answer":"{file./absent/answer}"}}}}`, "answer: evaluated placeholder {file./absent/answer} is empty"},
		{"usage", `{"providers":{"groq":{"protocol":{"name":"openai","usage":"perhaps"}}}}`, `usage: "perhaps" is neither on nor off`},
		{"transport", `{"providers":{"groq":{"protocol":{"name":"openai","transport":{"protocol":"fastcgi"}}}}}`, "transport: only http is possible, not *fastcgi.Transport"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := validateJSON(t, tt.app)
			wantError(t, err, tt.want)
		})
	}
}

// TestOwnFields keeps the edits of an upstream away from what the gateway reads.
func TestOwnFields(t *testing.T) {
	for _, field := range []string{"model", "messages", "stream"} {
		for _, option := range []string{"drop " + field, "rename " + field + " other", "rename other " + field} {
			_, err := validate(t, "provider groq {\n"+option+"\n}")
			wantError(t, err, "drop, rename: the field "+field+" is the gateway's own")
		}
	}
	for _, app := range []string{`"drop":[""]`, `"rename":{"":"x"}`, `"rename":{"x":""}`} {
		_, err := validateJSON(t, `{"providers":{"groq":{"protocol":{"name":"openai",`+app+`}}}}`)
		wantError(t, err, "drop, rename: empty field")
	}
}

// TestHandler has what a route's JSON may get wrong.
func TestHandler(t *testing.T) {
	for _, tt := range []struct{ name, handler, want string }{
		{"default", `{}`, ""},
		{"unknown field", `{"auths":"off"}`, `decoding module config: http.handlers.ai_gateway: json: unknown field "auths"`},
		{"anybody", `{"auth":"off"}`, ""},
		{"auth", `{"auth":"basic"}`, `auth: expected bearer, optional or off, not "basic"`},
		{"negative max_body", `{"max_body":-1}`, "max_body: -1 is not between 1 and 1 GiB"},
		{"large max_body", `{"max_body":1073741825}`, "max_body: 1073741825 is not between 1 and 1 GiB"},
		{"keep_alive may be negative", `{"keep_alive":-1}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			handler := strings.TrimSuffix(`{"handler":"ai_gateway",`+tt.handler[1:], ",}")
			if tt.handler == "{}" {
				handler += "}"
			}
			logged, err := provision(t, `{"ai_gateway":{"mock":"on"},"http":{"servers":{"s":{"listen":["127.0.0.1:0"],"automatic_https":{"disable":true},"routes":[{"handle":[`+handler+`]}]}}}}`)
			wantError(t, err, tt.want)
			// Nobody can call the default: that is said, and nothing refused.
			if warned := strings.Contains(logged, "gives nobody a token"); warned != (err == nil && !strings.Contains(tt.handler, "auth")) {
				t.Errorf("a warning: %v: %s", warned, logged)
			}
		})
	}
}

// TestKnownProviders gives a provider of a known name its address, from JSON too.
func TestKnownProviders(t *testing.T) {
	address := func(name, provider string) string {
		t.Helper()
		ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
		defer cancel()
		app := new(App)
		if err := json.Unmarshal(fmt.Appendf(nil, `{"providers":{%q:%s}}`, name, provider), app); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := app.Cleanup(); err != nil {
				t.Error(err)
			}
		}()
		if err := app.Provision(ctx); err != nil {
			t.Fatal(err)
		}
		at := ""
		states.Range(func(key, _ any) bool {
			if k := key.(stateKey); k.provider == name {
				at = k.address
			}
			return true
		})
		return at
	}
	for name, want := range knownProviders {
		for _, provider := range []string{`null`, `{}`, `{"protocol":{"name":"openai"}}`} {
			if got := address(name, provider); got != want {
				t.Errorf("%s %s is at %s, not %s", name, provider, got, want)
			}
		}
	}
	if got := address("groq", `{"protocol":{"name":"openai","base_url":"https://a.example.com/v1"}}`); got != "https://a.example.com/v1" {
		t.Errorf("its own base_url became %s", got)
	}
	if got := address("groq", `{"protocol":{"name":"mock"}}`); got != "mock" {
		t.Errorf("its own protocol is at %s", got)
	}
}

// validate adapts and provisions the inside of an ai_gateway block, as `caddy
// validate` would.
func validate(t *testing.T, global string) (logged string, err error) {
	t.Helper()
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte("{\nai_gateway {\n"+global+"\n}\n}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var c struct{ Apps json.RawMessage }
	if err := json.Unmarshal(config, &c); err != nil {
		t.Fatal(err)
	}
	return provision(t, string(c.Apps))
}

func validateJSON(t *testing.T, app string) (logged string, err error) {
	t.Helper()
	return provision(t, `{"ai_gateway":`+app+`}`)
}

func provision(t *testing.T, apps string) (logged string, err error) {
	t.Helper()
	var config caddy.Config
	text := fmt.Sprintf(`{"admin":{"disabled":true},"logging":{"logs":{"default":{"writer":{"output":"provision_test"},"encoder":{"format":"json"}}}},"apps":%s}`, apps)
	if err := caddy.StrictUnmarshalJSON([]byte(text), &config); err != nil {
		t.Fatal(err)
	}
	provisionLog.take()
	err = caddy.Validate(&config)
	return provisionLog.take(), err
}

// wantError wants an error to end as told, so that it begins with what Caddy puts
// before it; none for the empty text.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("unexpected: %v", err)
	case want != "" && (err == nil || !strings.HasSuffix(err.Error(), ": "+want)):
		t.Errorf("\nwant %s\ngot  %v", want, err)
	}
}

func init() { caddy.RegisterModule(new(logModule)) }

// logModule keeps what provisioning logs.
type logModule struct{}

var provisionLog logBuffer

func (*logModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.writers.provision_test", New: func() caddy.Module { return new(logModule) }}
}
func (*logModule) String() string                      { return "provision_test" }
func (*logModule) WriterKey() string                   { return "provision_test" }
func (*logModule) OpenWriter() (io.WriteCloser, error) { return &provisionLog, nil }

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) Close() error { return nil }

func (l *logBuffer) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}
