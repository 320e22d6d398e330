// Package users knows who may call: what a token looks like on the wire, and
// whose it is.
//
// Of tokens only hashes are kept, and no error repeats one. Callers are known from
// the configuration: Tokens are filled once and only read afterwards.
//
//	var tokens users.Tokens
//	err := tokens.Add("ops", secret)
//	token, err := users.Bearer(r.Header)
//	user, ok := tokens.Find(token)
package users

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// MaxToken bounds a token in bytes (security X3).
const MaxToken = 512

// Errors of Bearer.
var (
	ErrNoToken  = errors.New("no token")
	ErrBadToken = errors.New("malformed token")
)

// Bearer returns the token of an Authorization header: one header, the Bearer
// scheme, at most MaxToken bytes without white space. No other place counts: a
// token in a URL would end up in logs.
func Bearer(h http.Header) (string, error) {
	values := h["Authorization"]
	if len(values) == 0 {
		return "", ErrNoToken
	}
	const scheme = "Bearer "
	v := values[0]
	if len(values) > 1 || len(v) <= len(scheme) || !strings.EqualFold(v[:len(scheme)], scheme) {
		return "", ErrBadToken
	}
	token := v[len(scheme):]
	if len(token) > MaxToken || strings.ContainsFunc(token, blankOrControl) {
		return "", ErrBadToken
	}
	return token, nil
}

func blankOrControl(c rune) bool { return c <= ' ' || c == 0x7f }

// Hash is what is kept of a token: its SHA-256.
type Hash [sha256.Size]byte

// HashToken hashes a token. Tokens are long and random, so a fast hash is the
// right one; comparing hashes tells nobody how much of a guess was right.
func HashToken(token string) Hash {
	var b [64]byte // what NewToken makes fits: a conversion would allocate
	return sha256.Sum256(append(b[:0], token...))
}

// Tokens are the callers a configuration names. The zero value is empty; fill
// it before use, then it is safe for concurrent reading.
type Tokens struct{ users map[Hash]string }

// Add lets a token speak for user. It refuses what Bearer would, and a token that
// speaks for somebody already.
func (t *Tokens) Add(user, token string) error {
	if len(token) > MaxToken {
		return fmt.Errorf("longer than %d bytes", MaxToken)
	}
	if strings.ContainsFunc(token, blankOrControl) {
		return errors.New("white space or control characters")
	}
	h := HashToken(token)
	if other, ok := t.users[h]; ok {
		return fmt.Errorf("the same secret is already given to %s", other)
	}
	if t.users == nil {
		t.users = make(map[Hash]string)
	}
	t.users[h] = user
	return nil
}

// Find returns whose the token is.
func (t *Tokens) Find(token string) (user string, ok bool) {
	user, ok = t.users[HashToken(token)]
	return user, ok
}

// Len is the number of tokens.
func (t *Tokens) Len() int { return len(t.users) }
