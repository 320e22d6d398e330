package openai

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// contract: S1, S2, S3
func TestChunksOfAStream(t *testing.T) {
	enc := ChunkEncoder{ID: "chatcmpl-1", Created: 1741570283, Model: `a"b`}
	head := `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1741570283,"model":"a\"b","choices":[`
	delta := func(d string) string {
		return head + `{"index":0,"delta":{` + d + `},"logprobs":null,"finish_reason":null}]}` + "\n\n"
	}
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"role":      {enc.AppendRole(nil), delta(`"role":"assistant","content":""`)},
		"reasoning": {enc.AppendReasoning(nil, "so\n"), delta(`"reasoning_content":"so\n"`)},
		"content":   {enc.AppendContent(nil, "é\"\n\n"), delta(`"content":"é\"\n\n"`)},
		"first of a call": {
			enc.AppendToolCall(nil, 1, "call_1", "look", ""),
			delta(`"tool_calls":[{"index":1,"id":"call_1","type":"function","function":{"name":"look","arguments":""}}]`),
		},
		"more of a call": {enc.AppendToolCall(nil, 1, "", "", `{"a"`), delta(`"tool_calls":[{"index":1,"function":{"arguments":"{\"a\""}}]`)},
		"finish":         {enc.AppendFinish(nil, "stop"), head + `{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}` + "\n\n"},
		"usage": {
			enc.AppendUsage(nil, Usage{10, 5, 15, 4, 3}),
			head + `],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,` +
				`"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":3}}}` + "\n\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if string(c.got) != c.want {
				t.Errorf("got  %s\nwant %s", c.got, c.want)
			}
		})
	}
	enc.Index = 2
	if got := string(enc.AppendContent([]byte("before "), "x")); !strings.HasPrefix(got, "before data: ") || !strings.Contains(got, `{"index":2,`) {
		t.Errorf("got %s", got)
	}
}

// What a model says can't end its event, forge one, or split a character.
//
// contract: S10
// security: X10
func TestModelOutputStaysInsideItsEvent(t *testing.T) {
	for _, text := range []string{
		"\n\ndata: [DONE]\n\n", "\r\rdata: {}\r\r", "\r\n\r\nevent: error\r\n", `"}]}`, "\u2028\u2029\u0085", "\x00\x1b[2J", "\xff\xfe", "é"[:1], "é"[1:], "</s>",
	} {
		enc := ChunkEncoder{ID: text, Model: text}
		stream := enc.AppendRole(nil)
		stream = enc.AppendReasoning(stream, text)
		stream = enc.AppendContent(stream, text)
		stream = enc.AppendToolCall(stream, 0, text, text, text)
		stream = enc.AppendFinish(stream, text)
		stream = enc.AppendUsage(stream, Usage{})
		evs, err := events(bytes.NewReader(stream))
		if err != nil || len(evs) != 6 {
			t.Fatalf("%q: %d events, %v", text, len(evs), err)
		}
		for _, ev := range evs {
			var chunk struct {
				ID      string
				Choices []struct {
					Delta struct {
						Content *string
					}
				}
			}
			if err := json.Unmarshal([]byte(ev.Data), &chunk); err != nil || ev.Type != "" || ev.Partial || chunk.ID != string([]rune(text)) {
				t.Errorf("%q: %+v, %v", text, ev, err)
			}
		}
	}
}

func TestChunkEncoderDoesNotAllocate(t *testing.T) {
	enc := ChunkEncoder{ID: "chatcmpl-1", Model: "m"}
	buf := enc.AppendUsage(enc.AppendToolCall(nil, 0, "id", "name", "args"), Usage{})
	allocs := testing.AllocsPerRun(100, func() {
		buf = enc.AppendUsage(enc.AppendToolCall(buf[:0], 0, "id", "name", "args"), Usage{})
	})
	if allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// contract: S10
func TestCompletion(t *testing.T) {
	c := Completion{
		ID: "chatcmpl-1", Created: 1741570283, Model: "m", Usage: Usage{Prompt: 1, Completion: 2, Total: 3},
		Choices: []Message{
			{Content: "he\"y\xff", Reasoning: "so", FinishReason: "stop"},
			{ToolCalls: []ToolCall{{"a", "f", `{"x":1}`}, {"b", "g", ""}}, FinishReason: "tool_calls"},
			{Content: "look", ToolCalls: []ToolCall{{"c", "h", "{}"}}, FinishReason: "tool_calls"},
			{FinishReason: "length"},
		},
	}
	want := `[{"id":"chatcmpl-1","object":"chat.completion","created":1741570283,"model":"m","choices":[` +
		`{"index":0,"message":{"role":"assistant","content":"he\"y` + "\uFFFD" + `","refusal":null,"reasoning_content":"so"},"logprobs":null,"finish_reason":"stop"},` +
		`{"index":1,"message":{"role":"assistant","content":null,"refusal":null,"tool_calls":[` +
		`{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},` +
		`{"id":"b","type":"function","function":{"name":"g","arguments":""}}]},"logprobs":null,"finish_reason":"tool_calls"},` +
		`{"index":2,"message":{"role":"assistant","content":"look","refusal":null,"tool_calls":[` +
		`{"id":"c","type":"function","function":{"name":"h","arguments":"{}"}}]},"logprobs":null,"finish_reason":"tool_calls"},` +
		`{"index":3,"message":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":"length"}],` +
		`"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}`
	if got := string(c.AppendJSON([]byte("["))); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
