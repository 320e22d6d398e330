package caddymodule

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
)

// kek is an encryption_key for tests.
const kek = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

// userConfig has users in a file of the test's.
func userConfig(t *testing.T, u *upstream, handler string) config {
	t.Helper()
	t.Setenv("TEST_KEK", kek)
	return config{global: fmt.Sprintf(`
		users local %q {
			encryption_key {env.TEST_KEK}
			cache_ttl 30s
		}
		token ops ops-secret
		provider up openai {
			base_url %s
			key {env.TEST_UP_KEY}
		}
		agent helper {
			model up/m
		}`, filepath.Join(t.TempDir(), "users.db"), u.base()), handler: handler}
}

type madeUser struct {
	ID, Username, Token string
	TokenID             string `json:"token_id"`
	CreatedAt           string `json:"created_at"`
}

func (g *gateway) register(name string) (m madeUser) {
	g.t.Helper()
	a := g.do(http.MethodPost, "/v1/auth/register", `{"username":"`+name+`"}`).want(g.t, 201)
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		g.t.Fatal(err)
	}
	if m.Username != name || !strings.HasPrefix(m.ID, "user_") || !strings.HasPrefix(m.Token, "sk-magic-") || len(m.Token) != len("sk-magic-")+43 || m.TokenID == "" || a.Header.Get("Cache-Control") != "no-store" {
		g.t.Errorf("%+v", m)
	}
	if at, err := time.Parse(time.RFC3339, m.CreatedAt); err != nil || time.Since(at) > time.Minute {
		g.t.Errorf("created at %s: %v", m.CreatedAt, err)
	}
	return m
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

// adminSend asks the admin API with a body.
func (g *gateway) adminSend(method, path, body string, v any) int {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), method, "http://"+g.admin+"/ai_gateway/"+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res := g.send(req)
	defer res.Body.Close()
	if v != nil {
		if err := json.NewDecoder(res.Body).Decode(v); err != nil {
			g.t.Fatalf("%s %s: %v", method, path, err)
		}
	}
	return res.StatusCode
}

// security: X3
func TestRegistration(t *testing.T) {
	t.Setenv("TEST_UP_KEY", "canary-up")
	u := newUpstream(t)
	g := start(t, userConfig(t, u, "register 100 1h"))
	ann := g.register("ann")
	g.chat("up/m", false, bearer(ann.Token)...).want(t, 200)
	g.chat("helper", true, bearer(ann.Token)...).want(t, 200)
	var me struct {
		Object, ID, Username, Source string
		CreatedAt                    string `json:"created_at"`
	}
	if err := json.Unmarshal([]byte(g.do(http.MethodGet, "/v1/user/me", "", bearer(ann.Token)...).want(t, 200).body), &me); err != nil {
		t.Fatal(err)
	}
	if me.Object != "user" || me.ID != ann.ID || me.Username != "ann" || me.Source != "registered" || me.CreatedAt != ann.CreatedAt {
		t.Errorf("%+v", me)
	}
	if log := g.accessLog(g.chat("up/m", false, bearer(ann.Token)...).Header.Get("X-Request-Id")); log.UserID != "ann" {
		t.Errorf("the log says %q", log.UserID)
	}
	if body := g.do(http.MethodGet, "/v1/user/me", "", bearer("ops-secret")...).want(t, 200).body; !strings.Contains(body, `"source":"configuration"`) {
		t.Errorf("%s", body)
	}
	for name, tt := range map[string]struct {
		body   string
		status int
		param  string
	}{
		"taken":                    {`{"username":"ann"}`, 409, ""},
		"one of the configuration": {`{"username":"ops"}`, 409, ""},
		"upper case":               {`{"username":"Ann"}`, 400, "username"},
		"empty":                    {`{}`, 400, "username"},
		"too long":                 {`{"username":"` + strings.Repeat("a", 65) + `"}`, 400, "username"},
		"an operator":              {`{"username":{"$ne":""}}`, 400, ""},
		"more than is asked for":   {`{"username":"bob","disabled":false}`, 400, ""},
		"no JSON":                  {`username=bob`, 400, ""},
		"two objects":              {`{"username":"bob"}{}`, 400, ""},
	} {
		if e := g.do(http.MethodPost, "/v1/auth/register", tt.body).want(t, tt.status).apiError(t); e.Param != tt.param {
			t.Errorf("%s: %+v", name, e)
		}
	}
	g.do(http.MethodGet, "/v1/auth/register", "").want(t, 405)
	g.chat("up/m", false, bearer(ann.Token+"x")...).want(t, 401)
	g.chat("up/m", false, bearer("sk-magic-"+strings.Repeat("A", 43))...).want(t, 401)

	// Of a hundred at once with one name one is made.
	var made sync.Map
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() { made.Store(i, g.do(http.MethodPost, "/v1/auth/register", `{"username":"carl"}`).StatusCode) })
	}
	wg.Wait()
	count := map[int]int{}
	made.Range(func(_, status any) bool { count[status.(int)]++; return true })
	if count[201] != 1 || count[409] != 19 {
		t.Errorf("%v", count)
	}

	// Whoever is registered stays so over reloads, and the token is nowhere.
	c := g.last
	c.handler = ""
	c.global = strings.Replace(c.global, "cache_ttl 30s", "cache_ttl 1m", 1)
	g.mustLoad(c)
	g.chat("up/m", false, bearer(ann.Token)...).want(t, 200)
	if e := g.do(http.MethodPost, "/v1/auth/register", `{"username":"dora"}`).want(t, 403).apiError(t); e.Code != "registration_closed" {
		t.Errorf("%+v", e)
	}
	if strings.Contains(g.logged(), ann.Token) {
		t.Error("the log has the token")
	}
}

