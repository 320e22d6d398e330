package caddymodule

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/universal-ai-gateway/magicproxy/audit"
	"github.com/universal-ai-gateway/magicproxy/mcp/mcptest"
)

// recorded is an event as an auditor reads it.
type recorded struct {
	EventID   string `json:"event_id"`
	RequestID string `json:"request_id"`
	SessionID string `json:"session_id"`
	Seq       int    `json:"event_seq"`
	Type      string `json:"event_type"`
	UserID    string `json:"user_id"`
	Agent     string
	Provider  string
	Model     string
	Payload   map[string]any
	line      string
}

// events returns what is in a directory of the audit, once everything is on disk.
func (g *gateway) events(dir string) (all []recorded) {
	g.t.Helper()
	if app := runningApp(); app != nil {
		ctx, stop := context.WithTimeout(g.t.Context(), 3*time.Second)
		defer stop()
		if err := app.recorder.log().Flush(ctx); err != nil && app.recorder.sink == "file" {
			g.t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		g.t.Fatal(err)
	}
	for _, path := range slices.Sorted(slices.Values(files)) {
		f, err := os.Open(path)
		if err != nil {
			g.t.Fatal(err)
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			e := recorded{line: lines.Text()}
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				g.t.Fatalf("%v: %s", err, lines.Text())
			}
			all = append(all, e)
		}
		_ = f.Close()
	}
	return all
}

// of returns the events of one request.
func of(all []recorded, id string) (some []recorded) {
	for _, e := range all {
		if e.RequestID == id {
			some = append(some, e)
		}
	}
	return some
}

func types(events []recorded) string {
	var s []string
	for _, e := range events {
		s = append(s, e.Type)
	}
	return strings.Join(s, " ")
}

