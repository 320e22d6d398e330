package caddymodule

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/rotation"
	"github.com/universal-ai-gateway/magicproxy/state"
	"github.com/universal-ai-gateway/magicproxy/users"
)

// maxAccountBody bounds the bodies of what concerns users themselves.
const maxAccountBody = 16 << 10

// accountTime bounds what is done for a user's account.
const accountTime = 3 * time.Second

// account answers what is below /v1/auth/ and /v1/user; false for an unknown path.
func (x *exchange) account(path string) bool {
	parts := strings.Split(path, "/")
	route := func(endpoint string, methods map[string]func()) bool {
		x.endpoint = endpoint
		names := make([]string, 0, len(methods))
		for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			if methods[m] != nil {
				names = append(names, m)
			}
		}
		if x.method(names...) {
			methods[x.r.Method]()
		}
		return true
	}
	switch {
	case path == "auth/register":
		return route("register", map[string]func(){http.MethodPost: x.register})
	case path == "user/me":
		return route("user", map[string]func(){http.MethodGet: x.me})
	case path == "user/keys":
		return route("user", map[string]func(){http.MethodGet: x.listKeys, http.MethodPost: x.setKey})
	case len(parts) == 3 && parts[0] == "user" && parts[1] == "keys":
		return route("user", map[string]func(){http.MethodDelete: func() { x.removeKey(parts[2]) }})
	case path == "user/tokens":
		return route("user", map[string]func(){http.MethodGet: x.listTokens, http.MethodPost: x.addToken})
	case len(parts) == 3 && parts[0] == "user" && parts[1] == "tokens":
		return route("user", map[string]func(){http.MethodDelete: func() { x.removeToken(parts[2]) }})
	case len(parts) == 4 && parts[0] == "user" && parts[1] == "tokens" && parts[3] == "rotate":
		return route("user", map[string]func(){http.MethodPost: func() { x.rotateToken(parts[2]) }})
	}
	return false
}

// document reads a small JSON body that has nothing but what v has (security X7).
func (x *exchange) document(v any) bool {
	if !x.acceptable() {
		return false
	}
	if x.r.ContentLength > maxAccountBody {
		x.fail(openai.TooLarge(maxAccountBody))
		return false
	}
	body, err := io.ReadAll(io.LimitReader(x.r.Body, maxAccountBody+1))
	switch {
	case err != nil:
		if e := x.unread(err); e != nil {
			x.fail(e)
		}
		return false
	case len(body) > maxAccountBody:
		x.fail(openai.TooLarge(maxAccountBody))
		return false
	}
	if err := decodeStrict(body, v); err != nil {
		x.fail(openai.InvalidRequest("", "Invalid body: %s", openai.Cut(err.Error(), 256)))
		return false
	}
	return true
}

// tokenAnswer is what is said of a token once, when it is made.
type tokenAnswer struct {
	ID        string    `json:"id"`
	Username  string    `json:"username"`
	TokenID   string    `json:"token_id"`
	Token     string    `json:"token"`
	CreatedAt time.Time `json:"created_at"`
}

// register makes a user (POST /v1/auth/register).
func (x *exchange) register() {
	if x.h.Register == nil {
		x.refuse(http.StatusForbidden, "registration_closed", "Registration is closed. Ask the operator for a token.")
		return
	}
	// Before the body: whoever registers is nobody yet.
	l := x.h.Register
	got := x.h.app.store.Admit(x.r.Context(), state.Admission{Limits: []state.Limit{limitOf("register:"+x.address(), l.N, time.Duration(l.Window))}})
	x.showLimit(&got)
	if got.Refused {
		x.refuseLimit("register", openai.RateLimited(got.Retry, "Too many registrations from your address. Try again in %s.", rounded(got.Retry)))
		return
	}
	if got.Closed {
		x.refuseClosed()
		return
	}
	var in struct {
		Username string `json:"username"`
	}
	if !x.document(&in) {
		return
	}
	if !users.ValidName(in.Username) {
		x.fail(openai.InvalidRequest("username", "Invalid 'username': expected 1 to 64 of a-z, 0-9, _ and -."))
		return
	}
	ctx, stop := context.WithTimeout(x.r.Context(), accountTime)
	defer stop()
	made, err := x.h.app.createUser(ctx, in.Username)
	if err != nil {
		x.failUsers(err)
		return
	}
	x.user, x.userName = made.ID, made.Username
	x.respond(http.StatusCreated, made)
}

