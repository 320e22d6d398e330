package caddymodule

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func cacheConfig(u *upstream, agent string) config {
	return config{global: `
		token ann ann-secret
		token bob bob-secret
		provider up openai {
			base_url ` + u.base() + `
		}
		tier chat {
			rotate up/m up/m2
			cache 10m
		}
		agent helper {
			model up/m
			alias another
			` + agent + `
			cache 10m
		}
		agent plain {
			model up/m
		}`, handler: "auth bearer"}
}

// ask sends a chat with further fields and returns the answer.
func (g *gateway) ask(model, fields string, header ...string) *answer {
	g.t.Helper()
	return g.do(http.MethodPost, "/v1/chat/completions", fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"hi"}]%s}`, model, fields), header...)
}

// What may be asked again with the same answer is, and nothing else.
//
// security: X6
func TestCache(t *testing.T) {
	u := newUpstream(t)
	g := start(t, cacheConfig(u, "temperature 0"))
	ann, bob := []string{"Authorization", "Bearer ann-secret"}, []string{"Authorization", "Bearer bob-secret"}
	for _, tt := range []struct {
		name, model, first, second string
		who                        []string // asks the second time
		want                       string   // of the second: hit, miss or nothing
	}{
		{"the same", "chat", `,"temperature":0,"top_p":1`, `,"temperature":0,"top_p":1`, ann, "hit"},
		{"in another order", "chat", `,"temperature":0,"top_p":0.1`, `,"top_p":0.1,"temperature":0`, ann, "hit"},
		{"a seed", "chat", `,"seed":1`, `,"seed":1`, ann, "hit"},
		{"as a stream", "chat", `,"seed":2`, `,"seed":2,"stream":true`, ann, "hit"},
		{"another seed", "chat", `,"seed":3`, `,"seed":4`, ann, "miss"},
		{"another field", "chat", `,"seed":5`, `,"seed":5,"x":1`, ann, "miss"},
		{"somebody else", "chat", `,"seed":6`, `,"seed":6`, bob, "miss"},
		{"chance", "chat", ``, ``, ann, ""},
		{"warm", "chat", `,"temperature":0.1`, `,"temperature":0.1`, ann, ""},
		{"two choices", "chat", `,"seed":7,"n":2`, `,"seed":7,"n":2`, ann, ""},
		{"log probabilities", "chat", `,"seed":8,"logprobs":true`, `,"seed":8,"logprobs":true`, ann, ""},
		{"an agent at 0", "helper", `,"x":1`, `,"x":1`, ann, "hit"},
		{"an agent, warm", "helper", `,"temperature":1`, `,"temperature":1`, ann, ""},
		{"an alias", "another", `,"x":2`, `,"x":2`, ann, "hit"},
		{"an agent without", "plain", `,"seed":9`, `,"seed":9`, ann, ""},
		{"a model of the tier", "up/m", `,"seed":10`, `,"seed":10`, ann, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := len(u.seen())
			first := g.ask(tt.model, tt.first, ann...).want(t, 200)
			second := g.ask(tt.model, tt.second, tt.who...).want(t, 200)
			if got := second.Header.Get(headerCache); got != tt.want {
				t.Errorf("x-cache %q, want %q", got, tt.want)
			}
			if first.Header.Get(headerCache) == "hit" {
				t.Error("a hit at once")
			}
			asked := 2
			if tt.want == "hit" {
				asked = 1
			}
			if n := len(u.seen()) - before; n != asked {
				t.Errorf("the upstream was asked %d times, want %d", n, asked)
			}
			if tt.want == "hit" && !strings.Contains(tt.second, "stream") && second.body != first.body {
				t.Errorf("%s\n%s", first.body, second.body)
			}
		})
	}
}

// Whatever way it was asked first, an answer comes as it is asked for.
func TestCacheReplays(t *testing.T) {
	u := newUpstream(t)
	g := start(t, cacheConfig(u, "seed 1"))
	ann := []string{"Authorization", "Bearer ann-secret"}
	for _, model := range []string{"chat", "helper"} {
		t.Run(model, func(t *testing.T) {
			u.when("", turns(streams("stop", thinks("Well."), `{"content":"Once and "}`, `{"content":"for all ✓"}`), status(500)))
			n := len(u.seen())
			streamed := `,"seed":1,"stream":true,"stream_options":{"include_usage":true}`
			first := g.ask(model, streamed, ann...).want(t, 200)
			first.whole(t)
			again := g.ask(model, streamed, ann...).want(t, 200)
			again.whole(t)
			b := readChunks(t, again.body)
			if was, is := firstChunk(t, first.body), firstChunk(t, again.body); is != was || is.ID == "" {
				t.Errorf("it is %+v, and was %+v", is, was)
			}
			if again.Header.Get(headerCache) != "hit" || b.content != "Once and for all ✓" || b.reasoning != "Well." || b.finish != "stop" || b.usage == nil || b.usage.Total != 15 {
				t.Errorf("%+v", b)
			}
			whole := g.ask(model, `,"seed":1`, ann...).want(t, 200)
			if !strings.Contains(whole.body, `"content":"Once and for all ✓"`) || !strings.Contains(whole.body, `"reasoning_content":"Well."`) || whole.Header.Get(headerCache) != "hit" {
				t.Errorf("%s", whole.body)
			}
			if len(u.seen()) != n+1 {
				t.Errorf("the upstream was asked %d times", len(u.seen())-n)
			}
		})
	}
}

// firstChunk is what a stream's first chunk says of the answer.
func firstChunk(t *testing.T, body string) (h heading) {
	t.Helper()
	data, _, _ := strings.Cut(strings.TrimPrefix(body, "data: "), "\n")
	if err := json.Unmarshal([]byte(data), &h); err != nil {
		t.Fatal(err)
	}
	return h
}

// Failures, calls of the client's tools and what broke off are asked again.
func TestCacheKeepsOnlyAnswers(t *testing.T) {
	u := newUpstream(t)
	g := start(t, cacheConfig(u, ""))
	ann := []string{"Authorization", "Bearer ann-secret"}
	call := `{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]}`
	for name, bad := range map[string]http.HandlerFunc{
		"an error": status(400), "a tool": streams("tool_calls", call), "cut off": streams("length", `{"content":"Once"}`), "broken": cut(contentEvent),
		"a refusal": streams("stop", `{"refusal":"I'd rather not."}`), "annotations": streams("stop", `{"content":"See."}`, `{"annotations":[{"type":"url_citation"}]}`),
		"audio": streams("stop", `{"audio":{"id":"a"}}`, `{"content":"Hear."}`),
	} {
		t.Run(name, func(t *testing.T) {
			fields := fmt.Sprintf(`,"seed":1,"stream":true,"x":%q`, name)
			u.when("", bad)
			g.ask("chat", fields, ann...)
			u.when("", says("Good."))
			if a := g.ask("chat", fields, ann...).want(t, 200); a.Header.Get(headerCache) != "miss" {
				t.Errorf("%v: %s", a.Header, a.body)
			}
		})
	}
	// A session changes what an agent knows.
	for range 2 {
		if a := g.ask("helper", `,"seed":1`, append(ann, headerSession, "a-session-and-a-cache")...).want(t, 200); a.Header.Get(headerCache) != "" {
			t.Errorf("%v", a.Header)
		}
	}
	// What has been edited is asked again, also behind a placeholder, or in a protocol.
	t.Setenv("TEST_PROMPT", "Be brief.")
	edited := cacheConfig(u, "system {env.TEST_PROMPT}")
	header := edited
	header.global = strings.Replace(header.global, "base_url "+u.base(), "base_url "+u.base()+"\nheader X-Team research", 1)
	for i, edit := range []func(){
		func() { g.mustLoad(cacheConfig(u, "system \"Be brief.\"")) },
		func() { g.mustLoad(edited) },
		func() { t.Setenv("TEST_PROMPT", "Be very brief."); g.mustLoad(edited) },
		func() { g.mustLoad(header) },
		func() {
			other := header
			other.global = strings.Replace(other.global, u.base(), newUpstream(t).base(), 1)
			g.mustLoad(other)
		},
	} {
		g.ask("helper", `,"seed":2`, ann...).want(t, 200)
		if a := g.ask("helper", `,"seed":2`, ann...).want(t, 200); a.Header.Get(headerCache) != "hit" {
			t.Errorf("before edit %d: %v", i, a.Header)
		}
		edit()
		if a := g.ask("helper", `,"seed":2`, ann...).want(t, 200); a.Header.Get(headerCache) != "miss" {
			t.Errorf("after edit %d: %v", i, a.Header)
		}
	}
}

// spoiled is a store whose cached answers cannot be read.
type spoiled struct{ OpenStore }

func (s spoiled) Put(key string, answer []byte, ttl time.Duration) {
	s.OpenStore.Put(key, answer[:len(answer)-20], ttl)
}

// A cached answer that cannot be read is none: nobody gets it, and the request is one.
func TestCacheThatCannotBeRead(t *testing.T) {
	u := newUpstream(t)
	c := cacheConfig(u, "")
	dir := t.TempDir()
	c.global = fmt.Sprintf("audit file %q\n%s", dir, c.global)
	const kind = "memory"
	if _, there := stores.LoadOrStore(kind, pooledStore{spoiled{lasting{memory}}}); there {
		t.Fatal("the store is in use")
	}
	t.Cleanup(func() {
		if _, err := stores.Delete(kind); err != nil {
			t.Error(err)
		}
	})
	g := start(t, c)
	targets := make(map[string]int)
	for range 6 {
		targets[g.ask("chat", `,"seed":9`, bearer("ann-secret")...).want(t, 200).Header.Get(HeaderTarget)]++
	}
	if targets["up/m"] != 3 || targets["up/m2"] != 3 {
		t.Errorf("the rotation stands still: %v", targets)
	}
	for _, stream := range []string{"", `,"stream":true`} {
		g.ask("chat", `,"seed":1`+stream, bearer("ann-secret")...).want(t, 200)
		a := g.ask("chat", `,"seed":1`+stream, bearer("ann-secret")...).want(t, 200)
		if a.Header.Get(headerCache) != "miss" || a.Header.Get(HeaderTarget) == "" || !strings.HasSuffix(strings.TrimSpace(a.body), map[bool]string{true: "[DONE]", false: "}"}[stream != ""]) {
			t.Errorf("%v %s", a.Header, a.body)
		}
		id := a.Header.Get("X-Request-Id")
		eventually(t, "it is recorded", func() bool { return strings.Contains(types(of(g.events(dir), id)), "usage") })
		if got := types(of(g.events(dir), id)); got != "request llm_call answer usage" {
			t.Errorf("%s", got)
		}
		for _, e := range of(g.events(dir), id) {
			if e.Payload["cached"] == true {
				t.Errorf("%s", e.line)
			}
		}
	}
}
