package openai

import (
	"encoding/json"
	"strings"
	"testing"
)

// contract: R1, S2
func TestRewrite(t *testing.T) {
	for name, c := range map[string]struct {
		body string // messages are put in for MSG
		edit Edit
		want string
	}{
		"nothing": {`{"model":"m","messages":MSG}`, Edit{}, `{"model":"m","messages":MSG}`},

		"model first":   {`{"model":"a","messages":MSG}`, Edit{Model: "b/c"}, `{"model":"b/c","messages":MSG}`},
		"model between": {`{"n":1, "model" : "a" ,"messages":MSG}`, Edit{Model: "b"}, `{"n":1, "model" : "b" ,"messages":MSG}`},
		"model last":    {`{"messages":MSG,"model":"a" }`, Edit{Model: "b"}, `{"messages":MSG,"model":"b" }`},
		"model escaped": {`{"m\u006fdel":"\u0061","messages":MSG}`, Edit{Model: `"\`}, `{"m\u006fdel":"\"\\","messages":MSG}`},

		"drop the first":    {`{ "x" : 1 , "model":"m","messages":MSG}`, Edit{Drop: []string{"x"}}, `{ "model":"m","messages":MSG}`},
		"drop in between":   {`{"model":"m" , "x" : 1 , "messages":MSG}`, Edit{Drop: []string{"x"}}, `{"model":"m" , "messages":MSG}`},
		"drop the last":     {`{"model":"m","messages":MSG , "x":1 }`, Edit{Drop: []string{"x"}}, `{"model":"m","messages":MSG }`},
		"drop first two":    {`{"x":1,"y":2,"model":"m","messages":MSG}`, Edit{Drop: []string{"y", "x"}}, `{"model":"m","messages":MSG}`},
		"drop last two":     {`{"model":"m","messages":MSG,"x":1,"y":2}`, Edit{Drop: []string{"y", "x"}}, `{"model":"m","messages":MSG}`},
		"drop everywhere":   {`{"x":1,"model":"m","y":2,"messages":MSG,"z":3}`, Edit{Drop: []string{"x", "y", "z"}}, `{"model":"m","messages":MSG}`},
		"drop all":          {`{ "model":"m", "messages":MSG }`, Edit{Drop: []string{"model", "messages"}}, `{  }`},
		"drop twice":        {`{"x":1,"model":"m","x":2,"messages":MSG}`, Edit{Drop: []string{"x"}}, `{"model":"m","messages":MSG}`},
		"drop an escape":    {`{"model":"m","\u0078":1,"messages":MSG}`, Edit{Drop: []string{"x"}}, `{"model":"m","messages":MSG}`},
		"drop what is not":  {`{"model":"m","xx":{"x":1},"messages":MSG}`, Edit{Drop: []string{"x", ""}}, `{"model":"m","xx":{"x":1},"messages":MSG}`},
		"drop before model": {`{"x":1,"model":"a","messages":MSG}`, Edit{Model: "b", Drop: []string{"x"}}, `{"model":"b","messages":MSG}`},
		"drop after model":  {`{"model":"a","x":1,"messages":MSG}`, Edit{Model: "b", Drop: []string{"x"}}, `{"model":"b","messages":MSG}`},

		"rename first":       {`{"x" : 1,"model":"m","messages":MSG}`, Edit{Rename: []Rename{{"x", "y"}}}, `{"y" : 1,"model":"m","messages":MSG}`},
		"rename between":     {`{"model":"m","x":[{"x":1}],"messages":MSG}`, Edit{Rename: []Rename{{"x", "y"}}}, `{"model":"m","y":[{"x":1}],"messages":MSG}`},
		"rename last":        {`{"model":"m","messages":MSG,"\u0078":1}`, Edit{Rename: []Rename{{"x", "y"}}}, `{"model":"m","messages":MSG,"y":1}`},
		"rename the model":   {`{"model":"a","messages":MSG}`, Edit{Model: "b", Rename: []Rename{{"model", "deployment"}}}, `{"deployment":"b","messages":MSG}`},
		"rename, taken":      {`{"x":1,"model":"m","messages":MSG,"y":2}`, Edit{Rename: []Rename{{"x", "y"}}}, `{"model":"m","messages":MSG,"y":2}`},
		"rename, two to one": {`{"x":1,"model":"m","messages":MSG,"z":2}`, Edit{Rename: []Rename{{"z", "y"}, {"x", "y"}}}, `{"model":"m","messages":MSG,"y":2}`},
		"rename, one of two": {`{"x":1,"model":"m","messages":MSG}`, Edit{Rename: []Rename{{"z", "y"}, {"x", "y"}}}, `{"y":1,"model":"m","messages":MSG}`},
		"rename a double":    {`{"x":1,"model":"m","x":2,"messages":MSG}`, Edit{Rename: []Rename{{"x", "y"}}}, `{"model":"m","y":2,"messages":MSG}`},
		"rename around":      {`{"x":1,"y":2,"model":"m","messages":MSG}`, Edit{Rename: []Rename{{"x", "y"}, {"y", "x"}}}, `{"y":1,"x":2,"model":"m","messages":MSG}`},
		"rename to itself":   {`{"x":1,"model":"m","messages":MSG}`, Edit{Rename: []Rename{{"x", "x"}}}, `{"x":1,"model":"m","messages":MSG}`},
		"rename to dropped":  {`{"x":1,"y":2,"model":"m","messages":MSG}`, Edit{Drop: []string{"y"}, Rename: []Rename{{"x", "y"}}}, `{"y":1,"model":"m","messages":MSG}`},
		"rename and drop":    {`{"x":1,"z":3,"model":"m","messages":MSG}`, Edit{Drop: []string{"z"}, Rename: []Rename{{"x", "y"}}}, `{"y":1,"model":"m","messages":MSG}`},

		"big numbers and order stay": {
			`{"seed":123456789012345678901234567890,"z":1.10,"a":1E+2,"model":"a","messages":MSG,"u":"\u00e9\/"}`, Edit{Model: "b"},
			`{"seed":123456789012345678901234567890,"z":1.10,"a":1E+2,"model":"b","messages":MSG,"u":"\u00e9\/"}`,
		},
		"usage, no stream":    {`{"model":"m","messages":MSG}`, Edit{AskUsage: true}, `{"model":"m","messages":MSG}`},
		"usage, stream false": {`{"model":"m","stream":false,"messages":MSG}`, Edit{AskUsage: true}, `{"model":"m","stream":false,"messages":MSG}`},
		"usage added": {
			`{"model":"m","stream":true,"messages":MSG }`, Edit{AskUsage: true},
			`{"model":"m","stream":true,"messages":MSG,"stream_options":{"include_usage":true} }`,
		},
		"usage added, last field dropped": {
			`{"model":"m","stream":true,"messages":MSG , "x":1}`, Edit{AskUsage: true, Drop: []string{"x"}},
			`{"model":"m","stream":true,"messages":MSG,"stream_options":{"include_usage":true}}`,
		},
		"usage added, first fields dropped": {
			`{"x":1,"y":2,"model":"a","messages":MSG,"stream":true}`, Edit{Model: "b", AskUsage: true, Drop: []string{"x", "y"}},
			`{"model":"b","messages":MSG,"stream":true,"stream_options":{"include_usage":true}}`,
		},
		"usage added, model last": {
			`{"stream":true,"messages":MSG,"model":"a"}`, Edit{Model: "b", AskUsage: true},
			`{"stream":true,"messages":MSG,"model":"b","stream_options":{"include_usage":true}}`,
		},
		"usage added, all dropped": {
			`{ "model":"m","messages":MSG,"stream":true }`, Edit{AskUsage: true, Drop: []string{"model", "messages", "stream"}},
			`{ "stream_options":{"include_usage":true} }`,
		},
		"usage there":           {`{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":MSG}`, Edit{AskUsage: true}, `{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":MSG}`},
		"usage off":             {`{"model":"m","stream":true,"stream_options":{"include_usage":false},"messages":MSG}`, Edit{}, `{"model":"m","stream":true,"stream_options":{"include_usage":false},"messages":MSG}`},
		"usage not known there": {`{"model":"m","stream":true,"messages":MSG}`, Edit{AskUsage: true, Drop: []string{"stream_options"}}, `{"model":"m","stream":true,"messages":MSG}`},
	} {
		t.Run(name, func(t *testing.T) {
			body := strings.ReplaceAll(c.body, "MSG", hello)
			r := parse(t, Chat, body)
			got := string(r.Rewrite(c.edit))
			if want := strings.ReplaceAll(c.want, "MSG", hello); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if !json.Valid([]byte(got)) {
				t.Error("not JSON")
			}
			if string(r.Body()) != body {
				t.Error("the client's body was changed")
			}
		})
	}
}

// include_usage is put into the client's stream_options wherever these are.
//
// contract: R1, S2
func TestAskUsageWithinStreamOptions(t *testing.T) {
	for options, want := range map[string]string{
		`null`:                                  `{"include_usage":true}`,
		`{}`:                                    `{"include_usage":true}`,
		`{ }`:                                   `{"include_usage":true }`,
		`{"include_usage":false}`:               `{"include_usage":true}`,
		`{ "include_usage" : null }`:            `{ "include_usage" : true }`,
		`{"include_usage":false,"z":1}`:         `{"include_usage":true,"z":1}`,
		`{"z":{"include_usage":false} , "y":2}`: `{"include_usage":true,"z":{"include_usage":false} , "y":2}`,
		`{"z":1,"include\u005fusage":false}`:    `{"z":1,"include\u005fusage":true}`,
	} {
		for place, around := range map[string]string{
			"first":  `{"stream_options": OPT ,"model":"m","stream":true,"messages":` + hello + `}`,
			"middle": `{"model":"m","stream_options": OPT ,"stream":true,"messages":` + hello + `}`,
			"last":   `{"model":"m","stream":true,"messages":` + hello + `,"stream_options": OPT }`,
		} {
			t.Run(place+" "+options, func(t *testing.T) {
				r := parse(t, Chat, strings.Replace(around, "OPT", options, 1))
				got := string(r.Rewrite(Edit{AskUsage: true}))
				if want := strings.Replace(around, "OPT", want, 1); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			})
		}
	}
}

// The responses endpoint always tells the usage, and OpenAI refuses
// include_usage there.
//
// contract: R6, S2
func TestAskUsageByEndpoint(t *testing.T) {
	const body = `{"model":"m","stream":true,"prompt":"x"}`
	asking := strings.TrimSuffix(body, "}") + `,"stream_options":{"include_usage":true}}`
	for ep, want := range map[Endpoint]string{Completions: asking, Responses: body} {
		if got := string(parse(t, ep, body).Rewrite(Edit{AskUsage: true})); got != want {
			t.Errorf("%v: got %s, want %s", ep, got, want)
		}
	}
}

func TestRewriteAllocatesTheBodyOnly(t *testing.T) {
	r := parse(t, Chat, `{"model":"m","stream":true,"messages":`+hello+`,"stream_options":{"x":1}}`)
	edit := Edit{Model: "somewhat-longer-model", AskUsage: true, Drop: []string{"user"}, Rename: []Rename{{"max_tokens", "max_completion_tokens"}}}
	if n := testing.AllocsPerRun(100, func() { r.Rewrite(edit) }); n > 1 {
		t.Errorf("%v allocations, want 1", n)
	}
}