// security: X12
func TestRegistrationLimit(t *testing.T) {
	u := newUpstream(t)
	t.Setenv("TEST_UP_KEY", "canary-up")
	g := start(t, userConfig(t, u, "register 2 17h"))
	g.register("a")
	g.do(http.MethodPost, "/v1/auth/register", `{"username":"UPPER"}`).want(t, 400) // counts as well
	a := g.do(http.MethodPost, "/v1/auth/register", `{"username":"b"}`).want(t, 429)
	if a.apiError(t).Code != "rate_limit_exceeded" || a.Header.Get("Retry-After") == "" {
		t.Errorf("%v", a.Header)
	}
}

func TestTokens(t *testing.T) {
	t.Setenv("TEST_UP_KEY", "canary-up")
	g := start(t, userConfig(t, newUpstream(t), "register 100 1h"))
	ann, bob := g.register("ann"), g.register("bob")
	var second, third madeUser
	decode := func(a *answer, v any) {
		t.Helper()
		if err := json.Unmarshal([]byte(a.body), v); err != nil {
			t.Fatal(err)
		}
	}
	decode(g.do(http.MethodPost, "/v1/user/tokens", "", bearer(ann.Token)...).want(t, 201), &second)
	g.chat("up/m", false, bearer(second.Token)...).want(t, 200)
	var list struct {
		Data []struct {
			ID      string
			Current bool
		}
	}
	body := g.do(http.MethodGet, "/v1/user/tokens", "", bearer(ann.Token)...).want(t, 200)
	decode(body, &list)
	if len(list.Data) != 2 || list.Data[0].ID != ann.TokenID || !list.Data[0].Current || list.Data[1].ID != second.TokenID || strings.Contains(body.body, "sk-magic") {
		t.Errorf("%s", body.body)
	}
	// Nobody else's token can be named.
	g.do(http.MethodDelete, "/v1/user/tokens/"+ann.TokenID, "", bearer(bob.Token)...).want(t, 404)
	g.do(http.MethodPost, "/v1/user/tokens/"+ann.TokenID+"/rotate", "", bearer(bob.Token)...).want(t, 404)
	g.do(http.MethodDelete, "/v1/user/tokens/"+ann.TokenID, "", bearer("ops-secret")...).want(t, 403)

	decode(g.do(http.MethodPost, "/v1/user/tokens/"+second.TokenID+"/rotate", "", bearer(second.Token)...).want(t, 201), &third)
	g.chat("up/m", false, bearer(second.Token)...).want(t, 401) // at once, although it was known by heart
	g.chat("up/m", false, bearer(third.Token)...).want(t, 200)
	g.do(http.MethodDelete, "/v1/user/tokens/"+ann.TokenID, "", bearer(third.Token)...).want(t, 200)
	g.chat("up/m", false, bearer(ann.Token)...).want(t, 401)
	g.do(http.MethodDelete, "/v1/user/tokens/"+ann.TokenID, "", bearer(third.Token)...).want(t, 404)
	for i := range 40 {
		if a := g.do(http.MethodPost, "/v1/user/tokens", "", bearer(bob.Token)...); a.StatusCode == 409 {
			if i != 31 {
				t.Errorf("the %d. token was refused", i+2)
			}
			// One for another has room.
			var instead madeUser
			decode(g.do(http.MethodPost, "/v1/user/tokens/"+bob.TokenID+"/rotate", "", bearer(bob.Token)...).want(t, 201), &instead)
			g.chat("up/m", false, bearer(bob.Token)...).want(t, 401)
			g.chat("up/m", false, bearer(instead.Token)...).want(t, 200)
			return
		}
	}
	t.Error("tokens without end")
}