// createUser makes a user with a first token.
func (a *App) createUser(ctx context.Context, name string) (made tokenAnswer, err error) {
	if len(a.Tokens[name]) > 0 { // nobody is to be taken for somebody whom the configuration names
		return made, users.ErrTaken
	}
	token, t := freshToken()
	u := users.User{ID: users.NewUserID(), Name: name, Created: t.Created}
	if err := a.people.store.Create(ctx, u, t); err != nil {
		return made, err
	}
	return tokenAnswer{u.ID, name, t.ID, token, t.Created}, nil
}

// freshToken makes a token, and what the users' store keeps of it.
func freshToken() (token string, t users.Token) {
	token, hash := users.NewToken()
	return token, users.Token{Hash: hash, ID: users.NewTokenID(), Created: time.Now().UTC().Truncate(time.Millisecond)}
}

// failUsers answers with what is wrong with a user or a token.
func (x *exchange) failUsers(err error) {
	switch {
	case errors.Is(err, users.ErrTaken):
		x.refuse(http.StatusConflict, "username_taken", "The username is taken.")
	case errors.Is(err, users.ErrUnknown):
		x.refuse(http.StatusNotFound, "not_found", "There is no such thing of yours.")
	case errors.Is(err, users.ErrTooMany):
		x.refuse(http.StatusConflict, "too_many", "You have as many as you may have. Remove one first.")
	case x.r.Context().Err() != nil:
		x.left = true
	default:
		x.h.logger.Error("the store of users failed", zap.String("request_id", x.id), zap.Error(err))
		e := openai.Unavailable(time.Second, "Users cannot be looked up for now. Try again shortly.")
		e.Class = openai.ClassGateway
		x.fail(e)
	}
}

// me says who calls (GET /v1/user/me).
func (x *exchange) me() {
	if !x.identify() || !x.admitted() {
		return
	}
	type me struct {
		Object    string          `json:"object"`
		ID        string          `json:"id"`
		Username  string          `json:"username"`
		Source    string          `json:"source"`
		CreatedAt *time.Time      `json:"created_at,omitempty"`
		Overrides *overrideStatus `json:"overrides,omitempty"`
		Keys      []string        `json:"keys,omitempty"`
	}
	m := me{Object: "user", ID: x.user, Username: x.userName, Source: "configuration"}
	switch c := x.caller; {
	case x.user == "":
		m.Source = "anonymous"
	case c != nil:
		o := overridesOf(c.Overrides)
		m.Source, m.CreatedAt, m.Overrides, m.Keys = "registered", &c.Created, &o, sortedKeys(c.Keys)
	}
	x.json(m)
}

// change runs what reads or changes the caller's account, to its end, also when the client
// leaves: what has changed the others are told.
func (x *exchange) change(do func(ctx context.Context) error) bool {
	ctx, stop := context.WithTimeout(context.WithoutCancel(x.r.Context()), accountTime)
	defer stop()
	if err := do(ctx); err != nil {
		x.failUsers(err)
		return false
	}
	return true
}

// setKey keeps a provider key of the caller's own (POST /v1/user/keys).
func (x *exchange) setKey() {
	if !x.registered() {
		return
	}
	var in struct {
		Provider string `json:"provider"`
		Key      string `json:"key"`
	}
	if !x.document(&in) {
		return
	}
	app := x.h.app
	switch {
	case app.cipher == nil:
		x.refuse(http.StatusForbidden, "keys_closed", "This gateway keeps no keys of users.")
		return
	case app.Providers[in.Provider] == nil:
		x.fail(openai.InvalidRequest("provider", "Invalid 'provider': there is no such provider here."))
		return
	case in.Key == "" || len(in.Key) > 1024 || checkSecret(in.Key) != nil:
		x.fail(openai.InvalidRequest("key", "Invalid 'key': expected 1 to 1024 visible ASCII characters."))
		return
	}
	sealed := app.cipher.Seal(x.user, in.Provider, in.Key)
	if !x.change(func(ctx context.Context) error {
		return app.people.store.SetKey(ctx, x.userName, x.user, in.Provider, sealed)
	}) {
		return
	}
	app.tellUsers(userNews{User: x.user})
	x.respond(http.StatusCreated, keyAnswer{"user.key", in.Provider, rotation.KeyID(in.Key)})
}

