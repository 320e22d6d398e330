package mock

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/openai/openaitest"
)

// chatWith returns a chat request with more fields.
func chatWith(fields string) string {
	return strings.Replace(hello, `"model":"m"`, `"model":"m",`+fields, 1)
}

// both asks with and without stream, checks every byte against OpenAI's schemas,
// and that both say the same.
func both(t *testing.T, p *Provider, body string, choices int) ([]heard, *chatDoc) {
	t.Helper()
	streamed := ask(t, p, openai.Chat, strings.Replace(body, "{", `{"stream":true,"stream_options":{"include_usage":true},`, 1))
	chunk := openaitest.Schema(t, "CreateChatCompletionStreamResponse")
	for _, data := range events(t, streamed) {
		if !openai.IsDone([]byte(data)) {
			chunk.Validate(t, []byte(data))
		}
	}
	all, last := listen(t, streamed, choices)

	plain := ask(t, p, openai.Chat, body)
	openaitest.Schema(t, "CreateChatCompletionResponse").Validate(t, []byte(plain))
	doc := decode[chatDoc](t, plain)
	if len(doc.Choices) != choices {
		t.Fatalf("%d choices instead of %d", len(doc.Choices), choices)
	}
	for i, c := range doc.Choices {
		if c.Index != i || c.Message.Role != "assistant" || *c.FinishReason != all[i].finish {
			t.Errorf("choice %d: %+v, streamed %+v", i, c, all[i])
		}
		if p.o.Answer != "" && c.Message.Content != all[i].content {
			t.Errorf("choice %d is %q, streamed %q", i, c.Message.Content, all[i].content)
		}
	}
	if *doc.Usage != *last.Usage {
		t.Errorf("usage %+v, streamed %+v", doc.Usage, last.Usage)
	}
	return all, last
}

func TestChat(t *testing.T) {
	all, last := both(t, newMock(Options{}), hello, 1)
	if h := all[0]; h.finish != "stop" || h.deltas != 8 || h.reasoning != "" || h.name != "" {
		t.Errorf("%+v", h)
	}
	if last.Created != at.Unix() || last.Model != "mock-1" || !strings.HasPrefix(last.ID, "chatcmpl-") {
		t.Errorf("%+v", last)
	}
	// [{"role":"user","content":"Hello there"}] has 41 bytes.
	if u := last.Usage; u.Prompt != 10 || u.Completion != 8 || u.Total != 18 {
		t.Errorf("%+v", u)
	}
}

// contract: S2
func TestUsageOfAStream(t *testing.T) {
	p := newMock(Options{})
	asking := strings.Replace(helloStream, "{", `{"stream_options":{"include_usage":true},`, 1)
	for name, c := range map[string]struct {
		body    string
		gateway bool
		want    int
	}{
		"nobody asks":      {helloStream, false, 0},
		"the client asks":  {asking, false, 1},
		"the gateway asks": {helloStream, true, 1},
		"both ask":         {asking, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			call := callTo(t, openai.Chat, c.body)
			call.AskUsage = c.gateway
			res, err := p.Do(t.Context(), call)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			list := events(t, string(b))
			n := 0
			for i, data := range list[:len(list)-1] {
				info, err := openai.ScanChunk(openai.Chat, []byte(data))
				if err != nil {
					t.Fatal(err)
				}
				if info.HasUsage {
					n++
					if !info.UsageOnly || i != len(list)-2 {
						t.Errorf("usage in event %d of %d: %s", i, len(list), data)
					}
				}
			}
			if n != c.want {
				t.Errorf("usage came %d times", n)
			}
		})
	}
}

func TestChoices(t *testing.T) {
	all, last := both(t, newMock(Options{}), chatWith(`"n":3`), 3)
	for i, h := range all {
		if h.finish != "stop" || h.deltas != 8 {
			t.Errorf("choice %d: %+v", i, h)
		}
	}
	if all[0].content == all[1].content || all[1].content == all[2].content {
		t.Errorf("all choices say the same: %+v", all)
	}
	if last.Usage.Completion != 24 {
		t.Errorf("%+v", last.Usage)
	}
	both(t, newMock(Options{Tokens: 1}), chatWith(`"n":128`), 128)
}