// contract: U1, U4
func TestAudit(t *testing.T) {
	for _, content := range []string{"on", "off"} {
		t.Run("content "+content, func(t *testing.T) {
			t.Setenv("TEST_UP_KEY", "canary-up-key")
			u := newUpstream(t)
			server := "mcp everything " + mcptest.Everything(t, mcptest.HTTP).URL
			dir := t.TempDir()
			c := config{global: fmt.Sprintf(`
				audit file %q {
					content %s
				}
				token ann canary-ann-token
				provider up openai {
					base_url %s
					key {env.TEST_UP_KEY}
				}
				%s
				agent helper {
					model up/m
					tools everything::*
				}`, dir, content, u.base(), server), handler: "auth optional"}
			g := start(t, c)
			g.listed("everything")
			ann := bearer("canary-ann-token")
			ann = append(ann, "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
			id := func(a *answer) string { return a.Header.Get("X-Request-Id") }

			u.when("", says("Once upon a time."))
			stream := id(g.chat("up/m", true, ann...).want(t, 200))
			u.when("", raw("application/json", goodAnswer))
			whole := id(g.chat("up/m", false).want(t, 200))
			u.when("", turns(streams("tool_calls", echo("canary-argument")), says("It said so.")))
			agent := g.chat("helper", true, ann...).want(t, 200)
			u.when("", status(400))
			failed := id(g.chat("up/m", true, ann...).want(t, 400))
			unknown := id(g.chat("nobody/m", false, ann...).want(t, 404))
			stranger := id(g.chat("up/m", false, bearer("canary-wrong-token")...).want(t, 401))

			var all []recorded
			eventually(t, "the last event is there", func() bool { all = g.events(dir); return len(of(all, stranger)) > 0 })
			seen := make(map[string]bool)
			for _, e := range all {
				if seen[e.EventID] || e.EventID == "" {
					t.Errorf("event_id %q twice", e.EventID)
				}
				seen[e.EventID] = true
			}
			for _, tt := range []struct{ name, id, want string }{
				{"stream", stream, "request llm_call answer usage"},
				{"whole", whole, "request llm_call answer usage"},
				{"agent", id(agent), "request session_start llm_call tool_call tool_result llm_call answer usage session_end"},
				{"refused by the upstream", failed, "request llm_call error usage"},
				{"unknown model", unknown, "error"},
				{"stranger", stranger, "error"},
			} {
				events := of(all, tt.id)
				if got := types(events); got != tt.want {
					t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
				}
				for i, e := range events {
					if e.Seq != i+1 {
						t.Errorf("%s: event %d has number %d", tt.name, i+1, e.Seq)
					}
					if user := map[bool]string{true: "", false: "ann"}[tt.id == whole || tt.id == stranger]; e.UserID != user {
						t.Errorf("%s: user %q", tt.name, e.UserID)
					}
				}
			}
			last := func(id, kind string) map[string]any {
				for _, e := range slices.Backward(of(all, id)) {
					if e.Type == kind {
						return e.Payload
					}
				}
				return nil
			}
			for _, e := range of(all, id(agent)) {
				if e.Agent != "helper" || e.SessionID != agent.Header.Get(headerSession) || !strings.Contains(e.line, "0af7651916cd43dd8448eb211c80319c") {
					t.Errorf("%s", e.line)
				}
			}
			if p := last(id(agent), "tool_result"); p["outcome"] != "ok" || p["server"] != "everything" || p["tool"] != "echo" {
				t.Errorf("%v", p)
			}
			if p := last(stream, "llm_call"); p["outcome"] != "ok" || p["key"] == "" || p["prompt_tokens"] != 10.0 {
				t.Errorf("%v", p)
			}
			if p := last(failed, "error"); p["status"] != 400.0 || p["class"] != "caller" {
				t.Errorf("%v", p)
			}
			if p := last(id(agent), "usage"); p["turns"] != 2.0 || p["tool_calls"] != 1.0 || p["total_tokens"] != 30.0 {
				t.Errorf("%v", p)
			}
			text := ""
			for _, e := range all {
				text += e.line + "\n"
			}
			for _, secret := range []string{"canary-up-key", "canary-ann-token", "canary-wrong-token"} {
				if strings.Contains(text, secret) {
					t.Errorf("the audit has %s", secret)
				}
			}
			for _, said := range []string{"Once upon a time.", `"content":"Hello"`, "canary-argument", "Echo: canary-argument", "It said so.", `"role":"user","content":"hi"`} {
				if strings.Contains(text, said) != (content == "on") {
					t.Errorf("content %s: %q", content, said)
				}
			}
			var st struct {
				Sink    string
				Journal string
				Stats   struct{ Produced, Journaled, Dropped uint64 }
			}
			if g.adminDo(http.MethodGet, "/ai_gateway/audit", &st); st.Sink != "file" || st.Journal != dir || st.Stats.Produced != uint64(len(all)) || st.Stats.Journaled != uint64(len(all)) || st.Stats.Dropped != 0 {
				t.Errorf("%+v, and there are %d", st, len(all))
			}
		})
	}
}

// contract: U1
func TestAuditChunks(t *testing.T) {
	u := newUpstream(t)
	dir := t.TempDir()
	g := start(t, config{global: fmt.Sprintf(`
		audit file %q {
			content on
			chunks on
		}
		provider up openai {
			base_url %s
		}
		agent helper {
			model up/m
			pattern react
		}`, dir, u.base()), handler: "auth off"})
	u.when("", streams("stop", thinks("Hm."), `{"content":"One"}`, `{"content":" two"}`))
	plain := g.chat("up/m", true).want(t, 200).Header.Get("X-Request-Id")
	u.when("", says("<THOUGHT>Well.</THOUGHT><FINAL_ANSWER>Three.</FINAL_ANSWER>"))
	agent := g.chat("helper", false).want(t, 200).Header.Get("X-Request-Id")
	var all []recorded
	eventually(t, "all is there", func() bool { all = g.events(dir); return strings.Contains(types(of(all, agent)), "session_end") })
	pieces := func(id string) (s string) {
		for _, e := range of(all, id) {
			if e.Type == "chunk" {
				s += fmt.Sprintf("%v:%v|", e.Payload["kind"], e.Payload["text"])
			}
		}
		return s
	}
	if got := pieces(plain); got != "reasoning:Hm.|content:One|content: two|" {
		t.Errorf("%s", got)
	}
	if got := pieces(agent); !strings.Contains(got, "Well.") || !strings.Contains(got, "Three.") {
		t.Errorf("%s", got)
	}
}

// Reasoning that the client is not to see goes to the record, as contract S3 says, and
// not to the client.
//
// contract: S3, U4
func TestAuditOfTheUnseen(t *testing.T) {
	u := newUpstream(t)
	dir := t.TempDir()
	g := start(t, config{global: fmt.Sprintf(`
		audit file %q {
			content on
		}
		provider up openai {
			base_url %s
		}
		agent open {
			model up/m
		}
		agent closed {
			model up/m
			reasoning hide
		}`, dir, u.base()), handler: "auth off"})
	u.when("", streams("stop", thinks("Before."), `{"content":"Said."}`, thinks("Behind.")))
	for _, agent := range []string{"open", "closed"} {
		for _, stream := range []bool{true, false} {
			a := g.chat(agent, stream).want(t, 200)
			if strings.Contains(a.body, "Behind.") || strings.Contains(a.body, "Before.") != (agent == "open") {
				t.Errorf("%s", a.body)
			}
			id := a.Header.Get("X-Request-Id")
			eventually(t, "it is recorded", func() bool { return strings.Contains(types(of(g.events(dir), id)), "answer") })
			for _, e := range of(g.events(dir), id) {
				if e.Type == "answer" && (e.Payload["reasoning"] != "Before.\n\nBehind." && e.Payload["reasoning"] != "Before.Behind." || e.Payload["content"] != "Said.") {
					t.Errorf("%s, stream %t: %v", agent, stream, e.Payload)
				}
			}
		}
	}
}

// A stream that outlasts the grace period holds its configuration's journal open. At the
// end of the process what was recorded until then is in the file.
//
// contract: U3
// fault: K7
func TestExitFlushesWhatIsStillOpen(t *testing.T) {
	dir := t.TempDir()
	g := start(t, config{global: fmt.Sprintf("mock on\naudit file %q", dir), handler: "auth off"})
	app := runningApp()
	app.enter()
	defer app.leave()
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	trail := app.recorder.log().Trail(audit.Subject{Request: "req_last"})
	const n = 500
	for range n {
		trail.Record(audit.Event{Payload: audit.Chunk{Kind: "content"}})
	}
	atExit(t.Context())
	if got := len(of(g.events(dir), "req_last")); got != n {
		t.Errorf("%d of %d events are in the file", got, n)
	}
}

// contract: U3
func TestAuditSurvivesReloads(t *testing.T) {
	u := newUpstream(t)
	dir := t.TempDir()
	conf := func(more string) config {
		return config{global: fmt.Sprintf("audit file %q {\n%s\n}\nprovider up openai {\nbase_url %s\n}", dir, more, u.base()), handler: "auth off"}
	}
	g := start(t, conf(""))
	ids := []string{}
	for i := range 6 {
		ids = append(ids, g.chat("up/m", i%2 == 0).want(t, 200).Header.Get("X-Request-Id"))
		g.mustLoad(conf([]string{"content on", "content off", "chunks on"}[i%3]))
	}
	eventually(t, "every request is complete", func() bool {
		all := g.events(dir)
		for _, id := range ids {
			if got := strings.ReplaceAll(types(of(all, id)), "chunk ", ""); got != "request llm_call answer usage" {
				return false
			}
		}
		return true
	})
	// Nothing is recorded without audit, and the directory is free again.
	off := conf("")
	_, off.global, _ = strings.Cut(off.global, "}\n")
	g.mustLoad(off)
	n := len(ids)
	g.chat("up/m", false).want(t, 200)
	g.mustLoad(conf(""))
	g.chat("up/m", false).want(t, 200)
	eventually(t, "what came last is recorded", func() bool {
		count := 0
		for _, e := range g.events(dir) {
			if e.Type == "request" {
				count++
			}
		}
		return count == n+1
	})
}

// failing is an app that does not start, as some other plugin may not.
type failing struct{}

func (*failing) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "test_failing", New: func() caddy.Module { return new(failing) }}
}
func (*failing) Start() error { return errors.New("it does not start") }
func (*failing) Stop() error  { return nil }

