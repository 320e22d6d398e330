package mock

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
)

// answer is what the model says to one request, before any endpoint has put it
// into its own shape. All choices have the same length.
type answer struct {
	seed    uint64 // of everything that looks random
	created int64
	model   string
	choices int

	// reasoning of the tokens come first; the rest is content, or a tool call. A
	// limit has already been applied.
	reasoning, tokens int

	// pieces is the content token by token; nil means size generated words.
	pieces []string
	size   int

	call   *call // the content's pieces are its arguments
	finish string

	prompt   int64 // tokens
	askUsage bool
}

// The finish reasons we give.
const (
	finishStop   = "stop"
	finishLength = "length"
	finishTools  = "tool_calls"
)

// answer decides what to say. The error is the caller's mistake.
func (p *Provider) answer(c *provider.Call) (*answer, *openai.Error) {
	r := c.Request
	a := &answer{
		seed:     mix(digest(r.Body()) + digest([]byte(c.Model))),
		created:  p.now().Unix(),
		model:    c.Model,
		choices:  1,
		pieces:   p.pieces,
		size:     p.o.Tokens,
		finish:   finishStop,
		askUsage: r.IncludeUsage || c.AskUsage,
	}
	switch r.Endpoint {
	case openai.Chat:
		a.prompt = estimate(r.Field("messages"))
		a.choices = number(r, "n", 1)
		if e := p.answerChat(a, r); e != nil {
			return nil, e
		}
	case openai.Completions:
		a.prompt = estimate(r.Field("prompt"))
		a.choices = number(r, "n", 1)
	default:
		a.prompt = estimate(r.Field("input"))
	}
	if a.pieces != nil {
		a.size = len(a.pieces)
	}
	a.tokens = a.reasoning + a.size
	if limit := limitOf(r); limit < a.tokens {
		a.tokens, a.finish = limit, finishLength
		a.reasoning = min(a.reasoning, limit)
	}
	return a, nil
}

// answerChat adds what only chat has: tools, formats, reasoning. A conversation
// that asks for tags gets tags, also when it has functions beside them: only one
// of the two can be meant, and the prompt is the more explicit.
func (p *Provider) answerChat(a *answer, r *openai.Request) *openai.Error {
	if reasons(r.Field("reasoning_effort")) {
		a.reasoning = max(p.o.Tokens/2, 1)
	}
	if t := tagTurnOf(r.Field("messages")); t != nil {
		f, e := formatOf(r.Field("response_format"))
		if e == nil {
			p.answerTags(a, t, f)
		}
		return e
	}
	call, result, e := toolTurn(r)
	if e != nil {
		return e
	}
	if call != nil {
		const argumentPieces = 3
		a.call, a.finish = call, finishTools
		a.pieces = append([]string{""}, pieces(call.arguments, argumentPieces)...)
		return nil
	}
	format, e := formatOf(r.Field("response_format"))
	switch {
	case e != nil:
		return e
	case format != nil:
		a.pieces = pieces(p.object(a, format), p.o.Tokens)
	case result != "" && p.o.Answer == "":
		a.pieces = pieces(mention(result), p.o.Tokens)
	}
	return nil
}

// maxMention bounds what the answer repeats of a tool's result, in bytes.
const maxMention = 80

// mention shows that a tool's result has arrived.
func mention(result string) string { return "The tool answered: " + openai.Cut(result, maxMention) }

// reasons reports whether an effort asks for reasoning.
func reasons(effort []byte) bool {
	switch string(effort) {
	case "", "null", `"none"`, `"minimal"`:
		return false
	}
	return true
}

// format is a response_format that asks for a JSON object.
type format struct {
	Type       string `json:"type"`
	JSONSchema struct {
		Schema json.RawMessage `json:"schema"`
	} `json:"json_schema"`
}

func formatOf(raw []byte) (*format, *openai.Error) {
	if raw == nil {
		return nil, nil
	}
	var f format
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, openai.InvalidRequest("response_format", "Invalid 'response_format': expected an object with a type.")
	}
	if f.Type != "json_object" && f.Type != "json_schema" {
		return nil, nil
	}
	return &f, nil
}

// object returns the JSON object f asks for. A fixed answer that is one already
// stays as it is.
func (p *Provider) object(a *answer, f *format) string {
	text := p.o.Answer
	if strings.HasPrefix(strings.TrimSpace(text), "{") && json.Valid([]byte(text)) {
		return text
	}
	if f.Type == "json_schema" && f.JSONSchema.Schema != nil {
		return string(appendObject(nil, f.JSONSchema.Schema))
	}
	if text == "" {
		text = a.join(0, 0, a.size)
	}
	b := openai.AppendString([]byte(`{"answer":`), text)
	return string(append(b, '}'))
}

// token returns the k-th token of a choice's content.
func (a *answer) token(choice, k int) string {
	if a.pieces != nil {
		return a.pieces[k]
	}
	return word(a.seed+uint64(choice)<<32, k, k == a.size-1) //nolint:gosec // not negative
}

// thought returns the k-th token of a choice's reasoning.
func (a *answer) thought(choice, k int) string {
	return word(^a.seed+uint64(choice)<<32, k, k == a.reasoning-1) //nolint:gosec // not negative
}

func (a *answer) join(choice, from, to int) string {
	if a.pieces != nil {
		return strings.Join(a.pieces[from:to], "")
	}
	var b strings.Builder
	for k := from; k < to; k++ {
		b.WriteString(a.token(choice, k))
	}
	return b.String()
}

// content returns the whole of a choice's content that is within the limit.
func (a *answer) content(choice int) string { return a.join(choice, 0, a.tokens-a.reasoning) }

func (a *answer) thoughts(choice int) string {
	var b strings.Builder
	for k := range a.reasoning {
		b.WriteString(a.thought(choice, k))
	}
	return b.String()
}

func (a *answer) usage() openai.Usage {
	u := openai.Usage{
		Prompt:     a.prompt,
		Completion: int64(a.tokens) * int64(a.choices),
		Reasoning:  int64(a.reasoning) * int64(a.choices),
	}
	u.Total = u.Prompt + u.Completion
	return u
}

// limitOf returns the tokens the request allows an answer.
func limitOf(r *openai.Request) int {
	const none = math.MaxInt
	switch r.Endpoint {
	case openai.Chat:
		return min(number(r, "max_completion_tokens", none), number(r, "max_tokens", none))
	case openai.Completions: // 0 is allowed there: the prompt is to be scored
		return number(r, "max_tokens", none)
	}
	return number(r, "max_output_tokens", none)
}

// estimate counts the tokens of a prompt by the usual rule of thumb.
func estimate(raw []byte) int64 { return max(int64(len(raw)/4), 1) }

// number returns a field that the parser has found to be an integer in range,
// or otherwise when it is absent or null. It may be written as 1e2.
func number(r *openai.Request, name string, otherwise int) int {
	v := r.Field(name)
	if v == nil || string(v) == "null" {
		return otherwise
	}
	x, _ := strconv.ParseFloat(string(v), 64)
	return int(x)
}
