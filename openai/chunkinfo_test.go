package openai

import (
	"reflect"
	"strings"
	"testing"
)

// contract: S2, S4, S5
func TestScanChunkOfChat(t *testing.T) {
	choice := func(s string) string { return `{"id":"x","choices":[{"index":0,` + s + `}]}` }
	for name, c := range map[string]struct {
		data string
		want ChunkInfo
	}{
		"role":                  {choice(`"delta":{"role":"assistant","content":""}`), ChunkInfo{Choices: 1}},
		"role alone":            {choice(`"delta":{"role":"assistant"},"finish_reason":null`), ChunkInfo{Choices: 1}},
		"empty delta":           {choice(`"delta":{"content":null,"refusal":null,"tool_calls":[],"x":{}}`), ChunkInfo{Choices: 1}},
		"delta null":            {choice(`"delta":null`), ChunkInfo{Choices: 1}},
		"content":               {choice(`"delta":{"content":"a"}`), ChunkInfo{Choices: 1, Content: true}},
		"a space is content":    {choice(`"delta":{"content":" "}`), ChunkInfo{Choices: 1, Content: true}},
		"content with a role":   {choice(`"delta":{"content":"a","role":"assistant"}`), ChunkInfo{Choices: 1, Content: true}},
		"reasoning":             {choice(`"delta":{"reasoning_content":"so"}`), ChunkInfo{Choices: 1, Content: true}},
		"reasoning, other name": {choice(`"delta":{"content":"","reasoning":"so"}`), ChunkInfo{Choices: 1, Content: true}},
		"refusal":               {choice(`"delta":{"refusal":"no"}`), ChunkInfo{Choices: 1, Content: true}},
		"tool call":             {choice(`"delta":{"tool_calls":[{"index":0}]}`), ChunkInfo{Choices: 1, Content: true}},
		"escapes":               {choice(`"delta":{"content":"\"}]}\\"}`), ChunkInfo{Choices: 1, Content: true}},
		"finish":                {choice(`"delta":{},"finish_reason":"stop"`), ChunkInfo{Choices: 1, Finishes: 1}},
		"finish empty":          {choice(`"delta":{},"finish_reason":""`), ChunkInfo{Choices: 1}},
		"content and finish":    {choice(`"finish_reason":"length","delta":{"content":"a"}`), ChunkInfo{Choices: 1, Finishes: 1, Content: true}},
		"choices": {
			`{"choices":[{"finish_reason":"stop","index":2},{"index":5},{"index":70,"finish_reason":"stop"},{"index":-1}]}`,
			ChunkInfo{Choices: 1<<2 | 1<<5 | 1<<63 | 1, Finishes: 1<<2 | 1<<63},
		},
		"strange choices": {`{"choices":[1,"a",[],null,{"index":"x"},{"index":1e3},{"index":99999999999999999999}]}`, ChunkInfo{Choices: 1 | 1<<63}},
		"choices null":    {`{"choices":null}`, ChunkInfo{}},
		"usage": {
			`{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"audio_tokens":1,"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":3}}}`,
			ChunkInfo{HasUsage: true, UsageOnly: true, Usage: Usage{10, 5, 15, 4, 3}},
		},
		"usage before the choices": {`{"usage":{"total_tokens":1},"choices":[]}`, ChunkInfo{HasUsage: true, UsageOnly: true, Usage: Usage{Total: 1}}},
		"usage beside a choice": {
			`{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}`,
			ChunkInfo{Choices: 1, Finishes: 1, HasUsage: true, Usage: Usage{Prompt: 1, Completion: 2, Total: 3}},
		},
		"usage null":        {`{"choices":[],"usage":null}`, ChunkInfo{}},
		"usage with more":   {`{"choices":[],"usage":{"queue_time":0.1,"prompt_tokens":1,"cost":{"total_tokens":9}}}`, ChunkInfo{HasUsage: true, UsageOnly: true, Usage: Usage{Prompt: 1, Total: 1}}},
		"usage a list":      {`{"choices":[],"usage":[]}`, ChunkInfo{}},
		"usage nonsense":    {`{"choices":[],"usage":{"prompt_tokens":-5,"completion_tokens":"7","total_tokens":1e99,"prompt_tokens_details":null,"completion_tokens_details":[1]}}`, ChunkInfo{HasUsage: true, UsageOnly: true}},
		"usage enormous":    {`{"choices":[],"usage":{"prompt_tokens":99999999999999999999,"completion_tokens":1099511627777}}`, ChunkInfo{HasUsage: true, UsageOnly: true}},
		"filter results":    {`{"choices":[],"prompt_filter_results":[{"prompt_index":0}]}`, ChunkInfo{}},
		"error":             {`{"error":{"message":"no","code":503}}`, ChunkInfo{Error: []byte(`{"message":"no","code":503}`)}},
		"error as text":     {`{"error": "no" ,"choices":[]}`, ChunkInfo{Error: []byte(`"no"`)}},
		"error null":        {`{"error":null,"choices":[]}`, ChunkInfo{}},
		"error in a choice": {choice(`"error":{"message":"no"}`), ChunkInfo{Choices: 1}},
		"empty object":      {` {} `, ChunkInfo{}},
	} {
		t.Run(name, func(t *testing.T) { scan(t, Chat, c.data, c.want) })
	}
}

func scan(t *testing.T, ep Endpoint, data string, want ChunkInfo) {
	t.Helper()
	got, err := ScanChunk(ep, []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, error %q\nwant %+v, error %q", got, got.Error, want, want.Error)
	}
}

