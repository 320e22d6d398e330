package caddymodule

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/universal-ai-gateway/magicproxy/glob"
	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/rotation"
	"github.com/universal-ai-gateway/magicproxy/users"
)

// identify finds out who calls. An earlier handler's word is taken; else a token
// is needed, or none must be wrong (security X2).
func (x *exchange) identify() bool {
	const userID = "http.auth.user.id"
	if id, ok := x.repl.GetString(userID); ok && id != "" {
		x.user, x.userName = id, id
		return true
	}
	if x.h.Auth == authOff {
		return true
	}
	token, err := users.Bearer(x.r.Header)
	if errors.Is(err, users.ErrNoToken) && x.h.Auth == authOptional {
		return true
	}
	if err == nil {
		err = x.recognize(token)
	}
	switch {
	case err == nil:
		x.repl.Set(userID, x.userName)
		return true
	case errors.Is(err, users.ErrUnavailable):
		// Whoever is not known by heart cannot be told from anybody.
		x.h.logger.Warn("a token could not be looked up", zap.String("request_id", x.id), zap.Error(err))
		e := openai.Unavailable(time.Second, "Users cannot be looked up for now. Try again shortly.")
		e.Class = openai.ClassGateway
		x.fail(e)
	default:
		x.fail(openai.InvalidKey())
	}
	return false
}

// recognize finds out whose token it is: somebody's whom the configuration names, or
// a registered user's.
func (x *exchange) recognize(token string) error {
	if user, ok := x.h.app.tokens.Find(token); ok {
		x.user, x.userName = user, user
		return nil
	}
	if !strings.HasPrefix(token, users.TokenPrefix) {
		return users.ErrUnknown // nothing that a store would know: no need to ask one
	}
	c, err := x.h.app.people.directory.Find(x.r.Context(), token)
	if err != nil {
		return err
	}
	x.user, x.userName, x.caller = c.ID, c.Name, c
	return nil
}

// overrides are what an operator has laid down for the caller.
func (x *exchange) overrides() *users.Overrides {
	if x.caller == nil {
		return &noOverrides
	}
	return &x.caller.Overrides
}

var noOverrides users.Overrides

// allowed reports whether the caller may use a model here.
func (x *exchange) allowed(model string) bool {
	if !glob.Any(x.h.Allow, model) {
		return false
	}
	o := x.overrides()
	return o.Allow == nil || len(o.Allow) > 0 && glob.Any(o.Allow, model)
}

// ownKeys are the provider keys that the caller has brought (contract F5).
func (x *exchange) ownKeys() *rotation.OwnKeys {
	if x.caller == nil || len(x.caller.Keys) == 0 || x.h.app.cipher == nil {
		return nil
	}
	secrets := make(map[string]string, len(x.caller.Keys))
	for provider, sealed := range x.caller.Keys {
		secret, err := x.h.app.cipher.Open(x.user, provider, sealed)
		if err != nil {
			x.h.logger.Error("a user's own key cannot be decrypted: is encryption_key another one?", zap.String("user", x.user), zap.String("provider", provider), zap.Error(err))
			continue
		}
		secrets[provider] = secret
	}
	return rotation.NewOwnKeys(secrets)
}

// registered requires a caller that the store of users knows, and within limits
// (security X12). Whoever uses a stolen token up must not keep its owner from revoking
// it: what is taken away is not counted.
func (x *exchange) registered() bool {
	return x.identify() && (x.r.Method == http.MethodDelete || x.admitted()) && x.isRegistered()
}

func (x *exchange) isRegistered() bool {
	if x.caller == nil {
		x.refuse(http.StatusForbidden, "not_registered", "Only registered users have this: the configuration knows you, or an earlier handler.")
		return false
	}
	return true
}

// refuse answers with an error that is the caller's.
func (x *exchange) refuse(status int, code, message string) {
	x.fail(&openai.Error{Status: status, Class: openai.ClassCaller, Type: "invalid_request_error", Code: code, Message: message})
}
