package caddymodule

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	canary  = "canary-openai-key"
	canary2 = "canary-second-key"
)

// TestSecrets has what may be wrong with a secret. Whatever it is, the message
// does not hold the secret.
//
// security: X5, X11, X13
func TestSecrets(t *testing.T) {
	t.Setenv("GATEWAY_TEST_KEY", canary)
	t.Setenv("GATEWAY_TEST_EMPTY", "")
	t.Setenv("GATEWAY_TEST_BLANK", " \n")
	t.Setenv("GATEWAY_TEST_NEWLINE", canary+"\r\nX-Evil: 1")
	t.Setenv("GATEWAY_TEST_SPACE", canary+" # mine")
	t.Setenv("GATEWAY_TEST_MARK", "\ufeff"+canary)
	t.Setenv("GATEWAY_TEST_LONG", canary+strings.Repeat("x", 500))
	t.Setenv("GATEWAY_TEST_QUERY", "https://api.example.com/v1?key="+canary)
	t.Setenv("GATEWAY_TEST_USERINFO", "https://user:"+canary+"@api.example.com/v1")
	secret := filepath.ToSlash(filepath.Join(t.TempDir(), "secret"))
	if err := os.WriteFile(secret, []byte(canary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const odd = "white space, control or other characters beyond ASCII in the key"
	for _, tt := range []struct{ name, global, want string }{
		{"key", "provider groq {\nkey {env.GATEWAY_TEST_KEY}\n}", ""},
		{"key of a file, with its newline", "provider groq {\nkey {file." + secret + "}\n}", ""},
		{"unset", "provider groq {\nkey {env.GATEWAY_TEST_KEY} {env.GATEWAY_TEST_UNSET}\n}", "provider groq: key 2: evaluated placeholder {env.GATEWAY_TEST_UNSET} is empty"},
		{"empty", "provider groq {\nkey {env.GATEWAY_TEST_EMPTY}\n}", "provider groq: key 1: evaluated placeholder {env.GATEWAY_TEST_EMPTY} is empty"},
		{"blank", "provider groq {\nkey {env.GATEWAY_TEST_BLANK}\n}", "provider groq: key 1: empty: {env.GATEWAY_TEST_BLANK}"},
		{"blank literal", "provider groq {\nkey \" \"\n}", "provider groq: key 1: empty"},
		{"absent file", "provider groq {\nkey {file./absent/secret}\n}", "provider groq: key 1: evaluated placeholder {file./absent/secret} is empty"},
		{"no placeholder", "provider groq {\nkey {evn.GATEWAY_TEST_KEY}\n}", "provider groq: key 1: unrecognized placeholder {evn.GATEWAY_TEST_KEY}"},
		{"newline within", "provider groq {\nkey {env.GATEWAY_TEST_NEWLINE}\n}", "provider groq: key 1: " + odd},
		{"space within", "provider groq {\nkey {env.GATEWAY_TEST_SPACE}\n}", "provider groq: key 1: " + odd},
		{"byte order mark", "provider groq {\nkey {env.GATEWAY_TEST_MARK}\n}", "provider groq: key 1: " + odd},

		{"token", "mock on\ntoken ops {env.GATEWAY_TEST_KEY}", ""},
		{"token unset", "mock on\ntoken ops {env.GATEWAY_TEST_KEY} {env.GATEWAY_TEST_UNSET}", "token ops: secret 2: evaluated placeholder {env.GATEWAY_TEST_UNSET} is empty"},
		{"token with a space", "mock on\ntoken ops {env.GATEWAY_TEST_SPACE}", "token ops: secret 1: white space or control characters"},
		{"token too long", "mock on\ntoken ops {env.GATEWAY_TEST_LONG}", "token ops: secret 1: longer than 512 bytes"},
		{"token of two users", "mock on\ntoken ops {env.GATEWAY_TEST_KEY}\ntoken batch {env.GATEWAY_TEST_KEY}", "token ops: secret 1: the same secret is already given to batch"},
		{"token twice", "mock on\ntoken ops {env.GATEWAY_TEST_KEY} " + canary, "token ops: secret 2: the same secret is already given to ops"},

		{"header", "provider groq {\nheader Authorization \"Bearer {env.GATEWAY_TEST_KEY}\"\n}", ""},
		{"header unset", "provider groq {\nheader Authorization \"Bearer {env.GATEWAY_TEST_UNSET}\"\n}", "header Authorization: evaluated placeholder {env.GATEWAY_TEST_UNSET} is empty"},
		{"header with a newline", "provider groq {\nheader X-Key {env.GATEWAY_TEST_NEWLINE}\n}", "header X-Key: control characters in the value"},
		{"header with a control byte", "provider groq {\nheader X-Team \"a\x01b\"\n}", "header X-Team: control characters in the value"},
		{"header's name", "provider groq {\nheader \"X Team\" a\n}", `header "X Team": not a header's name`},
		{"header of the connection", "provider groq {\nheader host a.example.com\n}", "header Host: belongs to the connection, not to the configuration"},

		{"base_url unset", "provider openai {\nkey {env.GATEWAY_TEST_KEY}\nbase_url {env.GATEWAY_TEST_UNSET}\n}", "base_url: evaluated placeholder {env.GATEWAY_TEST_UNSET} is empty"},
		{"key as a base_url", "provider groq {\nbase_url {env.GATEWAY_TEST_KEY}\n}", "base_url: must begin with http:// or https://"},
		{"key in the query", "provider groq {\nbase_url {env.GATEWAY_TEST_QUERY}\n}", "base_url of api.example.com: a query or fragment has no place here"},
		{"key in the userinfo", "provider groq {\nbase_url {env.GATEWAY_TEST_USERINFO}\n}", "base_url: must not hold credentials; use key"},
		{"key in the path of a public host", "provider groq {\nkey {env.GATEWAY_TEST_KEY}\nbase_url http://api.example.com/{env.GATEWAY_TEST_KEY}\n}", unencrypted("api.example.com")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			logged, err := validate(t, tt.global)
			wantError(t, err, tt.want)
			if text := fmt.Sprint(logged, err); strings.Contains(text, canary) {
				t.Errorf("shows the secret: %s", text)
			}
		})
	}
}

func unencrypted(host string) string {
	return "base_url: the key would travel unencrypted to " + host + "; use https (http is for loopback and private addresses)"
}

// TestUnencrypted sends keys over http to no host beyond the own network.
//
// security: X13
func TestUnencrypted(t *testing.T) {
	t.Setenv("GATEWAY_TEST_KEY", canary)
	keys := []string{"key {env.GATEWAY_TEST_KEY}", "header X-Key {env.GATEWAY_TEST_KEY}", "header authorization " + canary}
	for _, host := range []string{
		"127.0.0.1", "127.8.9.10:8000", "[::1]:8000", "10.0.0.5", "172.16.0.1", "192.168.1.1:80", "169.254.1.1", "[fd00::1]", "[fe80::1]", "[::ffff:10.0.0.5]",
		"localhost:8000", "LOCALHOST", "vllm:8000", "vllm.", "api.localhost", "llm.corp.internal", "llm.corp.internal.",
	} {
		for _, key := range keys {
			_, err := validate(t, "provider onprem openai {\nbase_url http://"+host+"/v1\n"+key+"\n}")
			wantError(t, err, "")
		}
	}
	for _, host := range []string{
		"api.example.com", "api.example.com:8000", "8.8.8.8", "172.32.0.1", "[2001:db8::1]:8000", "[::ffff:8.8.8.8]",
		"internal.example.com", "localhost.example.com", "notinternal.com", "127.0.0.1.example.com",
	} {
		for _, key := range keys {
			_, err := validate(t, "provider onprem openai {\nbase_url http://"+host+"/v1\n"+key+"\n}")
			wantError(t, err, unencrypted(host))
		}
		for _, open := range []string{"base_url http://" + host + "/v1\nheader X-Team research", "base_url https://" + host + "/v1\n" + keys[0]} {
			_, err := validate(t, "provider onprem openai {\n"+open+"\n}")
			wantError(t, err, "")
		}
	}
}

// TestKeysFile reads further keys, and names the line of a bad one.
func TestKeysFile(t *testing.T) {
	path := filepath.ToSlash(filepath.Join(t.TempDir(), "keys.txt"))
	t.Setenv("GATEWAY_TEST_KEYS", path)
	for _, tt := range []struct{ name, content, want string }{
		{"keys", canary + "\n" + canary2 + "\n", ""},
		{"comments", "# ours\n\n  " + canary + "\t\r\n\t# theirs\n" + canary2, ""},
		{"empty", "", path + " holds no key"},
		{"only comments", "# " + canary + "\n\n", path + " holds no key"},
		{"comment behind a key", "# ours\n" + canary + " # mine\n", path + ":2: white space, control or other characters beyond ASCII in the key"},
		{"two in a line", canary + "\n\n" + canary + "," + canary2 + "\x00\n", path + ":3: white space, control or other characters beyond ASCII in the key"},
		{"binary", strings.Repeat(canary, 10000), path + ": bufio.Scanner: token too long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := validate(t, "provider groq {\nkeys_file {env.GATEWAY_TEST_KEYS}\n}")
			if tt.want != "" {
				tt.want = "provider groq: keys_file: " + tt.want
			}
			wantError(t, err, tt.want)
			if err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("shows a key: %v", err)
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		_, err := validate(t, "provider groq {\nkeys_file "+path+"\n}")
		if err == nil || !strings.Contains(err.Error(), "provider groq: keys_file: open "+path) {
			t.Error(err)
		}
	})
	t.Run("no name", func(t *testing.T) {
		_, err := validate(t, "provider groq {\nkeys_file {env.GATEWAY_TEST_UNSET}\n}")
		wantError(t, err, "provider groq: keys_file: evaluated placeholder {env.GATEWAY_TEST_UNSET} is empty")
	})
}

// TestLiteralSecrets warns of secrets that stand in the configuration itself, and
// says where.
//
// security: X13
func TestLiteralSecrets(t *testing.T) {
	t.Setenv("GATEWAY_TEST_KEY", canary)
	const warning = "a secret is written into the configuration"
	for _, tt := range []struct{ global, where string }{
		{"provider groq {\nkey {env.GATEWAY_TEST_KEY} " + canary2 + "\n}", "provider groq: key 2"},
		{"mock on\ntoken ops " + canary2, "token ops: secret 1"},
		{"provider groq {\nheader authorization \"Bearer " + canary2 + "\"\n}", "header Authorization"},
		{"provider groq {\nheader X-Api-Key " + canary2 + "\n}", "header X-Api-Key"},
		{"provider groq {\nkey {env.GATEWAY_TEST_KEY}\nheader X-Team research\nheader Authorization {env.GATEWAY_TEST_KEY}\n}\ntoken ops {env.GATEWAY_TEST_KEY}", ""},
		{"mock on\nprovider groq {\nkey " + canary2 + "\n}", ""}, // it is not used
	} {
		logged, err := validate(t, tt.global)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(logged, canary) || strings.Contains(logged, canary2) {
			t.Errorf("the log shows the secret: %s", logged)
		}
		switch {
		case tt.where == "" && strings.Contains(logged, warning):
			t.Errorf("a warning for %q: %s", tt.global, logged)
		case tt.where != "" && (strings.Count(logged, warning) != 1 || !strings.Contains(logged, `"where":"`+tt.where+`"`)):
			t.Errorf("no single warning of %s: %s", tt.where, logged)
		}
	}
}

// TestAdaptedSecrets keeps placeholders as they are: whoever may read the adapted
// configuration may not read the secrets.
//
// security: X5
func TestAdaptedSecrets(t *testing.T) {
	for _, name := range []string{"GROQ_KEY_1", "GROQ_KEY_2", "MISTRAL_KEY", "ONPREM_TOKEN", "OPS_TOKEN", "BATCH_TOKEN", "BATCH_TOKEN_NEXT"} {
		t.Setenv(name, canary)
	}
	body, err := os.ReadFile("../examples/full.caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	config, _, err := adaptCaddyfile(string(body))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(config, canary) || !strings.Contains(config, "{env.GROQ_KEY_1}") {
		t.Errorf("not the placeholders, but\n%s", config)
	}
}
