package rotation

import (
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/provider"
)

// A key that cools for longer than its refusal of one model, while that refusal
// is being probed: nothing is there to be probed early, and nobody may spin.
//
// contract: F4
func TestEarlyProbeWaitsForThePair(t *testing.T) {
	p := bound("p", "k")
	target := NewTarget(p, "m")
	key := p.Keys[0].state
	key.failPair("m", granted, noon, provider.KindNotFound, 0, quarantine)
	now := noon + 2*second
	if key.pair("m").claim(now, false) != probe {
		t.Fatal("the pair is not half-open")
	}
	key.fail(granted, now, provider.KindRateLimited, time.Minute, quarantine)
	if _, early, _ := key.due("m"); early {
		t.Error("the pair is probed already, yet another probe is allowed")
	}
	done := make(chan bool)
	go func() {
		a := &attempt{run: new(run), target: target}
		done <- a.takeKey(now, true)
	}()
	select {
	case took := <-done:
		if took {
			t.Error("took the key")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("takeKey does not come to an end")
	}
	if _, early, _ := key.due("other"); !early {
		t.Error("another model may be probed")
	}
}

// Every choice that was asked for must have ended, not only those that have been
// seen.
//
// contract: S4
func TestTruncatedBeforeTheSecondChoice(t *testing.T) {
	one := `data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}` + "\n\n"
	two := `data: {"choices":[{"index":1,"delta":{"content":"b"},"finish_reason":"stop"}]}` + "\n\n"
	for _, tt := range []struct {
		body  string
		whole bool
	}{{one, false}, {one + two, true}, {one + doneEvent, true}} {
		_, ta := serve(t, sends(tt.body)).provider(t, "a")
		req := parse(t, `{"model":"x","n":2,"messages":[{"role":"user","content":"hi"}],"stream":true}`)
		s, err := new(Caller).Stream(t.Context(), Call{Route: Route{Chain: inOrder(ta)}, Request: req})
		if err != nil {
			t.Fatal(err)
		}
		_, broken := rest(s)
		s.Close()
		if (broken == nil) != tt.whole {
			t.Errorf("%q: %v", tt.body, broken)
		}
	}
}

// What net/http says of a malformed answer quotes it.
//
// security: X5
func TestTransportErrorsAreScrubbed(t *testing.T) {
	p := bound("p", "canary-key-0123456789")
	err := p.scrubError(provider.ErrIdleTimeout)
	if err != provider.ErrIdleTimeout {
		t.Errorf("a harmless error was changed: %v", err)
	}
	inner := &provider.Error{Message: `malformed MIME header: "oops Bearer canary-key-0123456789"`}
	err = p.scrubError(inner)
	if got := err.Error(); got != `malformed MIME header: "oops [redacted]"` && got != `malformed MIME header: "oops [redacted]` {
		t.Errorf("%s", got)
	}
	if p.scrubError(nil) != nil {
		t.Error("nothing became something")
	}
}
