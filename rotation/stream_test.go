package rotation

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
)

// Until the first content event a stream may still go elsewhere, and nothing of
// the failed one is seen.
//
// contract: S5
func TestStreamFailsOverBeforeContent(t *testing.T) {
	errorEvent := `data: {"error":{"message":"overloaded","code":503}}` + "\n\n"
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		cause  string
	}{
		"error first":          {sends(errorEvent), "error_event"},
		"error as text":        {sends(`data: {"error":"overloaded"}` + "\n\n"), "error_event"},
		"error by type":        {sends("event: error\ndata: {\"message\":\"overloaded\"}\n\n"), "error_event"},
		"error after the role": {sends(": hi\n\n", roleEvent, roleEvent, errorEvent), "error_event"},
		"error as JSON":        {says(200, `{"error":{"message":"overloaded"}}`), "error_event"},
		"JSON":                 {says(200, wholeAnswer), "broken"},
		"text":                 {says(200, "hello", "Content-Type", "text/plain"), "broken"},
		"empty":                {sends(), "broken"},
		"cut before an event":  {cuts(""), "broken"},
		"cut after the role":   {cuts(roleEvent), "broken"},
		"end after the role":   {sends(roleEvent), "broken"},
		"end within an event":  {sends(roleEvent, strings.TrimSuffix(helloEvent, "\n\n")), "broken"},
		"garbage":              {sends("data: {nonsense\n\n"), "broken"},
		"garbage after role":   {sends(roleEvent, "data: 5 5\n\n"), "broken"},
	} {
		t.Run(name, func(t *testing.T) {
			a := serve(t, tt.answer)
			_, ta := a.provider(t, "a")
			_, tb := serve(t, good).provider(t, "b")
			res := ask(t, inOrder(ta, tb), true)
			if res.target != tb || res.text != wholeStream || res.broken != nil {
				t.Fatalf("%+v", res)
			}
			wantMarks(t, ta, tt.cause, "", "")
			wantIdle(t, ta, tb)
		})
	}
}

// After the first content a failure is visible, and truncation never looks like
// success.
//
// contract: S4
func TestBrokenStreamIsVisible(t *testing.T) {
	two := `data: {"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}]}` + "\n\n"
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		kind   provider.Kind
		cause  string
	}{
		"cut":               {cuts(roleEvent, helloEvent), provider.KindBroken, "broken"},
		"end":               {sends(roleEvent, helloEvent), provider.KindBroken, "broken"},
		"end in an event":   {sends(helloEvent, `data: {"choices":[{"ind`), provider.KindBroken, "broken"},
		"half finished":     {sends(two, finishEvent), provider.KindBroken, "broken"},
		"cut when finished": {cuts(helloEvent, finishEvent), provider.KindBroken, "broken"},
		"garbage":           {sends(helloEvent, "data: <html>\n\n", doneEvent), provider.KindBroken, "broken"},
		"invalid UTF-8":     {sends(helloEvent, "data: {\"a\":\"\xff\n\n"), provider.KindBroken, "broken"},
		"error event":       {sends(helloEvent, `data: {"error":{"message":"gone"}}`+"\n\n", doneEvent), provider.KindErrorEvent, "error_event"},
	} {
		t.Run(name, func(t *testing.T) {
			b := serve(t, good)
			_, ta := serve(t, tt.answer).provider(t, "a")
			_, tb := b.provider(t, "b")
			res := ask(t, inOrder(ta, tb), true)
			if res.target != ta || !strings.Contains(res.text, `"content"`) || strings.Contains(res.text, "[DONE]") {
				t.Fatalf("%+v", res)
			}
			wantKind(t, res.broken, tt.kind)
			if b.calls() != "" {
				t.Error("another upstream was asked after content")
			}
			wantMarks(t, ta, tt.cause, "", "")
			wantIdle(t, ta)
		})
	}
}

