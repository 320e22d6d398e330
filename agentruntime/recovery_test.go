package agentruntime

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/universal-ai-gateway/magicproxy/openai"
)

// sample is what a model said where a call was due, and the calls that a careful
// reader would make of it.
type sample struct {
	ID      string     `json:"id"`
	Channel string     `json:"channel"`
	Dialect string     `json:"dialect"`
	Raw     string     `json:"raw"`
	Tool    string     `json:"tool"`   // that native_arguments are for
	Tools   []string   `json:"tools"`  // offered; nil for all whose bare names are unique
	Client  bool       `json:"client"` // the ui tools are the client's
	Expect  []wanted   `json:"expect"`
	Also    [][]wanted `json:"also"`   // outcomes as good
	None    string     `json:"none"`   // what becomes of a text that is no call: answer, retry, either
	Text    string     `json:"text"`   // what may reach the client beside the call
	Free    bool       `json:"free"`   // the client's content is not looked at
	Told    string     `json:"told"`   // what the model must hear of its mistake
	Finish  string     `json:"finish"` // the finish_reason, if an unusual one
	Known   bool       `json:"known"`  // it fails, for the reason in the note
	Note    string     `json:"note"`

	schemas map[string]json.RawMessage // of every tool
}

type wanted struct {
	Tool string          `json:"tool"`
	Args json.RawMessage `json:"args"`
}

// outcome is what a run made of a sample.
type outcome struct {
	told
	m     *model
	calls []string // executed, or the client's; sorted
}

// contract: A2
// contract: A8
// contract: A9
// contract: A10
// A wrong execution is worse than a call that is asked for again, so it is said.
func TestRecovery(t *testing.T) {
	type count struct{ right, all, wrong int }
	counts := make(map[string]*count)
	for _, s := range samples(t) {
		n := counts[s.Dialect]
		if n == nil {
			n = new(count)
			counts[s.Dialect] = n
		}
		n.all++
		t.Run(s.ID, func(t *testing.T) {
			right, wrong := true, false
			for _, pattern := range s.patterns() {
				for _, shape := range s.shapes(t) {
					got := s.run(t, pattern, shape.answer)
					faults := s.judge(t, got)
					if len(faults) == 0 {
						continue
					}
					right = false
					wrong = wrong || s.wrong(t, got)
					if !s.Known {
						t.Errorf("%s, %s: %s\nraw %q\nrequests %d, second %s", pattern, shape.name, strings.Join(faults, "; "), s.Raw, len(got.m.requests), secondTurn(t, got.m))
					}
				}
			}
			if right {
				n.right++
			}
			if wrong {
				n.wrong++
			}
			if right == s.Known {
				t.Errorf("right is %v, known is %v", right, s.Known)
			}
		})
	}
	var sum count
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		n := counts[name]
		t.Logf("%-14s %3d of %3d right, %d wrong executions", name, n.right, n.all, n.wrong)
		sum.right, sum.all, sum.wrong = sum.right+n.right, sum.all+n.all, sum.wrong+n.wrong
	}
	t.Logf("%-14s %3d of %3d right (%.1f %%), %d wrong executions", "all", sum.right, sum.all, 100*float64(sum.right)/float64(max(sum.all, 1)), sum.wrong)
}

