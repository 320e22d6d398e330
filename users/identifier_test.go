package users

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// security: X3
func TestNewToken(t *testing.T) {
	form := regexp.MustCompile(`^sk-magic-[A-Za-z0-9_-]{43}$`)
	seen := make(map[string]bool)
	var letters [43]map[byte]bool
	for range 1000 {
		token, h := NewToken()
		if !form.MatchString(token) || h != HashToken(token) || seen[token] {
			t.Fatalf("a token of %d characters", len(token))
		}
		seen[token] = true
		got, err := Bearer(http.Header{"Authorization": {"Bearer " + token}})
		if err != nil || got != token {
			t.Fatal(err)
		}
		for i := range letters {
			if letters[i] == nil {
				letters[i] = make(map[byte]bool)
			}
			letters[i][token[len(TokenPrefix)+i]] = true
		}
	}
	for i, l := range letters { // 64 can stand at each place, 16 at the last
		if len(l) < 16 {
			t.Errorf("only %d characters at place %d", len(l), i)
		}
	}
}

func TestNewIDs(t *testing.T) {
	for name, c := range map[string]struct {
		make func() string
		form *regexp.Regexp
	}{
		"user":  {NewUserID, regexp.MustCompile(`^user_[a-z2-7]{24}$`)},
		"token": {NewTokenID, regexp.MustCompile(`^tok_[a-z2-7]{16}$`)},
	} {
		t.Run(name, func(t *testing.T) {
			seen := make(map[string]bool)
			for range 1000 {
				id := c.make()
				if !c.form.MatchString(id) || seen[id] {
					t.Fatalf("got %q", id)
				}
				seen[id] = true
			}
		})
	}
}

func TestValidName(t *testing.T) {
	for s, want := range map[string]bool{
		"a": true, "ann-1_x": true, "0": true, strings.Repeat("a", 64): true,
		"": false, strings.Repeat("a", 65): false, "Ann": false, "a.b": false, "a b": false, "a\n": false, "ä": false, "a/b": false, "$ne": false, "a\x00": false,
	} {
		if ValidName(s) != want {
			t.Errorf("%q: %t", s, !want)
		}
	}
}