func TestLimit(t *testing.T) {
	for fields, want := range map[string]struct {
		deltas int
		finish string
	}{
		`"max_tokens":3`:                                {3, "length"},
		`"max_completion_tokens":3e0`:                   {3, "length"},
		`"max_tokens":5,"max_completion_tokens":2`:      {2, "length"},
		`"max_tokens":8`:                                {8, "stop"},
		`"max_tokens":100000`:                           {8, "stop"},
		`"max_tokens":0`:                                {0, "length"},
		`"max_tokens":null`:                             {8, "stop"},
		`"max_tokens":2,"reasoning_effort":"high"`:      {2, "length"},
		`"max_tokens":7,"reasoning_effort":"high"`:      {7, "length"},
		`"max_tokens":12,"reasoning_effort":"high"`:     {12, "stop"},
		`"max_tokens":1,"tools":` + "[" + weather + "]": {1, "length"},
	} {
		all, last := both(t, newMock(Options{}), chatWith(fields), 1)
		if h := all[0]; h.deltas != want.deltas || h.finish != want.finish || last.Usage.Completion != want.deltas {
			t.Errorf("%s: %+v, %+v", fields, h, last.Usage)
		}
	}
}

func TestReasoning(t *testing.T) {
	for effort, want := range map[string]int{
		`"none"`: 0, `"minimal"`: 0, `null`: 0, `"low"`: 4, `"medium"`: 4, `"high"`: 4, `"xhigh"`: 4,
	} {
		all, last := both(t, newMock(Options{}), chatWith(`"reasoning_effort":`+effort), 1)
		if n := len(strings.Fields(all[0].reasoning)); n != want || last.Usage.Details.Reasoning != want || last.Usage.Completion != 8+want {
			t.Errorf("%s: %+v, %+v", effort, all[0], last.Usage)
		}
	}
	if all, _ := both(t, newMock(Options{Tokens: 1}), chatWith(`"reasoning_effort":"low"`), 1); all[0].deltas != 2 {
		t.Errorf("%+v", all[0])
	}
}

// contract: S3 (reasoning first, never in between)
func TestReasoningComesFirst(t *testing.T) {
	body := ask(t, newMock(Options{}), openai.Chat, strings.Replace(chatWith(`"reasoning_effort":"low"`), "{", `{"stream":true,`, 1))
	if last, first := strings.LastIndex(body, "reasoning_content"), strings.Index(body, `"delta":{"content":`); last < 0 || last > first {
		t.Errorf("reasoning ends at %d, content begins at %d", last, first)
	}
}

func TestResponseFormat(t *testing.T) {
	const schema = `{"type":"json_schema","json_schema":{"name":"s","schema":{"type":"object","required":["ok","n"],
		"properties":{"ok":{"type":"boolean"},"n":{"type":"integer","minimum":5}},"additionalProperties":false}}}`
	for name, c := range map[string]struct{ answer, format, want string }{
		"an object":                       {"", `{"type":"json_object"}`, ""},
		"an object around a fixed answer": {`say "hi"`, `{"type":"json_object"}`, `{"answer":"say \"hi\""}`},
		"an object as a fixed answer":     {`{"a": 1}`, `{"type":"json_object"}`, `{"a": 1}`},
		"a schema":                        {"", schema, `{"ok":true,"n":5}`},
		"a schema beside a fixed answer":  {"hi", schema, `{"ok":true,"n":5}`},
	} {
		t.Run(name, func(t *testing.T) {
			all, _ := both(t, newMock(Options{Answer: c.answer}), chatWith(`"response_format":`+c.format), 1)
			got := all[0].content
			if c.want != "" && got != c.want || !json.Valid([]byte(got)) || got[0] != '{' {
				t.Errorf("got %s", got)
			}
			if all[0].deltas > 8 || all[0].finish != "stop" {
				t.Errorf("%+v", all[0])
			}
		})
	}
	all, _ := both(t, newMock(Options{Answer: "hi"}), chatWith(`"response_format":{"type":"text"}`), 1)
	if all[0].content != "hi" {
		t.Errorf("text: %+v", all[0])
	}
}

func TestCallersMistakes(t *testing.T) {
	for ep, list := range map[openai.Endpoint]map[string]string{
		openai.Chat: {
			"response_format": chatWith(`"response_format":"json"`),
			"tools":           chatWith(`"tools":[{"type":"function","function":"f"}]`),
			"tool_choice":     chatWith(`"tool_choice":{"type":"function","function":{"name":"x"}},"tools":[` + weather + `]`),
		},
		openai.Embeddings: {
			"input":           `{"model":"m","input":{"a":1}}`,
			"dimensions":      `{"model":"m","input":"x","dimensions":0}`,
			"encoding_format": `{"model":"m","input":"x","encoding_format":"hex"}`,
		},
	} {
		for param, body := range list {
			t.Run(fmt.Sprint(ep, param), func(t *testing.T) {
				res := do(t, newMock(Options{}), ep, body)
				got := ask(t, newMock(Options{}), ep, body)
				openaitest.Schema(t, "ErrorResponse").Validate(t, []byte(got))
				if res.Status != 400 || !strings.Contains(got, `"param":"`+param+`"`) {
					t.Errorf("%d %s", res.Status, got)
				}
			})
		}
	}
}
