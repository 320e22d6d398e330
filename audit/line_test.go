package audit

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func line(s Subject, seq uint64, e Event) []byte {
	h := newHead(s)
	var ids eventIDs
	ids.seed()
	return appendLine(nil, &h, ids.next(), time.Date(2026, 11, 25, 8, 0, 0, 123456789, time.FixedZone("", 3600)), seq, e)
}

// contract: U1
func TestEventIsOneObject(t *testing.T) {
	full := Subject{Request: "req_1", Session: "s1", User: "u1", Agent: "a", TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	tests := map[string]struct {
		s    Subject
		e    Event
		want string
	}{
		"everything": {
			full, Event{Provider: "p", Model: "m", Payload: Usage{Prompt: 1, Completion: 2, Total: 3, Attempts: 1}},
			`"time":"2026-11-25T07:00:00.123456Z","request_id":"req_1","session_id":"s1","event_seq":7,"event_type":"usage","user_id":"u1","agent":"a","provider":"p","model":"m",` +
				`"payload":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"attempts":1},"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}`,
		},
		"as little as can be": {
			Subject{Request: "req_1"}, Event{Payload: SessionStart{}},
			`"time":"2026-11-25T07:00:00.123456Z","request_id":"req_1","event_seq":7,"event_type":"session_start","payload":{"new":false}}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := line(tt.s, 7, tt.e)
			if !json.Valid(b) || bytes.IndexByte(b, '\n') != len(b)-1 {
				t.Fatalf("not one line of JSON: %q", b)
			}
			value, ok := openLine(bytes.Clone(b))
			if !ok {
				t.Fatalf("the checksum is wrong: %q", b)
			}
			_, rest, _ := strings.Cut(string(value), ",")
			if rest != tt.want {
				t.Errorf("got\n%s\nwant\n%s", rest, tt.want)
			}
			if id := decode(t, value).ID; len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
				t.Errorf("event_id %q", id)
			}
		})
	}
}

func TestEventIDsDiffer(t *testing.T) {
	seen := make(map[[16]byte]bool)
	for range 100 {
		var ids eventIDs
		ids.seed()
		for range 100 {
			seen[ids.next()] = true
		}
	}
	if len(seen) != 100*100 {
		t.Errorf("%d different ids of %d", len(seen), 100*100)
	}
}

// hostile are texts that must not break a line, nor make it too long.
var hostile = map[string]string{
	"empty":         "",
	"newlines":      "a\nb\r\nc\u2028d",
	"quotes":        `","crc":"00000000"}` + "\n" + `{"event_id":"`,
	"not UTF-8":     "a\xff\xc0\x80\xed\xa0\x80b",
	"control":       strings.Repeat("\x00\x1f\x7f", 100),
	"long":          strings.Repeat("x", 3<<20),
	"long control":  strings.Repeat("\x01", 3<<20),
	"long slashes":  strings.Repeat(`\`, 1<<20),
	"long mixed":    strings.Repeat("\\\x02\"€𝄞ab\n", 1<<17),
	"long garbage":  strings.Repeat("\xf0\x9d\x84", 1<<19),
	"long JSON":     `{"a":"` + strings.Repeat("y", 1<<20) + `"}`,
	"JSON, many":    `[` + strings.Repeat("{\n\"a\":\r\n[1,2]},", 1000) + `1]`,
	"JSON, not all": `{"a":1`,
	"JSON, two":     "{}\n{}",
}

func payloads(text string) []Payload {
	b := []byte(text)
	return []Payload{
		Request{Endpoint: text, Stream: true, Bytes: 1, Body: b},
		LLMCall{Outcome: text, Status: 1, Key: text, Own: true, Seconds: 1.5, First: 0.25, Prompt: 1, Completion: 2, Error: text},
		ToolCall{ID: text, Server: text, Tool: text, Bytes: 1, Arguments: text},
		ToolResult{ID: text, Server: text, Tool: text, Outcome: text, Seconds: 1, Bytes: 1, Text: text},
		Chunk{Kind: text, Bytes: 1, Text: text, Hidden: true},
		Answer{Finish: text, Status: 1, Target: text, Cached: true, Seconds: 1, Bytes: 1, Content: text, Reasoning: text},
		Usage{Prompt: 1, Completion: 2, Total: 3, Attempts: 4, Turns: 5, ToolCalls: 6},
		Error{Status: 1, Class: text, Code: text, Message: text, Seconds: 1, Unrecorded: 7},
		SessionStart{New: true},
		SessionEnd{Phase: 1, Steps: 2},
		KeyState{Key: text, State: text, Cause: text, Until: text},
		BreakerState{Server: text, State: text, Cause: text},
	}
}

// contract: U1
func TestNoTextBreaksALine(t *testing.T) {
	for name, text := range hostile {
		t.Run(name, func(t *testing.T) {
			for _, p := range payloads(text) {
				s := Subject{Request: text, Session: text, User: text, Agent: text, TraceParent: text}
				b := line(s, ^uint64(0), Event{Provider: text, Model: text, Payload: p})
				if len(b) > maxEvent {
					t.Errorf("%s: %d bytes", p.Type(), len(b))
				}
				if !utf8.Valid(b) || bytes.IndexByte(b, '\n') != len(b)-1 {
					t.Errorf("%s: no line of text: %.300q", p.Type(), b)
				}
				value, ok := openLine(b)
				if !ok {
					t.Fatalf("%s: the checksum is wrong", p.Type())
				}
				if e := decode(t, value); e.Type != p.Type() || e.Seq != ^uint64(0) {
					t.Errorf("%s: decodes as %s %d", p.Type(), e.Type, e.Seq)
				}
				quoted, _ := appendText(nil, text, maxName)
				var key string
				unmarshal(t, quoted, &key)
				if got := string(keyOf(value)); got != key {
					t.Errorf("%s: the key is %.100q, want %.100q", p.Type(), got, key)
				}
			}
		})
	}
}

// TestPayloadsAsTheirTagsSay compares the encoders with the struct tags, which readers
// decode with.
func TestPayloadsAsTheirTagsSay(t *testing.T) {
	for _, p := range payloads("text") {
		t.Run(string(p.Type()), func(t *testing.T) {
			if r, ok := p.(Request); ok {
				r.Body = nil // is raw JSON
				p = r
			}
			std, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.AppendJSON(nil); !bytes.Equal(got, std) {
				t.Errorf("got\n%s\nwant\n%s", got, std)
			}
		})
	}
	var have []Type
	for _, p := range payloads("") {
		have = append(have, p.Type())
	}
	if !slices.Equal(slices.Sorted(slices.Values(have)), slices.Sorted(slices.Values(Types))) {
		t.Errorf("payloads for %v, types %v", have, Types)
	}
}

func TestBodiesAndArguments(t *testing.T) {
	deep := strings.Repeat("[", maxDeep+1) + strings.Repeat("]", maxDeep+1)
	tests := map[string]struct {
		in, raw, text string
		cut           bool
	}{
		"JSON":               {in: ` {"a": [1, "\n"]} `, raw: ` {"a": [1, "\n"]} `},
		"on several lines":   {in: "{\n\t\"a\": 1,\r\n \"b\\nc\": 2\n}\n", raw: "{ \t\"a\": 1,   \"b\\nc\": 2 } "},
		"no JSON":            {in: `{"a"`, text: `{"a"`},
		"two documents":      {in: "1\n2", text: "1\n2"},
		"not UTF-8":          {in: "{\"a\":\"\xff\"}", text: "{\"a\":\"\uFFFD\"}"},
		"too deep":           {in: deep, text: deep},
		"deep enough":        {in: deep[1 : len(deep)-1], raw: deep[1 : len(deep)-1]},
		"too large a number": {in: `[1e400]`, text: `[1e400]`},
		"small numbers":      {in: `[-1.5e-30,0,12345678901234567890]`, raw: `[-1.5e-30,0,12345678901234567890]`},
		"brackets in text":   {in: `"` + strings.Repeat("[{\\\"", 100) + `"`, raw: `"` + strings.Repeat("[{\\\"", 100) + `"`},
		"just small enough":  {in: `"` + strings.Repeat("x", maxText-2) + `"`, raw: `"` + strings.Repeat("x", maxText-2) + `"`},
		"too long":           {in: `"` + strings.Repeat("x", maxText-1) + `"`, text: `"` + strings.Repeat("x", maxText-2), cut: true}, // a quote takes two
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var r struct {
				Body      json.RawMessage
				BodyText  *string `json:"body_text"`
				Truncated bool
			}
			unmarshal(t, Request{Body: []byte(tt.in)}.AppendJSON(nil), &r)
			var call struct {
				Arguments json.RawMessage
				Truncated bool
			}
			unmarshal(t, ToolCall{Arguments: tt.in}.AppendJSON(nil), &call)
			if tt.raw != "" {
				// RawMessage does not keep the space around.
				want := strings.TrimSpace(tt.raw)
				if string(r.Body) != want || r.BodyText != nil || r.Truncated {
					t.Errorf("body %.100q, text %v, truncated %v", r.Body, r.BodyText, r.Truncated)
				}
				if string(call.Arguments) != want || call.Truncated {
					t.Errorf("arguments %.100q, truncated %v", call.Arguments, call.Truncated)
				}
				return
			}
			var args string
			unmarshal(t, call.Arguments, &args)
			want := tt.text
			if r.Body != nil || r.BodyText == nil || *r.BodyText != want || r.Truncated != tt.cut {
				t.Errorf("body %.100q, truncated %v", r.Body, r.Truncated)
			}
			if args != want || call.Truncated != tt.cut {
				t.Errorf("arguments %.100q, truncated %v", args, call.Truncated)
			}
		})
	}
}

func unmarshal(t *testing.T, b []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%v in %.200q", err, b)
	}
}

func TestTextIsCutBetweenCharacters(t *testing.T) {
	units := map[string]string{"ASCII": "a", "two bytes": "é", "four bytes": "𝄞", "escape": "\n", "backslash": `\`, "control": "\x01", "garbage": "\xff", "mixed": "\\\x01n\"é𝄞u\xff"}
	for name, unit := range units {
		t.Run(name, func(t *testing.T) {
			text := strings.Repeat(unit, 40)
			all, _ := appendText(nil, text, 1<<20)
			var whole string
			unmarshal(t, all, &whole)
			for limit := range all {
				b, cut := appendText(nil, text, limit)
				var got string
				unmarshal(t, b, &got)
				if len(b)-2 > limit {
					t.Fatalf("limit %d: %d bytes", limit, len(b)-2)
				}
				if len(b)-2 <= limit-maxRise && cut && limit < len(all)-2 {
					t.Errorf("limit %d: only %d bytes", limit, len(b)-2)
				}
				if !strings.HasPrefix(whole, got) || cut != (got != whole) {
					t.Errorf("limit %d: %q, cut %v", limit, got, cut)
				}
			}
		})
	}
}

// TestAnswerSharesTheRoom: neither half starves the other, and none is cut in vain.
func TestAnswerSharesTheRoom(t *testing.T) {
	const half = maxText / 2
	tests := map[string]struct{ content, reasoning, wantContent, wantReasoning int }{
		"both fit":        {1000, 1000, 1000, 1000},
		"content only":    {maxText + 10, 0, maxText, 0},
		"reasoning only":  {0, maxText + 10, 0, maxText},
		"long content":    {maxText, 10, maxText - 60, 10},
		"long reasoning":  {10, maxText, 10, maxText - 10 - len(`,"content":""`)},
		"both are long":   {maxText, maxText, half, half},
		"content fits it": {half, half - 100, half, half - 100},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := Answer{Content: strings.Repeat("c", tt.content), Reasoning: strings.Repeat("r", tt.reasoning)}
			var got struct {
				Content, Reasoning string
				Truncated          bool
			}
			b := p.AppendJSON(nil)
			unmarshal(t, b, &got)
			if len(got.Content) != tt.wantContent || len(got.Reasoning) != tt.wantReasoning || len(b) > maxPayload {
				t.Errorf("%d and %d of %d bytes", len(got.Content), len(got.Reasoning), len(b))
			}
			if got.Truncated != (tt.content > tt.wantContent || tt.reasoning > tt.wantReasoning) {
				t.Errorf("truncated %v", got.Truncated)
			}
		})
	}
}

// A payload of somebody else's making is held to the limit, too.
type monster struct{ Chunk }

func (monster) AppendJSON(dst []byte) []byte {
	return append(append(append(dst, '"'), bytes.Repeat([]byte("x"), maxPayload)...), '"')
}

func TestPayloadIsHeldToTheLimit(t *testing.T) {
	value, ok := openLine(line(Subject{Request: "r"}, 1, Event{Payload: monster{}}))
	if e := decode(t, value); !ok || string(e.Payload) != `{"truncated":true}` {
		t.Errorf("payload %.100q", e.Payload)
	}
}

func TestSeconds(t *testing.T) {
	for s, want := range map[float64]string{0: "0", 1.5: "1.5", 0.1234567: "0.123457", 3e9: "3000000000", math.Inf(-1): "0", math.NaN(): "0"} {
		if got := string(appendSeconds(nil, s)); got != want {
			t.Errorf("%v: %s, want %s", s, got, want)
		}
	}
}

func TestOpenLineSeesEveryBit(t *testing.T) {
	b := line(Subject{Request: "req_1"}, 1, answer(1))
	for i := range b {
		for bit := range 8 {
			c := bytes.Clone(b)
			c[i] ^= 1 << bit
			// A letter of the checksum may be large or small.
			same := bytes.EqualFold(c, b)
			if _, ok := openLine(c); ok && !same {
				t.Fatalf("bit %d of byte %d is not noticed", bit, i)
			}
		}
	}
	for n := range b {
		if _, ok := openLine(bytes.Clone(b[:n])); ok {
			t.Fatalf("the first %d bytes pass", n)
		}
	}
}

func TestKeyAndTrace(t *testing.T) {
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	tests := map[string]struct {
		s           Subject
		p           Payload
		key, parent string
	}{
		"request":          {Subject{Request: "req_1"}, SessionStart{}, "req_1", ""},
		"session":          {Subject{Request: "req_1", Session: "s"}, SessionStart{}, "s", ""},
		"trace":            {Subject{Request: "req_1", TraceParent: trace}, SessionStart{}, "req_1", trace},
		"trace in a body":  {Subject{Request: "req_1"}, Request{Body: []byte(`{"x":{"a":1,"traceparent":"t"}}`)}, "req_1", ""},
		"two of them":      {Subject{Request: "r", TraceParent: trace}, Request{Body: []byte(`{"x":{"a":1,"traceparent":"t"}}`)}, "r", trace},
		"session in a key": {Subject{Request: `a","session_id":"b`}, SessionStart{}, `a","session_id":"b`, ""},
		"a strange key":    {Subject{Request: "r", Session: "é\"\\\n€"}, SessionStart{}, "é\"\\\n€", ""},
		"a strange trace":  {Subject{Request: "r", TraceParent: `a"b`}, SessionStart{}, "r", ""},
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		tt := tests[name]
		t.Run(name, func(t *testing.T) {
			value, ok := openLine(line(tt.s, 1, Event{Payload: tt.p}))
			if !ok {
				t.Fatal("not a line")
			}
			if key, parent := string(keyOf(value)), string(traceOf(value)); key != tt.key || parent != tt.parent {
				t.Errorf("key %q, trace %q", key, parent)
			}
			if at, ok := timeOf(value); !ok || !at.Equal(time.Date(2026, 11, 25, 7, 0, 0, 123456000, time.UTC)) {
				t.Errorf("time %v", at)
			}
		})
	}
}
