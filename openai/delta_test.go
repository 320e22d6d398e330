package openai

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// seen is a Delta in words that compare and print well.
type seen struct {
	Content, Reasoning, Refusal string
	Calls                       []string
	Finish                      string
	Whole, Other                bool
}

func view(d *Delta) seen {
	v := seen{Content: string(d.Content), Reasoning: string(d.Reasoning), Refusal: string(d.Refusal), Finish: d.Finish, Whole: d.Whole, Other: d.Other}
	for _, c := range d.Calls {
		v.Calls = append(v.Calls, fmt.Sprintf("%d|%s|%s|%s|%v", c.Index, c.ID, c.Name, c.Arguments, c.Object))
	}
	return v
}

func chunkOf(delta string) string {
	return `{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":` + delta + `,"finish_reason":null}]}`
}

func TestDelta(t *testing.T) {
	for _, c := range []struct {
		name, data string
		want       seen
	}{
		{"text", chatChunk, seen{Content: " paragraphs"}},
		{"role and nothing", chunkOf(`{"role":"assistant","content":"","refusal":null,"tool_calls":[]}`), seen{}},
		{"escapes", chunkOf(`{"content":"a\n\"\ud83d\ude00\\"}`), seen{Content: "a\n\"😀\\"}},
		{"escaped keys", `{"ch\u006fices":[{"delta":{"c\u006fntent":"x"}}]}`, seen{Content: "x"}},
		{"refusal", chunkOf(`{"refusal":"no"}`), seen{Refusal: "no"}},
		{"reasoning of DeepSeek", chunkOf(`{"content":null,"reasoning_content":"hm"}`), seen{Reasoning: "hm"}},
		{"reasoning of Groq", chunkOf(`{"reasoning":"hm"}`), seen{Reasoning: "hm"}},
		{"reasoning text", chunkOf(`{"reasoning_text":"hm"}`), seen{Reasoning: "hm"}},
		{"reasoning under two names is one", chunkOf(`{"reasoning":"hm","reasoning_content":"hm","reasoning_details":[{"text":"hm"}]}`), seen{Reasoning: "hm", Other: true}},
		{"of two names one may be empty", chunkOf(`{"reasoning":"","reasoning_content":"hm","content":"x"}`), seen{Reasoning: "hm", Content: "x"}},
		{
			"parts of Mistral",
			chunkOf(`{"content":[{"type":"thinking","thinking":[{"type":"text","text":"h"},{"type":"text","text":"m"}]},{"type":"text","text":"a"},{"text":"b","type":"text"}]}`),
			seen{Content: "ab", Reasoning: "hm"},
		},
		{"other parts", chunkOf(`{"content":["a",{"type":"text","text":"b"},{"type":"thinking","thinking":"hm"},{"type":"reference","reference_ids":[1]},7,null]}`), seen{Content: "ab", Reasoning: "hm", Other: true}},
		{"one part", chunkOf(`{"content":{"type":"text","text":"b"}}`), seen{Content: "b"}},
		{"what is no text", chunkOf(`{"content":5,"reasoning":{"effort":"low"},"refusal":[],"tool_calls":null,"function_call":null}`), seen{}},
		{"a call opens", chunkOf(`{"tool_calls":[{"index":1,"id":"c1","type":"function","function":{"name":"f","arguments":""}}]}`), seen{Calls: []string{"1|c1|f||false"}}},
		{"a call goes on", chunkOf(`{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":\"\\u00e9\""}}]}`), seen{Calls: []string{`0|||{"a":"\u00e9"|false`}}},
		{
			"calls without index, one with an object",
			chunkOf(`{"tool_calls":[{"id":7,"function":{"arguments":{"a":[1, 2]},"name":"f"}},null,{"index":null,"id":null,"name":"g","arguments":[1]}]}`),
			seen{Calls: []string{`-1|7|f|{"a":[1, 2]}|true`, "-1||g|[1]|true"}},
		},
		{"one call without array", chunkOf(`{"tool_calls":{"function":{"name":"f","arguments":null}}}`), seen{Calls: []string{"-1||f||false"}}},
		{"legacy call", chunkOf(`{"function_call":{"name":"f","arguments":"{}"}}`), seen{Calls: []string{"-1||f|{}|false"}}},
		{"finish", `{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}`, seen{Finish: "tool_calls"}},
		{"unusual finish", `{"choices":[{"index":0,"delta":{},"finish_reason":"a\u0062c"}]}`, seen{Finish: "abc"}},
		{"whole message", `{"choices":[{"message":{"role":"assistant","content":"all"},"finish_reason":"stop"}]}`, seen{Content: "all", Finish: "stop", Whole: true}},
		{"delta beside an empty message", `{"choices":[{"message":{"content":""},"delta":{"content":"x"}}]}`, seen{Content: "x"}},
		{"message beside an empty delta", `{"choices":[{"delta":{"content":""},"message":{"content":"x"}}]}`, seen{Content: "x", Whole: true}},
		{"never both", `{"choices":[{"delta":{"content":"x"},"message":{"content":"x"}}]}`, seen{Content: "x"}},
		{"null in place of both", `{"choices":[{"delta":null,"message":null,"finish_reason":"stop"}]}`, seen{Finish: "stop"}},
		{
			"another choice",
			`{"choices":[{"delta":{"content":"B","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop","index":1},{"index":0,"delta":{"content":"A"}}]}`,
			seen{Content: "A"},
		},
		{"usage only", `{"choices":[],"usage":{"total_tokens":3}}`, seen{}},
		{"no choices", `{"error":{"message":"x"},"choices":null}`, seen{}},
		{"other things", chunkOf(`{"content":"x","audio":{"id":"a"}}`), seen{Content: "x", Other: true}},
		{"a number", chunkOf(`{"content":"x","weight":1}`), seen{Content: "x", Other: true}},
		{"other things that are empty", chunkOf(`{"role":"assistant","name":"a","content":"x","annotations":[ ],"audio":null,"extra":{},"images":"","flagged":false}`), seen{Content: "x"}},
		{"other things of another choice", `{"choices":[{"index":1,"delta":{"audio":{"id":"a"}}},{"index":0,"delta":{"content":"A"}}]}`, seen{Content: "A"}},
		{"what a search refers to", `{"citations":["https://example.com"],"choices":[{"delta":{"content":"x"}}]}`, seen{Content: "x", Other: true}},
		{"odd choices", `{"choices":[null,5,[]]}`, seen{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Delta{Content: []byte("left over"), Reasoning: []byte("left over"), Calls: []CallDelta{{ID: "left over"}}, Finish: "left over", Whole: true, Other: true}
			if err := d.Scan([]byte(c.data)); err != nil {
				t.Fatal(err)
			}
			if got := view(&d); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestDeltaOfNoObject(t *testing.T) {
	var d Delta
	for _, data := range []string{"", "[DONE]", "[]", "null", `{"choices":[{"delta":{"content":"x`, `{"choices":[{"delta":{"content":"x"}}]} {}`, `{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":{"a":}}}]}}]}`} {
		if d.Scan([]byte(data)) == nil {
			t.Errorf("%q passed", data)
		}
	}
}

// A buffer that moves while it grows keeps the arguments of the calls before.
func TestDeltaKeepsAllCallsOfAChunk(t *testing.T) {
	var b strings.Builder
	for i := range 50 {
		fmt.Fprintf(&b, `,{"index":%d,"function":{"name":"f","arguments":"{\"n\":%d}"}}`, i, i)
	}
	var d Delta
	if err := d.Scan([]byte(chunkOf(`{"tool_calls":[` + b.String()[1:] + `]}`))); err != nil {
		t.Fatal(err)
	}
	for i, c := range d.Calls {
		if want := fmt.Sprintf(`{"n":%d}`, i); string(c.Arguments) != want || c.Index != i {
			t.Errorf("call %d: %d %s", i, c.Index, c.Arguments)
		}
	}
	if len(d.Calls) != 50 {
		t.Errorf("%d calls", len(d.Calls))
	}
}

const argumentsChunk = `{"id":"chatcmpl-B9MHDb","object":"chat.completion.chunk","created":1741570283,"model":"gpt-4o-mini","choices":[{"index":0,` +
	`"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\": \"K\u00f6ln\""}}]},"logprobs":null,"finish_reason":null}]}`

func TestDeltaDoesNotAllocate(t *testing.T) {
	var d Delta
	for _, data := range []string{chatChunk, argumentsChunk, chunkOf(`{"reasoning_content":"h\u00f6m\n","content":[{"type":"text","text":"a"}]}`), `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`} {
		b := []byte(data)
		scan := func() {
			if err := d.Scan(b); err != nil {
				t.Fatal(err)
			}
		}
		scan()
		if n := testing.AllocsPerRun(100, scan); n != 0 {
			t.Errorf("%s: %v allocations", data, n)
		}
	}
}

func BenchmarkDelta(b *testing.B) {
	for name, chunk := range map[string]string{"content": chatChunk, "arguments": argumentsChunk} {
		b.Run(name, func(b *testing.B) {
			data := []byte(chunk)
			var d Delta
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if err := d.Scan(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzDelta: no input breaks it, and it is an error exactly where the chunk is no
// object for ScanChunk either.
func FuzzDelta(f *testing.F) {
	f.Add([]byte(chatChunk))
	f.Add([]byte(argumentsChunk))
	f.Add([]byte(chunkOf(`{"content":[{"thinking":[{"text":"\ud83d"}]}],"tool_calls":[{"function":{"arguments":{"a":1}}}],"function_call":{}}`)))
	f.Add([]byte(`{"choices":[{"message":{"reasoning":"x"},"delta":null,"index":2},[]]}`))
	var d Delta
	f.Fuzz(func(t *testing.T, data []byte) {
		err := d.Scan(data)
		if _, want := ScanChunk(Chat, data); (err == nil) != (want == nil) {
			t.Fatalf("%q: %v, ScanChunk says %v", data, err, want)
		}
	})
}
