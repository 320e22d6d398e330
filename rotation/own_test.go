package rotation

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/provider"
)

// contract: F5
func TestOwnKeysGoFirst(t *testing.T) {
	refuseMine := func(key string) http.HandlerFunc {
		if key == "mine" {
			return says(401, `{"error":{"message":"mine is not a key","type":"t"}}`)
		}
		return good
	}
	for _, tt := range []struct {
		name   string
		answer func(string) http.HandlerFunc
		keys   []string
		rests  bool // the provider's keys
		want   string
		err    bool
	}{
		{"alone", func(string) http.HandlerFunc { return good }, []string{""}, false, "mine", false},
		{"before the provider's", func(string) http.HandlerFunc { return good }, []string{"k1", "k2"}, false, "mine", false},
		{"although the provider's rest", func(string) http.HandlerFunc { return good }, []string{"k1"}, true, "mine", false},
		{"refused, then the provider's", refuseMine, []string{"k1"}, false, "mine k1", false},
		{"refused, and the provider has none", refuseMine, []string{""}, false, "mine", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, stream bool) {
				up := serveKeys(t, tt.answer)
				p, target := up.provider(t, "a", tt.keys...)
				_, second := serve(t, good).provider(t, "b")
				if tt.rests {
					p.Learn(KeyID("k1"), "", provider.KindRateLimited, time.Now(), time.Now().Add(time.Hour))
				}
				c := &Chain{Name: "tier", Main: []*Target{target}}
				if !tt.err {
					c.Fallback = []*Target{second}
				}
				var log attemptLog
				for range 2 { // what a user's key has met concerns one request
					own := NewOwnKeys(map[string]string{"a": "mine", "other": "x"})
					res := askCall(t, t.Context(), &Caller{Observer: &log}, Call{Route: c.Route(0), Own: own, Request: request(t, stream)})
					if (res.err != nil) != tt.err {
						t.Fatalf("%v", res.err)
					}
					if got := strings.ReplaceAll(up.calls(), "/m", ""); got != tt.want {
						t.Errorf("used %q, want %q", got, tt.want)
					}
				}
				if a := log.ended[0]; !a.Own || a.KeyID != KeyID("mine") {
					t.Errorf("%+v", a)
				} else if a.Err != nil && strings.Contains(a.Err.Error(), "mine") {
					t.Errorf("the error shows the key: %v", a.Err)
				}
				for _, k := range p.KeyStatuses(time.Now()) {
					if k.State != stateHealthy && !tt.rests {
						t.Errorf("%+v", k)
					}
				}
			})
		})
	}
}

func TestLearnAndForget(t *testing.T) {
	p := bound("p", "k1", "k2")
	k1 := KeyID("k1")
	at := func(d int64) time.Time { return time.Unix(0, noon+d) }
	state := func() (s string) {
		for _, k := range p.KeyStatuses(time.Unix(0, noon)) {
			s += k.State + " "
			for m, st := range k.Models {
				s += m + ":" + st.State + " "
			}
		}
		return strings.TrimSpace(s)
	}
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() { p.Learn(k1, "", provider.KindRateLimited, at(0), at(second)) }, "cooling healthy"},
		{func() { p.Learn(k1, "", provider.KindUnauthorized, at(0), at(second/2)) }, "cooling healthy"}, // the longer stays
		{func() { p.Learn("nobody", "", provider.KindRateLimited, at(0), at(second)) }, "cooling healthy"},
		{func() { p.Forget(k1, "") }, "healthy healthy"},
		{func() { p.Learn(k1, "", provider.KindRateLimited, at(0), at(-1)) }, "healthy healthy"}, // over
		{func() { p.Learn(k1, "", provider.KindUnauthorized, at(0), at(second)) }, "retired healthy"},
		{func() { p.Forget(k1, "") }, "healthy healthy"},
		{func() { p.Learn(k1, "m", provider.KindForbidden, at(0), at(second)) }, "healthy m:cooling healthy"},
		{func() { p.Forget(k1, "other") }, "healthy m:cooling healthy"},
		{func() { p.Forget(k1, "m") }, "healthy healthy"},
	} {
		step.do()
		if got := state(); got != step.want {
			t.Errorf("%q, want %q", got, step.want)
		}
	}
}