// contract: F5
func TestUsersOwnKeys(t *testing.T) {
	t.Setenv("TEST_UP_KEY", "canary-up")
	u := newUpstream(t)
	g := start(t, userConfig(t, u, "register 100 1h"))
	ann, bob := g.register("ann"), g.register("bob")
	if body := g.do(http.MethodPost, "/v1/user/keys", `{"provider":"up","key":"canary-own"}`, bearer(ann.Token)...).want(t, 201).body; strings.Contains(body, "canary") {
		t.Errorf("%s", body)
	}
	used := func() string {
		seen := u.seen()
		return seen[len(seen)-1].key
	}
	for _, model := range []string{"up/m", "helper"} {
		g.chat(model, true, bearer(ann.Token)...).want(t, 200)
		if used() != "canary-own" {
			t.Errorf("%s: with %s", model, used())
		}
		g.chat(model, true, bearer(bob.Token)...).want(t, 200)
		if used() != "canary-up" {
			t.Errorf("%s: with %s", model, used())
		}
	}
	// A key of hers that is bad is nobody's trouble: the gateway's comes next.
	u.when("canary-own", status(401))
	g.chat("up/m", false, bearer(ann.Token)...).want(t, 200)
	if s := g.provider("up"); len(s.Keys) != 1 || s.Keys[0].State != "healthy" {
		t.Errorf("%+v", s)
	}
	if body := g.do(http.MethodGet, "/v1/user/keys", "", bearer(ann.Token)...).want(t, 200).body; !strings.Contains(body, `"provider":"up"`) {
		t.Errorf("%s", body)
	}
	g.do(http.MethodDelete, "/v1/user/keys/other", "", bearer(ann.Token)...).want(t, 404)
	g.do(http.MethodDelete, "/v1/user/keys/up", "", bearer(ann.Token)...).want(t, 200)
	n := len(u.seen())
	g.chat("up/m", false, bearer(ann.Token)...).want(t, 200)
	if got := u.seen()[n:]; len(got) != 1 || got[0].key != "canary-up" {
		t.Errorf("%+v", got)
	}
	for _, body := range []string{`{"provider":"nobody","key":"k"}`, `{"provider":"up","key":""}`, `{"provider":"up","key":"a b"}`, `{"provider":"up"}`, `{"provider":"up","key":"k","x":1}`} {
		g.do(http.MethodPost, "/v1/user/keys", body, bearer(ann.Token)...).want(t, 400)
	}
	g.do(http.MethodPost, "/v1/user/keys", `{"provider":"up","key":"k"}`, bearer("ops-secret")...).want(t, 403)
	if strings.Contains(g.logged(), "canary-own") {
		t.Error("the log has her key")
	}
}

