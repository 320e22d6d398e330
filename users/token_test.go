package users

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

// security: X3
func TestBearer(t *testing.T) {
	long := strings.Repeat("a", MaxToken)
	for _, tt := range []struct {
		name   string
		values []string
		token  string
		err    error
	}{
		{"absent", nil, "", ErrNoToken},
		{"plain", []string{"Bearer abc"}, "abc", nil},
		{"scheme in lower case", []string{"bearer abc"}, "abc", nil},
		{"longest", []string{"Bearer " + long}, long, nil},
		{"too long", []string{"Bearer " + long + "a"}, "", ErrBadToken},
		{"twice", []string{"Bearer abc", "Bearer abc"}, "", ErrBadToken},
		{"other scheme", []string{"Basic abc"}, "", ErrBadToken},
		{"no scheme", []string{"abc"}, "", ErrBadToken},
		{"empty", []string{"Bearer "}, "", ErrBadToken},
		{"inner space", []string{"Bearer a b"}, "", ErrBadToken},
		{"control byte", []string{"Bearer a\x01"}, "", ErrBadToken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token, err := Bearer(http.Header{"Authorization": tt.values})
			if token != tt.token || !errors.Is(err, tt.err) {
				t.Errorf("got %q, %v", token, err)
			}
		})
	}
}

func TestTokens(t *testing.T) {
	var tokens Tokens
	if _, ok := tokens.Find("x"); ok {
		t.Error("found in nothing")
	}
	for _, token := range []string{"first", "second"} {
		if err := tokens.Add("ops", token); err != nil {
			t.Fatal(err)
		}
	}
	if user, ok := tokens.Find("second"); !ok || user != "ops" {
		t.Errorf("got %q, %t", user, ok)
	}
	if _, ok := tokens.Find("secon"); ok {
		t.Error("a beginning is not the token")
	}
	for name, token := range map[string]string{"same secret twice": "first", "white space": "a b", "too long": strings.Repeat("a", MaxToken+1)} {
		if err := tokens.Add("dev", token); err == nil {
			t.Error(name + " was accepted")
		} else if strings.Contains(err.Error(), token) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
	if tokens.Len() != 2 {
		t.Errorf("%d tokens", tokens.Len())
	}
}