// samples reads the file: first the tools, then the samples.
func samples(t *testing.T) (list []*sample) {
	t.Helper()
	data, err := os.ReadFile("testdata/recovery.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	schemas := make(map[string]json.RawMessage)
	for line := range bytes.Lines(data) {
		var tool struct {
			Tool, ID string
			Schema   json.RawMessage
		}
		if err := json.Unmarshal(line, &tool); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if tool.ID == "" {
			schemas[tool.Tool] = tool.Schema
			continue
		}
		s := &sample{schemas: schemas}
		if err := json.Unmarshal(line, s); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		list = append(list, s)
	}
	return list
}

func (s *sample) patterns() []string {
	if s.Channel == "content" {
		return []string{"native", "react"}
	}
	return []string{"native"}
}

// offered returns the names of the gateway's tools and of the client's.
func (s *sample) offered() (ours, clients []string) {
	for _, name := range slices.Sorted(maps.Keys(s.schemas)) {
		server, bare, _ := strings.Cut(name, "::")
		switch {
		case server == "ui":
			if s.Client {
				clients = append(clients, bare)
			}
		case s.Tools == nil && bare == "search":
		case s.Tools == nil || slices.Contains(s.Tools, name):
			ours = append(ours, name)
		}
	}
	return ours, clients
}

func (s *sample) run(t *testing.T, pattern string, first answerOf) outcome {
	t.Helper()
	ours, clients := s.offered()
	desks := make(map[string]*desk)
	var servers []ToolServer
	for _, name := range ours {
		server, bare, _ := strings.Cut(name, "::")
		if desks[server] == nil {
			desks[server] = newDesk(server)
			servers = append(servers, desks[server])
		}
		desks[server].with(bare, string(s.schemas[name]), replies("fine"))
	}
	var fields []string
	for _, bare := range clients {
		fields = append(fields, fmt.Sprintf(`"tools":[{"type":"function","function":{"name":%q,"parameters":%s}}]`, bare, s.schemas["ui::"+bare]))
	}
	out := outcome{m: &model{answers: []answerOf{first, says("Done.")}}}
	mgr, a := agentOf(out.m, pattern, servers...)
	out.told = ask(t, mgr, a, chat("Go", fields...))
	for name, d := range desks {
		for _, seen := range d.seen {
			tool, args, _ := strings.Cut(seen, " ")
			out.calls = append(out.calls, name+"::"+tool+" "+canonical(t, []byte(args)))
		}
	}
	for _, c := range out.told.calls {
		out.calls = append(out.calls, "ui::"+c.Name+" "+canonical(t, []byte(c.Arguments)))
	}
	slices.Sort(out.calls)
	return out
}

// judge returns what is wrong with an outcome.
func (s *sample) judge(t *testing.T, got outcome) (faults []string) {
	t.Helper()
	if !s.fits(t, got) {
		faults = append(faults, fmt.Sprintf("called %q, want %q", got.calls, lines(t, s.Expect)))
	}
	if got.err != nil {
		faults = append(faults, "error "+got.err.Error())
	}
	if len(got.m.requests) == 1 && len(got.told.calls) == 0 { // the text was the answer
		if s.None == "retry" || s.None == "" && !s.fits(t, outcome{}) {
			faults = append(faults, "taken for an answer")
		}
		if s.None == "answer" && !s.Free && words(got.content) != words(s.Raw) {
			faults = append(faults, fmt.Sprintf("the answer became %q", got.content))
		}
		return faults
	}
	if s.None == "answer" {
		faults = append(faults, "an answer was taken for a call")
	}
	if len(got.told.calls) == 0 && len(got.m.requests) != 2 {
		faults = append(faults, fmt.Sprintf("%d requests", len(got.m.requests)))
	}
	second := "Done."
	if len(got.told.calls) > 0 {
		second = ""
	}
	if seen := words(got.content); !s.Free && seen != second && seen != words(s.Text+" "+second) {
		faults = append(faults, fmt.Sprintf("the client saw %q", got.content))
	}
	if len(got.calls) == 0 {
		if told := secondTurn(t, got.m); told == "" || !strings.Contains(told, s.Told) {
			faults = append(faults, fmt.Sprintf("the model was told %q, want %q in it", told, s.Told))
		}
	}
	return faults
}

// fits reports whether just the calls of one of the good outcomes were made.
func (s *sample) fits(t *testing.T, got outcome) bool {
	t.Helper()
	for _, good := range append([][]wanted{s.Expect}, s.Also...) {
		if slices.Equal(lines(t, good), got.calls) {
			return true
		}
	}
	return false
}

// wrong reports whether a call was made that no good outcome has.
func (s *sample) wrong(t *testing.T, got outcome) bool {
	t.Helper()
	var good []string
	for _, list := range append([][]wanted{s.Expect}, s.Also...) {
		good = append(good, lines(t, list)...)
	}
	return slices.ContainsFunc(got.calls, func(c string) bool { return !slices.Contains(good, c) })
}

// secondTurn returns what the second request has beyond the first.
func secondTurn(t *testing.T, m *model) string {
	t.Helper()
	if len(m.requests) < 2 {
		return ""
	}
	var b strings.Builder
	for _, msg := range m.messages(t, 1)[len(m.messages(t, 0)):] {
		if msg.Role != "assistant" {
			b.WriteString(contentText(msg.Content) + "\n")
		}
	}
	return strings.TrimSpace(b.String())
}

func words(text string) string { return strings.Join(strings.Fields(text), " ") }

func lines(t *testing.T, calls []wanted) (list []string) {
	t.Helper()
	for _, c := range calls {
		list = append(list, c.Tool+" "+canonical(t, c.Args))
	}
	slices.Sort(list)
	return list
}

// canonical returns arguments in a form that is the same for equal ones: 3 is 3.0.
func canonical(t *testing.T, raw []byte) string {
	t.Helper()
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Errorf("arguments %s: %v", raw, err)
		return string(raw)
	}
	out, err := json.Marshal(normal(v))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func normal(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			v[name] = normal(member)
		}
	case []any:
		for i, element := range v {
			v[i] = normal(element)
		}
	case json.Number:
		if r, ok := new(big.Rat).SetString(v.String()); ok {
			return json.Number(r.FloatString(6))
		}
	}
	return v
}

// shape is one way in which a provider may send a sample.
type shape struct {
	name   string
	answer answerOf
}