func init() { caddy.RegisterModule(new(failing)) }

// A configuration that is refused after its audit has begun leaves the running one's sink
// as it was.
//
// contract: U3
func TestRefusedConfigurationLeavesTheSink(t *testing.T) {
	u := newUpstream(t)
	dir := t.TempDir()
	conf := func(audit string) config {
		return config{global: audit + "\nprovider up openai {\nbase_url " + u.base() + "\n}", handler: "auth off"}
	}
	g := start(t, conf(fmt.Sprintf("audit kafka %s {\njournal %q\n}", freeAddr(t), dir)))
	sender := func() string {
		runningApp().recorder.log()
		v, _ := journals.References(dir)
		if v < 1 {
			t.Fatal("the journal is in nobody's hands")
		}
		var is string
		journals.Range(func(key, value any) bool {
			if key == dir {
				j := value.(*journal)
				j.mu.Lock()
				is = j.sender
				j.mu.Unlock()
			}
			return true
		})
		return is
	}
	before := sender()
	for range 20 { // apps start in any order
		other, err := g.adapt(conf(fmt.Sprintf("audit kafka %s {\njournal %q\n}", freeAddr(t), dir)))
		if err != nil {
			t.Fatal(err)
		}
		bad := strings.Replace(string(other), `"apps":{`, `"apps":{"test_failing":{},`, 1)
		if err := caddy.Load([]byte(bad), true); err == nil {
			t.Fatal("it was not refused")
		}
		if got := sender(); got != before {
			t.Fatalf("the sink is %s, it was %s", got, before)
		}
	}
	g.chat("up/m", false).want(t, 200)
}

