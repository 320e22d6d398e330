package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/mcp/mcptest"
)

// inRounds is a server of the newer era with a tool that wants things before it
// answers: results[n] are what it answers to the n-th call, the last to all further.
type inRounds struct {
	*raw

	mu   sync.Mutex
	seen []roundSeen
}

// roundSeen is what a round has brought.
type roundSeen struct {
	ID     json.RawMessage `json:"id"`
	Params struct {
		Responses json.RawMessage `json:"inputResponses"`
		State     *string         `json:"requestState"`
	} `json:"params"`
}

func newInRounds(results ...string) *inRounds {
	s := &inRounds{raw: newRaw()}
	s.modern = true
	s.acts["bad"] = func(w http.ResponseWriter, _ *http.Request, a ask) {
		s.mu.Lock()
		n := min(len(s.seen), len(results)) - 1
		s.mu.Unlock()
		answer(w, a, results[n])
	}
	s.keep = func(body []byte) {
		var r struct {
			roundSeen

			Params struct {
				Name string `json:"name"`
			} `json:"params"`
		}
		if json.Unmarshal(body, &r) == nil && r.Params.Name == "bad" {
			_ = json.Unmarshal(body, &r.roundSeen)
			s.mu.Lock()
			s.seen = append(s.seen, r.roundSeen)
			s.mu.Unlock()
		}
	}
	return s
}

func (s *inRounds) rounds() []roundSeen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

const (
	wantsName  = `"name":{"method":"elicitation/create","params":{"message":"m","requestedSchema":{"type":"object"}}}`
	wantsRoots = `"roots":{"method":"roots/list"}`
	wantsModel = `"model":{"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}`
)

// wanting is a result that wants things, with a state unless that is empty.
func wanting(state string, requests ...string) string {
	if state != "" {
		state = `,"requestState":` + string(quoted(state))
	}
	return `{"resultType":"input_required","inputRequests":{` + strings.Join(requests, ",") + `}` + state + `}`
}

func TestRounds(t *testing.T) {
	done := said("done")
	cases := map[string]struct {
		results   []string
		responses []string // of each round after the first
		states    []string
		failed    bool
	}{
		"one": {
			results:   []string{wanting("", wantsName), done},
			responses: []string{`{"name":{"action":"accept","content":{"n":12345678901234567890}}}`}, states: []string{""},
		},
		"a state": {
			results:   []string{wanting(`s <1> "é"`, wantsName, wantsRoots), wanting("", wantsRoots), done},
			responses: []string{`{"name":{"action":"accept","content":{"n":12345678901234567890}},"roots":{"roots":[{"uri":"file:///a"}]}}`, `{"roots":{"roots":[{"uri":"file:///a"}]}}`},
			states:    []string{`s <1> "é"`, ""},
		},
		"a state only":       {results: []string{wanting("again"), done}, responses: []string{""}, states: []string{"again"}},
		"nothing":            {results: []string{wanting("")}, failed: true},
		"a model":            {results: []string{wanting("s", wantsName, strings.Replace(wantsModel, "model", "z", 1))}, failed: true},
		"the unknown":        {results: []string{wanting("s", `"x":{"method":"x/y"}`)}, failed: true},
		"an unfit question":  {results: []string{wanting("", `"x":{"method":"elicitation/create","params":{"message":"a\u200bb"}}`)}, failed: true},
		"no parameters":      {results: []string{wanting("", `"x":{"method":"elicitation/create"}`)}, failed: true},
		"null":               {results: []string{wanting("", `"x":null`)}, failed: true},
		"too much at a time": {results: []string{wanting("", many(maxQuestions+1)...)}, failed: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newInRounds(c.results...)
			a := &asked{answer: `{"n":12345678901234567890}`}
			s := open(t, Options{URL: serve(t, r).URL, Input: a.input, Roots: []string{"file:///a"}})
			eventually(t, "its tools are known", func() bool { return len(s.Offer(t.Context()).Tools) == 3 })
			beside(t, r.raw, s, func() {
				res, err := s.Call(t.Context(), Call{Tool: "bad"})
				if err != nil || res.Failed != c.failed || !c.failed && res.Text != "done" {
					t.Errorf("got %+v, %v", res, err)
				}
			})
			if n := len(a.all()); c.failed && n > 0 {
				t.Errorf("asked %d times in vain", n)
			}
			seen := r.rounds()
			if len(seen) != len(c.responses)+1 {
				t.Fatalf("%d rounds, want %d", len(seen), len(c.responses)+1)
			}
			ids := map[string]bool{string(seen[0].ID): true}
			for i, got := range seen[1:] {
				if string(got.Params.Responses) != c.responses[i] {
					t.Errorf("round %d brings %s", i+2, got.Params.Responses)
				}
				if st := got.Params.State; (st == nil) != (c.states[i] == "") || st != nil && *st != c.states[i] {
					t.Errorf("round %d has the state %v", i+2, st)
				}
				if ids[string(got.ID)] {
					t.Errorf("round %d has the id of another", i+2)
				}
				ids[string(got.ID)] = true
			}
		})
	}
}

