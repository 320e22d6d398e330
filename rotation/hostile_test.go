package rotation

import (
	"net/http"
	"strings"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/provider"
)

// What an upstream can make us hold has bounds; what exceeds them before the
// first content goes elsewhere.
//
// security: X10
func TestFloodsBeforeContent(t *testing.T) {
	line := "data: " + strings.Repeat("x", 2<<20)
	for name, answer := range map[string]http.HandlerFunc{
		"endless line":  floods("data: ", "x"),
		"long line":     sends(line),
		"endless event": floods("", "data: {\n"),
	} {
		t.Run(name, func(t *testing.T) {
			_, ta := serve(t, answer).provider(t, "a")
			_, tb := serve(t, good).provider(t, "b")
			if res := ask(t, inOrder(ta, tb), true); res.target != tb || res.text != wholeStream {
				t.Fatalf("%+v", res)
			}
			wantMarks(t, ta, "broken", "", "")
			wantIdle(t, ta, tb)
		})
	}
}

// security: X10
func TestFloodsAfterContent(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"endless line":  floods(helloEvent+"data: ", "x"),
		"endless event": floods(helloEvent, "data: {\n"),
	} {
		t.Run(name, func(t *testing.T) {
			u := serve(t, answer)
			_, ta := u.provider(t, "a")
			res := ask(t, inOrder(ta), true)
			if res.target != ta || res.text != helloEvent {
				t.Fatalf("%+v", res)
			}
			wantKind(t, res.broken, provider.KindBroken)
			eventually(t, "the upstream is cut off", func() bool { return u.left() == 1 })
			wantMarks(t, ta, "broken", "", "")
			wantIdle(t, ta)
		})
	}
}

// Start-up events are held back up to a bound; then the stream begins with them.
//
// contract: S5; security: X10
func TestEndlessStartUpEvents(t *testing.T) {
	long := strings.Replace(roleEvent, `"content":""`, `"content":"","role":"`+strings.Repeat("a", 40<<10)+`"`, 1)
	for name, event := range map[string]string{"roles": roleEvent, "long": long} {
		t.Run(name, func(t *testing.T) {
			_, ta := serve(t, floods("", event)).provider(t, "a")
			s, err := new(Caller).Stream(t.Context(), Call{Route: Route{Chain: inOrder(ta)}, Request: request(t, true)})
			if err != nil {
				t.Fatal(err)
			}
			first, err := s.Next()
			if err != nil {
				t.Fatal(err)
			}
			if n := len(first.Raw); n > maxHeldBytes+2*len(event) || n > maxHeldEvents*len(event) || n%len(event) != 0 {
				t.Errorf("%d bytes held", n)
			}
			if ev, err := s.Next(); err != nil || string(ev.Raw) != event {
				t.Errorf("%v %q", err, ev.Raw)
			}
			s.Close()
			wantIdle(t, ta)
		})
	}
}

// Comments say nothing: however many come first, what follows decides.
//
// contract: S5
func TestCommentsBeforeTheFirstContent(t *testing.T) {
	comments := strings.Repeat(": wait\n\n", 2*maxHeldEvents)
	_, ta := serve(t, sends(comments+`data: {"error":{"message":"no"}}`+"\n\n")).provider(t, "a")
	_, tb := serve(t, sends(comments+wholeStream)).provider(t, "b")
	res := ask(t, inOrder(ta, tb), true)
	if res.target != tb || res.text != comments+wholeStream {
		t.Errorf("%v answered with %d bytes: %v", res.target, len(res.text), res.err)
	}
	if got := cause(&ta.state.health); got != "error_event" {
		t.Errorf("held against a: %q", got)
	}
	// Without end they come to one of ours, and hold no memory meanwhile.
	_, tc := serve(t, floods("", ": wait\n\n")).provider(t, "c")
	if res := ask(t, inOrder(tc), true); res.err == nil {
		t.Error("comments passed for an answer")
	}
}

