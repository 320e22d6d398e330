package toolcall

// moreSamples are damages that several dialects share: markers in the middle of a
// line, headers that leak, signs that are missing.
var moreSamples = []sample{
	// A call behind a sentence on its line.
	{"token, after a sentence, space", `Let me look. <|tool_calls_section_begin|><|tool_call_begin|>functions.read:0<|tool_call_argument_begin|>{"path": "a"}<|tool_call_end|><|tool_calls_section_end|>`, `read{"path":"a"}`},
	{"dsml, after a sentence", "Ok.<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"read\">\n<｜DSML｜parameter name=\"path\" string=\"true\">a</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>", `read{"path":"a"}`},
	{"gemma, after a sentence", `Okay.<|tool_call>call:read{path:<|"|>a<|"|>}<tool_call|>`, `read{"path":"a"}`},
	{"harmony, after a sentence", `Let me look.<|channel|>commentary to=functions.read <|constrain|>json<|message|>{"path": "a"}<|call|>`, `read{"path":"a"}`},
	{"minimax, after a sentence", "Let me look.]<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name=\"read\">]<]minimax[>[<path>a]<]minimax[>[</path>]<]minimax[>[</invoke>\n]<]minimax[>[</tool_call>", `read{"path":"a"}`},
	{"hermes, after a sentence, glued", `Sure.<tool_call>{"name": "read", "arguments": {"path": "a"}}</tool_call>`, `read{"path":"a"}`},
	{"hermes, after a sentence, on lines", "Sure! <tool_call>\n{\"name\": \"read\", \"arguments\": {\"path\": \"a\"}}\n</tool_call>", `read{"path":"a"}`},
	{"coder, after a sentence, colon", "I look at it:<tool_call>\n<function=read>\n<parameter=path>\na\n</parameter>\n</function>\n</tool_call>", `read{"path":"a"}`},
	{"mistral, after a sentence, colon", `I look at it:[TOOL_CALLS]read[ARGS]{"path": "a"}`, `read{"path":"a"}`},
	{"hermes, after a sentence, cut", `Sure. <tool_call>`, `!cut`},
	{"hermes, after a sentence with a space", `That is the form. <tool_call>{"name": "read", "arguments": {"path": "a"}}</tool_call>`, ``},
	{"hermes, after a sentence, colon and space", "I look: <tool_call>\n{\"name\": \"read\", \"arguments\": {\"path\": \"a\"}}\n</tool_call>", `read{"path":"a"}`},
	{"hermes, after a colon with a space", `The form: <tool_call>{"name": "read", "arguments": {"path": "a"}}</tool_call>`, ``},
	{"hermes, after a colon, on one line", `The form:<tool_call>{"name": "read", "arguments": {"path": "a"}}</tool_call>`, ``},
	{"token, after a colon with a space", `Its form is: <|tool_call_begin|>functions.read:0<|tool_call_argument_begin|>{"path": "a"}<|tool_call_end|>`, ``},
	{"token, in a block quote", `> I will look.<|tool_call_begin|>functions.read:0<|tool_call_argument_begin|>{"path": "a"}<|tool_call_end|>`, ``},
	{"token, in backticks behind a sentence", "No. `Yes.<|tool_call_begin|>functions.read:0<|tool_call_argument_begin|>{\"path\": \"a\"}<|tool_call_end|>`", ``},
	{"token, in a table", `| Done.<|tool_call_begin|>functions.read:0<|tool_call_argument_begin|>{"path": "a"}<|tool_call_end|>`, ``},
	{"tokens, told in prose", `It has tokens. <｜tool▁call▁begin｜>, then the name, then <｜tool▁sep｜>.`, ``},

	// What stands around the message of a turn.
	{"header of the turn", "<|start_header_id|>assistant<|end_header_id|>\n\n{\"name\": \"read\", \"parameters\": {\"path\": \"a\"}}<|eot_id|>", `read{"path":"a"}`},
	{"header of the turn, python tag", "<|begin_of_text|><|start_header_id|>assistant<|end_header_id|>\n\n<|python_tag|>{\"name\": \"read\", \"parameters\": {\"path\": \"a\"}}", `read{"path":"a"}`},
	{"header of the turn, chatml", "<|im_start|>assistant\n<tool_call>{\"name\": \"read\", \"arguments\": {\"path\": \"a\"}}</tool_call><|im_end|>", `read{"path":"a"}`},
	{"header of the turn, role", `<|start_of_role|>assistant<|end_of_role|><|tool_call|>[{"name": "read", "arguments": {"path": "a"}}]`, `read{"path":"a"}`},
	{"header of the turn, answer", "<|im_start|>assistant\nHello.<|im_end|>", ``},
	{"header of another turn", "<|im_start|>user\n{\"name\": \"read\", \"arguments\": {\"path\": \"a\"}}", ``},
	{"header of the turn, cut", "<|start_header_id|>assistant<|end_header_id|>\n\n{\"name\": \"read\", \"parameters\": {\"path\": \"a", `!cut`},

	// Markers twice, and markers of hosts.
	{"python tag, function", `<|python_tag|><function=read>{"path": "a"}</function>`, `read{"path":"a"}`},
	{"function, empty list", `<function=read[]{"path": "a"}</function>`, `read{"path":"a"}`},
	{"function, empty list, closed", `<function=read[]>{"path": "a"}</function>`, `read{"path":"a"}`},
	{"tool request", `[TOOL_REQUEST]{"name": "read", "arguments": {"path": "a"}}[END_TOOL_REQUEST]`, `read{"path":"a"}`},
	{"tool request, two, after prose", "I look.\n[TOOL_REQUEST]\n{\"name\": \"read\", \"arguments\": {\"path\": \"a\"}}\n[END_TOOL_REQUEST]\n[TOOL_REQUEST]{\"name\": \"get_time\", \"arguments\": {}}[END_TOOL_REQUEST]", `read{"path":"a"} get_time{}`},
	{"tool request, cut", `[TOOL_REQUEST]{"name": "read", "arguments": {"path": "a`, `!cut`},
	{"tool request, nothing", `[TOOL_REQUEST]`, `!cut`},
	{"tool request, in prose", `The word [TOOL_REQUEST] opens one.`, ``},
	{"mistral, python", `[TOOL_CALLS]read(path="a")`, `read{"path":"a"}`},
	{"mistral, no comma between", "[TOOL_CALLS] [{\"name\": \"read\", \"arguments\": {\"path\": \"a\"}}\n{\"name\": \"read\", \"arguments\": {\"path\": \"b\"}}]", `read{"path":"a"} read{"path":"b"}`},
	{"gemma, python", `<|tool_call>call:read(path="a", n=2)<tool_call|>`, `read{"n":2,"path":"a"}`},
	{"gemma, python, expression", `<|tool_call>call:read(path="a" + b)<tool_call|>`, `!ambiguous`},
	{"kimi, plain name", `<|tool_call_begin|>functions_read_1<|tool_call_argument_begin|>{"path": "a"}<|tool_call_end|>`, `read{"path":"a"}`},
	{"kimi, plain name without a number", `<|tool_call_begin|>functions_read<|tool_call_argument_begin|>{"path": "a"}<|tool_call_end|>`, `!unknown`},
	{"kimi, plain name, unknown", `<|tool_call_begin|>functions_rm_1<|tool_call_argument_begin|>{"path": "a"}<|tool_call_end|>`, `!unknown`},
	{"json, function_call", `{"function_call": {"name": "read", "arguments": "{\"path\": \"a\"}"}}`, `read{"path":"a"}`},
	{"json, function_call is text", `{"function_call": "none"}`, ``},
	{"json, function_call and more", `{"function_call": {"name": "read", "arguments": {}}, "answer": 42}`, ``},

	// Text behind a call: one family writes it so.
	{"lfm, words behind", `<|tool_call_start|>[read(path="a")]<|tool_call_end|>Reading the file.`, `read{"path":"a"}`},
	{"lfm, told in prose", `<|tool_call_start|>read(path="a")<|tool_call_end|> is what it writes.`, `!trailing`},
	{"lfm, told in prose, glued", `<|tool_call_start|>read(path="a")<|tool_call_end|>is what it writes.`, `!trailing`},
	{"lfm, words behind without an end", `<|tool_call_start|>read(path="a")Reading the file.`, `!trailing`},
	{"lfm, words behind, another call", `<|tool_call_start|>[read(path="a")]<|tool_call_end|>Reading.<|tool_call_start|>[get_time()]<|tool_call_end|>Done.`, `read{"path":"a"} get_time{}`},
	{"lfm, words behind, turn written on", "<|tool_call_start|>[read(path=\"a\")]<|tool_call_end|>Reading.<|im_end|>\n<|im_start|>tool\nx", `read{"path":"a"}`},
	{"function, words behind", "<function=read>{\"path\": \"a\"}</function>\n\nI will tell you.", `!trailing`},

	// A value that is given as it is.
	{"dsml, line break at the end", `<｜DSML｜invoke name="edit"><｜DSML｜parameter name="text" string="true">a` + "\n" + `</｜DSML｜parameter></｜DSML｜invoke>`, `edit{"text":"a\n"}`},
	{"dsml, tags on lines of their own", `<｜DSML｜invoke name="edit"><｜DSML｜parameter name="text" string="true">` + "\na\n" + `</｜DSML｜parameter></｜DSML｜invoke>`, `edit{"text":"a"}`},
	{"coder, line break at the end", "<function=edit><parameter=text>a\n</parameter></function>", `edit{"text":"a"}`},

	// Quotes.
	{"function, expression", `<function=read>{"path": "a" + ".txt"}</function>`, `!ambiguous`},
	{"function, choice", `<function=read>{"path": "a" or "b"}</function>`, `!ambiguous`},
	{"hermes, comma missing between members", "<tool_call>\n{\"name\": \"read\"\n\"arguments\": {\"path\": \"a\"}}\n</tool_call>", `read{"path":"a"}`},
	{"kimi, first quote of a key missing", `<|tool_call_begin|>functions.edit:0<|tool_call_argument_begin|>{"path": "a", text": "b"}<|tool_call_end|>`, `edit{"path":"a","text":"b"}`},
}