func TestAdminUsers(t *testing.T) {
	t.Setenv("TEST_UP_KEY", "canary-up")
	u := newUpstream(t)
	g := start(t, userConfig(t, u, "rate_limit 1000 1h\nconcurrency 50"))
	var ann madeUser
	if s := g.adminSend(http.MethodPost, "users", `{"username":"ann"}`, &ann); s != 200 || ann.Token == "" {
		t.Fatalf("status %d: %+v", s, ann)
	}
	if s := g.adminSend(http.MethodPost, "users", `{"username":"ann"}`, nil); s != 409 {
		t.Errorf("again: status %d", s)
	}
	for _, body := range []string{`{"username":"A"}`, `{"username":"b","admin":true}`, `{`, `[]`} {
		if s := g.adminSend(http.MethodPost, "users", body, nil); s != 400 {
			t.Errorf("%s: status %d", body, s)
		}
	}
	ask := func(model string, status int) *answer {
		t.Helper()
		return g.chat(model, false, bearer(ann.Token)...).want(t, status)
	}
	ask("up/m", 200)
	var s userStatus
	if st := g.adminSend(http.MethodPut, "users/ann/overrides", `{"allow":["helper"],"rate_limits":[{"n":3,"window":"1h"}],"concurrency":1}`, &s); st != 200 || s.Overrides.Concurrency != 1 || len(s.Overrides.RateLimits) != 1 {
		t.Fatalf("status %d: %+v", st, s)
	}
	ask("up/m", 403) // which counts, too
	if a := ask("helper", 200); a.Header.Get("X-Ratelimit-Limit-Requests") != "3" {
		t.Errorf("%v", a.Header)
	}
	if models := g.do(http.MethodGet, "/v1/models", "", bearer(ann.Token)...).body; strings.Contains(models, "up/m") || !strings.Contains(models, "helper") {
		t.Errorf("%s", models)
	}
	ask("helper", 200)
	ask("helper", 429)
	for _, body := range []string{`{"allow":"x"}`, `{"rate_limits":[{"n":0,"window":"1h"}]}`, `{"rate_limits":[{"n":1,"window":"1h","by":"ip"}]}`, `{"concurrency":-1}`, `{"x":1}`} {
		if st := g.adminSend(http.MethodPut, "users/ann/overrides", body, nil); st != 400 {
			t.Errorf("%s: status %d", body, st)
		}
	}
	g.adminSend(http.MethodPut, "users/ann/overrides", `{"rate_limits":[{"n":5000,"window":"1h"}]}`, nil)
	if a := ask("up/m", 200); a.Header.Get("X-Ratelimit-Limit-Requests") != "5000" { // in place of the route's
		t.Errorf("%v", a.Header)
	}
	if st := g.adminSend(http.MethodPut, "users/ann/overrides", `{}`, nil); st != 200 {
		t.Errorf("status %d", st)
	}
	ask("up/m", 200)

	if st := g.adminSend(http.MethodPost, "users/ann/disable", "", &s); st != 200 || !s.Disabled {
		t.Errorf("status %d: %+v", st, s)
	}
	ask("up/m", 401)
	g.adminSend(http.MethodPost, "users/ann/enable", "", nil)
	ask("up/m", 200)

	var more madeUser
	g.adminSend(http.MethodPost, "users/ann/tokens", "", &more)
	g.chat("up/m", false, bearer(more.Token)...).want(t, 200)
	if st := g.adminSend(http.MethodGet, "users/ann", "", &s); st != 200 || len(s.Tokens) != 2 {
		t.Errorf("status %d: %+v", st, s)
	}
	g.adminSend(http.MethodDelete, "users/ann/tokens/"+more.TokenID, "", nil)
	g.chat("up/m", false, bearer(more.Token)...).want(t, 401)

	for _, name := range []string{"b", "c", "d"} {
		g.adminSend(http.MethodPost, "users", `{"username":"`+name+`"}`, nil)
	}
	var page []userStatus
	if g.adminSend(http.MethodGet, "users?after=b&limit=1", "", &page); len(page) != 1 || page[0].Username != "c" {
		t.Errorf("%+v", page)
	}
	if st := g.adminSend(http.MethodDelete, "users/ann", "", nil); st != 200 {
		t.Errorf("status %d", st)
	}
	ask("up/m", 401)
	for _, path := range []string{"users/ann", "users/nobody", "users/$ne", "users/b/other"} {
		if st := g.adminSend(http.MethodGet, path, "", nil); st != 404 && st != 405 {
			t.Errorf("%s: status %d", path, st)
		}
	}
	// Another one of that name has nothing of hers.
	var again madeUser
	g.adminSend(http.MethodPost, "users", `{"username":"ann"}`, &again)
	if again.ID == ann.ID {
		t.Error("the id is given out again")
	}
	ask("up/m", 401)
}

