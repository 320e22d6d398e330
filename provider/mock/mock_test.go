package mock

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
)

const (
	hello       = `{"model":"m","messages":[{"role":"user","content":"Hello there"}]}`
	helloStream = `{"model":"m","stream":true,"messages":[{"role":"user","content":"Hello there"}]}`
)

// at is when every test's answers are made.
var at = time.Unix(1_750_000_000, 0)

func newMock(o Options) *Provider {
	p := New(o)
	p.now = func() time.Time { return at }
	return p
}

func callTo(t testing.TB, ep openai.Endpoint, body string) *provider.Call {
	t.Helper()
	r, e := openai.ParseRequest(ep, []byte(body))
	if e != nil {
		t.Fatalf("request %s: %v", body, e)
	}
	return &provider.Call{Request: r, Model: "mock-1"}
}

func do(t testing.TB, p *Provider, ep openai.Endpoint, body string) *provider.Response {
	t.Helper()
	res, err := p.Do(t.Context(), callTo(t, ep, body))
	if err != nil {
		t.Fatalf("Do: %v", err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// read returns a whole body and how it ended.
func read(t testing.TB, p *Provider, ep openai.Endpoint, body string) (string, error) {
	t.Helper()
	b, err := io.ReadAll(do(t, p, ep, body).Body)
	return string(b), err
}

// ask is read for answers that must be whole.
func ask(t testing.TB, p *Provider, ep openai.Endpoint, body string) string {
	t.Helper()
	got, err := read(t, p, ep, body)
	if err != nil {
		t.Fatalf("reading the body: %v\n%s", err, got)
	}
	return got
}

// events returns the data of a stream's events.
func events(t testing.TB, body string) (list []string) {
	t.Helper()
	er := openai.NewEventReader(strings.NewReader(body))
	defer er.Release()
	for {
		ev, err := er.Next()
		if err == io.EOF {
			return list
		}
		if err != nil || ev.Partial || len(ev.Data) == 0 {
			t.Fatalf("event %q: %v", ev.Raw, err)
		}
		list = append(list, string(ev.Data))
	}
}

// chatDoc has what tests look at in a chat answer, chunk or whole.
type chatDoc struct {
	ID      string
	Created int64
	Model   string
	Choices []struct {
		Index          int
		Delta, Message struct {
			Role, Content    string
			ReasoningContent string `json:"reasoning_content"`
			ToolCalls        []struct {
				ID, Type string
				Function struct{ Name, Arguments string }
			} `json:"tool_calls"`
		}
		FinishReason *string `json:"finish_reason"`
	}
	Usage *struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
		Total      int `json:"total_tokens"`
		Details    struct {
			Reasoning int `json:"reasoning_tokens"`
		} `json:"completion_tokens_details"`
	}
}

func decode[T any](t testing.TB, doc string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(doc), &v); err != nil {
		t.Fatalf("%v in %s", err, doc)
	}
	return v
}

// heard is a chat answer put together, one entry a choice.
type heard struct {
	reasoning, content, arguments, id, name, finish string
	deltas                                          int // with content
}

// listen puts a chat stream together and checks its frame.
func listen(t testing.TB, body string, choices int) ([]heard, *chatDoc) {
	t.Helper()
	list := events(t, body)
	if list[len(list)-1] != "[DONE]" {
		t.Fatalf("no [DONE] at the end of %s", body)
	}
	all := make([]heard, choices)
	var last *chatDoc
	for _, data := range list[:len(list)-1] {
		d := decode[chatDoc](t, data)
		if last != nil && (d.ID != last.ID || d.Created != last.Created || d.Model != last.Model) {
			t.Errorf("id, created or model changes: %s", data)
		}
		last = &d
		for _, c := range d.Choices {
			h := &all[c.Index]
			h.content += c.Delta.Content
			h.reasoning += c.Delta.ReasoningContent
			if c.Delta.Content+c.Delta.ReasoningContent != "" || c.Delta.ToolCalls != nil {
				h.deltas++
			}
			for _, call := range c.Delta.ToolCalls {
				h.id += call.ID
				h.name += call.Function.Name
				h.arguments += call.Function.Arguments
			}
			if c.FinishReason != nil {
				h.finish += *c.FinishReason
			}
		}
	}
	return all, last
}

func TestSameRequestSameBytes(t *testing.T) {
	for ep, body := range map[openai.Endpoint]string{
		openai.Chat:        helloStream,
		openai.Completions: `{"model":"m","prompt":"Once","stream":true}`,
		openai.Embeddings:  `{"model":"m","input":"Once"}`,
		openai.Responses:   `{"model":"m","input":"Once","stream":true}`,
	} {
		t.Run(ep.String(), func(t *testing.T) {
			first := ask(t, newMock(Options{}), ep, body)
			if again := ask(t, newMock(Options{}), ep, body); again != first {
				t.Errorf("the second answer differs:\n%s\n%s", first, again)
			}
			if other := ask(t, newMock(Options{}), ep, strings.Replace(body, `"m"`, `"m" `, 1)); ep != openai.Embeddings && other == first {
				t.Error("another request gets the same answer")
			}
		})
	}
}

func TestAnswerIsReadable(t *testing.T) {
	answers, _ := listen(t, ask(t, newMock(Options{Tokens: 20}), openai.Chat, helloStream), 1)
	text := answers[0].content
	if n := len(strings.Fields(text)); n != 20 {
		t.Errorf("%d words instead of 20: %s", n, text)
	}
	if strings.Count(text, ".") != 3 || !strings.HasSuffix(text, ".") || text[:1] != strings.ToUpper(text[:1]) {
		t.Errorf("these are not three sentences: %s", text)
	}
}

func TestFixedAnswerKeepsItsBytes(t *testing.T) {
	for _, text := range []string{
		"one", "one two", "  led in\nand   out \n", " ", "a\tb\u2028c", `quo"ted \ back`, "日本語 テキスト 🙂", "<b>&</b>",
	} {
		p := newMock(Options{Answer: text})
		answers, _ := listen(t, ask(t, p, openai.Chat, helloStream), 1)
		if answers[0].content != text {
			t.Errorf("streamed %q as %q", text, answers[0].content)
		}
		if n := max(len(strings.Fields(text)), 1); answers[0].deltas != n {
			t.Errorf("%q came in %d tokens instead of %d", text, answers[0].deltas, n)
		}
		doc := decode[chatDoc](t, ask(t, p, openai.Chat, hello))
		if got := doc.Choices[0].Message.Content; got != text {
			t.Errorf("answered %q as %q", text, got)
		}
	}
}

func TestTinyBuffersGiveTheSameBytes(t *testing.T) {
	for ep, body := range map[openai.Endpoint]string{
		openai.Chat:        `{"model":"m","stream":true,"n":3,"reasoning_effort":"low","messages":[{"role":"user","content":"x"}]}`,
		openai.Completions: `{"model":"m","prompt":"x"}`,
		openai.Embeddings:  `{"model":"m","input":["x","y"],"dimensions":5}`,
		openai.Responses:   `{"model":"m","input":"x","stream":true}`,
	} {
		whole := ask(t, newMock(Options{}), ep, body)
		for _, size := range []int{1, 7, 300} {
			var got bytes.Buffer
			b := do(t, newMock(Options{}), ep, body).Body
			for {
				if n, err := b.Read(nil); n != 0 || err != nil {
					t.Fatalf("reading nothing: %d, %v", n, err)
				}
				p := make([]byte, size)
				n, err := b.Read(p)
				got.Write(p[:n])
				if err == io.EOF {
					break
				}
				if err != nil || n == 0 {
					t.Fatalf("%v: %d, %v", ep, n, err)
				}
			}
			if got.String() != whole {
				t.Errorf("%v: reads of %d give other bytes", ep, size)
			}
		}
	}
}

func TestAtOnceIsFewReads(t *testing.T) {
	b := do(t, newMock(Options{}), openai.Chat, helloStream).Body
	p := make([]byte, 32<<10)
	n, err := b.Read(p)
	if err != nil || !bytes.HasSuffix(p[:n], []byte(openai.Done)) {
		t.Errorf("the first read has not all of it: %d bytes, %v", n, err)
	}
	if n, err = b.Read(p); n != 0 || err != io.EOF {
		t.Errorf("then %d bytes, %v", n, err)
	}
}

func TestCanceledBeforehand(t *testing.T) {
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if _, err := newMock(Options{}).Do(ctx, callTo(t, openai.Chat, hello)); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}
