package verify

import (
	"bytes"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/universal-ai-gateway/magicproxy/audit"
)

func TestSchemaIsTheDocument(t *testing.T) {
	b, err := os.ReadFile("../../docs/audit.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, schemaText) {
		t.Error("schema.json differs from docs/audit.schema.json: copy it")
	}
}

// payloads has one of each type, everything filled in.
var payloads = []audit.Payload{
	audit.Request{Endpoint: "chat", Stream: true, Bytes: 7, Body: []byte(`{"a":1}`)},
	audit.LLMCall{
		Outcome: "rate_limited", Status: 429, Key: "abcd", Own: true, Seconds: 1.25, First: 0.5, Prompt: 3, Completion: 4, Error: "no more",
	},
	audit.ToolCall{ID: "c1", Server: "docs", Tool: "read", Bytes: 2, Arguments: `{}`},
	audit.ToolResult{ID: "c1", Server: "docs", Tool: "read", Outcome: "ok", Seconds: 1, Bytes: 4, Text: "text"},
	audit.Chunk{Kind: "reasoning", Bytes: 4, Text: "text", Hidden: true},
	audit.Answer{Finish: "stop", Status: 200, Target: "p/m", Cached: true, Seconds: 2, Bytes: 9, Content: "yes", Reasoning: "so"},
	audit.Usage{Prompt: 1, Completion: 2, Total: 3, Attempts: 1, Turns: 2, ToolCalls: 1},
	audit.Error{Status: 502, Class: "provider", Code: "bad", Message: "broke", Seconds: 1, Unrecorded: 2},
	audit.SessionStart{New: true},
	audit.SessionEnd{Phase: 1, Steps: 2},
	audit.KeyState{Key: "abcd", State: "cooling", Cause: "rate_limited", Until: "2026-11-25T04:18:59Z"},
	audit.BreakerState{Server: "docs", State: "half_open", Cause: "dial"},
}

// smallest has one of each type, of which all that may be absent is.
var smallest = []audit.Payload{
	audit.Request{Endpoint: "embeddings"}, audit.LLMCall{Outcome: "ok"}, audit.ToolCall{}, audit.ToolResult{}, audit.Chunk{Kind: "notice"},
	audit.Answer{Status: 200}, audit.Usage{}, audit.Error{Status: 499, Class: "canceled"}, audit.SessionStart{}, audit.SessionEnd{},
	audit.KeyState{State: "healthy"}, audit.BreakerState{State: "open"},
}

// journal records events and returns the directory.
func journal(t *testing.T, record func(*audit.Log)) string {
	t.Helper()
	dir := t.TempDir()
	log, err := audit.Open(dir, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	record(log)
	if err := log.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func values(t *testing.T, dir string) [][]byte {
	t.Helper()
	var all [][]byte
	for line, err := range audit.Read(t.Context(), dir, audit.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, bytes.Clone(line.Value))
	}
	return all
}

// What is recorded is what the schema says, and the schema says no more than that.
//
// contract: U1
func TestSchemaDescribesEveryEvent(t *testing.T) {
	s, err := compile()
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("ä\x00\"", 200_000)
	cut := []audit.Payload{
		audit.Request{Endpoint: "chat", Body: []byte(`{"a":"` + strings.Repeat("x", 1<<20) + `"}`)},
		audit.ToolCall{Arguments: long}, audit.ToolResult{Text: long}, audit.Chunk{Kind: "content", Text: long},
		audit.Answer{Status: 200, Content: long, Reasoning: long}, audit.Error{Status: 500, Class: "gateway", Message: long},
		audit.LLMCall{Outcome: "broken", Error: long}, audit.ToolCall{ID: long, Server: long, Tool: long},
	}
	full := audit.Subject{
		Request: "req_1", Session: "s_1", User: "u_1", Agent: "helper",
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
	dir := journal(t, func(log *audit.Log) {
		trail, bare := log.Trail(full), log.Trail(audit.Subject{Request: "req_2"})
		for _, p := range payloads {
			trail.Record(audit.Event{Provider: "p", Model: "m", Payload: p})
		}
		for _, p := range slices.Concat(smallest, cut) {
			bare.Record(audit.Event{Payload: p})
		}
		log.Record(audit.Subject{}, audit.Event{Payload: audit.BreakerState{Server: "docs", State: "closed"}})
	})
	used := make(map[string]map[string]bool) // members by type; "" is the event's own
	for _, v := range values(t, dir) {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(v))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(doc); err != nil {
			t.Errorf("%.200s\n%s", v, violation(err))
		}
		m := doc.(map[string]any)
		note(used, "", m)
		note(used, m["event_type"].(string), m["payload"].(map[string]any))
	}
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemaText))
	if err != nil {
		t.Fatal(err)
	}
	said := root.(map[string]any)
	for name := range said["properties"].(map[string]any) {
		if !used[""][name] && name != "crc" {
			t.Errorf("no event has %s", name)
		}
	}
	for _, typ := range audit.Types {
		def, _ := said["$defs"].(map[string]any)[string(typ)].(map[string]any)
		if def == nil {
			t.Errorf("the schema knows no %s", typ)
			continue
		}
		for name := range def["properties"].(map[string]any) {
			if !used[string(typ)][name] && name != "truncated" {
				t.Errorf("no %s has %s", typ, name)
			}
		}
	}
}

