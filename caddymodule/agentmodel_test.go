package caddymodule

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/mcp"
	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/openai/openaitest"
)

// turns scripts a model: one answer after the other, the last one for ever. Each
// gets the request's body.
func turns(answers ...http.HandlerFunc) http.HandlerFunc {
	next := make(chan int, 1)
	next <- 0
	return func(w http.ResponseWriter, r *http.Request) {
		n := <-next
		next <- n + 1
		answers[min(n, len(answers)-1)](w, r)
	}
}

// streams is an answer of deltas.
func streams(reason string, deltas ...string) http.HandlerFunc {
	var b strings.Builder
	for _, d := range deltas {
		b.WriteString(`data: {"id":"up","object":"chat.completion.chunk","created":1,"model":"up","choices":[{"index":0,"delta":` + d + `,"finish_reason":null}]}` + "\n\n")
	}
	b.WriteString(`data: {"id":"up","choices":[{"index":0,"delta":{},"finish_reason":"` + reason + `"}]}` + "\n\n")
	b.WriteString(`data: {"id":"up","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}` + "\n\n" + openai.Done)
	return raw("text/event-stream", b.String())
}

func says(text string) http.HandlerFunc {
	return streams("stop", `{"content":`+string(openai.AppendString(nil, text))+`}`)
}

func thinks(text string) string {
	return `{"reasoning_content":` + string(openai.AppendString(nil, text)) + `}`
}

// echo is a delta that calls server-everything's tool echo.
func echo(message string) string {
	args := `{"message":"` + message + `"}`
	return `{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"everything__echo","arguments":` + string(openai.AppendString(nil, args)) + `}}]}`
}

// agentConfig is a configuration with one model upstream and one tool server.
func agentConfig(u *upstream, server, agent string) config {
	return config{
		global: fmt.Sprintf("provider up openai {\nbase_url %s\n}\n%s\nagent helper {\nmodel up/m\n%s\n}", u.base(), server, agent), handler: "auth off",
	}
}

// chunks reads a stream's events, and checks what holds of every agent's (contract
// S1, S2, S3).
type chunks struct {
	reasoning, content, finish string
	calls                      []openai.ToolCall
	usage                      *openai.Usage
}

func readChunks(t *testing.T, body string) (c chunks) {
	t.Helper()
	schema := openaitest.Schema(t, "CreateChatCompletionStreamResponse")
	var id, model string
	var created int64
	roles := 0
	events := strings.Split(strings.TrimSuffix(body, "\n\n"), "\n\n")
	for i, ev := range events {
		data, isData := strings.CutPrefix(ev, "data: ")
		if !isData {
			continue // a comment
		}
		if data == "[DONE]" {
			if i != len(events)-1 {
				t.Errorf("something follows [DONE]: %s", body)
			}
			break
		}
		schema.Validate(t, []byte(data))
		var doc struct {
			ID, Model string
			Created   int64
			Choices   []struct {
				Delta struct {
					Role             string
					Content          string
					ReasoningContent string `json:"reasoning_content"`
					Calls            []struct {
						ID       string
						Function struct{ Name, Arguments string }
					} `json:"tool_calls"`
				}
				Finish *string `json:"finish_reason"`
			}
			Usage *struct {
				Prompt     int64 `json:"prompt_tokens"`
				Completion int64 `json:"completion_tokens"`
				Total      int64 `json:"total_tokens"`
			}
		}
		if err := json.Unmarshal([]byte(data), &doc); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			id, model, created = doc.ID, doc.Model, doc.Created
		}
		if doc.ID != id || doc.Model != model || doc.Created != created || id == "" {
			t.Errorf("another message: %s", data)
		}
		if doc.Usage != nil {
			if c.usage != nil || len(doc.Choices) != 0 {
				t.Errorf("usage: %s", data)
			}
			c.usage = &openai.Usage{Prompt: doc.Usage.Prompt, Completion: doc.Usage.Completion, Total: doc.Usage.Total}
			continue
		}
		if c.usage != nil || c.finish != "" {
			t.Errorf("out of order: %s", data)
		}
		d := doc.Choices[0].Delta
		if d.Role != "" {
			roles++
		}
		if d.ReasoningContent != "" && c.content != "" {
			t.Errorf("reasoning after content: %s", data)
		}
		c.reasoning += d.ReasoningContent
		c.content += d.Content
		for _, call := range d.Calls {
			c.calls = append(c.calls, openai.ToolCall{ID: call.ID, Name: call.Function.Name, Arguments: call.Function.Arguments})
		}
		if doc.Choices[0].Finish != nil {
			c.finish = *doc.Choices[0].Finish
		}
	}
	if roles != 1 {
		t.Errorf("%d role deltas", roles)
	}
	return c
}

// listed waits for a server's tools: on a busy machine a process may take longer to
// start than a first request waits.
func (g *gateway) listed(server string) {
	g.t.Helper()
	if n := g.adminDo(http.MethodPost, "/ai_gateway/mcp/refresh", nil); n != 200 {
		g.t.Fatalf("refresh: %d", n)
	}
	eventually(g.t, "the tools are listed", func() bool {
		var s mcp.Status
		g.adminDo(http.MethodGet, "/ai_gateway/mcp/"+server, &s)
		return len(s.Tools) > 0
	})
}
