package caddymodule

import (
	"errors"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// resolve returns a secret's value. Its errors name the placeholder, never the
// value (security X5, X13).
func resolve(repl *caddy.Replacer, s string) (string, error) {
	v, err := repl.ReplaceOrErr(s, true, true)
	if err != nil {
		return "", err
	}
	v = strings.TrimSpace(v) // files end in a newline
	if v == "" {
		if strings.Contains(s, "{") {
			return "", errors.New("empty: " + s)
		}
		return "", errors.New("empty")
	}
	return v, nil
}

// checkSecret refuses what could not travel in a header (security X11), and what
// an editor may leave in a file: a byte order mark, a comment behind the key.
func checkSecret(s string) error {
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return errors.New("white space, control or other characters beyond ASCII in the key")
	}
	return nil
}

// literal returns a text as it is, unless it as a whole is one placeholder for
// the environment or a file: prompts contain braces.
func literal(repl *caddy.Replacer, s string) (string, error) {
	t := strings.TrimSpace(s)
	if (strings.HasPrefix(t, "{env.") || strings.HasPrefix(t, "{file.")) && strings.IndexByte(t, '}') == len(t)-1 {
		return repl.ReplaceOrErr(t, true, true)
	}
	return s, nil
}

// warnLiteralURL is warnLiteral for an address, which is a secret only with a
// password in it.
func warnLiteralURL(logger *zap.Logger, what, value string) {
	u, err := url.Parse(value)
	if err != nil || u.User == nil {
		return
	}
	if _, ok := u.User.Password(); ok {
		warnLiteral(logger, what, value)
	}
}
