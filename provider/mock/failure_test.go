package mock

import (
	"io"
	"strconv"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/openai/openaitest"
)

// contract: R2
func TestFail(t *testing.T) {
	schema := openaitest.Schema(t, "ErrorResponse")
	for status, want := range map[int]struct{ typ, code string }{
		400: {"invalid_request_error", ""},
		401: {"invalid_request_error", "invalid_api_key"},
		402: {"insufficient_quota", "insufficient_quota"},
		403: {"invalid_request_error", "permission_denied"},
		404: {"invalid_request_error", "model_not_found"},
		413: {"invalid_request_error", ""},
		429: {"rate_limit_exceeded", "rate_limit_exceeded"},
		500: {"server_error", ""},
		503: {"server_error", ""},
		529: {"server_error", ""},
	} {
		for _, request := range []string{hello, helloStream} {
			res := do(t, newMock(Options{Fail: status, TokenDelay: time.Hour}), openai.Chat, request)
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			schema.Validate(t, body)
			e := decode[struct{ Error struct{ Type, Code string } }](t, string(body)).Error
			if res.Status != status || e.Type != want.typ || e.Code != want.code {
				t.Errorf("%d: %d %s", status, res.Status, body)
			}
			if h := res.Header; h.Get("Content-Type") != "application/json" || h.Get("Content-Length") != strconv.Itoa(len(body)) || h.Get("Retry-After") != "" {
				t.Errorf("%d: %v", status, h)
			}
		}
	}
}

// contract: R4
func TestRetryAfter(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "", -time.Second: "", ms: "1", time.Second: "1", 90 * time.Second: "90", 1500 * ms: "2"} {
		res := do(t, newMock(Options{Fail: 429, RetryAfter: d}), openai.Chat, hello)
		if got := res.Header.Get("Retry-After"); got != want {
			t.Errorf("%v: %q", d, got)
		}
	}
}

// contract: S5 (what it has to see through)
func TestErrorFirst(t *testing.T) {
	p := newMock(Options{ErrorFirst: true, TokenDelay: time.Hour})
	for ep, body := range map[openai.Endpoint]string{
		openai.Chat:        helloStream,
		openai.Completions: `{"model":"m","prompt":"x","stream":true}`,
		openai.Responses:   `{"model":"m","input":"x","stream":true}`,
	} {
		res := do(t, p, ep, body)
		list := events(t, ask(t, p, ep, body))
		if res.Status != 200 || res.Header.Get("Content-Type") != "text/event-stream" || len(list) != 1 {
			t.Fatalf("%v: %d %v %q", ep, res.Status, res.Header, list)
		}
		if info, err := openai.ScanChunk(ep, []byte(list[0])); err != nil || info.Error == nil || info.Content || info.Finishes != 0 {
			t.Errorf("%v: %s reads as %+v, %v", ep, list[0], info, err)
		}
		if ep == openai.Responses {
			openaitest.Schema(t, "ResponseErrorEvent").Validate(t, []byte(list[0]))
		}
	}
	for ep, body := range map[openai.Endpoint]string{
		openai.Chat: hello, openai.Embeddings: `{"model":"m","input":"x"}`, openai.Responses: `{"model":"m","input":"x"}`,
	} {
		res := do(t, p, ep, body)
		got := ask(t, p, ep, body)
		if a, err := openai.ScanAnswer([]byte(got)); err != nil || a.Error == nil || res.Status != 200 || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%v: %d %s", ep, res.Status, got)
		}
	}
}

func TestHeaders(t *testing.T) {
	res := do(t, newMock(Options{}), openai.Chat, helloStream)
	if res.Status != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("stream: %d %v", res.Status, res.Header)
	}
	res = do(t, newMock(Options{}), openai.Chat, hello)
	body, _ := io.ReadAll(res.Body)
	if res.Status != 200 || res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Content-Length") != strconv.Itoa(len(body)) {
		t.Errorf("document: %d %v", res.Status, res.Header)
	}
}