// contract: S1, S4
func TestWholeStreams(t *testing.T) {
	two := `data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"},{"index":1,"delta":{"content":"b"},"finish_reason":"length"}]}` + "\n\n"
	for name, tt := range map[string]struct{ answer, want string }{
		"usual":                {wholeStream, wholeStream},
		"without usage":        {roleEvent + helloEvent + finishEvent + doneEvent, ""},
		"without done":         {roleEvent + helloEvent + finishEvent + usageEvent, ""},
		"comments":             {": wait\n\n" + roleEvent + ": wait\n\n" + helloEvent + ": go on\n\n" + finishEvent + doneEvent, ""},
		"two choices":          {two, ""},
		"only done":            {doneEvent, ""},
		"no content":           {roleEvent + finishEvent + doneEvent, ""},
		"CRLF":                 {strings.ReplaceAll(wholeStream, "\n", "\r\n"), ""},
		"done without its end": {helloEvent + "data: [DONE]", helloEvent + doneEvent},
		"half after the end":   {helloEvent + finishEvent + "data: {", helloEvent + finishEvent},
		"reasoning":            {`data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}` + "\n\n" + doneEvent, ""},
		"more after done":      {helloEvent + doneEvent + helloEvent, helloEvent + doneEvent},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.want == "" {
				tt.want = tt.answer
			}
			_, ta := serve(t, sends(tt.answer)).provider(t, "a")
			res := ask(t, inOrder(ta), true)
			if res.err != nil || res.broken != nil || res.text != tt.want {
				t.Fatalf("%+v", res)
			}
			wantMarks(t, ta, "", "", "")
			wantIdle(t, ta)
		})
	}
}

// contract: S2, F7
func TestTraceTellsWhatCame(t *testing.T) {
	bothWays(t, func(t *testing.T, stream bool) {
		_, ta := serve(t, fails(500)).provider(t, "a")
		_, tb := serve(t, good).provider(t, "b")
		tr := ask(t, inOrder(ta, tb), stream).trace
		if tr.Target != tb || tr.Attempts != 2 || tr.Waited <= 0 || tr.First.IsZero() == stream {
			t.Errorf("%+v", tr)
		}
		if tr.Usage != (openai.Usage{Prompt: 3, Completion: 5, Total: 8}) {
			t.Errorf("usage %+v", tr.Usage)
		}
	})
}

// The error of Next stays, is held against the target once, and a stream may be
// closed twice.
//
// contract: F2
func TestStreamEndsOnce(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{"broken": cuts(helloEvent), "whole": good, "given up": hangs(helloEvent)} {
		t.Run(name, func(t *testing.T) {
			_, ta := serve(t, answer).provider(t, "a")
			var log attemptLog
			s, err := (&Caller{Observer: &log}).Stream(t.Context(), Call{Route: Route{Chain: inOrder(ta)}, Request: request(t, true)})
			if err != nil {
				t.Fatal(err)
			}
			if name != "given up" {
				_, first := rest(s)
				for range 3 {
					if _, err := s.Next(); first == nil && err != io.EOF || first != nil && err != first {
						t.Errorf("%v after %v", err, first)
					}
				}
				if st := ta.state.status(0); first != nil && st.Failures != 1 {
					t.Errorf("%+v", st)
				}
			}
			s.Close()
			s.Close()
			if _, err := s.Next(); err == nil {
				t.Error("an event after Close")
			}
			if begun, ended := log.counts(); begun != 1 || ended != 1 {
				t.Errorf("%d attempts begun, %d ended", begun, ended)
			}
			wantIdle(t, ta)
		})
	}
}

// What one read brought needs no second one.
//
// contract: S8
func TestStreamBuffered(t *testing.T) {
	_, ta := serve(t, sends(wholeStream)).provider(t, "a")
	s, err := new(Caller).Stream(t.Context(), Call{Route: Route{Chain: inOrder(ta)}, Request: request(t, true)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n := 0
	for s.Buffered() {
		ev, err := s.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n += len(ev.Raw)
	}
	if n != len(wholeStream)-len(usageEvent) || !s.done {
		t.Errorf("%d of %d bytes without reading", n, len(wholeStream)-len(usageEvent))
	}
}
