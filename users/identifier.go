package users

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
)

// TokenPrefix begins every token that NewToken makes: scanners for leaked secrets
// know it, and what lacks it needs no look-up.
const TokenPrefix = "sk-magic-"

// NewToken makes a token of 256 random bits: TokenPrefix and 43 characters of
// [A-Za-z0-9_-] (security X3). It is shown once; its hash is what is kept.
func NewToken() (token string, h Hash) {
	var secret [32]byte
	random(secret[:])
	token = TokenPrefix + base64.RawURLEncoding.EncodeToString(secret[:])
	return token, HashToken(token)
}

// lower are 32 characters that may stand in a URL and in a user's name.
var lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewUserID makes an id of 120 random bits.
func NewUserID() string {
	var id [15]byte
	random(id[:])
	return "user_" + lower.EncodeToString(id[:])
}

// NewTokenID makes an id of 80 random bits: it need only differ from the user's
// other tokens' ones.
func NewTokenID() string {
	var id [10]byte
	random(id[:])
	return "tok_" + lower.EncodeToString(id[:])
}

// random fills b. Where the system has no randomness the process ends: rand.Read
// returns no error.
func random(b []byte) { _, _ = rand.Read(b) }
