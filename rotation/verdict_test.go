package rotation

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
)

// contract: F4, R2, R4
func TestVerdicts(t *testing.T) {
	type list []http.HandlerFunc
	html := says(502, "<html>bad gateway</html>")
	for _, tt := range []struct {
		name    string
		answers list
		status  int
		text    string
		code    string
		retry   time.Duration
	}{
		{"429", list{fails(429, "Retry-After", "30")}, 429, "rate limited", "rate_limit_exceeded", 30 * s},
		{"the soonest 429", list{fails(429, "Retry-After", "30"), fails(429, "Retry-After", "600")}, 429, "rate limited", "rate_limit_exceeded", 30 * s},
		{"429, then 500", list{fails(429), fails(500)}, 502, "failed. It says: no: 500", "upstream_error", 0},
		{"500, then 429", list{fails(500), fails(429)}, 503, "No upstream", "overloaded", s},
		{"401", list{fails(401)}, 502, "refused the gateway's credentials", "upstream_error", 0},
		{"402", list{fails(402)}, 502, "refused the gateway's credentials", "upstream_error", 0},
		{"403", list{fails(403)}, 502, "refused the gateway's credentials", "upstream_error", 0},
		{"404", list{fails(404)}, 502, "does not know it", "upstream_error", 0},
		{"500", list{fails(500)}, 502, "It says: no: 500", "upstream_error", 0},
		{"HTML", list{html}, 502, "The upstream of the model `tier` failed.", "upstream_error", 0},
		{"503", list{fails(503, "Retry-After", "7")}, 503, "overloaded. It says: no: 503", "overloaded", 7 * s},
		{"529", list{fails(529)}, 503, "overloaded. It says: no: 529", "overloaded", s},
		{"405", list{fails(405)}, 502, "failed. It says: no: 405", "upstream_error", 0},
		{"error event", list{says(200, `{"error":{"message":"gone"}}`)}, 502, "failed. It says: gone", "upstream_error", 0},
		{"no answer", list{drops}, 502, "failed. The reason: upstream closed the connection", "upstream_error", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, stream bool) {
				var all []*Target
				for _, answer := range tt.answers {
					_, target := serve(t, answer).provider(t, "p")
					all = append(all, target)
				}
				res := ask(t, inOrder(all...), stream)
				wantAPI(t, res.err, tt.status, tt.text)
				e := res.err.API
				if e.Code != tt.code || e.Class != openai.ClassProvider {
					t.Errorf("%+v", e)
				}
				if d := e.RetryAfter; d > tt.retry || d < tt.retry-2*s {
					t.Errorf("Retry-After %v, want %v", d, tt.retry)
				}
				if res.err.Cause == nil || res.err.Error() != res.err.Cause.Error() {
					t.Errorf("cause %v", res.err.Cause)
				}
				for _, target := range all {
					wantIdle(t, target)
				}
			})
		})
	}
}

// What the only upstream says of a model is said of the name; a tier exists all
// the same.
//
// contract: R2
func TestUnknownModel(t *testing.T) {
	u := serve(t, fails(404))
	p, ta := u.provider(t, "a", "k1", "k2")
	for range 2 {
		wantAPI(t, ask(t, direct(ta), false).err, 404, "The model `a/m` does not exist")
	}
	// Nor is it another error while somebody else is probing.
	for _, k := range p.Keys {
		k.state.pair("m").claim(time.Now().UnixNano(), true)
	}
	wantAPI(t, ask(t, direct(ta), false).err, 404, "The model `a/m` does not exist")
	_, tb := u.provider(t, "b")
	wantAPI(t, ask(t, inOrder(tb), false).err, 502, "does not know it")
}

// contract: F4
func TestVerdictWithoutATry(t *testing.T) {
	now := time.Now().UnixNano()
	u := serve(t, good)
	make2 := func(a, b provider.Kind) *Chain {
		pa, ta := u.provider(t, "a")
		pb, tb := u.provider(t, "b")
		pa.Keys[0].state.fail(granted, now, a, time.Hour, quarantine)
		pa.Keys[0].state.claim(now, true) // somebody probes
		pb.Keys[0].state.fail(granted, now, b, 2*time.Hour, quarantine)
		pb.Keys[0].state.claim(now, true)
		return inOrder(ta, tb)
	}
	for _, tt := range []struct {
		a, b   provider.Kind
		status int
	}{
		{provider.KindRateLimited, provider.KindRateLimited, 429},
		{provider.KindRateLimited, provider.KindPayment, 503},
		{provider.KindUnauthorized, provider.KindUnauthorized, 503},
	} {
		res := ask(t, make2(tt.a, tt.b), false)
		wantAPI(t, res.err, tt.status, "")
		if d := res.err.API.RetryAfter; d > time.Hour || d < time.Hour-time.Minute {
			t.Errorf("Retry-After %v", d)
		}
		if res.err.Cause != nil || res.err.Error() == "" || res.err.Unwrap() != nil {
			t.Errorf("%v", res.err)
		}
	}
	if u.calls() != "" {
		t.Error("asked")
	}
	wantAPI(t, ask(t, inOrder(), false).err, 503, "No upstream")
}

// contract: S4
func TestBrokenTellsTheClient(t *testing.T) {
	for _, tt := range []struct {
		err    provider.Error
		status int
		text   string
	}{
		{provider.Error{Kind: provider.KindTimeout, Message: "nothing received within idle_timeout"}, 504, "stopped sending: nothing received"},
		{provider.Error{Kind: provider.KindErrorEvent, Message: "gone"}, 502, "with an error. It says: gone"},
		{provider.Error{Kind: provider.KindBroken, Message: "secret detail"}, 502, "broke off."},
	} {
		wantAPI(t, &Error{API: Broken(&tt.err)}, tt.status, tt.text)
		if strings.Contains(Broken(&tt.err).Message, "detail") {
			t.Error("our own words are for the log")
		}
	}
}
