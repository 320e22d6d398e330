package mcp

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxMangled is the length of a function's name that every provider takes.
const maxMangled = 64

// digest is how many hex digits tell names apart that can't be said plainly.
const digest = 10

// Mangle returns the name of a server's tool towards models (contract M6):
// [A-Za-z0-9_-]{1,64}. It is server__tool where that can be read in one way only, and
// else what is left of both, with a hash of the whole name after it. The way back is
// a table of the tools offered; two of one such table share a name only if 40 bits of
// SHA-256 agree, about once in a million tables of a thousand tools each.
func Mangle(server, tool string) string {
	plain := server + "__" + tool
	if len(plain) <= maxMangled && clean(server) && clean(tool) &&
		!strings.HasSuffix(server, "_") && !strings.HasPrefix(tool, "_") && !hashed(plain) {
		return plain
	}
	sum := sha256.Sum256([]byte(server + "::" + tool))
	kept := strings.Map(func(r rune) rune {
		if !nameRune(r) {
			return '_'
		}
		return r
	}, plain)
	kept = kept[:min(len(kept), maxMangled-1-digest)]
	return kept + "_" + hex.EncodeToString(sum[:])[:digest]
}

func clean(part string) bool {
	return part != "" && !strings.Contains(part, "__") && strings.IndexFunc(part, func(r rune) bool { return !nameRune(r) }) < 0
}

func nameRune(r rune) bool {
	return r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
}

// hashed reports whether a plain name looks like one with a hash, which it must not:
// a tool could be named after another's.
func hashed(name string) bool {
	at := len(name) - 1 - digest
	return at > 0 && name[at] == '_' && strings.Trim(name[at+1:], "0123456789abcdef") == ""
}
