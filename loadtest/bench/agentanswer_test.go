package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// agentEvents is a whole answer, one element per event.
func agentEvents(reasons bool) []string {
	chunk := func(rest string) string {
		return `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"agent","choices":[` + rest + "}\n\n"
	}
	delta := func(d string) string {
		return chunk(`{"index":0,"delta":{` + d + `},"logprobs":null,"finish_reason":null}]`)
	}
	events := []string{delta(`"role":"assistant","content":""`)}
	if reasons {
		events = append(events, delta(`"reasoning_content":"**Plan**"`), delta(`"reasoning_content":"\n\nOld rivers."`))
	}
	const at = 19
	return append(events, delta(`"content":"`+toolText[:at]+`"`), delta(`"content":"`+toolText[at:]+`"`),
		chunk(`{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]`),
		chunk(`],"usage":{"prompt_tokens":115,"completion_tokens":12,"total_tokens":127}`),
		doneEvent)
}

func TestAgentAnswer(t *testing.T) {
	events := agentEvents(true)
	const role, plan, thought, first, second, finish, usage, done = 0, 1, 2, 3, 4, 5, 6, 7
	order := func(of ...int) string {
		var b strings.Builder
		for _, i := range of {
			b.WriteString(events[i])
		}
		return b.String()
	}
	whole := order(role, plan, thought, first, second, finish, usage, done)
	tests := []struct {
		name string
		body string
		good bool
	}{
		{"whole", whole, true},
		{"comments between events", ": keep-alive\n\n" + order(role) + ": keep-alive\n\n" + order(plan, thought, first, second, finish, usage, done), true},
		{"one piece of reasoning", order(role, plan, first, second, finish, usage, done), true},
		{"empty", "", false},
		{"no role", order(plan, thought, first, second, finish, usage, done), false},
		{"two roles", order(role, plan, role, thought, first, second, finish, usage, done), false},
		{"no reasoning", order(role, first, second, finish, usage, done), false},
		{"reasoning behind content", order(role, plan, first, thought, second, finish, usage, done), false},
		{"content lost", order(role, plan, thought, second, finish, usage, done), false},
		{"content cut", order(role, plan, thought, first, finish, usage, done), false},
		{"content twice", order(role, plan, thought, first, first, second, finish, usage, done), false},
		{"content swapped", order(role, plan, thought, second, first, finish, usage, done), false},
		{"no finish", order(role, plan, thought, first, second, usage, done), false},
		{"two finishes", order(role, plan, thought, first, second, finish, finish, usage, done), false},
		{"no usage", order(role, plan, thought, first, second, finish, done), false},
		{"no [DONE]", order(role, plan, thought, first, second, finish, usage), false},
		{"something behind [DONE]", whole + order(usage), false},
		{"two answers", whole + whole, false},
		{"another answer", strings.ReplaceAll(whole, "query", "Query"), false},
		{"another finish", strings.Replace(whole, `"stop"`, `"length"`, 1), false},
		{"other tokens", strings.Replace(whole, `"completion_tokens":12`, `"completion_tokens":13`, 1), false},
		{"another id in between", order(role, plan, thought) + strings.Replace(events[first], "chatcmpl-1", "chatcmpl-2", 1) + order(second, finish, usage, done), false},
		{"an error event", order(role, plan) + "event: error\ndata: {\"error\":{}}\n\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := agentWant{name: "agent", reasons: true, tokens: 12}
			if err := want.check([]byte(tt.body)); (err == nil) != tt.good {
				t.Errorf("check: %v", err)
			}
		})
	}
	t.Run("without reasoning", func(t *testing.T) {
		want := agentWant{name: "agent"}
		if err := want.check([]byte(strings.Join(agentEvents(false), ""))); err != nil {
			t.Error(err)
		}
		if err := want.check([]byte(whole)); err == nil {
			t.Error("reasoning accepted")
		}
	})
}

// Wherever an answer is cut, it must not pass for whole.
func TestAgentAnswerSeesEveryCut(t *testing.T) {
	want := agentWant{name: "agent", reasons: true}
	body := []byte(strings.Join(agentEvents(true), ""))
	for n := range body {
		if err := want.check(body[:n]); !errors.Is(err, errTruncated) {
			t.Fatalf("cut at %d of %d: %v", n, len(body), err)
		}
	}
}

func TestCompletionTokens(t *testing.T) {
	for data, want := range map[string]int64{
		`"usage":{"completion_tokens":12,"x":1}`: 12, `{"completion_tokens":7}`: 7, `{"completion_tokens":`: 0, `{"completion_tokens":x}`: 0, ``: 0,
	} {
		if got := completionTokens([]byte(data)); got != want {
			t.Errorf("%s: %d", data, got)
		}
	}
}

func TestAgentReport(t *testing.T) {
	cell := func(agent string, round int, perRun float64, answers tally) agentCell {
		return agentCell{Agent: agent, Round: round, Floor: 100, P50: 150, PerRun: perRun, tally: answers}
	}
	good := tally{Requests: 10}
	cells := []agentCell{
		cell("native", 1, 100e3, good), cell("react", 1, 110e3, good),
		cell("native", 2, 130e3, good), cell("react", 2, 121e3, good),
		cell("native", 3, 110e3, good), cell("react", 3, 122e3, good),
	}
	r := newAgentReport(&agentPlan{Agents: 5, Rounds: 3}, cells)
	if missed := r.missed(); len(missed) != 1 || !strings.Contains(missed[0], "react: memory per run (kB) is 121.0") {
		t.Errorf("missed %q: the median counts", missed)
	}
	if broken := r.broken(); len(broken) != 0 {
		t.Errorf("broken: %q", broken)
	}
	var b strings.Builder
	if err := r.write(&b); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"110.0 … 122.0", "100.0 … 130.0", "1.50", "answers, native: 30, 0 failed, 0 truncated"} {
		if !strings.Contains(b.String(), part) {
			t.Errorf("no %q in\n%s", part, b.String())
		}
	}
	var bad tally
	bad.count(fmt.Errorf("%w: a test", errTruncated))
	r.Cells = append(r.Cells, cell("native", 4, 1, bad))
	if broken := r.broken(); len(broken) != 1 || !strings.Contains(broken[0], "native: 0 failed, 1 truncated of 31") {
		t.Errorf("broken: %q", broken)
	}
}
