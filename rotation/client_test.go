package rotation

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/provider"
)

// The client leaves before there is anything to see: the upstream hears of it,
// nobody else is asked and nothing is marked.
//
// contract: S9
func TestClientLeavesBeforeContent(t *testing.T) {
	for name, pieces := range map[string][]string{"before the header": nil, "after the role": {roleEvent}} {
		t.Run(name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, stream bool) {
				asked := make(chan struct{})
				a := serve(t, func(w http.ResponseWriter, r *http.Request) {
					close(asked)
					hangs(pieces...)(w, r)
				})
				b := serve(t, good)
				_, ta := a.provider(t, "a")
				_, tb := b.provider(t, "b")
				ctx, leave := context.WithCancel(t.Context())
				go func() {
					<-asked
					leave()
				}()
				res := askAs(t, ctx, new(Caller), inOrder(ta, tb), stream)
				if res.err == nil || !res.err.Canceled() || res.err.Error() != "canceled" || !errors.Is(res.err, context.Canceled) {
					t.Fatalf("%+v", res.err)
				}
				eventually(t, "the upstream sees it", func() bool { return a.left() == 1 })
				if b.calls() != "" {
					t.Error("another upstream was asked")
				}
				wantMarks(t, ta, "", "", "")
				wantIdle(t, ta, tb)
			})
		})
	}
}

// contract: S9
func TestClientLeavesAfterContent(t *testing.T) {
	for _, how := range []string{"context", "close"} {
		t.Run(how, func(t *testing.T) {
			a := serve(t, hangs(helloEvent))
			_, ta := a.provider(t, "a")
			var log attemptLog
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			s, err := (&Caller{Observer: &log}).Stream(ctx, Call{Route: Route{Chain: inOrder(ta)}, Request: request(t, true)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Next(); err != nil {
				t.Fatal(err)
			}
			if how == "context" {
				leave()
				_, err := s.Next()
				wantKind(t, err, provider.KindCanceled)
			}
			s.Close()
			eventually(t, "the upstream sees it", func() bool { return a.left() == 1 })
			wantMarks(t, ta, "", "", "")
			wantIdle(t, ta)
			if len(log.ended) != 1 || log.ended[0].Err == nil || log.ended[0].Err.Kind != provider.KindCanceled {
				t.Errorf("%+v", log.ended)
			}
		})
	}
}

// One who has left before asks nobody.
//
// contract: S9
func TestClientLeftAlready(t *testing.T) {
	bothWays(t, func(t *testing.T, stream bool) {
		a := serve(t, good)
		_, ta := a.provider(t, "a")
		ta.state.failNow(granted, 0) // half-open: its probe must not be lost
		ctx, leave := context.WithCancel(t.Context())
		leave()
		if res := askAs(t, ctx, new(Caller), inOrder(ta), stream); res.err == nil || !res.err.Canceled() {
			t.Errorf("%+v", res)
		}
		wantIdle(t, ta)
	})
}

// A finished stream's connection serves the next one, also where the end comes
// a little after [DONE].
//
// contract: K8
func TestConnectionsAreUsedAgain(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"at once":        good,
		"piece by piece": sends(roleEvent, helloEvent, finishEvent, usageEvent, doneEvent),
		"refused":        fails(529),
		"HTML":           says(502, "<html>"+strings.Repeat("x", 5000)),
	} {
		t.Run(name, func(t *testing.T) {
			u := serve(t, answer)
			_, ta := u.provider(t, "a")
			for range 100 {
				ask(t, inOrder(ta), true)
			}
			if n := u.accepted.Load(); n != 1 {
				t.Errorf("%d connections for 100 streams", n)
			}
			if n := len(strings.Fields(u.calls())); n != 100 {
				t.Errorf("%d calls", n)
			}
		})
	}
}