func note(used map[string]map[string]bool, of string, m map[string]any) {
	if used[of] == nil {
		used[of] = make(map[string]bool)
	}
	for name := range m {
		used[of][name] = true
	}
}

// Every field of a payload has a place in the schema, and is filled in above.
func TestPayloadsAreFull(t *testing.T) {
	for _, p := range payloads {
		v := reflect.ValueOf(p)
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("%s: %s is not set", p.Type(), v.Type().Field(i).Name)
			}
		}
	}
}

const good = `{"event_id":"0123456789abcdef0123456789abcdef","time":"2026-11-25T04:18:59.123456Z","request_id":"r",` +
	`"event_seq":1,"event_type":"session_start","payload":{"new":true}}`

func TestSchemaRefuses(t *testing.T) {
	for _, tc := range []struct{ name, old, with, want string }{
		{"nothing", "", "", ""},
		{"journal", `}}`, `},"crc":"0123abcd"}`, ""},
		{"all cut", `{"new":true}`, `{"truncated":true}`, ""},
		{"another member", `"event_seq"`, `"extra":1,"event_seq"`, "extra"},
		{"another member of the payload", `"new"`, `"extra":1,"new"`, "extra"},
		{"no payload", `,"payload":{"new":true}`, ``, "payload"},
		{"empty payload", `"new":true`, ``, "new"},
		{"payload of another type", `session_start`, `session_end`, "phase"},
		{"type of the payload", `true`, `1`, "/payload/new"},
		{"unknown type", `session_start`, `session_middle`, "/event_type"},
		{"id", `0123456789abcdef0`, `0123456789ABCDEF0`, "/event_id"},
		{"number zero", `:1,`, `:0,`, "/event_seq"},
		{"number as text", `:1,`, `:"1",`, "/event_seq"},
		{"local time", `123456Z`, `123456+01:00`, "/time"},
		{"no request", `"r"`, `""`, "/request_id"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := good
			if tc.old != "" {
				v = strings.Replace(v, tc.old, tc.with, 1)
				if v == good {
					t.Fatal("changes nothing")
				}
			}
			c := checker(t, Options{})
			c.Add([]byte(v))
			s := c.Summary()
			switch {
			case tc.want == "":
				if !s.OK {
					t.Errorf("refused: %v", s.Problems)
				}
			case s.Violations != 1 || s.OK || !strings.Contains(s.Problems[len(s.Problems)-1].Text, tc.want):
				t.Errorf("%d violations, %v", s.Violations, s.Problems)
			}
		})
	}
}

func checker(t testing.TB, o Options) *Checker {
	t.Helper()
	c, err := NewChecker(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
