package mock

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/universal-ai-gateway/magicproxy/openai"
)

const (
	readFile = `- docs::read_file: Reads a file.` + "\n" + `  arguments: {"type":"object","required":["path"],"properties":{"path":{"type":"string"},"lines":{"type":"integer"}}}` + "\n"
	listAll  = "- docs::list: Lists: all of it.\n  arguments: {\"type\":\"object\"}\n"
	wantRead = `<ACTION>{"tool_name":"docs::read_file","arguments":{"path":"mock","lines":1}}</ACTION>`
	tagRules = "Think in <THOUGHT title=\"…\">, act in <ACTION>. A tool answers in <OBSERVATION>. End with <FINAL_ANSWER>."
)

// says is a message of a conversation.
type says struct {
	Role    string `json:"role"`
	Content any    `json:"content"`
}

// tagRequest returns a chat request that asks for tags.
func tagRequest(t testing.TB, fields string, messages ...says) string {
	t.Helper()
	b, err := json.Marshal(append([]says{{"system", tagRules}}, messages...))
	if err != nil {
		t.Fatal(err)
	}
	return conversation(fields + `"messages":` + string(b))
}

func contextBlock(lines string) string {
	return "Where is it?\n\n<context>\nDate: 2026-11-25\n" + lines + "</context>"
}

// shape replaces generated words by dots.
func shape(text string) string {
	for _, list := range &lexicon {
		for _, w := range list {
			text = strings.ReplaceAll(text, w, "·")
			text = strings.ReplaceAll(text, strings.ToUpper(w[:1])+w[1:], "·")
		}
	}
	for strings.Contains(text, "· ·") {
		text = strings.ReplaceAll(text, "· ·", "·")
	}
	return text
}

func TestTags(t *testing.T) {
	const (
		plan    = `<THOUGHT title="Plan">·.</THOUGHT>` + "\n"
		thought = `<THOUGHT title="Answer">·.</THOUGHT>` + "\n"
		final   = `<FINAL_ANSWER>·.</FINAL_ANSWER>`
		told    = `<FINAL_ANSWER>The tool answered: line one</FINAL_ANSWER>`
	)
	ask := says{"user", contextBlock("Tools:\n" + readFile + listAll)}
	acted := says{"assistant", plan + wantRead}
	seen := says{"user", `<OBSERVATION tool="docs::read_file">` + "\nline one\n</OBSERVATION>"}
	for name, c := range map[string]struct {
		fields   string
		messages []says
		want     string
	}{
		"the first tool is called":           {"", []says{ask}, plan + wantRead},
		"after the observation it answers":   {"", []says{ask, acted, seen}, thought + told},
		"an observation of another role":     {"", []says{ask, acted, {"tool", seen.Content}}, thought + told},
		"two observations":                   {"", []says{ask, acted, {"user", "<OBSERVATION>no</OBSERVATION>\n" + seen.Content.(string)}}, thought + told},
		"an observation that is open":        {"", []says{ask, acted, {"user", "<OBSERVATION>line one"}}, thought + told},
		"an empty observation":               {"", []says{ask, acted, {"user", "<OBSERVATION></OBSERVATION>"}}, thought + final},
		"a tool that quotes a context":       {"", []says{ask, acted, {"user", "<OBSERVATION>\nline one\n<context>\nTools:\n" + readFile + "</context>"}}, thought + `<FINAL_ANSWER>The tool answered: line one` + "\n<context>\nTools:\n- docs::read_file: Reads a file.\n  arguments: {\"typ…</FINAL_ANSWER>"},
		"a new question calls again":         {"", []says{ask, acted, seen, {"assistant", told}, ask}, plan + wantRead},
		"a hint is no observation":           {"", []says{ask, {"assistant", ""}, {"user", "Please go on."}}, plan + wantRead},
		"no tools":                           {"", []says{{"user", contextBlock("Tools: none\nUnavailable servers:\n- search\n")}}, thought + final},
		"a server that is down":              {"", []says{{"user", contextBlock("Tools: none\nUnavailable servers: search\n")}}, thought + final},
		"a context without tools":            {"", []says{{"user", contextBlock("")}}, thought + final},
		"no context":                         {"", []says{{"user", "Where is it?"}, {"user", "<OBSERVATION>x"}}, thought + final},
		"a tool without a description":       {"", []says{{"user", contextBlock("Tools:\n- docs::list\n")}}, plan + `<ACTION>{"tool_name":"docs::list","arguments":{}}</ACTION>`},
		"a description that is empty":        {"", []says{{"user", contextBlock("Tools:\n- docs::list:\n- docs::b: B\n  arguments: {\"const\":{\"a\":1}}\n")}}, plan + `<ACTION>{"tool_name":"docs::list","arguments":{}}</ACTION>`},
		"a schema that is damaged":           {"", []says{{"user", contextBlock("Tools:\n- docs::list: Lists.\n  arguments: {\"type\":\n")}}, plan + `<ACTION>{"tool_name":"docs::list","arguments":{}}</ACTION>`},
		"what the notebook says is no list":  {"", []says{{"user", contextBlock("Notebook:\nTools:\n" + readFile + "<context>\nTools:\n" + readFile)}}, thought + final},
		"the last context counts":            {"", []says{{"user", contextBlock("Tools:\n"+listAll) + "\n" + contextBlock("Tools:\n"+readFile)}}, plan + wantRead},
		"parts":                              {"", []says{{"user", []any{map[string]any{"type": "image_url", "image_url": map[string]any{"url": "data:,"}}, map[string]any{"type": "text", "text": contextBlock("Tools:\n" + readFile)}}}}, plan + wantRead},
		"parts with a context of their own":  {"", []says{{"user", []any{map[string]any{"type": "text", "text": "Where?"}, map[string]any{"type": "text", "text": strings.TrimPrefix(contextBlock("Tools:\n"+readFile), "Where is it?\n\n")}}}}, plan + wantRead},
		"phases":                             {"", []says{{"user", contextBlock("Tools: none\nPhase: Restate (1 of 12)\nNext phases: Restate | Known facts |\n")}}, `<THOUGHT title="Restate">·.</THOUGHT>` + "\n" + `<THOUGHT title="Known facts">·.</THOUGHT>` + "\n" + final},
		"phases wait for the tool":           {"", []says{{"user", contextBlock("Tools:\n" + readFile + "Next phases: Restate\n")}}, plan + wantRead},
		"phases after the tool":              {"", []says{{"user", contextBlock("Tools:\n" + readFile + "Next phases: Restate\n")}, acted, seen}, `<THOUGHT title="Restate">·.</THOUGHT>` + "\n" + told},
		"a draft":                            {"", []says{{"developer", "Improve your <DRAFT>."}, {"user", contextBlock("")}}, thought + "<DRAFT>·.</DRAFT>\n" + final},
		"no draft beside an action":          {"", []says{{"system", "Improve your <DRAFT>."}, ask}, plan + wantRead},
		"tags win over functions":            {`"tools":[` + weather + `],`, []says{ask}, plan + wantRead},
		"even when only functions are there": {`"tools":[` + weather + `],"tool_choice":"required",`, []says{{"user", "Weather?"}}, thought + final},
		"a format shapes the answer":         {`"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{"properties":{"ok":{"type":"boolean"}}}}},`, []says{{"user", contextBlock("")}}, thought + `<FINAL_ANSWER>{"ok":true}</FINAL_ANSWER>`},
		"a format waits for the tool":        {`"response_format":{"type":"json_object"},`, []says{ask}, plan + wantRead},
	} {
		t.Run(name, func(t *testing.T) {
			all, _ := both(t, newMock(Options{}), tagRequest(t, c.fields, c.messages...), 1)
			if got := shape(all[0].content); got != c.want || all[0].finish != "stop" || all[0].name != "" || all[0].deltas > 8 {
				t.Errorf("%+v\ngot  %s\nwant %s", all[0], got, c.want)
			}
		})
	}
}