// contract: R6, S4, S5
func TestScanChunkOfCompletions(t *testing.T) {
	for data, want := range map[string]ChunkInfo{
		`{"choices":[{"text":"","index":0,"logprobs":null,"finish_reason":null}]}`:  {Choices: 1},
		`{"choices":[{"text":"a","index":1,"logprobs":null,"finish_reason":null}]}`: {Choices: 2, Content: true},
		`{"choices":[{"text":"","index":0,"finish_reason":"stop"}]}`:                {Choices: 1, Finishes: 1},
		`{"choices":[{"text":"a"},{"text":""}]}`:                                    {Choices: 1, Content: true},
		`{"choices":[],"usage":{"prompt_tokens":1}}`:                                {HasUsage: true, UsageOnly: true, Usage: Usage{Prompt: 1, Total: 1}},
	} {
		scan(t, Completions, data, want)
	}
}

// contract: R6, S4, S5
func TestScanChunkOfResponses(t *testing.T) {
	usage := `"usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":4},"output_tokens":5,"output_tokens_details":{"reasoning_tokens":3},"total_tokens":15}`
	used := Usage{10, 5, 15, 4, 3}
	for data, want := range map[string]ChunkInfo{
		`{"type":"response.created","response":{"id":"r","error":null,"usage":null}}`:              {Choices: 1},
		`{"type":"response.output_item.added","item":{"type":"message","content":[]}}`:             {Choices: 1},
		`{"type":"response.output_text.delta","delta":"a"}`:                                        {Choices: 1, Content: true},
		`{"type":"response.output_text.delta","delta":""}`:                                         {Choices: 1},
		`{"type":"response.function_call_arguments.delta","delta":"{"}`:                            {Choices: 1, Content: true},
		`{"type":"response.completed","response":{"error":null,` + usage + `}}`:                    {Choices: 1, Finishes: 1, HasUsage: true, Usage: used},
		`{"response":{` + usage + `},"type":"response.incomplete"}`:                                {Choices: 1, Finishes: 1, HasUsage: true, Usage: used},
		`{"type":"response.completed","response":null}`:                                            {Choices: 1, Finishes: 1},
		`{"response":{"error":{"code":"x"}},"type":"response.failed"}`:                             {Choices: 1, Error: []byte(`{"code":"x"}`)},
		`{"type":"response.failed","response":{}}`:                                                 {Choices: 1, Error: []byte(`{"type":"response.failed","response":{}}`)},
		`{"type":"error","code":"x","message":"no","param":null}`:                                  {Choices: 1, Error: []byte(`{"type":"error","code":"x","message":"no","param":null}`)},
		`{"type":"error","error":{"message":"no"}}`:                                                {Choices: 1, Error: []byte(`{"message":"no"}`)},
		`{"error":{"message":"no","type":"server_error"}}`:                                         {Choices: 1, Error: []byte(`{"message":"no","type":"server_error"}`)},
		`{"type":"response.mcp_call.failed","item_id":"i"}`:                                        {Choices: 1},
		`{"type":"response.output_item.done","item":{"error":"tool broke"},"error":{"at":"tool"}}`: {Choices: 1},
	} {
		t.Run(data, func(t *testing.T) { scan(t, Responses, data, want) })
	}
}

// contract: S4
// security: X10
func TestScanRefusesWhatIsNoObject(t *testing.T) {
	for _, data := range []string{
		``, `[]`, `null`, `"a"`, `[DONE]`, `{`, `{"choices":[{"delta":{"content":"a`, `{"choices":[`, `{"usage":{"prompt_tokens":`, `{"error":`, `{} {}`, `{"a":1}]`,
		`{"choices":[{"index":}]}`, `{"type":"response.completed","response":{"usage":{"input_tokens":1}`, "{\"choices\":[{\"delta\":{\"content\":\"a\nb\"}}]}",
		`<html>`, `{"x":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`,
	} {
		for _, ep := range Endpoints() {
			if info, err := ScanChunk(ep, []byte(data)); err == nil {
				t.Errorf("%v: %.80s: %+v", ep, data, info)
			}
		}
		if a, err := ScanAnswer([]byte(data)); err == nil {
			t.Errorf("%.80s: %+v", data, a)
		}
	}
}

// contract: S2, S4, S10
func TestScanAnswer(t *testing.T) {
	for body, want := range map[string]Answer{
		`{}`: {},
		`{"choices":[{"message":{"content":"a","usage":{"prompt_tokens":9}}}],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}`: {HasUsage: true, Usage: Usage{Prompt: 10, Completion: 5, Total: 15}},
		`{"data":[{"embedding":[0.1,-2e-3]}],"usage":{"prompt_tokens":8,"total_tokens":8}}`:                                                          {HasUsage: true, Usage: Usage{Prompt: 8, Total: 8}},
		`{"error":null,"usage":{"input_tokens":1,"output_tokens":2}}`:                                                                                {HasUsage: true, Usage: Usage{Prompt: 1, Completion: 2, Total: 3}},
		` {"error" : {"message":"no"} } ` + "\n":                                                                                                     {Error: []byte(`{"message":"no"}`)},
		`{"error":"no","usage":null}`:                                                                                                                {Error: []byte(`"no"`)},
	} {
		got, err := ScanAnswer([]byte(body))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s\ngot  %+v, %v\nwant %+v", body, got, err, want)
		}
	}
}

func TestScanDoesNotAllocate(t *testing.T) {
	for ep, data := range map[Endpoint]string{Chat: chatChunk, Responses: responsesChunk} {
		b := []byte(data)
		if n := testing.AllocsPerRun(100, func() { _, _ = ScanChunk(ep, b); _, _ = ScanAnswer(b) }); n > 0 {
			t.Errorf("%v: %v allocations", ep, n)
		}
	}
}
