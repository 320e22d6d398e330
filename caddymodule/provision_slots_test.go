package caddymodule

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What may be wrong with a store, users and audit: the message names the block, and
// holds no secret. Whether it is or not, nothing is written and nobody is dialled.
//
// security: X5, X13
func TestSlots(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", filepath.Join(dir, "data"))
	t.Setenv("SLOT_REDIS", "redis://u:canary-password@127.0.0.1:1/0")
	t.Setenv("SLOT_BAD_URL", "http://u:canary-password@127.0.0.1:1/0")
	t.Setenv("SLOT_MONGODB", "mongodb://u:canary-password@127.0.0.1:1/x")
	t.Setenv("SLOT_KAFKA", "127.0.0.1:1, 127.0.0.1:2")
	t.Setenv("SLOT_KEK", kek)
	t.Setenv("SLOT_BAD_TOPIC", "no such/topic")
	t.Setenv("SLOT_BAD_USER", "u\a")
	t.Setenv("SLOT_SHORT", "canary-short-key")
	local := fmt.Sprintf(`{"name":"local","path":%q}`, filepath.Join(dir, "users.db"))
	for _, tt := range []struct{ name, app, want string }{
		{"nothing", ``, ""},
		{"all of them", `"store":{"name":"redis","url":"{env.SLOT_REDIS}"},"users":{"encryption_keys":["{env.SLOT_KEK}"],"backend":{"name":"mongodb","url":"{env.SLOT_MONGODB}"}},"audit":{"sink":{"name":"kafka","brokers":["{env.SLOT_KAFKA}"]}}`, ""},
		{"all of them here", fmt.Sprintf(`"store":{"name":"memory"},"users":{"backend":%s},"audit":{"sink":{"name":"file","dir":%q}}`, local, filepath.Join(dir, "audit")), ""},
		{"audit without a sink", `"audit":{"content":true}`, ""},

		{"unknown store", `"store":{"name":"etcd"}`, "store: loading module 'etcd': unknown module: ai_gateway.stores.etcd"},
		{"redis without a url", `"store":{"name":"redis"}`, "url: empty"},
		{"redis url unset", `"store":{"name":"redis","url":"{env.SLOT_UNSET}"}`, "url: evaluated placeholder {env.SLOT_UNSET} is empty"},
		{"redis url of another kind", `"store":{"name":"redis","url":"{env.SLOT_BAD_URL}"}`, "must begin with redis:// or rediss://, or for several servers with redis+sentinel:// or redis+cluster://"},
		{"redis with a senseless mode", `"store":{"name":"redis","url":"{env.SLOT_REDIS}","fail":{"counters":"open"}}`, `fail counters: "open" is not possible (allowed: closed, local)`},
		{"redis with an unknown use", `"store":{"name":"redis","url":"{env.SLOT_REDIS}","fail":{"all":"open"}}`, `fail all: unknown use "all"`},
		{"unknown option", `"store":{"name":"redis","url":"{env.SLOT_REDIS}","ttl":1}`, `unknown field "ttl"`},

		{"short key", `"users":{"encryption_keys":["{env.SLOT_SHORT}"]}`, "encryption_key: "},
		{"key unset", `"users":{"encryption_keys":["{env.SLOT_KEK}","{env.SLOT_UNSET}"]}`, "encryption_key 2: evaluated placeholder {env.SLOT_UNSET} is empty"},
		{"mongodb url of another kind", `"users":{"backend":{"name":"mongodb","url":"{env.SLOT_REDIS}"}}`, "users: "},
		{"negative time", `"users":{"cache_ttl":-1}`, "users: cache_ttl: must not be negative"},

		{"no broker", `"audit":{"sink":{"name":"kafka"}}`, "no broker"},
		{"broker without a port", `"audit":{"sink":{"name":"kafka","brokers":["localhost"]}}`, "broker localhost: "},
		{"two directories", `"audit":{"journal":"/a","sink":{"name":"file","dir":"/b"}}`, "audit: journal: the sink has a directory of its own"},
		{"small journal", `"audit":{"max_bytes":1000,"sink":{"name":"file"}}`, "audit: journal: a size of 1000 bytes is not between 1MiB and 1PiB"},
		{"sasl mechanism", `"audit":{"sink":{"name":"kafka","brokers":["a:1"],"sasl":{"mechanism":"gssapi","user":"u","secret":"s"}}}`, `sasl: expected plain, scram-sha-256 or scram-sha-512, not "gssapi"`},
		{"topic unset", `"audit":{"sink":{"name":"kafka","brokers":["a:1"],"topic":"{env.SLOT_UNSET}"}}`, "topic: evaluated placeholder {env.SLOT_UNSET} is empty"},
		{"topic of another kind", `"audit":{"sink":{"name":"kafka","brokers":["a:1"],"topic":"{env.SLOT_BAD_TOPIC}"}}`, `topic "no such/topic": has 1 to 249 of the characters`},
		{"sasl user of another kind", `"audit":{"sink":{"name":"kafka","brokers":["a:1"],"sasl":{"mechanism":"scram-sha-256","user":"{env.SLOT_BAD_USER}","secret":"{env.SLOT_SHORT}"}}}`, "sasl: the user or password has characters that SCRAM does not know"},
		{"prefix unset", `"store":{"name":"redis","url":"{env.SLOT_REDIS}","prefix":"{env.SLOT_UNSET}"}`, "prefix: evaluated placeholder {env.SLOT_UNSET} is empty"},
		{"sasl secret unset", `"audit":{"sink":{"name":"kafka","brokers":["a:1"],"sasl":{"mechanism":"plain","user":"u","secret":"{env.SLOT_UNSET}"}}}`, "sasl: evaluated placeholder {env.SLOT_UNSET} is empty"},
		{"negative cache of a tier", `"providers":{"p":{"protocol":{"name":"mock"}}},"tiers":{"t":{"rotate":["p/m"],"cache":-1}}`, "tier t: cache: must not be negative"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			app := `"mock":"on"`
			if tt.app != "" {
				app += "," + tt.app
			}
			logged, err := provision(t, `{"ai_gateway":{`+app+`}}`)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("unexpected: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("\nwant %s\ngot  %v", tt.want, err)
			}
			if text := logged + fmt.Sprint(err); strings.Contains(text, "canary") || strings.Contains(text, kek) {
				t.Errorf("a secret: %s", text)
			}
			if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
				t.Errorf("something was written: %v %v", names, err)
			}
		})
	}
}