func many(n int) []string {
	var all []string
	for i := range n {
		all = append(all, strings.Replace(wantsName, `"name"`, fmt.Sprintf(`"n%d"`, i), 1))
	}
	return all
}

// However often a server asks, the call ends.
//
// contract: M2
func TestRoundsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		result    string
		rounds    int
		questions int
	}{
		"one question each": {wanting("s", wantsName), maxRounds, maxRounds - 1},
		"a state each":      {wanting("s"), maxRounds, 0},
		"many questions":    {wanting("s", many(6)...), 3, maxQuestions}, // 6, 6, and 4 of the third
	} {
		t.Run(name, func(t *testing.T) {
			r := newInRounds(c.result)
			a := &asked{answer: `{}`}
			s := open(t, Options{URL: serve(t, r).URL, Input: a.input})
			res, err := s.Call(t.Context(), Call{Tool: "bad"})
			if err != nil || !res.Failed {
				t.Errorf("got %+v, %v", res, err)
			}
			if n, q := len(r.rounds()), len(a.all()); n != c.rounds || q != c.questions {
				t.Errorf("%d rounds with %d questions, want %d and %d", n, q, c.rounds, c.questions)
			}
		})
	}
}

// contract: M2
func TestRoundsOfGarbage(t *testing.T) {
	for name, result := range map[string]string{
		"a list":  `{"resultType":"input_required","inputRequests":[]}`,
		"numbers": `{"resultType":"input_required","inputRequests":{"a":7}}`,
		"a state": `{"resultType":"input_required","requestState":7}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newInRounds(result)
			s := open(t, Options{URL: serve(t, r).URL, Input: new(asked).input})
			eventually(t, "its tools are known", func() bool { return len(s.Offer(t.Context()).Tools) == 3 })
			beside(t, r.raw, s, func() {
				_, err := s.Call(t.Context(), Call{Tool: "bad"})
				if k := kindOf(t, err); k != KindProtocol {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// contract: M4, S9
func TestRoundsTakeLong(t *testing.T) {
	r := newInRounds(wanting("", wantsName))
	s := open(t, Options{URL: serve(t, r).URL, Timeout: 300 * time.Millisecond, Breaker: BreakerPolicy{Failures: 1},
		Input: func(ctx context.Context, _ *Question) json.RawMessage {
			<-ctx.Done()
			return json.RawMessage(`{}`)
		}})
	_, err := s.Call(t.Context(), Call{Tool: "bad"})
	if k := kindOf(t, err); k != KindCanceled {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err = s.Call(ctx, Call{Tool: "bad"}); err == nil {
		t.Error("a call that was given up has a result")
	}
	if b := s.Status().Breaker; b.State != "closed" {
		t.Errorf("the breaker is %s", b.State)
	}
	if n := len(r.rounds()); n > 2 {
		t.Errorf("%d rounds", n)
	}
}

func TestRealRounds(t *testing.T) {
	url := mcptest.GoServer(t, "everything-server").URL
	a := &asked{answer: `{"name":"Ada","color":"blue","ok":true,"context":"c"}`}
	s := open(t, Options{URL: url, Input: a.input, Roots: []string{"file:///srv/docs"}})
	eventually(t, "its tools are known", func() bool { return len(s.Offer(t.Context()).Tools) > 0 })
	if v := s.Status().Version; v != modernVersion {
		t.Fatalf("speaks %s", v)
	}
	for tool, want := range map[string]string{
		"test_input_required_result_elicitation":     "Hello, Ada!",
		"test_input_required_result_list_roots":      "Client exposed 1 root(s): file:///srv/docs",
		"test_input_required_result_request_state":   "state-ok: requestState received and confirmation accepted",
		"test_input_required_result_multi_round":     "Multi-round complete: Ada likes blue",
		"test_input_required_result_capabilities":    "Capability-aware input requests fulfilled",
		"test_input_required_result_sampling":        errInput.Error(),
		"test_input_required_result_multiple_inputs": errInput.Error(),
	} {
		res, err := s.Call(t.Context(), Call{Tool: tool})
		if err != nil || res.Text != want || res.Failed != (want == errInput.Error()) {
			t.Errorf("%s: got %+v, %v", tool, res, err)
		}
	}
	if n := len(a.all()); n != 5 {
		t.Errorf("asked %d times, want 5", n)
	}
	got, err := s.Request(t.Context(), "prompts/get", json.RawMessage(`{"name":"test_input_required_result_prompt"}`))
	if err != nil || !strings.Contains(string(got), "Context: c") {
		t.Errorf("a prompt: %s, %v", got, err)
	}
	without := open(t, Options{URL: url})
	if _, err := without.Request(t.Context(), "prompts/get", json.RawMessage(`{"name":"test_input_required_result_prompt"}`)); kindOf(t, err) != KindRejected {
		t.Errorf("a prompt without Input: %v", err)
	}
	if res, err := without.Call(t.Context(), Call{Tool: "test_input_required_result_elicitation"}); err != nil || !res.Failed {
		t.Errorf("without Input: %+v, %v", res, err)
	}
}