// Documents of users and operators have the fields that they have, each once.
//
// security: X7, X9
func TestStrictDocuments(t *testing.T) {
	for body, want := range map[string]string{
		`{"name":"a","list":[{"n":1}],"of":{"n":2}}`: "",
		"\n{}\n":                             "",
		`{"NAME":"a"}`:                       `unknown field "NAME"`,
		`{"ma\u006de":"a"}`:                  `unknown field "mame"`,
		`{"of":{"N":1}}`:                     `unknown field "N"`,
		`{"list":[{"N":1}]}`:                 `unknown field "N"`,
		`{"name":"a","name":"b"}`:            `field "name" is given twice`,
		`{"name":"a","n\u0061me":"b"}`:       `field "name" is given twice`,
		`{"list":[{"n":1},{"n":1,"n":2}]}`:   `field "n" is given twice`,
		`{"name":"a"}{}`:                     "there is something behind the object",
		`{"name":"a"`:                        "unexpected",
		`{"name":"a"]`:                       "invalid character",
		`[]`:                                 "not an object",
		`null`:                               "not an object",
		"{\"name\":\"a\xff\"}":               "not UTF-8",
		``:                                   "EOF",
		strings.Repeat(`{"of":`, 2000) + "1": "",
	} {
		var v struct {
			Name string `json:"name"`
			List []struct {
				N int `json:"n"`
			} `json:"list"`
			Of struct {
				N int `json:"n"`
			} `json:"of"`
		}
		err := decodeStrict([]byte(body), &v)
		if strings.HasPrefix(body, `{"of":{"of":`) {
			want = "EOF"
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %s", body, err, want)
		}
	}
	u := newUpstream(t)
	t.Setenv("TEST_UP_KEY", "canary-up")
	g := start(t, userConfig(t, u, "register 100 1h"))
	for _, body := range []string{`{"USERNAME":"ann"}`, `{"username":"ann","username":"bob"}`, `{"username":"ann","admin":true}`} {
		if e := g.do(http.MethodPost, "/v1/auth/register", body).want(t, 400).apiError(t); !strings.HasPrefix(e.Message, "Invalid body: ") {
			t.Errorf("%s: %+v", body, e)
		}
		if n := g.adminSend(http.MethodPost, "users", body, nil); n != 400 {
			t.Errorf("%s: admin API: %d", body, n)
		}
	}
}

// Who revokes a token and leaves has revoked it: everybody is told, whoever waits.
func TestAccountChangesRunToTheirEnd(t *testing.T) {
	u := newUpstream(t)
	t.Setenv("TEST_UP_KEY", "canary-up")
	g := start(t, userConfig(t, u, "register 100 1h"))
	h := &Handler{Auth: authBearer, MaxBody: defaultMaxBody, app: runningApp(), logger: zap.NewNop()}
	for name, path := range map[string]string{"removed": http.MethodDelete + " /v1/user/tokens/%s", "rotated": http.MethodPost + " /v1/user/tokens/%s/rotate"} {
		made := g.register(name)
		g.chat("up/m", false, bearer(made.Token)...).want(t, 200) // it is remembered
		ctx, leave := context.WithCancel(t.Context())
		leave()
		method, path, _ := strings.Cut(fmt.Sprintf(path, made.TokenID), " ")
		r := httptest.NewRequestWithContext(ctx, method, path, nil)
		r.Header.Set("Authorization", "Bearer "+made.Token)
		x := newExchange(h, httptest.NewRecorder(), r)
		x.serve()
		x.end()
		g.chat("up/m", false, bearer(made.Token)...).want(t, 401)
	}
}
