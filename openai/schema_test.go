package openai

import (
	"bytes"
	"strings"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/openai/openaitest"
)

// OpenAI's own schemas accept what the encoders make. The document they are in
// calls itself OpenAPI 3.1 but says nullable as 3.0 did, which JSON Schema does
// not know: openaitest rewrites it, or no chunk's null finish_reason would pass.
//
// contract: S1, S2, S10
func TestChunksSatisfyOpenAIsSchema(t *testing.T) {
	chunk := openaitest.Schema(t, "CreateChatCompletionStreamResponse")
	enc := ChunkEncoder{ID: "chatcmpl-1", Created: 1741570283, Model: "m"}
	stream := enc.AppendRole(nil)
	stream = enc.AppendReasoning(stream, "so")
	stream = enc.AppendContent(stream, "a\xff\"")
	stream = enc.AppendToolCall(stream, 0, "call_1", "look", "")
	stream = enc.AppendToolCall(stream, 0, "", "", `{"a":`)
	enc.Index = 1
	stream = enc.AppendToolCall(stream, 3, "call_2", "look", `{}`)
	for _, reason := range []string{"stop", "length", "tool_calls", "content_filter"} {
		stream = enc.AppendFinish(stream, reason)
	}
	stream = enc.AppendUsage(stream, Usage{10, 5, 15, 4, 3})
	evs, err := events(bytes.NewReader(stream))
	if err != nil || len(evs) != 11 {
		t.Fatalf("%d events, %v", len(evs), err)
	}
	for _, ev := range evs {
		chunk.Validate(t, []byte(ev.Data))
	}
}

// contract: S10
func TestCompletionSatisfiesOpenAIsSchema(t *testing.T) {
	completion := openaitest.Schema(t, "CreateChatCompletionResponse")
	for _, m := range []Message{
		{Content: "hello", FinishReason: "stop"},
		{FinishReason: "length"},
		{Content: "hello", Reasoning: "so", FinishReason: "stop"},
		{ToolCalls: []ToolCall{{"call_1", "look", `{}`}, {"call_2", "look", ""}}, FinishReason: "tool_calls"},
	} {
		c := Completion{ID: "chatcmpl-1", Created: 1741570283, Model: "m", Choices: []Message{m, m}, Usage: Usage{10, 5, 15, 4, 3}}
		completion.Validate(t, c.AppendJSON(nil))
	}
}

// contract: R2, S4
func TestErrorsSatisfyOpenAIsSchema(t *testing.T) {
	response := openaitest.Schema(t, "ErrorResponse")
	for _, e := range []*Error{
		InvalidRequest("messages[0].role", "no"), InvalidRequest("", "no"), InvalidKey(), NotAllowed("m"), ModelNotFound("m"), UnknownURL("GET", "/"),
		MethodNotAllowed("GET", "POST"), TooLarge(1), UnsupportedMedia("no"), RateLimited(0, "no"), Unavailable(0, "no"), BadGateway("\xff"),
		UpstreamTimeout("no"), Internal(),
	} {
		response.Validate(t, e.AppendJSON(nil))
		evs, err := events(bytes.NewReader(e.AppendEvent(nil)))
		if err != nil || len(evs) != 1 || evs[0].Type != "error" {
			t.Fatalf("%+v, %v", evs, err)
		}
		response.Validate(t, []byte(evs[0].Data))
	}
}

// The schemas would tell: they refuse what is not as it should be, and take the
// reasoning_content that other providers have added to OpenAI's message.
func TestSchemasAreStrictWhereItMatters(t *testing.T) {
	chunk := openaitest.Schema(t, "CreateChatCompletionStreamResponse")
	with := func(choice string) string {
		return `{"id":"i","object":"chat.completion.chunk","created":1,"model":"m","choices":[` + choice + `]}`
	}
	for doc, good := range map[string]bool{
		with(``): true,
		with(`{"index":0,"delta":{},"finish_reason":null}`):                                  true,
		with(`{"index":0,"delta":{"reasoning_content":"so"},"finish_reason":null}`):          true,
		with(`{"index":0,"delta":{},"finish_reason":"done"}`):                                false,
		with(`{"index":0,"delta":{}}`):                                                       false,
		with(`{"index":"0","delta":{},"finish_reason":null}`):                                false,
		with(`{"index":0,"delta":{"content":["a"]},"finish_reason":null}`):                   false,
		with(`{"index":0,"delta":{"tool_calls":[{"id":"a"}]},"finish_reason":null}`):         false,
		with(`{"index":0,"delta":{"role":"robot"},"finish_reason":null}`):                    false,
		strings.Replace(with(``), "chat.completion.chunk", "chat.completion", 1):             false,
		strings.Replace(with(``), `"created":1,`, ``, 1):                                     false,
		strings.TrimSuffix(with(``), "}") + `,"usage":{"prompt_tokens":1,"total_tokens":1}}`: false,
	} {
		if err := chunk.Check([]byte(doc)); (err == nil) != good {
			t.Errorf("%s: got %v", doc, err)
		}
	}
}