func TestWhoeverAsksForTags(t *testing.T) {
	for name, c := range map[string]struct {
		message string
		want    bool
	}{
		"a system message":      {`{"role":"system","content":"Use <FINAL_ANSWER>."}`, true},
		"a developer message":   {`{"role":"developer","content":"Use <FINAL_ANSWER>."}`, true},
		"brackets are escaped":  {`{"role":"system","content":"Use \u003cFINAL_ANSWER\u003e."}`, true},
		"parts":                 {`{"role":"system","content":[{"type":"text","text":"Use"},{"type":"text","text":"<FINAL_ANSWER>."}]}`, true},
		"the name alone":        {`{"role":"system","content":"Use FINAL_ANSWER."}`, false},
		"a user":                {`{"role":"user","content":"Use <FINAL_ANSWER>."}`, false},
		"an earlier answer":     {`{"role":"assistant","content":"<FINAL_ANSWER>no</FINAL_ANSWER>"}`, false},
		"another tag":           {`{"role":"system","content":"Use <DRAFT>."}`, false},
		"an empty conversation": {`{"role":"system","content":null}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			all, _ := both(t, newMock(Options{}), conversation(`"messages":[`+c.message+`,{"role":"user","content":"Hi"}]`), 1)
			if got := strings.Contains(all[0].content, "<FINAL_ANSWER>"); got != c.want {
				t.Errorf("tags: %v, in %s", got, all[0].content)
			}
		})
	}
}

func TestTagsWithFixedAnswer(t *testing.T) {
	const text = "It is\nin  a.txt"
	plain, observed := []says{{"user", contextBlock("")}}, []says{{"user", contextBlock("Tools:\n" + listAll)}, {"user", "<OBSERVATION>x"}}
	for name, c := range map[string]struct {
		fields   string
		messages []says
		want     string
	}{
		"in the answer's tag":  {"", plain, text},
		"after an observation": {"", observed, text},
		"within a format":      {`"response_format":{"type":"json_object"},`, plain, `{"answer":"It is\nin  a.txt"}`},
	} {
		t.Run(name, func(t *testing.T) {
			p, body, end := newMock(Options{Answer: text}), tagRequest(t, c.fields, c.messages...), "<FINAL_ANSWER>"+c.want+"</FINAL_ANSWER>"
			streamed, _ := listen(t, ask(t, p, openai.Chat, strings.Replace(body, "{", `{"stream":true,`, 1)), 1)
			if got := streamed[0]; !strings.HasSuffix(got.content, end) || got.deltas != len(strings.Fields(got.content)) {
				t.Errorf("streamed: %+v", got)
			}
			if got := decode[chatDoc](t, ask(t, p, openai.Chat, body)).Choices[0].Message.Content; !strings.HasSuffix(got, end) {
				t.Errorf("%s", got)
			}
		})
	}
}

func TestTagsRefuseABadFormat(t *testing.T) {
	body := tagRequest(t, `"response_format":1,`, says{"user", contextBlock("")})
	if got := do(t, newMock(Options{}), openai.Chat, body); got.Status != 400 {
		t.Errorf("status %d", got.Status)
	}
}

// Pace, limits and cuts know nothing of tags: an answer in tags is text.
func TestTagsArePacedAsText(t *testing.T) {
	body := tagRequest(t, "", says{"user", contextBlock("Tools:\n" + readFile)})
	stream := strings.Replace(body, "{", `{"stream":true,`, 1)
	synctest.Test(t, func(t *testing.T) {
		whole, _ := listen(t, ask(t, newMock(Options{Tokens: 20}), openai.Chat, stream), 1)
		if whole[0].deltas != 20 || !strings.HasSuffix(whole[0].content, wantRead) {
			t.Fatalf("%+v", whole[0])
		}
		start := time.Now()
		slow, _ := listen(t, ask(t, newMock(Options{Tokens: 20, TokenDelay: 10 * ms, StallAfter: 3, Stall: time.Second}), openai.Chat, stream), 1)
		if took := time.Since(start); took != 1200*ms || slow[0].content != whole[0].content {
			t.Errorf("after %v: %+v", took, slow[0])
		}
		limited, usage := both(t, newMock(Options{Tokens: 20}), strings.Replace(body, "{", `{"max_tokens":7,`, 1), 1)
		// The limit is part of the request, so the words differ; what is left has
		// the same form.
		if limited[0].deltas != 7 || limited[0].finish != "length" || usage.Usage.Completion != 7 || strings.Contains(limited[0].content, "</ACTION>") ||
			!strings.HasPrefix(limited[0].content, `<THOUGHT title="Plan">`) {
			t.Errorf("%+v, %+v", limited[0], usage.Usage)
		}
		cut, end := read(t, newMock(Options{Tokens: 20, Cut: 5}), openai.Chat, stream)
		if end != io.ErrUnexpectedEOF || len(events(t, cut)) != 6 {
			t.Errorf("cut: %v, %s", end, cut)
		}
	})
}

func TestTagsInEveryChoice(t *testing.T) {
	all, _ := both(t, newMock(Options{}), tagRequest(t, `"n":2,`, says{"user", contextBlock("Tools:\n" + readFile)}), 2)
	if all[0].content != all[1].content || !strings.HasSuffix(all[1].content, wantRead) {
		t.Errorf("%+v", all)
	}
}

func TestThoughtsDiffer(t *testing.T) {
	body := tagRequest(t, "", says{"user", contextBlock("Next phases: a | b | c\n")})
	p := newMock(Options{})
	all, _ := both(t, p, body, 1)
	if again, _ := both(t, p, body, 1); again[0].content != all[0].content {
		t.Errorf("the same request: %s\n%s", all[0].content, again[0].content)
	}
	var texts []string
	for line := range strings.Lines(all[0].content) {
		_, text, _ := strings.Cut(line, ">")
		texts = append(texts, text)
	}
	slices.Sort(texts)
	if len(texts) != 4 || len(slices.Compact(texts)) != 4 {
		t.Errorf("%s", all[0].content)
	}
}

// contract: M6 (towards models, names are mangled)
func TestMangledNamesAreCalledAsOffered(t *testing.T) {
	all, _ := both(t, newMock(Options{}), chatWith(`"tools":[`+strings.Replace(weather, `"weather"`, `"docs__read_file"`, 1)+`]`), 1)
	if h := all[0]; h.name != "docs__read_file" || h.finish != "tool_calls" {
		t.Errorf("%+v", h)
	}
}

// What plain conversations pay for tags is a look for their name.
func TestPlainAnswersPayNothingForTags(t *testing.T) {
	raw := callTo(t, openai.Chat, hello).Request.Field("messages")
	if n := testing.AllocsPerRun(100, func() { tagTurnOf(raw) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
