package openai

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"
)

// realistic is a request as coding assistants send them: 2 KB of messages, tools
// and settings.
const realistic = `{"model":"openai/gpt-4o-mini","stream":true,"temperature":0.2,"max_tokens":4096,"user":"u-83b1","seed":9007199254740993,` +
	`"stream_options":{"include_usage":false},"messages":[{"role":"system","content":"You are a careful assistant for the operators of a ` +
	`small fleet of web servers. Answer in short paragraphs.\n\nRules:\n- name the file and the line\n- \"maybe\" is an answer, a guess is none\n- ` +
	`use the tools before you ask\n"},{"role":"user","content":[{"type":"text","text":"The proxy answers 502 since 14:07, but only for uploads ` +
	`above 8 MB. Grüße aus Köln – was fehlt?"},{"type":"image_url","image_url":{"url":"https://files.example.net/shots/2031-04-02/graph.png",` +
	`"detail":"low"}}]},{"role":"assistant","content":null,"tool_calls":[{"id":"call_7Hq2","type":"function","function":{"name":"read_log",` +
	`"arguments":"{\"unit\":\"proxy\",\"since\":\"14:00\",\"grep\":\"upstream\"}"}}]},{"role":"tool","tool_call_id":"call_7Hq2","content":` +
	`"14:07:12 ERROR http.log.error write tcp 10.3.0.4:51522->10.3.0.9:8080: i/o timeout {\"duration\": 30.002, \"status\": 502, \"size\": 0}\n` +
	`14:07:44 ERROR http.log.error write tcp 10.3.0.4:51530->10.3.0.9:8080: i/o timeout {\"duration\": 30.001, \"status\": 502, \"size\": 0}\n"},` +
	`{"role":"user","content":"And what would you change first?"}],"tools":[{"type":"function","function":{"name":"read_log","description":` +
	`"Reads the journal of one unit and returns the lines that match.","parameters":{"type":"object","properties":{"unit":{"type":"string"},` +
	`"since":{"type":"string","description":"a time of day"},"grep":{"type":"string"}},"required":["unit"],"additionalProperties":false}}},` +
	`{"type":"function","function":{"name":"read_config","description":"Returns the active configuration of one unit.","parameters":{"type":` +
	`"object","properties":{"unit":{"type":"string","enum":["proxy","app","db"]}},"required":["unit"]}}}],"tool_choice":"auto",` +
	`"response_format":{"type":"text"},"metadata":{"ticket":"4711","shift":"late"},"parallel_tool_calls":true}`

// BenchmarkParseRequest: the two are to be compared. Ours checks more, and is to
// take at most half as long again.
func BenchmarkParseRequest(b *testing.B) {
	body := []byte(realistic)
	b.Run("json.Valid", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			json.Valid(body)
		}
	})
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if _, e := ParseRequest(Chat, body); e != nil {
				b.Fatal(e)
			}
		}
	})
}

func BenchmarkRewrite(b *testing.B) {
	r := parse(b, Chat, realistic)
	edit := Edit{
		Model: "llama-3.1-8b-instant", AskUsage: true, Drop: []string{"metadata", "parallel_tool_calls"},
		Rename: []Rename{{"max_tokens", "max_completion_tokens"}},
	}
	b.SetBytes(int64(len(realistic)))
	b.ReportAllocs()
	for b.Loop() {
		r.Rewrite(edit)
	}
}

const (
	chatChunk = `{"id":"chatcmpl-B9MHDb","object":"chat.completion.chunk","created":1741570283,"model":"gpt-4o-mini-2024-07-18",` +
		`"service_tier":"default","system_fingerprint":"fp_06737a9306","choices":[{"index":0,"delta":{"content":" paragraphs"},` +
		`"logprobs":null,"finish_reason":null}],"usage":null}`
	responsesChunk = `{"type":"response.output_text.delta","sequence_number":12,"item_id":"msg_68","output_index":0,"content_index":0,` +
		`"delta":" paragraphs","logprobs":[],"obfuscation":"8Yq"}`
)

func BenchmarkEventReader(b *testing.B) {
	stream := bytes.Repeat([]byte("data: "+chatChunk+"\n\n"), 100)
	src := bytes.NewReader(stream)
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(stream)
		er := NewEventReader(src)
		for {
			if _, err := er.Next(); err == io.EOF {
				break
			}
		}
		er.Release()
	}
}

func BenchmarkScanChunk(b *testing.B) {
	for _, c := range []struct {
		ep   Endpoint
		data string
	}{{Chat, chatChunk}, {Responses, responsesChunk}} {
		b.Run(c.ep.String(), func(b *testing.B) {
			data := []byte(c.data)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ScanChunk(c.ep, data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkChunkEncoder(b *testing.B) {
	enc := ChunkEncoder{ID: "chatcmpl-B9MHDb", Created: 1741570283, Model: "gpt-4o-mini"}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = enc.AppendContent(buf[:0], " paragraphs, \"quoted\" and größer")
	}
}
