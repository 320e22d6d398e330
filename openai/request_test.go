package openai

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// parse is ParseRequest for a body that must be good.
func parse(t testing.TB, ep Endpoint, body string) *Request {
	t.Helper()
	r, e := ParseRequest(ep, []byte(body))
	if e != nil {
		t.Fatalf("refused: %v\nin %.300s", e, body)
	}
	return r
}

const hello = `[{"role":"user","content":"hello"}]`

// contract: R1, R6
func TestGoodRequests(t *testing.T) {
	for name, c := range map[string]struct {
		ep           Endpoint
		body         string
		model        string
		stream, asks bool
	}{
		"smallest chat":       {Chat, `{"model":"m","messages":` + hello + `}`, "m", false, false},
		"smallest completion": {Completions, `{"model":"m","prompt":"Once"}`, "m", false, false},
		"smallest embedding":  {Embeddings, `{"model":"m","input":["a","b"]}`, "m", false, false},
		"smallest response":   {Responses, `{"model":"m","input":"hello"}`, "m", false, false},
		"stream":              {Chat, `{"model":"m","stream":true,"messages":` + hello + `}`, "m", true, false},
		"stream with usage":   {Chat, `{"stream_options":{"include_usage":true},"model":"m","stream":true,"messages":` + hello + `}`, "m", true, true},
		"usage declined":      {Chat, `{"stream_options":{"x":[1],"include_usage":false},"model":"m","stream":true,"messages":` + hello + `}`, "m", true, false},
		"usage key escaped":   {Chat, `{"stream_options":{"include\u005fusage":true},"model":"m","stream":true,"messages":` + hello + `}`, "m", true, true},
		"nulls for defaults": {Chat, `{"model":"m","stream":null,"stream_options":null,"tools":null,"n":null,"temperature":null,
			"messages":` + hello + `}`, "m", false, false},
		"include_usage null":        {Chat, `{"model":"m","stream_options":{"include_usage":null},"messages":` + hello + `}`, "m", false, false},
		"white space":               {Chat, " \t\r\n{ \"model\" \n:\r\"m\" , \"messages\"\t: [ { \"role\" : \"user\" } ] } \n", "m", false, false},
		"model with slashes":        {Chat, `{"model":"meta-llama/Llama-3.1:free","messages":` + hello + `}`, "meta-llama/Llama-3.1:free", false, false},
		"model escaped":             {Chat, `{"model":"a\/\u00e9","messages":` + hello + `}`, "a/é", false, false},
		"model of 256 bytes":        {Chat, `{"model":"` + strings.Repeat("m", 256) + `","messages":` + hello + `}`, strings.Repeat("m", 256), false, false},
		"key escaped":               {Chat, `{"\u006dodel":"m","messages":` + hello + `}`, "m", false, false},
		"unknown field":             {Chat, `{"model":"m","frobnicate":{"Model":1,"model":2},"messages":` + hello + `}`, "m", false, false},
		"unknown field twice":       {Chat, `{"model":"m","x":1,"x":2,"messages":` + hello + `}`, "m", false, false},
		"field of one byte":         {Chat, `{"model":"m","":0,"é":1,"messages":` + hello + `}`, "m", false, false},
		"a very long key":           {Chat, `{"model":"m","` + strings.Repeat("model", 20) + `":0,"messages":` + hello + `}`, "m", false, false},
		"messages elsewhere":        {Responses, `{"model":"m","messages":"anything"}`, "m", false, false},
		"stream of responses":       {Responses, `{"model":"m","input":"x","stream":true}`, "m", true, false},
		"embedding without stream":  {Embeddings, `{"model":"m","input":"x","stream":false}`, "m", false, false},
		"score a prompt only":       {Completions, `{"model":"m","prompt":"x","echo":true,"logprobs":1,"max_tokens":0}`, "m", false, false},
		"more fields than inlined":  {Chat, `{` + strings.Repeat(`"x":0,`, 254) + `"model":"m","messages":` + hello + `}`, "m", false, false},
		"a thousand tools":          {Chat, `{"model":"m","tools":[{}` + strings.Repeat(`,{}`, 1023) + `],"messages":` + hello + `}`, "m", false, false},
		"as deep as allowed":        {Chat, `{"model":"m","messages":` + hello + `,"x":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}`, "m", false, false},
		"as many messages as taken": {Chat, `{"model":"m","messages":[{"role":"user"}` + strings.Repeat(`,{"role":"user"}`, 16383) + `]}`, "m", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := parse(t, c.ep, c.body)
			if r.Endpoint != c.ep || r.Model != c.model || r.Stream != c.stream || r.IncludeUsage != c.asks {
				t.Errorf("got %v, model %q, stream %v, usage %v", r.Endpoint, r.Model, r.Stream, r.IncludeUsage)
			}
			if string(r.Body()) != c.body {
				t.Error("the body was changed")
			}
		})
	}
}

// contract: R1
func TestEveryRole(t *testing.T) {
	for _, role := range []string{"system", "developer", "user", "assistant", "tool", "function"} {
		parse(t, Chat, `{"model":"m","messages":[{"content":[{"role":"nobody"}],"role":"`+role+`"}]}`)
		parse(t, Chat, `{"model":"m","messages":[{"r\u006fle":"`+role+`"}]}`)
	}
}

// contract: R1
func TestRangesIncludeTheirEnds(t *testing.T) {
	for field, values := range map[string][]string{
		"n":                     {"1", "128", "2.0", "1e2"},
		"max_tokens":            {"0", "1", "2147483648"},
		"max_completion_tokens": {"1", "2147483648"},
		"max_output_tokens":     {"1", "2147483648"},
		"temperature":           {"0", "-0", "0.7", "2", "2.000", "1e-400"},
		"top_p":                 {"0", "1", "1E0"},
		"presence_penalty":      {"-2", "2"},
		"frequency_penalty":     {"-2", "2"},
		"top_logprobs":          {"0", "20"},
	} {
		for _, v := range values {
			parse(t, Chat, fmt.Sprintf(`{"model":"m",%q: %s ,"messages":%s}`, field, v, hello))
		}
	}
}

// contract: R1
func TestFieldReturnsTheClientsBytes(t *testing.T) {
	r := parse(t, Chat, `{"model":"m","seed" : 12345678901234567890.10 ,"a\u0062c":{"z":1, "a":2},"x":1,"x":2,"messages":`+hello+`}`)
	for name, want := range map[string]string{
		"seed": `12345678901234567890.10`, "abc": `{"z":1, "a":2}`, "model": `"m"`, "messages": hello,
		"x": "2", // the last, as most decoders have it
		"z": "", "ab": "", "a\\u0062c": "", "": "",
	} {
		got := r.Field(name)
		if string(got) != want || (got == nil) != (want == "") {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestParseRequestSharesTheBody(t *testing.T) {
	body := []byte(realistic)
	r := parse(t, Chat, realistic)
	allocs := testing.AllocsPerRun(100, func() { _, _ = ParseRequest(Chat, body) })
	if allocs > 4 {
		t.Errorf("%v allocations, want at most 4", allocs)
	}
	if got := r.Rewrite(Edit{}); !bytes.Equal(got, body) || &got[0] == &r.Body()[0] {
		t.Error("the zero Edit must give an equal body of its own")
	}
}
