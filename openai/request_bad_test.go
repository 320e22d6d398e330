package openai

import (
	"net/http"
	"strings"
	"testing"
)

// refused parses a body that must not be good.
func refused(t *testing.T, ep Endpoint, body string) *Error {
	t.Helper()
	r, e := ParseRequest(ep, []byte(body))
	if e == nil {
		t.Fatalf("accepted: %.200s", body)
	}
	if r != nil {
		t.Error("a request beside the error")
	}
	if e.Status != http.StatusBadRequest || e.Type != "invalid_request_error" || e.Class != ClassCaller {
		t.Errorf("got %d %s of class %v", e.Status, e.Type, e.Class)
	}
	return e
}

// JSON that is none is refused with the offset of the mistake.
//
// contract: R2
// security: X9
func TestBadJSON(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"empty":                     {``, "empty"},
		"blank":                     {" \n", "empty"},
		"array":                     {`[]`, "expected an object at offset 0"},
		"string":                    {`"model"`, "expected an object at offset 0"},
		"byte order mark":           {"\xEF\xBB\xBF{}", "expected an object at offset 0"},
		"zero byte":                 {"\x00", "expected an object at offset 0"},
		"second document":           {`{"model":"m","messages":` + hello + `} {}`, "trailing data after the document at offset 61"},
		"trailing brace":            {`{"model":"m","messages":` + hello + `}}`, "trailing data"},
		"invalid UTF-8 in a value":  {"{\"model\":\"m\xff\"}", "invalid UTF-8 at offset 11"},
		"invalid UTF-8 in a key":    {"{\"é\xc3\":1}", "invalid UTF-8 at offset 4"},
		"surrogate as UTF-8":        {"{\"x\":\"\xed\xa0\x80\"}", "invalid UTF-8 at offset 6"},
		"invalid UTF-8 in between":  {"{\xa0}", "invalid UTF-8 at offset 1"},
		"cut in a key":              {`{"mod`, "unexpected end of JSON input at offset 5"},
		"cut after a key":           {`{"model"`, "unexpected end"},
		"cut after a colon":         {`{"model":`, "unexpected end of JSON input at offset 9"},
		"cut in the model":          {`{"model":"m`, "unexpected end"},
		"cut after a value":         {`{"model":"m"`, "unexpected end"},
		"cut after a comma":         {`{"model":"m",`, "unexpected end"},
		"cut before the messages":   {`{"model":"m","messages":`, "unexpected end"},
		"cut in the messages":       {`{"model":"m","messages":[`, "unexpected end"},
		"cut in a message":          {`{"model":"m","messages":[{"role":"user"`, "unexpected end"},
		"cut after a message":       {`{"model":"m","messages":[{"role":"user"}`, "unexpected end"},
		"cut between messages":      {`{"model":"m","messages":[{"role":"user"},`, "unexpected end"},
		"cut in the tools":          {`{"model":"m","tools":[`, "unexpected end"},
		"cut in a number":           {`{"n":-`, "unexpected end"},
		"cut in stream_options":     {`{"stream_options":`, "unexpected end"},
		"no value for the model":    {`{"model":}`, "invalid character where a value should begin at offset 9"},
		"no value for the messages": {`{"messages":}`, "a value should begin at offset 12"},
		"no value for the tools":    {`{"tools":}`, "a value should begin at offset 9"},
		"no value in the tools":     {`{"tools":[{},]}`, "a value should begin at offset 13"},
		"no value in the messages":  {`{"messages":[{"role":"user"},]}`, "a value should begin at offset 29"},
		"no value for a number":     {`{"n":nul}`, "a value should begin at offset 5"},
		"no value for the options":  {`{"stream_options":]`, "a value should begin at offset 18"},
		"comma at the end":          {`{"model":"m",}`, "expected a string as key at offset 13"},
		"no comma":                  {`{"model":"m" "x":1}`, "expected a comma or the end at offset 13"},
		"no colon":                  {`{"model" "m"}`, "expected a colon after a key at offset 9"},
		"key without quotes":        {`{model:"m"}`, "expected a string as key at offset 1"},
		"single quotes":             {`{'model':'m'}`, "expected a string as key"},
		"comment":                   {`{/**/"model":"m"}`, "expected a string as key"},
		"line end in a string":      {"{\"x\":\"a\nb\"}", "invalid character in a string at offset 7"},
		"wrong escape":              {`{"x":"\q"}`, "invalid escape in a string at offset 6"},
		"wrong \\u escape":          {`{"x":"\u12g4"}`, "invalid escape"},
		"leading zero":              {`{"x":012}`, "expected a comma or the end"},
		"NaN":                       {`{"x":NaN}`, "invalid character where a value should begin"},
		"too deep by one":           {`{"x":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, "nested deeper than 64 levels at offset 68"},
		"far too deep":              {`{"x":` + strings.Repeat(`{"x":`, 1<<16), "nested deeper than 64 levels"},
	} {
		t.Run(name, func(t *testing.T) {
			e := refused(t, Chat, c.body)
			if e.Param != "" {
				t.Errorf("param %q for a fault of the whole", e.Param)
			}
			if !strings.Contains(e.Message, c.want) {
				t.Errorf("got  %q\nwant %q in it", e.Message, c.want)
			}
		})
	}
}

// The error names the field.
//
// contract: R1, R2
func TestBadFields(t *testing.T) {
	with := func(s string) string { return `{"model":"m","messages":` + hello + `,` + s + `}` }
	messages := func(s string) string { return `{"model":"m","messages":` + s + `}` }
	for name, c := range map[string]struct {
		ep                Endpoint
		body, param, want string
	}{
		"no fields":             {Chat, `{}`, "model", "must provide a model"},
		"no model":              {Chat, `{"messages":` + hello + `}`, "model", "must provide a model"},
		"no model elsewhere":    {Embeddings, `{"input":"x"}`, "model", "must provide a model"},
		"model empty":           {Chat, `{"model":""}`, "model", "must provide a model"},
		"model null":            {Chat, `{"model":null}`, "model", "expected a string"},
		"model a number":        {Chat, `{"model":4}`, "model", "expected a string"},
		"model a list":          {Chat, `{"model":["m"]}`, "model", "expected a string"},
		"model too long":        {Chat, `{"model":"` + strings.Repeat("m", 257) + `"}`, "model", "longer than 256 bytes"},
		"model with line end":   {Chat, `{"model":"a\r\nX-Evil: 1"}`, "model", "control characters"},
		"model with DEL":        {Chat, "{\"model\":\"a\x7f\"}", "model", "control characters"},
		"no messages":           {Chat, `{"model":"m"}`, "messages", "Missing"},
		"messages null":         {Chat, messages(`null`), "messages", "expected an array"},
		"messages an object":    {Chat, messages(`{}`), "messages", "expected an array"},
		"messages empty":        {Chat, messages(`[ ]`), "messages", "empty array"},
		"message a string":      {Chat, messages(`[{"role":"user"},"hi"]`), "messages[1]", "expected an object"},
		"message null":          {Chat, messages(`[null]`), "messages[0]", "expected an object"},
		"no role":               {Chat, messages(`[{"role":"user"},{"content":"x"}]`), "messages[1].role", "Missing"},
		"role unknown":          {Chat, messages(`[{"role":"User"}]`), "messages[0].role", "supported are"},
		"role null":             {Chat, messages(`[{"role":null}]`), "messages[0].role", "supported are"},
		"role a list":           {Chat, messages(`[{"role":["user"]}]`), "messages[0].role", "supported are"},
		"stream a string":       {Chat, with(`"stream":"true"`), "stream", "expected a boolean"},
		"stream a number":       {Chat, with(`"stream":1`), "stream", "expected a boolean"},
		"stream an embedding":   {Embeddings, `{"model":"m","input":"x","stream":true}`, "stream", "cannot be streamed"},
		"options a list":        {Chat, with(`"stream_options":[]`), "stream_options", "expected an object"},
		"usage a string":        {Chat, with(`"stream_options":{"include_usage":"yes"}`), "stream_options.include_usage", "expected a boolean"},
		"tools an object":       {Chat, with(`"tools":{}`), "tools", "expected an array"},
		"tool a string":         {Chat, with(`"tools":[{},"x"]`), "tools[1]", "expected an object"},
		"n zero":                {Chat, with(`"n":0`), "n", "from 1 to 128, got 0"},
		"n too high":            {Chat, with(`"n":129`), "n", "from 1 to 128, got 129"},
		"n a fraction":          {Chat, with(`"n":1.5`), "n", "expected an integer"},
		"n a string":            {Chat, with(`"n":"1"`), "n", "expected an integer"},
		"n true":                {Chat, with(`"n":true`), "n", "expected an integer"},
		"max_tokens below":      {Chat, with(`"max_tokens":-1`), "max_tokens", "from 0 to 2147483648, got -1"},
		"max_tokens above":      {Chat, with(`"max_tokens":2147483649`), "max_tokens", "from 0 to 2147483648"},
		"max_tokens enormous":   {Chat, with(`"max_tokens":1e300`), "max_tokens", "got 1e300"},
		"max_tokens beyond":     {Chat, with(`"max_tokens":1e999`), "max_tokens", "got 1e999"},
		"completion tokens 0":   {Chat, with(`"max_completion_tokens":0`), "max_completion_tokens", "from 1 to"},
		"output tokens 0":       {Responses, `{"model":"m","max_output_tokens":0}`, "max_output_tokens", "from 1 to"},
		"temperature below":     {Chat, with(`"temperature":-0.1`), "temperature", "from 0 to 2, got -0.1"},
		"temperature above":     {Chat, with(`"temperature":2.01`), "temperature", "from 0 to 2"},
		"temperature an object": {Chat, with(`"temperature":{}`), "temperature", "expected a number"},
		"temperature a string":  {Chat, with(`"temperature":"1"`), "temperature", "expected a number"},
		"top_p above":           {Chat, with(`"top_p":1.1`), "top_p", "from 0 to 1"},
		"presence below":        {Chat, with(`"presence_penalty":-2.1`), "presence_penalty", "from -2 to 2"},
		"frequency above":       {Chat, with(`"frequency_penalty":3`), "frequency_penalty", "from -2 to 2"},
		"top_logprobs above":    {Chat, with(`"top_logprobs":21`), "top_logprobs", "from 0 to 20"},
		"a value as long as it": {Chat, with(`"n":1` + strings.Repeat("0", 999)), "n", "got 1000000000"},
	} {
		t.Run(name, func(t *testing.T) {
			e := refused(t, c.ep, c.body)
			if e.Param != c.param || !strings.Contains(e.Message, c.want) {
				t.Errorf("got  %q: %q\nwant %q: …%s…", e.Param, e.Message, c.param, c.want)
			}
			if len(e.Message) > 200 {
				t.Errorf("a message of %d bytes", len(e.Message))
			}
		})
	}
}

// Two readers must not be able to see two requests in one body.
//
// security: X9
func TestAmbiguousFields(t *testing.T) {
	for _, f := range fieldNames {
		for name, pair := range map[string]string{
			"twice":         `"` + f + `":null,"` + f + `":null`,
			"escaped twice": `"` + f + `":null,"` + escaped(f) + `":null`,
			"in capitals":   `"` + strings.ToUpper(f) + `":null`,
			"escaped case":  `"` + escaped(strings.ToUpper(f)) + `":null`,
			"capitalized":   `"` + strings.ToUpper(f[:1]) + f[1:] + `":null`,
			"long s":        `"` + strings.ReplaceAll(f, "s", "ſ") + `":null`,
			"Kelvin sign":   `"` + strings.ReplaceAll(f, "k", "\u212a") + `":null`,
		} {
			if name == "long s" && !strings.Contains(f, "s") || name == "Kelvin sign" && !strings.Contains(f, "k") {
				continue
			}
			// The first of two must be good in itself to get at the second.
			switch f {
			case "model":
				pair = strings.Replace(pair, "null", `"m"`, 1)
			case "messages":
				pair = strings.Replace(pair, "null", hello, 1)
			}
			t.Run(f+" "+name, func(t *testing.T) {
				e := refused(t, Chat, `{`+pair+`}`)
				twice := strings.Contains(e.Message, "occurs more than once")
				written := strings.Contains(e.Message, "must be written '"+f+"'")
				if e.Param != f || twice != strings.HasSuffix(name, "twice") || written == twice {
					t.Errorf("%q: %q", e.Param, e.Message)
				}
			})
		}
	}
	e := refused(t, Chat, `{"model":"m","messages":[{"role":"user","r\u006fle":"system"}]}`)
	if e.Param != "messages[0].role" || !strings.Contains(e.Message, "more than once") {
		t.Errorf("%q: %q", e.Param, e.Message)
	}
}

// escaped writes the first byte of a key as an escape.
func escaped(key string) string {
	return `\u00` + string(hex[key[0]>>4]) + string(hex[key[0]&15]) + key[1:]
}

// security: X9
func TestCountsAreCapped(t *testing.T) {
	for name, c := range map[string]struct{ body, param string }{
		"fields":   {`{"model":"m"` + strings.Repeat(`,"x":0`, 256) + `}`, ""},
		"tools":    {`{"tools":[{}` + strings.Repeat(`,{}`, 1024) + `]}`, "tools"},
		"messages": {`{"messages":[{"role":"user"}` + strings.Repeat(`,{"role":"user"}`, 16384) + `]}`, "messages"},
	} {
		t.Run(name, func(t *testing.T) {
			if e := refused(t, Chat, c.body); e.Param != c.param || !strings.Contains(e.Message, "more than") {
				t.Errorf("%q: %q", e.Param, e.Message)
			}
		})
	}
}
