package users

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// sealVersion is the first byte of what a Cipher seals: AES-256-GCM, then the nonce
// of 12 bytes, the text and the tag of 16.
const sealVersion = 1

// Errors of a Cipher. None repeats a secret.
var (
	errSecret = errors.New("expected 32 random bytes in base64 or hex, such as `openssl rand -base64 32` prints")
	errSealed = errors.New("cannot be opened: sealed with another key, for another user or provider, or damaged")
)

// Cipher seals users' own provider keys. It is safe for concurrent use.
type Cipher struct{ keys []cipher.AEAD }

// NewCipher makes a cipher of a secret: 32 bytes in base64, of either alphabet,
// padded or not, or in hex. Former secrets open what they have sealed, so that the
// secret can be changed.
func NewCipher(secret string, former ...string) (*Cipher, error) {
	c := new(Cipher)
	for i, s := range append([]string{secret}, former...) {
		key, err := parseSecret(s)
		switch {
		case err != nil && len(former) == 0:
			return nil, err
		case err != nil:
			return nil, fmt.Errorf("secret %d of %d: %w", i+1, len(former)+1, err)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, err
		}
		c.keys = append(c.keys, aead)
	}
	return c, nil
}

// parseSecret returns the 32 bytes of a secret. White space around it is that of a
// file's end.
func parseSecret(s string) ([]byte, error) {
	const size = 32
	s = strings.TrimSpace(s)
	if len(s) == hex.EncodedLen(size) {
		if key, err := hex.DecodeString(s); err == nil {
			return key, nil
		}
		return nil, errSecret
	}
	s = strings.TrimSuffix(s, "=")
	if len(s) != base64.RawStdEncoding.EncodedLen(size) {
		return nil, errSecret
	}
	for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		// Line breaks, which decoding skips, would make it shorter.
		if key, err := e.Strict().DecodeString(s); err == nil && len(key) == size {
			return key, nil
		}
	}
	return nil, errSecret
}

// Seal encrypts a user's secret for a provider. Nobody can open it for somebody else
// or for another provider.
func (c *Cipher) Seal(userID, provider, secret string) []byte {
	sealed := c.keys[0].Seal(nil, nil, []byte(secret), bound(userID, provider)) //nolint:gosec // G407: a nil nonce means a random one here
	return append([]byte{sealVersion}, sealed...)
}

// Open decrypts what Seal has made for the same user and provider.
func (c *Cipher) Open(userID, provider string, sealed []byte) (string, error) {
	if len(sealed) == 0 || sealed[0] != sealVersion {
		return "", errSealed
	}
	to := bound(userID, provider)
	for _, k := range c.keys {
		if secret, err := k.Open(nil, nil, sealed[1:], to); err == nil {
			return string(secret), nil
		}
	}
	return "", errSealed
}

// bound is what a sealed secret is bound to: the version, the user and the provider,
// each with its length, so that no two pairs look alike.
func bound(userID, provider string) []byte {
	b := make([]byte, 0, 1+2*8+len(userID)+len(provider))
	b = append(b, sealVersion)
	for _, s := range []string{userID, provider} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

// Format implements fmt.Formatter: a cipher holds keys, and nothing of it is shown.
func (*Cipher) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("users.Cipher")) }
