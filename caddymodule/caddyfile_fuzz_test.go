package caddymodule

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// FuzzCaddyfile adapts arbitrary bytes within the two blocks. Whatever they are,
// nothing panics; what is accepted is a configuration that decodes strictly, as
// Caddy will, and says the same when it is encoded again.
func FuzzCaddyfile(f *testing.F) {
	const separator = "\n}\n}\n:80 {\nai_gateway /v1/* {\n"
	for _, folder := range []string{"adapt", "errors"} {
		for _, path := range goldens(f, folder) {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			body, _, _ := strings.Cut(string(data), goldenSeparator)
			_, inner, _ := strings.Cut(body, "ai_gateway")
			_, inner, _ = strings.Cut(inner, "{\n")
			inner, _, _ = strings.Cut(inner, "\n}\n")
			inner = strings.TrimSuffix(strings.TrimRight(inner, "\n\t"), "}")
			if strings.HasPrefix(body, "{") {
				f.Add(inner, "auth off")
			} else {
				f.Add("mock on", inner)
			}
		}
	}
	adapter := caddyconfig.GetAdapter("caddyfile")
	f.Fuzz(func(t *testing.T, global, handler string) {
		if strings.Contains(global+handler, "import") {
			t.Skip("reads files")
		}
		config, _, err := adapter.Adapt([]byte("{\nai_gateway {\n"+global+separator+handler+"\n}\n}\n"), nil)
		if err != nil {
			return
		}
		var c struct {
			Apps map[string]json.RawMessage
		}
		if err := json.Unmarshal(config, &c); err != nil {
			t.Fatalf("%v: %s", err, config)
		}
		app := new(App)
		if raw := c.Apps["ai_gateway"]; raw != nil {
			sameAgain(t, raw, app)
		}
		for name, p := range app.Providers {
			var guest map[string]json.RawMessage
			if err := json.Unmarshal(p.ProtocolRaw, &guest); err != nil {
				t.Fatalf("provider %s: %v", name, err)
			}
			delete(guest, "name")
			var module any = new(OpenAI)
			if p.protocolName() == mockName {
				module = new(Mock)
			}
			sameAgain(t, encode(t, guest), module)
		}
		eachHandler(t, config, func(raw json.RawMessage) { sameAgain(t, raw, new(Handler)) })
	})
}

// sameAgain decodes raw strictly into v, and wants v to encode to the same.
func sameAgain(t *testing.T, raw json.RawMessage, v any) {
	t.Helper()
	if err := caddy.StrictUnmarshalJSON(raw, v); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	if want, got := sorted(t, raw), sorted(t, encode(t, v)); want != got {
		t.Fatalf("%T\nadapted %s\nagain   %s", v, want, got)
	}
}

// eachHandler walks the configuration for our handlers, without their names.
func eachHandler(t *testing.T, raw json.RawMessage, do func(json.RawMessage)) {
	t.Helper()
	var object map[string]json.RawMessage
	var list []json.RawMessage
	if json.Unmarshal(raw, &object) == nil {
		if string(object["handler"]) == `"ai_gateway"` {
			delete(object, "handler")
			do(encode(t, object))
			return
		}
		for _, v := range object {
			eachHandler(t, v, do)
		}
	} else if json.Unmarshal(raw, &list) == nil {
		for _, v := range list {
			eachHandler(t, v, do)
		}
	}
}

func encode(t *testing.T, v any) json.RawMessage {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// sorted is raw with its keys in order.
func sorted(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return string(encode(t, v))
}