type keyAnswer struct {
	Object   string `json:"object"`
	Provider string `json:"provider"`
	ID       string `json:"id,omitempty"` // the beginning of the key's hash
}

// listKeys names the providers that the caller has brought keys for.
func (x *exchange) listKeys() {
	if !x.registered() {
		return
	}
	list := []keyAnswer{}
	for _, name := range sortedKeys(x.caller.Keys) {
		list = append(list, keyAnswer{Object: "user.key", Provider: name})
	}
	x.json(listOf(list))
}

func (x *exchange) removeKey(provider string) {
	if !x.registered() {
		return
	}
	if x.caller.Keys[provider] == nil {
		x.failUsers(users.ErrUnknown)
		return
	}
	app := x.h.app
	if x.change(func(ctx context.Context) error {
		return app.people.store.SetKey(ctx, x.userName, x.user, provider, nil)
	}) {
		app.tellUsers(userNews{User: x.user})
		x.json(deleted{"user.key.deleted", provider, true})
	}
}

type deleted struct {
	Object  string `json:"object"`
	ID      string `json:"id"`
	Deleted bool   `json:"deleted"`
}

// tokenOf is what a user may see of a token.
type tokenOf struct {
	Object    string    `json:"object"`
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"created_at"`
	Current   bool      `json:"current,omitempty"` // the request came with it
}

// listTokens is not counted: whoever wants to revoke one has to find its id.
func (x *exchange) listTokens() {
	if !x.identify() || !x.isRegistered() {
		return
	}
	var all []users.Token
	if !x.change(func(ctx context.Context) (err error) {
		all, err = x.h.app.people.store.Tokens(ctx, x.userName, x.user)
		return err
	}) {
		return
	}
	list := []tokenOf{}
	for _, t := range all {
		list = append(list, tokenOf{"user.token", t.ID, t.Created, t.ID == x.caller.TokenID})
	}
	x.json(listOf(list))
}

// addToken gives the caller a further token (POST /v1/user/tokens).
func (x *exchange) addToken() {
	if !x.registered() {
		return
	}
	token, t := freshToken()
	if x.change(func(ctx context.Context) error {
		return x.h.app.people.store.AddToken(ctx, x.userName, x.user, t)
	}) {
		x.respond(http.StatusCreated, tokenAnswer{x.user, x.userName, t.ID, token, t.Created})
	}
}

// removeToken revokes one of the caller's tokens.
func (x *exchange) removeToken(id string) {
	if !x.registered() {
		return
	}
	var t users.Token
	if !x.change(func(ctx context.Context) (err error) {
		t, err = x.h.app.people.store.RemoveToken(ctx, x.userName, x.user, id)
		return err
	}) {
		return
	}
	x.h.app.tellUsers(userNews{Token: t.Hash[:]})
	x.json(deleted{"user.token.deleted", id, true})
}

// rotateToken makes a new token in place of one (POST /v1/user/tokens/{id}/rotate).
func (x *exchange) rotateToken(id string) {
	if !x.registered() {
		return
	}
	token, t := freshToken()
	var old users.Token
	if !x.change(func(ctx context.Context) (err error) {
		old, err = x.h.app.people.store.ReplaceToken(ctx, x.userName, x.user, id, t)
		return err
	}) {
		return
	}
	x.h.app.tellUsers(userNews{Token: old.Hash[:]})
	x.respond(http.StatusCreated, tokenAnswer{x.user, x.userName, t.ID, token, t.Created})
}

// respond sends a JSON document with a status.
func (x *exchange) respond(status int, v any) {
	x.status = status
	x.w.Header().Set("Cache-Control", "no-store")
	x.json(v)
}

func listOf[T any](data []T) any {
	return struct {
		Object string `json:"object"`
		Data   []T    `json:"data"`
	}{"list", data}
}