// A stream has an end, if only ours.
//
// security: X10
func TestEndlessStreamIsEnded(t *testing.T) {
	for name, skip := range map[string]func(*Stream){
		"bytes":  func(s *Stream) { s.bytes = maxBytes - 100*len(helloEvent) }, // half a gigabyte takes its time
		"events": func(s *Stream) { s.events = maxEvents - 100 },
	} {
		_, ta := serve(t, floods("", helloEvent)).provider(t, "a")
		s, err := new(Caller).Stream(t.Context(), Call{Route: Route{Chain: inOrder(ta)}, Request: request(t, true)})
		if err != nil {
			t.Fatal(err)
		}
		skip(s)
		n := -1 // the first event has been counted already
		for err == nil {
			_, err = s.Next()
			n++
		}
		wantKind(t, err, provider.KindBroken)
		if n != 101 {
			t.Errorf("%s: ended after %d events", name, n)
		}
		s.Close()
		wantMarks(t, ta, "broken", "", "")
		wantIdle(t, ta)
	}
}

// security: X10
func TestAnswerTooLarge(t *testing.T) {
	for _, length := range []string{"", "1000000000"} {
		t.Run("length "+length, func(t *testing.T) {
			_, ta := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if length != "" {
					w.Header().Set("Content-Length", length)
				}
				floods("", "x")(w, r)
			}).provider(t, "a")
			res := ask(t, inOrder(ta), false)
			wantAPI(t, res.err, 502, "larger than 128 MiB")
			wantMarks(t, ta, "broken", "", "")
			wantIdle(t, ta)
		})
	}
}

// A flood as the body of a refusal is read only as far as it may matter.
//
// security: X10
func TestFloodOfAnError(t *testing.T) {
	bothWays(t, func(t *testing.T, stream bool) {
		u := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusTooManyRequests)
			floods("", "x")(w, r)
		})
		_, ta := u.provider(t, "a")
		wantAPI(t, ask(t, inOrder(ta), stream).err, 429, "rate limited")
		eventually(t, "the upstream is cut off", func() bool { return u.left() == 1 })
		wantMarks(t, ta, "", "rate_limited", "")
	})
}

// contract: S4
func TestTruncatedAnswers(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"cut": cuts(wholeAnswer[:40]),
		"end": says(200, wholeAnswer[:40]),
		"short of its length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(wholeAnswer))
		},
		"two":      says(200, wholeAnswer+wholeAnswer),
		"list":     says(200, "["+wholeAnswer+"]"),
		"a stream": sends(wholeStream),
	} {
		t.Run(name, func(t *testing.T) {
			_, ta := serve(t, answer).provider(t, "a")
			_, tb := serve(t, good).provider(t, "b")
			if res := ask(t, inOrder(ta, tb), false); res.target != tb || res.text != wholeAnswer {
				t.Fatalf("%+v", res)
			}
			wantMarks(t, ta, "broken", "", "")
			wantIdle(t, ta, tb)
		})
	}
}

// Refusals keep what their status says even when their bodies break off.
//
// contract: F2
func TestRefusalWithABrokenBody(t *testing.T) {
	_, ta := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = w.Write([]byte(`{"error":`))
	}).provider(t, "a")
	wantAPI(t, ask(t, inOrder(ta), false).err, 429, "rate limited")
	wantMarks(t, ta, "", "rate_limited", "")
}

// A redirect is an answer: the key does not follow it.
//
// security: X1
func TestRedirectsAreNotFollowed(t *testing.T) {
	other := serve(t, good)
	for _, status := range []int{301, 302, 303, 307, 308} {
		_, ta := serve(t, says(status, "", "Location", other.URL+"/v1/chat/completions")).provider(t, "a")
		wantAPI(t, ask(t, inOrder(ta), false).err, 502, "failed")
	}
	if other.calls() != "" {
		t.Error("followed")
	}
}
