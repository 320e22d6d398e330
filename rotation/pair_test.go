package rotation

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/universal-ai-gateway/magicproxy/openai"
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
		a := &attempt{run: fresh(), target: target}
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

// A completion has an answer for every prompt.
//
// contract: S4
func TestTruncatedBeforeTheSecondPrompt(t *testing.T) {
	one := `data: {"choices":[{"index":0,"text":"a","finish_reason":"stop"}]}` + "\n\n"
	for prompt, whole := range map[string]bool{`"a"`: true, `[1,2,3]`: true, `["a"]`: true, `["a","b"]`: false, `[[1],[2]]`: false} {
		_, ta := serve(t, sends(one)).provider(t, "a")
		req, e := openai.ParseRequest(openai.Completions, []byte(`{"model":"x","stream":true,"prompt":`+prompt+`}`))
		if e != nil {
			t.Fatal(e)
		}
		s, err := new(Caller).Stream(t.Context(), Call{Route: Route{Chain: inOrder(ta)}, Request: req})
		if err != nil {
			t.Fatal(err)
		}
		_, broken := rest(s)
		s.Close()
		if (broken == nil) != whole {
			t.Errorf("prompt %s: %v", prompt, broken)
		}
	}
}

// A whole answer whose upstream does not hang up is no failure.
//
// contract: S4
func TestUpstreamThatStaysAfterTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		res := ask(t, inOrder(timed(paced(0, step{0, helloEvent}, step{0, finishEvent}, step{time.Hour, ""}))), true)
		if res.err != nil || res.broken != nil || res.text != helloEvent+finishEvent {
			t.Errorf("%+v", res)
		}
	})
}

// Events that say nothing, and those that say it is over.
func TestOddEvents(t *testing.T) {
	for body, kind := range map[string]provider.Kind{
		helloEvent + "event: error\n\n":                                        provider.KindErrorEvent,
		helloEvent + "event: error\ndata: [DONE]\n\n":                          provider.KindErrorEvent,
		helloEvent + `data: {"\u0065rror":{"message":"no"}}` + "\n\n":          provider.KindErrorEvent,
		helloEvent + `data: {"error":false,"choices":[]}` + "\n\n" + doneEvent: provider.KindOK,
		helloEvent + `data: {"error":{ },"choices":[]}` + "\n\n" + doneEvent:   provider.KindOK,
		helloEvent + "data: " + strings.Repeat("x", 2<<20) + "\n\n":            provider.KindBroken,
	} {
		_, ta := serve(t, sends(body)).provider(t, "a")
		res := ask(t, inOrder(ta), true)
		if kind == provider.KindOK {
			if res.broken != nil {
				t.Errorf("%.80q: %v", body, res.broken)
			}
			continue
		}
		wantKind(t, res.broken, kind)
	}
}

// What net/http says of a malformed answer quotes it.
//
// security: X5
func TestTransportErrorsAreScrubbed(t *testing.T) {
	p := bound("p", "canary-key-0123456789")
	err := p.scrubError(provider.ErrIdleTimeout, "")
	if err != provider.ErrIdleTimeout {
		t.Errorf("a harmless error was changed: %v", err)
	}
	inner := &provider.Error{Message: `malformed MIME header: "oops Bearer canary-key-0123456789"`}
	err = p.scrubError(inner, "")
	if got := err.Error(); got != `malformed MIME header: "oops [redacted]"` && got != `malformed MIME header: "oops [redacted]` {
		t.Errorf("%s", got)
	}
	if p.scrubError(nil, "") != nil {
		t.Error("nothing became something")
	}
}
