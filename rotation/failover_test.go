package rotation

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/provider"
)

func bothWays(t *testing.T, do func(t *testing.T, stream bool)) {
	for _, stream := range []bool{false, true} {
		t.Run(map[bool]string{false: "whole", true: "stream"}[stream], func(t *testing.T) { do(t, stream) })
	}
}

// An upstream fails, another one answers: what is held against the first.
//
// contract: F2
func TestWhatAFailureHits(t *testing.T) {
	type marks struct{ target, key, pair string }
	server, nothing := marks{target: "server_error"}, marks{}
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   marks
	}{
		{"401", fails(401), marks{key: "unauthorized"}},
		{"402", fails(402), marks{key: "payment_required"}},
		{"429", fails(429), marks{key: "rate_limited"}},
		{"403", fails(403), marks{pair: "forbidden"}},
		{"404", fails(404), marks{pair: "not_found"}},
		{"500", fails(500), server},
		{"501", fails(501), server},
		{"502 with HTML", says(502, "<html>bad</html>"), server},
		{"503", fails(503), server},
		{"504", fails(504), server},
		{"599", fails(599), server},
		{"307", says(307, "", "Location", "http://127.0.0.1:1/v1"), server},
		{"no answer", drops, marks{target: "broken"}},
		{"200 with HTML", says(200, "<html>hello</html>", "Content-Type", "text/html"), marks{target: "broken"}},
		{"200 with an error", says(200, `{"error":{"message":"overloaded"}}`), marks{target: "error_event"}},
		{"200 with nothing", says(200, ""), marks{target: "broken"}},
		{"compressed", says(200, "\x1f\x8b", "Content-Encoding", "gzip"), marks{target: "broken"}},
		{"408", fails(408), nothing},
		{"409", fails(409), nothing},
		{"425", fails(425), nothing},
		{"529", fails(529), nothing},
		{"418", fails(418), nothing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, stream bool) {
				a, b := serve(t, tt.answer), serve(t, good)
				_, ta := a.provider(t, "a")
				_, tb := b.provider(t, "b")
				res := ask(t, inOrder(ta, tb), stream)
				if res.target != tb || res.broken != nil || res.trace.Target != tb || res.trace.Attempts != 2 {
					t.Fatalf("%+v", res)
				}
				if a.calls() != "a/m" || b.calls() != "b/m" {
					t.Error("each is asked once")
				}
				wantMarks(t, ta, tt.want.target, tt.want.key, tt.want.pair)
				wantMarks(t, tb, "", "", "")
				wantIdle(t, ta, tb)
			})
		})
	}
}

// contract: F2
func TestNoConnectionHitsTheTarget(t *testing.T) {
	bothWays(t, func(t *testing.T, stream bool) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		ta := NewTarget(at(t, "http://"+l.Addr().String(), "a", "a"), "m")
		_, tb := serve(t, good).provider(t, "b")
		if res := ask(t, inOrder(ta, tb), stream); res.target != tb {
			t.Fatalf("%+v", res)
		}
		wantMarks(t, ta, "dial", "", "")
		wantIdle(t, ta, tb)
	})
}

// The request itself is wrong: nobody else is asked, nothing is marked, and the
// caller hears why.
//
// contract: F2, R4
func TestRejectedRequestReachesTheCaller(t *testing.T) {
	for _, status := range []int{400, 413, 422} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			bothWays(t, func(t *testing.T, stream bool) {
				a, b := serve(t, fails(status)), serve(t, good)
				_, ta := a.provider(t, "a", "a1", "a2")
				_, tb := b.provider(t, "b")
				res := ask(t, inOrder(ta, tb), stream)
				wantAPI(t, res.err, status, fmt.Sprintf("no: %d", status))
				if e := res.err.API; e.Param != "p" || e.Code != "c" || e.Type != "invalid_request_error" || e.Class.String() != "caller" {
					t.Errorf("%+v", e)
				}
				if a.calls() != "a1/m" || b.calls() != "" {
					t.Error("somebody else was asked")
				}
				wantMarks(t, ta, "", "", "")
				wantIdle(t, ta, tb)
			})
		})
	}
	_, mute := serve(t, says(400, "")).provider(t, "a")
	wantAPI(t, ask(t, direct(mute), false).err, 400, "without saying why")
}