func (s *sample) shapes(t *testing.T) (list []shape) {
	t.Helper()
	add := func(name string, a answerOf) { list = append(list, shape{name, a}) }
	switch s.Channel {
	case "content":
		for _, n := range []int{1, 3, 17, len(s.Raw) + 1} {
			var b strings.Builder
			for _, p := range runes(s.Raw, n) {
				b.WriteString(event(`{"content":` + quoted(p) + `}`))
			}
			add(fmt.Sprintf("in pieces of %d", n), answerOf{body: b.String() + endOf(s.finish("stop"))})
		}
	case "failed_generation":
		body := fmt.Sprintf(`{"error":{"message":"Failed to call a function.","type":"invalid_request_error","code":"tool_use_failed","failed_generation":%s}}`, quoted(s.Raw))
		add("a 400", answerOf{status: 400, body: body})
		add("an event", answerOf{body: "event: error\ndata: " + body + "\n\n"})
	case "error_message":
		add("a 400", answerOf{status: 400, body: fmt.Sprintf(`{"error":{"message":%s,"type":"invalid_request_error","param":"","code":"tool_use_failed"}}`, quoted(s.Raw))})
	case "sse":
		add("as it is", answerOf{body: s.Raw})
	case "native_arguments":
		name := strings.Replace(s.Tool, "::", "__", 1)
		add("whole", s.deltas(t, delta("0", "a", name, quoted(s.Raw))))
		add("after the name", s.deltas(t, delta("0", "a", name, `""`), delta("0", "", "", quoted(s.Raw))))
		split, bare, grown := []string{delta("0", "a", name, `""`)}, []string{delta("", "a", name, `""`)}, []string{delta("0", "a", name, `""`)}
		for i, p := range runes(s.Raw, 5) {
			split = append(split, delta("0", "", "", quoted(p)))
			bare = append(bare, delta("", "", "", quoted(p)))
			if so := string([]rune(s.Raw)[:i*5]); i > 1 {
				grown = append(grown, delta("0", "a", name, quoted(so)))
			}
		}
		add("split", s.deltas(t, split...))
		add("split without index", s.deltas(t, bare...))
		// Nobody adds up what is no JSON to begin with.
		if start := strings.TrimSpace(s.Raw); start != "" && !unicode.IsLetter(rune(start[0])) {
			add("cumulative", s.deltas(t, append(grown, delta("0", "a", name, quoted(s.Raw)))...))
		}
	case "native_call":
		var c struct {
			Name      string
			Arguments json.RawMessage
		}
		if err := json.Unmarshal([]byte(s.Raw), &c); err != nil {
			t.Fatal(err)
		}
		add("whole", s.deltas(t, delta("0", "a", c.Name, string(c.Arguments))))
		add("arguments after the name", s.deltas(t, delta("0", "a", c.Name, ""), delta("0", "", "", string(c.Arguments))))
		add("without index", s.deltas(t, delta("", "a", c.Name, string(c.Arguments))))
	case "native_deltas":
		var chunks []json.RawMessage
		if err := json.Unmarshal([]byte(s.Raw), &chunks); err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, c := range chunks {
			all = append(all, strings.TrimSuffix(strings.TrimPrefix(string(c), "["), "]"))
		}
		add("as they are", s.deltas(t, all...))
	default:
		t.Fatalf("channel %q", s.Channel)
	}
	return list
}

func (s *sample) finish(usual string) string {
	if s.Finish != "" {
		return s.Finish
	}
	return usual
}

// deltas is an answer of tool_calls, one or more to a chunk.
func (s *sample) deltas(t *testing.T, chunks ...string) answerOf {
	t.Helper()
	var b strings.Builder
	b.WriteString(event(`{"role":"assistant","content":null}`))
	for _, c := range chunks {
		if !json.Valid([]byte("[" + c + "]")) {
			t.Fatalf("delta %s", c)
		}
		b.WriteString(event(`{"tool_calls":[` + c + `]}`))
	}
	return answerOf{body: b.String() + endOf(s.finish("tool_calls"))}
}

// delta is a call's delta; what is empty is left out. The arguments are JSON.
func delta(index, id, name, args string) string {
	var function, call []string
	if name != "" {
		function = append(function, `"name":`+string(openai.AppendString(nil, name)))
	}
	if args != "" {
		function = append(function, `"arguments":`+args)
	}
	if index != "" {
		call = append(call, `"index":`+index)
	}
	if id != "" {
		call = append(call, fmt.Sprintf(`"id":%q,"type":"function"`, id))
	}
	return "{" + strings.Join(append(call, `"function":{`+strings.Join(function, ",")+"}"), ",") + "}"
}

// runes cuts a text into pieces of n characters.
func runes(text string, n int) (pieces []string) {
	all := []rune(text)
	for i := 0; i < len(all); i += n {
		pieces = append(pieces, string(all[i:min(i+n, len(all))]))
	}
	return pieces
}
