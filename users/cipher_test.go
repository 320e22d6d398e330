package users

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// secret returns a made-up secret: 32 bytes, each of them b.
func secret(b byte) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32))
}

func newCipher(t testing.TB, secret string, former ...string) *Cipher {
	t.Helper()
	c, err := NewCipher(secret, former...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSecrets(t *testing.T) {
	raw := append(bytes.Repeat([]byte{0xfb, 0xff}, 15), 1, 2) // + and / in base64
	std, url := base64.StdEncoding.EncodeToString(raw), base64.URLEncoding.EncodeToString(raw)
	sealed := newCipher(t, std).Seal("user_x", "openai", "abc")
	for name, s := range map[string]string{
		"standard": std, "without padding": strings.TrimRight(std, "="), "for URLs": url, "for URLs without padding": strings.TrimRight(url, "="),
		"hex": hex.EncodeToString(raw), "hex in capitals": strings.ToUpper(hex.EncodeToString(raw)), "with a line's end": std + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := newCipher(t, s).Open("user_x", "openai", sealed); err != nil || got != "abc" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	for name, s := range map[string]string{
		"empty": "", "a word": "correct-horse-battery", "31 bytes": base64.StdEncoding.EncodeToString(raw[:31]), "33 bytes": base64.StdEncoding.EncodeToString(append(raw, 3)),
		"24 bytes, 32 characters": base64.StdEncoding.EncodeToString(raw[:24]), "both alphabets": "-" + std[1:len(std)-2] + "/=",
		"hex with an odd letter": strings.Repeat("0", 63) + "g", "short hex": strings.Repeat("0", 62), "a break within": std[:20] + "\n" + std[20:],
		"a break in place of a character": std[:20] + "\n" + std[21:], "a break in place of the last": strings.Repeat("A", 20) + "\n" + strings.Repeat("A", 22), "padded twice": std + "=", "bits too many": std[:42] + "J=",
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range [][]string{{s}, {secret(1), s}} {
				_, err := NewCipher(c[0], c[1:]...)
				if err == nil || !strings.Contains(err.Error(), "openssl rand -base64 32") {
					t.Fatalf("got %v", err)
				}
				if s != "" && strings.Contains(err.Error(), s) {
					t.Errorf("the error shows the secret: %v", err)
				}
				if len(c) > 1 && !strings.Contains(err.Error(), "2 of 2") {
					t.Errorf("which one is wrong? %v", err)
				}
			}
		})
	}
}

// security: X3
func TestSealed(t *testing.T) {
	c := newCipher(t, secret(1))
	const key = "own-key-of-the-user"
	sealed := c.Seal("user_x", "openai", key)
	if got, err := c.Open("user_x", "openai", sealed); err != nil || got != key {
		t.Fatalf("got %q, %v", got, err)
	}
	if bytes.Contains(sealed, []byte(key)) || bytes.Equal(sealed, c.Seal("user_x", "openai", key)) {
		t.Error("shows the key, or that two are the same")
	}
	for _, who := range []struct{ user, provider string }{
		{"user_y", "openai"}, {"user_x", "groq"}, {"openai", "user_x"}, {"user_xo", "penai"}, {"user_", "xopenai"}, {"user_xopenai", ""}, {"", "user_xopenai"}, {"", ""},
	} {
		if got, err := c.Open(who.user, who.provider, sealed); err == nil || got != "" {
			t.Errorf("opens for %q at %q: %q", who.user, who.provider, got)
		}
	}
	zeros := strings.Repeat("\x00", 8)
	if _, err := c.Open("a", "b"+zeros+"c", c.Seal("a"+zeros+"b", "c", key)); err == nil {
		t.Error("a provider's name can take over the end of a user's id")
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := c.Open("user_x", "openai", bad); err == nil {
			t.Errorf("opens with byte %d changed", i)
		}
		if _, err := c.Open("user_x", "openai", sealed[:i]); err == nil {
			t.Errorf("opens when cut at %d", i)
		}
	}
	if _, err := c.Open("user_x", "openai", append(sealed, 0)); err == nil {
		t.Error("opens with something behind it")
	}
}

func TestChangedSecret(t *testing.T) {
	first, second := newCipher(t, secret(1)), newCipher(t, secret(2), secret(3), secret(1))
	old, fresh := first.Seal("u", "p", "old"), second.Seal("u", "p", "fresh")
	if got, err := second.Open("u", "p", old); err != nil || got != "old" {
		t.Errorf("sealed with a former secret: %q, %v", got, err)
	}
	if got, err := newCipher(t, secret(2)).Open("u", "p", fresh); err != nil || got != "fresh" {
		t.Errorf("sealed with the present secret: %q, %v", got, err)
	}
	if _, err := first.Open("u", "p", fresh); err == nil {
		t.Error("the former secret opens what the present one has sealed")
	}
}

// security: X5
func TestCipherShowsNothing(t *testing.T) {
	c := newCipher(t, secret(1))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		for _, v := range []any{c, struct{ C *Cipher }{c}} {
			if got := fmt.Sprintf(verb, v); strings.Contains(strings.ToLower(got), "keys") || strings.Contains(got, "aes") {
				t.Errorf("%s: %.100s", verb, got)
			}
		}
	}
}

func FuzzOpen(f *testing.F) {
	c := newCipher(f, secret(1), secret(2))
	f.Add("user_x", "openai", []byte{})
	f.Add("user_x", "openai", []byte{sealVersion})
	f.Add("user_x", "openai", c.Seal("user_x", "openai", "abc"))
	f.Add("user_y", "openai", c.Seal("user_x", "openai", "abc"))
	f.Fuzz(func(t *testing.T, user, provider string, data []byte) {
		_, _ = c.Open(user, provider, data) // whatever it says, it does not panic
		got, err := c.Open(user, provider, c.Seal(user, provider, string(data)))
		if err != nil || got != string(data) {
			t.Errorf("got %q, %v", got, err)
		}
		sealed := c.Seal(user, provider, string(data))
		if _, err := c.Open(user+"x", provider, sealed); err == nil {
			t.Error("opens for another user")
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	c := newCipher(b, secret(1))
	sealed := c.Seal("user_x", "openai", strings.Repeat("k", 64))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Open("user_x", "openai", sealed); err != nil {
			b.Fatal(err)
		}
	}
}
