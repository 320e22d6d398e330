package caddymodule

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/universal-ai-gateway/magicproxy/openai"
)

// headerCache says whether an answer comes from the cache: hit or miss.
const headerCache = "X-Cache"

// caching is what the cache of a tier or an agent does.
type caching struct {
	ttl time.Duration

	// sure: without a temperature of the client's the agent's own, 0, holds.
	sure bool
}

// written is what the configuration says of what makes answers. It is taken before any
// module is loaded: loading takes what is the module's out of it.
func (a *App) written() ([]byte, error) {
	return json.Marshal([]any{a.Providers, a.Tiers, a.Agents, a.Patterns, a.MCP})
}

// provisionEdition tells this configuration's cached answers from those of another:
// whatever is edited in what makes answers, also behind a placeholder, what was kept
// before is not found.
func (a *App) provisionEdition(written []byte) error {
	prompts := make(map[string]string, len(a.agents))
	for name, agent := range a.agents {
		prompts[name] = agent.System
	}
	resolved, err := json.Marshal([]any{string(written), a.mock, a.addresses, prompts, a.patternTexts})
	a.edition = sha256.Sum256(resolved)
	return err
}

func isZero(number json.RawMessage) bool {
	f, err := strconv.ParseFloat(string(number), 64)
	return err == nil && f == 0
}

// cacheKey returns the key that the request's answer is kept under, empty if it is
// not: the caller, the model, and every field that may matter, as it came. Answers
// are kept where the same question is to have the same answer: temperature 0, or a
// seed; one choice; no session, for that changes what an agent knows.
func (x *exchange) cacheKey(req *openai.Request) string {
	c, ok := x.h.app.caching[req.Model]
	if !ok || req.Endpoint != openai.Chat || req.Choices != 1 || len(x.r.Header[headerSession]) > 0 {
		return ""
	}
	type field struct {
		name  string
		value []byte
	}
	var fields []field
	sure := c.sure
	for name, value := range req.Fields() {
		null := string(value) == "null"
		switch name {
		case "stream", "stream_options": // how the answer comes, not what it is
			continue
		case "temperature":
			sure = isZero(value) || null && c.sure
		case "logprobs":
			if string(value) != "false" && !null { // a stream could not be made of it
				return ""
			}
		}
		fields = append(fields, field{name, value})
	}
	if seed := req.Field("seed"); !sure && (seed == nil || string(seed) == "null") {
		return ""
	}
	slices.SortStableFunc(fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
	h := sha256.New()
	// Lengths go first: no two questions are written the same (security X6).
	add := func(parts ...[]byte) {
		for _, p := range parts {
			_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
			_, _ = h.Write(p)
		}
	}
	add([]byte("answer 2"), x.h.app.edition[:], []byte(x.user), []byte(req.Model))
	for _, f := range fields {
		add([]byte(f.name), f.value)
	}
	return string(h.Sum(nil))
}

// keepable reports whether what was said is an answer to be kept: text and nothing else,
// that has come to its own end. Then it can be given again in either form.
func (t *transcript) keepable() bool {
	return !t.calls && !t.other && !t.cut && !t.broken && t.finish == "stop"
}

// keepAnswer keeps an answer under the request's key.
func (x *exchange) keepAnswer(body []byte) {
	if x.cacheAs == "" || !x.said.keepable() {
		return
	}
	x.h.app.store.Put(x.cacheAs, body, x.h.app.caching[x.model].ttl)
}

// keepSaid keeps the answer that was said in a stream.
func (x *exchange) keepSaid(c *openai.Completion) {
	if x.cacheAs == "" || !x.said.keepable() {
		return
	}
	c.Choices = []openai.Message{{Content: string(x.said.content), Reasoning: string(x.said.reasoning), FinishReason: x.said.finish}}
	if c.Usage.Total == 0 {
		c.Usage = x.trace.Usage
	}
	x.keepAnswer(c.AppendJSON(nil))
}

// heading is what an answer, or a chunk of one, says of itself.
type heading struct {
	ID      string `json:"id"`
	Created int64  `json:"created"`
	Model   string `json:"model"`
}

// recall takes in what was kept. false: nothing was, or nothing that can be read, which
// is as good as nothing.
func (x *exchange) recall(body []byte) bool {
	if body == nil {
		return false
	}
	x.said.read(openai.Chat, body)
	if !x.said.keepable() {
		x.h.logger.Error("a cached answer cannot be read", zap.String("request_id", x.id), zap.Int("bytes", len(body)))
		x.said = transcript{}
		return false
	}
	x.cached = true
	return true
}

// replay answers with what was recalled, as a stream if the client wants one.
func (x *exchange) replay(body []byte, req *openai.Request) {
	if !req.Stream {
		x.answer(body)
		return
	}
	var kept heading
	_ = json.Unmarshal(body, &kept) // what is of another type stays empty
	metrics.streams.Inc()
	defer metrics.streams.Dec()
	x.stream = x.newStream()
	enc := openai.ChunkEncoder{ID: kept.ID, Created: kept.Created, Model: kept.Model}
	buf := enc.AppendRole(nil)
	if len(x.said.reasoning) > 0 {
		buf = enc.AppendReasoning(buf, string(x.said.reasoning))
	}
	if len(x.said.content) > 0 {
		buf = enc.AppendContent(buf, string(x.said.content))
	}
	buf = enc.AppendFinish(buf, x.said.finish)
	if req.IncludeUsage {
		if info, err := openai.ScanAnswer(body); err == nil {
			buf = enc.AppendUsage(buf, info.Usage)
		}
	}
	x.write(append(buf, openai.Done...))
}
