package openai

import "testing"

// contract: R4
func TestErrorBodiesOfUpstreams(t *testing.T) {
	for body, want := range map[string]ErrorDetail{
		`{"error":{"message":"no","type":"invalid_request_error","param":"n","code":"bad_n"}}`: {Message: "no", Type: "invalid_request_error", Param: "n", Code: "bad_n"},
		`{"error":{"message":"no","type":null,"param":null,"code":null}}`:                      {Message: "no"},
		`{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED"}}`:               {Message: "quota", Code: "429"},
		`{"error":{"message":"no","param":["a"],"code":{"x":1},"type":true}}`:                  {Message: "no"},
		` [ {"error":{"message":"in a list"}} ] `:                                              {Message: "in a list"},
		`{"error":"just text"}`:                                                              {Message: "just text"},
		`{"error":{},"message":"beside","type":"t","code":7}`:                                {Message: "beside", Type: "t", Code: "7"},
		`{"object":"error","message":"no","type":"BadRequestError","param":null,"code":400}`: {Message: "no", Type: "BadRequestError", Code: "400"},
		`{"detail":"Not Found"}`:                                                             {Message: "Not Found"},
		`{"message":"first","detail":"second"}`:                                              {Message: "first"},
		// contract: A9
		`{"error":{"message":"m","code":"tool_use_failed","failed_generation":"<x>"}}`:   {Message: "m", Code: "tool_use_failed", ToolUse: true, Generation: "<x>"},
		`{"error":{"message":"m","failed_generation":{"name":"x"}}}`:                     {Message: "m", ToolUse: true, Generation: `{"name":"x"}`},
		`{"error":{"message":"m","failed_generation":""}}`:                               {Message: "m", ToolUse: true},
		`{"error":{"message":"tool call validation failed: parameters for tool x did"}}`: {Message: "tool call validation failed: parameters for tool x did", ToolUse: true},
	} {
		if got, ok := ParseErrorBody([]byte(body)); !ok || got != want {
			t.Errorf("%s\ngot  %+v, %v\nwant %+v", body, got, ok, want)
		}
	}
	for _, body := range []string{
		``, `<html><h1>502 Bad Gateway</h1></html>`, `upstream connect error`, `null`, `[]`, `[[{"error":"x"}]]`, `[{"error":"x"},{}]`, `{}`, `"text"`,
		`{"error":null}`, `{"error":["x"]}`, `{"error":{"message":"cut off`, `{"detail":[{"msg":"field required"}]}`,
	} {
		if got, ok := ParseErrorBody([]byte(body)); ok {
			t.Errorf("%s: got %+v", body, got)
		}
	}
}
