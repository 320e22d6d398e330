package toolcall

import "testing"

// A name that a number ends may be the tool's own.
func TestNumbered(t *testing.T) {
	for _, c := range []struct {
		offered map[string]bool
		written string
		want    string
	}{
		{set("a"), "functions_a_1", "a"},
		{set("a", "a_1"), "functions_a_1", ""},
		{set("a_1"), "functions_a_1", ""},
		{set("a_1"), "functions.a_1", "a_1"},
		{set("a"), "functions_a1", ""},
		{set("a"), "functions_a_", ""},
		{set("a"), "a_1", ""},
		{set("functions_a_1", "a"), "functions_a_1", "functions_a_1"},
		{set("a"), "functions.a:0", "a"},
	} {
		name, ok := numbered(c.written, func(s string) bool { return c.offered[s] })
		if !ok {
			name = ""
		}
		if name != c.want {
			t.Errorf("%s of %v: %q, want %q", c.written, c.offered, name, c.want)
		}
	}
}

// contract: A8
// contract: A6
func TestNative(t *testing.T) {
	for _, c := range []struct{ name, tool, args, want string }{
		{"clean", "read", `{"path":"a"}`, `read{"path":"a"}`},
		{"no arguments", "get_time", ``, `get_time{}`},
		{"several", "search", `{"q":"a"}{"q":"b"}`, `search{"q":"a"} search{"q":"b"}`},
		{"prefix", "functions.read", `{"path":"a"}`, `read{"path":"a"}`},
		{"call number", "functions.read:3", `{"path":"a"}`, `read{"path":"a"}`},
		{"exact name before prefix", "file.open", `{"path":"a"}`, `file.open{"path":"a"}`},
		{"spaces", " read ", `{"path":"a"}`, `read{"path":"a"}`},
		{"quotes", `"read"`, `{"path":"a"}`, `read{"path":"a"}`},
		{"parentheses", `get_time()`, `{}`, `get_time{}`},
		{"harmony token", "read<|channel|>commentary", `{"path":"a"}`, `read{"path":"a"}`},
		{"constrain token", "read <|constrain|>json", `{"path":"a"}`, `read{"path":"a"}`},
		{"name twice", "readread", `{"path":"a"}{"path":"a"}`, `read{"path":"a"}`},
		{"name twice, two calls", "readread", `{"path":"a"}{"path":"b"}`, `read{"path":"a"} read{"path":"b"}`},
		{"name thrice, two calls", "readreadread", `{"path":"a"}{"path":"b"}`, `!ambiguous`},
		{"glm in the name", "read<arg_key>path</arg_key><arg_value>/a b</arg_value>", `{}`, `read{"path":"/a b"}`},
		{"glm in the name, closed", "edit<arg_key>path</arg_key><arg_value>a</arg_value><arg_key>text</arg_key><arg_value>b</arg_value></tool_call>", ``, `edit{"path":"a","text":"b"}`},
		{"glm in the name, value not opened", "read<arg_key>path</arg_key>/a</arg_value>", `{}`, `read{"path":"/a"}`},
		{"glm in the name, key not opened", "readpath</arg_key><arg_value>/a</arg_value>", `{}`, `read{"path":"/a"}`},
		{"glm in the name, cut", "read<arg_key>path</arg_key><arg_value>/a", `{}`, `!cut`},
		{"glm in the name, arguments too", "read<arg_key>path</arg_key><arg_value>/a</arg_value>", `{"path":"b"}`, `!ambiguous`},
		{"glm in the name, unknown", "rm<arg_key>path</arg_key><arg_value>/a</arg_value>", `{}`, `!unknown`},
		{"glm in the arguments", "read", `<arg_key>path</arg_key><arg_value>/a</arg_value>`, `read{"path":"/a"}`},
		{"glm in a key", "read", `{"path</arg_key>":"/a"}`, `read{"path":"/a"}`},
		{"glm in a key, both ends", "read", `{"<arg_key>path</arg_key>":"/a"}`, `read{"path":"/a"}`},
		{"glm through key and value", "read", `{"file<arg_key":"page</arg_key><arg_value>5"}`, `!damaged`},
		{"glm's word in a value", "write_file", `{"text":"use <arg_key>"}`, `write_file{"text":"use \u003carg_key\u003e"}`},
		{"glm behind a cut string", "shell", "{\"command\": \"git diff</arg_value>\n<arg_key>description</arg_key>\n<arg_value>x</arg_value>\n", `!cut`},
		{"parameters in the arguments", "read", "<parameter=path>\na\n</parameter>", `read{"path":"a"}`},
		{"function in the name", `<function=read>{"path": "a"}</function>`, ``, `read{"path":"a"}`},
		{"function in the name, beginning lost", `read>{"path": "a"}</function>`, `{}`, `read{"path":"a"}`},
		{"equals in the name", `read={"path": "a"}`, ``, `read{"path":"a"}`},
		{"JSON in the name", `read{"path": "a"}`, ``, `read{"path":"a"}`},
		{"python in the name", `read(path="a")`, `{}`, `read{"path":"a"}`},
		{"call in the name, cut", `read{"path": "/et`, ``, `!cut`},
		{"call in the name, arguments too", `read{"path": "a"}`, `{"path": "b"}`, `!ambiguous`},
		{"call in the arguments", "read", `{"name": "read", "arguments": {"path": "a"}}`, `read{"path":"a"}`},
		{"another call in the arguments", "read", `{"name": "search", "arguments": {"q": "a"}}`, `read{"arguments":{"q":"a"},"name":"search"}`},
		{"call in the arguments, named otherwise", "web::fetch", `{"name": "web__fetch", "arguments": {"url": "u"}}`, `web::fetch{"url":"u"}`},
		{"call number in a plain name", "functions_read_0", `{"path":"a"}`, `read{"path":"a"}`},
		{"call number behind a dot", "functions.read_0", `{"path":"a"}`, `read{"path":"a"}`},
		{"no call number", "read_0", `{"path":"a"}`, `!unknown`},
		{"gemma's quotes around a string", "edit", `{"path":"<|\"|>a<|\"|>","opts":["<|\"|>b<|\"|>", 12345678901234567890]}`, `edit{"opts":["b",12345678901234567890],"path":"a"}`},
		{"gemma's quote at one end", "edit", `{"path":"<|\"|>a"}`, `!damaged`},
		{"gemma's quotes around two", "edit", `{"path":"<|\"|>a<|\"|>,<|\"|>b<|\"|>"}`, `!damaged`},
		{"gemma's quotes in a text", "edit", `{"text":"it writes <|\"|> twice"}`, `edit{"text":"it writes \u003c|\"|\u003e twice"}`},
		{"unknown", "rm", `{"path":"a"}`, `!unknown`},
		{"unknown with a prefix", "functions.rm", `{}`, `!unknown`},
		{"wrong case", "Read", `{}`, `!unknown`},
		{"nearly", "read_", `{}`, `!unknown`},
		{"empty name", "", `{}`, `!unknown`},
		{"prose as the name", "I will (not) read", `{}`, `!unknown`},
		{"damaged arguments", "read", `{"path": ...}`, `!damaged`},
	} {
		t.Run(c.name, func(t *testing.T) {
			calls, _, err := Native(c.tool, c.args, known)
			if got := outcome(calls, err); got != c.want {
				t.Errorf("%s (%v), want %s", got, err, c.want)
			}
		})
	}
}