// A key's trouble is answered with the next key of the same target.
//
// contract: F2, F3
func TestKeyTroubleTriesTheNextKey(t *testing.T) {
	for _, status := range []int{401, 402, 403, 404, 429} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			bothWays(t, func(t *testing.T, stream bool) {
				a := serveKeys(t, func(key string) http.HandlerFunc {
					if key == "k3" {
						return good
					}
					return fails(status)
				})
				_, ta := a.provider(t, "a", "k1", "k2", "k3")
				for range 3 { // what is known costs nothing the next time
					if res := ask(t, inOrder(ta), stream); res.target != ta {
						t.Fatalf("%+v", res.err)
					}
				}
				if s := a.calls(); !strings.HasPrefix(s, "k1/m k2/m k3/m") || !strings.HasSuffix(s, "k3/m k3/m") {
					t.Error(s)
				}
				if cause(&ta.state.health) != "" {
					t.Error("the target was marked")
				}
				wantIdle(t, ta)
			})
		})
	}
}

// Two models of one provider: a key that was refused as a key is not tried for
// the second one, a key that was refused for the first model is.
//
// contract: F3
func TestSpentKeysOfOtherTargets(t *testing.T) {
	for status, want := range map[int]string{429: "k1/m1 k2/m1", 401: "k1/m1 k2/m1", 404: "k1/m1 k2/m1 k1/m2 k2/m2", 500: "k1/m1 k2/m2"} {
		a := serve(t, fails(status))
		p, _ := a.provider(t, "a", "k1", "k2")
		ask(t, inOrder(NewTarget(p, "m1"), NewTarget(p, "m2")), false)
		if got := a.calls(); got != want {
			t.Errorf("%d: %s, want %s", status, got, want)
		}
	}
}

// A request that makes one upstream after the other fail takes away only one.
//
// contract: F2
func TestOnlyTheFirst5xxOfARequestMarks(t *testing.T) {
	bothWays(t, func(t *testing.T, stream bool) {
		a, b, c := serve(t, fails(500)), serve(t, fails(503)), serve(t, drops)
		_, ta := a.provider(t, "a")
		_, tb := b.provider(t, "b")
		_, tc := c.provider(t, "c")
		ask(t, inOrder(ta, tb, tc), stream)
		wantMarks(t, ta, "server_error", "", "")
		wantMarks(t, tb, "", "", "")
		wantMarks(t, tc, "broken", "", "") // no 5xx
		wantIdle(t, ta, tb, tc)
	})
}

func TestQuarantineOffMarksNothing(t *testing.T) {
	for _, status := range []int{401, 404, 429, 500} {
		a := serve(t, fails(status, "Retry-After", "7"))
		p, ta := a.provider(t, "a")
		p.Quarantine = 0
		for range 3 {
			res := ask(t, inOrder(ta), false)
			if res.err == nil {
				t.Fatal("answered")
			}
			if status == 429 && (res.err.API.Status != 429 || res.err.API.RetryAfter != 7*time.Second) {
				t.Errorf("%+v", res.err.API)
			}
		}
		if a.calls() != "a/m a/m a/m" {
			t.Error("not every request was tried")
		}
		wantMarks(t, ta, "", "", "")
		wantIdle(t, ta)
	}
}

// An early probe of everything that can be claimed and how it ends: whatever
// happens, the next request may probe again.
//
// contract: F2, F4
func TestProbesAreGivenBack(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		healed bool // the target
	}{
		{"good", good, true},
		{"400", fails(400), true}, // it answers
		{"401", fails(401), false},
		{"404", fails(404), false},
		{"429", fails(429), false},
		{"500", fails(500), false},
		{"529", fails(529), false},
		{"no answer", drops, false},
		{"error event", says(200, `{"error":{"message":"x"}}`), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, stream bool) {
				a := serve(t, tt.answer)
				p, ta := a.provider(t, "a")
				now := time.Now().UnixNano()
				ta.state.fail(granted, now, provider.KindDial, time.Hour, quarantine)
				p.Keys[0].state.fail(granted, now, provider.KindPayment, time.Hour, quarantine)
				p.Keys[0].state.failPair("m", refused, now, provider.KindForbidden, time.Hour, quarantine)
				ask(t, inOrder(ta), stream)
				if a.calls() != "a/m" {
					t.Error("not probed")
				}
				if healed := cause(&ta.state.health) == ""; healed != tt.healed {
					t.Errorf("target healed: %v", healed)
				}
				if tt.name == "good" {
					wantMarks(t, ta, "", "", "")
				}
				wantIdle(t, ta)
			})
		})
	}
}
