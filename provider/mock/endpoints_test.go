package mock

import (
	"strings"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/openai/openaitest"
)

type completionDoc struct {
	ID, Object, Model string
	Choices           []struct {
		Text   string
		Index  int
		Finish *string `json:"finish_reason"`
	}
	Usage *struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
	}
}

// contract: R6
func TestCompletions(t *testing.T) {
	schema := openaitest.Schema(t, "CreateCompletionResponse")
	for fields, want := range map[string]struct {
		choices, tokens int
		finish          string
	}{
		`"prompt":"Once upon"`:                      {1, 8, "stop"},
		`"prompt":["Once","upon"],"n":2`:            {2, 8, "stop"},
		`"prompt":[1,2,3],"max_tokens":3`:           {1, 3, "length"},
		`"prompt":"score me","max_tokens":0`:        {1, 0, "length"},
		`"prompt":"x","stream_options":null,"n":10`: {10, 8, "stop"},
	} {
		t.Run(fields, func(t *testing.T) {
			p := newMock(Options{})
			body := `{"model":"m",` + fields + `}`
			whole := ask(t, p, openai.Completions, body)
			schema.Validate(t, []byte(whole))
			doc := decode[completionDoc](t, whole)
			if len(doc.Choices) != want.choices || doc.Usage.Completion != want.tokens*want.choices || doc.Model != "mock-1" {
				t.Fatalf("%s", whole)
			}
			for i, c := range doc.Choices {
				if c.Index != i || *c.Finish != want.finish || len(strings.Fields(c.Text)) != want.tokens {
					t.Errorf("choice %d: %s", i, whole)
				}
			}
		})
	}
}

func TestCompletionsStream(t *testing.T) {
	schema := openaitest.Schema(t, "CreateCompletionResponse")
	const body = `{"model":"m","prompt":"Once","n":2,"stream":true,"stream_options":{"include_usage":true}}`
	list := events(t, ask(t, newMock(Options{Answer: `one "two" three`}), openai.Completions, body))
	if n := len(list); n != 2*3+2+1+1 || list[n-1] != "[DONE]" {
		t.Fatalf("%q", list)
	}
	text := []string{"", ""}
	for i, data := range list[:len(list)-1] {
		info, err := openai.ScanChunk(openai.Completions, []byte(data))
		if err != nil || info.HasUsage != (i == 8) || info.Content != (i < 6) || (info.Finishes != 0) != (i == 6 || i == 7) {
			t.Errorf("event %d: %+v, %v in %s", i, info, err, data)
		}
		if i >= 6 {
			schema.Validate(t, []byte(data))
		} else {
			// The published schema has no null for finish_reason, what OpenAI sends
			// until a choice ends does.
			schema.Validate(t, []byte(strings.Replace(data, `"finish_reason":null`, `"finish_reason":"stop"`, 1)))
		}
		for _, c := range decode[completionDoc](t, data).Choices {
			text[c.Index] += c.Text
		}
	}
	if text[0] != `one "two" three` || text[1] != text[0] {
		t.Errorf("%q", text)
	}
	if silent := ask(t, newMock(Options{}), openai.Completions, `{"model":"m","prompt":"x","stream":true}`); strings.Contains(silent, "usage") {
		t.Errorf("usage nobody asked for: %s", silent)
	}
}

type responseDoc struct {
	ID, Status, Model string
	Output            []struct {
		ID, Status string
		Content    []struct{ Text string }
	}
	Details *struct{ Reason string } `json:"incomplete_details"`
	Usage   *struct {
		Input  int `json:"input_tokens"`
		Output int `json:"output_tokens"`
	}
}

// contract: R6
func TestResponses(t *testing.T) {
	schema := openaitest.Schema(t, "Response")
	for name, c := range map[string]struct {
		fields, status string
		tokens         int
	}{
		"plain":     {`"input":"Hello"`, "completed", 8},
		"a list":    {`"input":[{"role":"user","content":"Hello"}]`, "completed", 8},
		"limited":   {`"input":"Hello","max_output_tokens":2`, "incomplete", 2},
		"reasoning": {`"input":"Hello","reasoning":{"effort":"high"}`, "completed", 8},
		"sampling":  {`"input":"Hello","temperature":0.5,"top_p":null`, "completed", 8},
	} {
		t.Run(name, func(t *testing.T) {
			whole := ask(t, newMock(Options{}), openai.Responses, `{"model":"m",`+c.fields+`}`)
			schema.Validate(t, []byte(whole))
			d := decode[responseDoc](t, whole)
			if d.Status != c.status || d.Output[0].Status != c.status || (d.Details != nil) != (c.status == "incomplete") ||
				d.Usage.Output != c.tokens || len(strings.Fields(d.Output[0].Content[0].Text)) != c.tokens {
				t.Errorf("%s", whole)
			}
		})
	}
}

func TestResponsesStream(t *testing.T) {
	schema := openaitest.Schema(t, "ResponseStreamEvent")
	for name, c := range map[string]struct {
		fields, last, text string
		deltas             int
	}{
		"whole":   {``, "response.completed", "one \"two\"\n three", 3},
		"limited": {`,"max_output_tokens":2`, "response.incomplete", "one \"two\"", 2},
	} {
		t.Run(name, func(t *testing.T) {
			p := newMock(Options{Answer: "one \"two\"\n three"})
			body := ask(t, p, openai.Responses, `{"model":"m","input":"x","stream":true`+c.fields+`}`)
			var kinds []string
			text := ""
			for i, data := range events(t, body) {
				schema.Validate(t, []byte(data))
				ev := decode[struct {
					Type     string
					Sequence int `json:"sequence_number"`
					Delta    string
					Text     string
					Response responseDoc
				}](t, data)
				if ev.Sequence != i || !strings.Contains(body, "event: "+ev.Type+"\ndata: "+data+"\n\n") {
					t.Errorf("event %d: %s", i, data)
				}
				kinds = append(kinds, ev.Type)
				text += ev.Delta
				if ev.Type == "response.output_text.done" && ev.Text != c.text {
					t.Errorf("done with %q", ev.Text)
				}
				info, err := openai.ScanChunk(openai.Responses, []byte(data))
				if last := ev.Type == c.last; err != nil || info.HasUsage != last || (info.Finishes != 0) != last || info.Error != nil {
					t.Errorf("%s reads as %+v, %v", data, info, err)
				}
				if ev.Type == c.last && (ev.Response.Output[0].Content[0].Text != c.text || ev.Response.Usage.Output != c.deltas) {
					t.Errorf("%s", data)
				}
			}
			want := []string{"response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"}
			for range c.deltas {
				want = append(want, "response.output_text.delta")
			}
			want = append(want, "response.output_text.done", "response.content_part.done", "response.output_item.done", c.last)
			if got := strings.Join(kinds, " "); got != strings.Join(want, " ") {
				t.Errorf("got %s", got)
			}
			if text != c.text {
				t.Errorf("got %q", text)
			}
		})
	}
}
