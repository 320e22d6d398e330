package rotation

import (
	"errors"
	"net/http"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/provider"
)

// contract: S5
// Who goes on after a stream that broke off uses nothing again: the next target
// answers, and with none left the last failure decides.
func TestTriesGoOn(t *testing.T) {
	broken := serve(t, says(200, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n", "Content-Type", "text/event-stream"))
	_, ta := broken.provider(t, "first")
	_, tb := serve(t, good).provider(t, "second")
	var tries Tries
	var trace Trace
	try := func(c *Chain) (*Stream, error) {
		return new(Caller).Stream(t.Context(), Call{Route: Route{Chain: c}, Request: request(t, true), Trace: &trace, Tries: &tries})
	}
	s, err := try(inOrder(ta, tb))
	if err != nil {
		t.Fatal(err)
	}
	_, err = rest(s)
	s.Close()
	failure, ok := errors.AsType[*provider.Error](err)
	if !ok || s.Target() != ta {
		t.Fatalf("%v from %s", err, s.Target())
	}
	tries.Fail(ta, failure)
	s, err = try(inOrder(ta, tb))
	if err != nil {
		t.Fatal(err)
	}
	text, err := rest(s)
	s.Close()
	if s.Target() != tb || err != nil || text == "" || trace.Attempts != 2 {
		t.Errorf("%s answers %q, %v, after %d attempts", s.Target(), text, err, trace.Attempts)
	}
	tries.Fail(tb, &provider.Error{Kind: provider.KindBroken, Message: "of no use"})
	_, err = try(inOrder(ta, tb))
	var e *Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	wantAPI(t, e, http.StatusBadGateway, "of no use")
	wantIdle(t, ta, tb)
}

// contract: A9
// A tool call of the model's that an upstream refuses is nobody's fault: nothing is
// marked, whether it comes as a status or as an event.
func TestRefusedToolCallsMarkNothing(t *testing.T) {
	const refusal = `{"error":{"message":"Failed to call a function.","type":"invalid_request_error","code":"tool_use_failed","failed_generation":"<function=x>"}}`
	for name, answer := range map[string]http.HandlerFunc{
		"status": says(400, refusal), "event": says(200, "event: error\ndata: "+refusal+"\n\n", "Content-Type", "text/event-stream"),
	} {
		t.Run(name, func(t *testing.T) {
			_, ta := serve(t, answer).provider(t, "first")
			res := ask(t, direct(ta), true)
			wantAPI(t, res.err, http.StatusBadRequest, "Failed to call a function.")
			if c := res.err.Cause; !c.ToolUse || c.Generation != "<function=x>" || c.Kind != provider.KindRejected {
				t.Errorf("%+v", c)
			}
			wantMarks(t, ta, "", "", "")
			wantIdle(t, ta)
		})
	}
}
