package sdk

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// scriptedModel starts a model that does what a simulated one does not: it speaks
// before it calls the tool echo, calls get_weather of the client's in the same turn
// if there is one, and thinks once more before it answers.
func scriptedModel(t *testing.T) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var asked struct {
			Messages []struct{ Role, Content string }
			Tools    []struct{ Function struct{ Name string } }
		}
		if err == nil {
			err = json.Unmarshal(body, &asked)
		}
		if err != nil || len(asked.Messages) == 0 {
			http.Error(w, "no such request", http.StatusBadRequest)
			return
		}
		deltas, reason := []string{`"reasoning_content":"Hm."`, `"content":"Let me "`, `"content":"ask."`}, "tool_calls"
		if last := asked.Messages[len(asked.Messages)-1]; last.Role == "tool" {
			text, _ := json.Marshal("It says " + last.Content)
			deltas, reason = []string{`"reasoning_content":"So that is it."`, `"content":` + string(text)}, "stop"
		} else {
			deltas = append(deltas, call(0, "everything__echo", `{\"message\":\"ping\"}`)...)
			for _, tool := range asked.Tools {
				if tool.Function.Name == "get_weather" {
					deltas = append(deltas, call(1, "get_weather", `{\"city\":\"Ulm\",\"unit\":\"celsius\",\"days\":1}`)...)
				}
			}
		}
		var stream strings.Builder
		for _, delta := range deltas {
			event(&stream, `"choices":[{"index":0,"delta":{`+delta+`},"finish_reason":null}]`)
		}
		event(&stream, `"choices":[{"index":0,"delta":{},"finish_reason":"`+reason+`"}]`)
		event(&stream, `"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}`)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, stream.String()+"data: [DONE]\n\n")
	}))
	t.Cleanup(server.Close)
	return server.URL + "/v1"
}

// call is a call in two deltas; its arguments are escaped already.
func call(index int, name, arguments string) []string {
	return []string{
		fmt.Sprintf(`"tool_calls":[{"index":%d,"id":"call_%d","type":"function","function":{"name":%q,"arguments":""}}]`, index, index, name),
		fmt.Sprintf(`"tool_calls":[{"index":%d,"function":{"arguments":"%s"}}]`, index, arguments),
	}
}

func event(b *strings.Builder, fields string) {
	b.WriteString(`data: {"id":"up","object":"chat.completion.chunk","created":1,"model":"up",` + fields + "}\n\n")
}
