package openai

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// contract: R2, R3
func TestErrorsOnTheWire(t *testing.T) {
	for name, c := range map[string]struct {
		e      *Error
		status int
		class  string
		body   string
		header map[string]string
	}{
		"bad field": {
			InvalidRequest("n", "Invalid '%s'.", "n"), 400, "caller",
			`{"error":{"message":"Invalid 'n'.","type":"invalid_request_error","param":"n","code":null}}`, nil,
		},
		"bad body": {
			InvalidRequest("", "No."), 400, "caller",
			`{"error":{"message":"No.","type":"invalid_request_error","param":null,"code":null}}`, nil,
		},
		"key": {
			InvalidKey(), 401, "policy",
			`{"error":{"message":"Incorrect API key provided. Send it as 'Authorization: Bearer <key>'.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`,
			map[string]string{"Www-Authenticate": "Bearer"},
		},
		"model not allowed": {
			NotAllowed("m"), 403, "policy",
			"{\"error\":{\"message\":\"You do not have access to the model `m`.\",\"type\":\"invalid_request_error\",\"param\":\"model\",\"code\":\"model_not_found\"}}", nil,
		},
		"model unknown": {
			ModelNotFound("a\"\n"), 404, "caller",
			"{\"error\":{\"message\":\"The model `a\\\"\\n` does not exist or you do not have access to it.\",\"type\":\"invalid_request_error\",\"param\":\"model\",\"code\":\"model_not_found\"}}", nil,
		},
		"path unknown": {
			UnknownURL("GET", "/v1/x"), 404, "caller",
			`{"error":{"message":"Unknown request URL: GET /v1/x. Check it for typos.","type":"invalid_request_error","param":null,"code":"unknown_url"}}`, nil,
		},
		"method": {
			MethodNotAllowed("PUT", "GET, POST"), 405, "caller",
			`{"error":{"message":"Not allowed to PUT here (allowed: GET, POST).","type":"invalid_request_error","param":null,"code":"method_not_allowed"}}`,
			map[string]string{"Allow": "GET, POST"},
		},
		"size": {
			TooLarge(1024), 413, "caller",
			`{"error":{"message":"The request body is larger than 1024 bytes.","type":"invalid_request_error","param":null,"code":"request_too_large"}}`, nil,
		},
		"media": {
			UnsupportedMedia("No %s.", "gzip"), 415, "caller",
			`{"error":{"message":"No gzip.","type":"invalid_request_error","param":null,"code":"unsupported_media_type"}}`, nil,
		},
		"rate": {
			RateLimited(1500*time.Millisecond, "Slow down."), 429, "policy",
			`{"error":{"message":"Slow down.","type":"rate_limit_exceeded","param":null,"code":"rate_limit_exceeded"}}`,
			map[string]string{"Retry-After": "2"},
		},
		"unavailable at once": {
			Unavailable(0, "Later."), 503, "provider",
			`{"error":{"message":"Later.","type":"server_error","param":null,"code":"overloaded"}}`,
			map[string]string{"Retry-After": "1"},
		},
		"upstream": {
			BadGateway("It failed."), 502, "provider",
			`{"error":{"message":"It failed.","type":"server_error","param":null,"code":"upstream_error"}}`, nil,
		},
		"time-out": {
			UpstreamTimeout("After %v.", time.Minute), 504, "provider",
			`{"error":{"message":"After 1m0s.","type":"server_error","param":null,"code":"upstream_timeout"}}`, nil,
		},
		"internal": {
			Internal(), 500, "gateway",
			`{"error":{"message":"The gateway had an internal error. The x-request-id header names it in the log.","type":"server_error","param":null,"code":"internal_error"}}`, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			c.e.WriteTo(w)
			if w.Code != c.status || c.e.Class.String() != c.class || w.Body.String() != c.body {
				t.Errorf("got  %d, %v\n%s\nwant %d, %s\n%s", w.Code, c.e.Class, w.Body, c.status, c.class, c.body)
			}
			h := w.Result().Header
			if h.Get("Content-Type") != "application/json" || h.Get("X-Content-Type-Options") != "nosniff" || w.Result().ContentLength != int64(len(c.body)) {
				t.Errorf("header %v", h)
			}
			for _, name := range []string{"Allow", "Retry-After", "Www-Authenticate"} {
				if got := h.Get(name); got != c.header[name] {
					t.Errorf("%s: got %q, want %q", name, got, c.header[name])
				}
			}
			if !strings.HasPrefix(c.e.Error(), w.Result().Status[:3]+" ") {
				t.Errorf("as a Go error: %v", c.e)
			}
		})
	}
}

// contract: S4
func TestErrorEvent(t *testing.T) {
	e := BadGateway("line\n\ndata: [DONE]")
	want := "event: error\ndata: " + string(e.AppendJSON(nil)) + "\n\n"
	if got := string(e.AppendEvent([]byte("x"))); got != "x"+want {
		t.Errorf("got %q", got)
	}
	if strings.Count(want, "\n") != 3 {
		t.Errorf("the message broke out of its event: %q", want)
	}
}

// An upstream's page of HTML or bytes of anything becomes a bounded message.
//
// contract: R2
// security: X11
func TestMessagesAreBounded(t *testing.T) {
	for _, m := range []string{strings.Repeat("<p>é</p>", 1000), strings.Repeat("\xff\xfe a", 1000), strings.Repeat("\xf0\x9f\x98\x80", 1000)[1:]} {
		got := BadGateway("%s", m).AppendJSON(nil)
		var o struct{ Error struct{ Message string } }
		if err := json.Unmarshal(got, &o); err != nil || !utf8.Valid(got) {
			t.Fatalf("%q: %v", got, err)
		}
		if n := len(o.Error.Message); n > MaxMessage || n < MaxMessage-8 {
			t.Errorf("a message of %d bytes", n)
		}
	}
}

// contract: S10
func TestCut(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"", 0, ""},
		{"abc", 3, "abc"},
		{"abcdef", 5, "ab…"},
		{"aéé", 4, "a…"},
		{"aéé", 5, "aéé"},
		{"ééé", 5, "é…"},
		{"😀😀", 7, "😀…"},
		{"😀😀", 6, "…"},
		{"abcdef", 3, "…"},
		{"abcdef", 2, "ab"},
		{"é", 1, ""},
		{"abc", 0, ""},
		{"a\xffb", 9, "a\uFFFDb"},
		{"\xff-\xff-\xff-", 6, "\uFFFD…"},
		{"\xff-\xff-\xff-", 7, "\uFFFD-…"},
	} {
		got := Cut(c.in, c.limit)
		if got != c.want || len(got) > c.limit {
			t.Errorf("%q to %d: got %q of %d, want %q", c.in, c.limit, got, len(got), c.want)
		}
	}
}

func TestErrorIsAnError(t *testing.T) {
	var err error = TooLarge(1)
	if got := err.Error(); got != "413 The request body is larger than 1 bytes." {
		t.Error(got)
	}
	if http.StatusText(TooLarge(1).Status) == "" {
		t.Error("no status of HTTP")
	}
}
