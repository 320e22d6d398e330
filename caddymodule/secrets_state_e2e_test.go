package caddymodule

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Secrets of backends, tokens of users and the keys they bring: driven through every
// path there is, also with backends that are away, then looked for in everything that
// came out and in every file.
//
// security: X3, X5
func TestNoSecretOfUsersAndBackendsGetsOut(t *testing.T) {
	t.Setenv("TEST_UP_KEY", "canary-up-key-01234")
	u := newUpstream(t)
	dir := t.TempDir()
	gone := freeAddr(t)
	t.Setenv("TEST_REDIS", "redis://gateway:canary-redis-01234@"+gone+"/0")
	t.Setenv("TEST_MONGODB", "mongodb://gateway:canary-mongodb-01234@"+gone+"/x?serverSelectionTimeoutMS=200")
	t.Setenv("TEST_KAFKA", "canary-kafka-01234")
	c := userConfig(t, u, "register 100 1h\nrate_limit 1000 1m\nhealth")
	c.global += fmt.Sprintf("\naudit file %q {\ncontent on\nchunks on\n}\nstore redis {env.TEST_REDIS}", filepath.Join(dir, "audit"))
	g := start(t, c)
	var out strings.Builder
	note := func(a *answer) *answer {
		out.WriteString(a.body)
		_ = a.Header.Write(&out)
		return a
	}
	const own = "canary-own-key-01234"
	ann := g.register("ann") // its answer is the one place for the token
	secrets := []string{"canary-redis", "canary-mongodb", "canary-kafka", "canary-up-key", own, kek, ann.Token}
	a := note(g.do(http.MethodPost, "/v1/user/tokens/"+ann.TokenID+"/rotate", "", bearer(ann.Token)...).want(t, 201))
	_, rest, _ := strings.Cut(a.body, "sk-magic-")
	second := "sk-magic-" + rest[:len(ann.Token)-len("sk-magic-")]
	out.Reset()
	secrets = append(secrets, second)
	who := bearer(second)
	note(g.do(http.MethodPost, "/v1/user/keys", `{"provider":"up","key":"`+own+`"}`, who...).want(t, 201))
	echo := `{"error":{"message":"bad key ` + own + ` and canary-up-key-01234","code":"` + own + `"}}`
	for _, answer := range []http.HandlerFunc{
		nil, status(401), status(429), raw("application/json", echo), raw("text/event-stream", "data: "+echo+"\n\n"),
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400); _, _ = w.Write([]byte(echo)) },
	} {
		u.when("", answer)
		for _, model := range []string{"up/m", "helper"} {
			note(g.chat(model, true, who...))
			note(g.chat(model, false, who...))
		}
	}
	for _, path := range []string{"user/me", "user/keys", "user/tokens", "health", "models"} {
		note(g.do(http.MethodGet, "/v1/"+path, "", who...))
	}
	note(g.do(http.MethodPost, "/v1/user/keys", `{"provider":"`+own+`","key":"`+own+`","x":1}`, who...))
	note(g.do(http.MethodGet, "/v1/user/me", "", bearer(second+"x")...))
	look := func() {
		var text string
		for _, path := range []string{"/config/", "/metrics", "/ai_gateway/users", "/ai_gateway/users/ann", "/ai_gateway/sessions", "/ai_gateway/audit", "/ai_gateway/health/ready", "/ai_gateway/providers", "/ai_gateway/users/nobody"} {
			g.adminDo(http.MethodGet, path, &text)
			out.WriteString(text)
		}
	}
	look()
	adapted, err := g.adapt(c)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(adapted)

	// With a database that is away, and a broker.
	away := c
	away.global = strings.Replace(c.global, fmt.Sprintf("users local %q", strings.Split(c.global, `"`)[1]), "users mongodb {env.TEST_MONGODB}", 1)
	away.global = strings.Replace(away.global, fmt.Sprintf("audit file %q {", filepath.Join(dir, "audit")),
		fmt.Sprintf("audit kafka %s {\njournal %q\nsasl plain gateway {env.TEST_KAFKA}\n", gone, filepath.Join(dir, "journal")), 1)
	g.mustLoad(away)
	for range 3 {
		note(g.chat("up/m", false, who...).want(t, 503))
		note(g.do(http.MethodPost, "/v1/auth/register", `{"username":"bob"}`).want(t, 503))
		note(g.chat("up/m", false, bearer("ops-secret")...))
	}
	look()
	eventually(t, "the sink is known to be away", func() bool {
		var text string
		g.adminDo(http.MethodGet, "/ai_gateway/health/ready", &text)
		out.WriteString(text)
		return strings.Contains(text, `"sender_up":false`) && strings.Contains(text, `"error":`)
	})
	g.client.CloseIdleConnections()
	out.WriteString(g.logged())
	users, err := os.ReadFile(strings.Split(c.global, `"`)[1])
	if err != nil {
		t.Fatal(err)
	}
	out.Write(users)
	for _, e := range append(g.events(filepath.Join(dir, "audit")), g.events(filepath.Join(dir, "journal"))...) {
		out.WriteString(e.line)
	}
	for _, secret := range secrets {
		if i := strings.Index(out.String(), secret); i >= 0 {
			t.Errorf("%s got out: …%q", secret, out.String()[max(0, i-300):i+len(secret)])
		}
	}
	if !strings.Contains(out.String(), "[redacted]") || !strings.Contains(out.String(), "redis is away") || !strings.Contains(out.String(), `"event_type":"llm_call"`) {
		t.Error("the search did not see what it should have")
	}
}