// An upstream's words may quote what was asked: without content they are not recorded.
// And a comment of an upstream's is no piece.
//
// contract: U4
func TestAuditQuotesNothing(t *testing.T) {
	u := newUpstream(t)
	dir := t.TempDir()
	conf := func(content string) config {
		return config{global: fmt.Sprintf("audit file %q {\ncontent %s\nchunks on\n}\nprovider up openai {\nbase_url %s\n}\nagent helper {\nmodel up/m\n}", dir, content, u.base()), handler: "auth off"}
	}
	g := start(t, conf("off"))
	u.when("", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":{"message":"Your prompt 'canary salary' was flagged","code":"flagged"}}`))
	})
	for _, model := range []string{"up/m", "helper"} {
		for _, stream := range []bool{true, false} {
			id := g.chat(model, stream).Header.Get("X-Request-Id")
			eventually(t, "it is recorded", func() bool { return strings.Contains(types(of(g.events(dir), id)), "error") })
			for _, e := range of(g.events(dir), id) {
				if strings.Contains(e.line, "canary") {
					t.Errorf("%s", e.line)
				}
			}
		}
	}
	g.mustLoad(conf("on"))
	u.when("", raw("text/event-stream", strings.Replace(goodStream, contentEvent, contentEvent+": processing\n\n: processing\n\n", 1)))
	id := g.chat("up/m", true).want(t, 200).Header.Get("X-Request-Id")
	eventually(t, "it is recorded", func() bool { return strings.Contains(types(of(g.events(dir), id)), "usage") })
	if got := strings.Count(types(of(g.events(dir), id)), "chunk"); got != 1 {
		t.Errorf("%d pieces", got)
	}
}
