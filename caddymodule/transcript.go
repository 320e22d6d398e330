package caddymodule

import (
	"encoding/json"
	"io"

	"github.com/universal-ai-gateway/magicproxy/agentruntime"
	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/rotation"
)

// maxTranscript bounds what is kept of an answer's text.
const maxTranscript = 1 << 20

// transcript is what an answer says: for the record, and for the cache.
type transcript struct {
	content, reasoning []byte
	unseen             []byte // reasoning that the client is not shown
	finish             string
	calls              bool // it calls a client's tool
	other              bool // it is more than text: a refusal, audio, annotations
	cut                bool // it says more than is kept
	broken             bool // something in it could not be read

	delta openai.Delta
}

// read takes in an answer, or an event of one, and reports whether delta is its. Of
// endpoints other than chat's it is kept as it comes.
func (t *transcript) read(ep openai.Endpoint, data []byte) bool {
	if len(data) == 0 {
		return false
	}
	if ep != openai.Chat {
		t.content = t.add(t.content, data)
		return false
	}
	d := &t.delta
	if err := d.Scan(data); err != nil {
		t.broken = true
		return false
	}
	if d.Whole { // instead of what came before
		t.content, t.reasoning, t.calls, t.other = t.content[:0], t.reasoning[:0], false, false
	}
	t.reasoning = t.add(t.reasoning, d.Reasoning)
	t.content = t.add(t.content, d.Content)
	t.content = t.add(t.content, d.Refusal)
	t.calls = t.calls || len(d.Calls) > 0
	t.other = t.other || d.Other || len(d.Refusal) > 0
	if d.Finish != "" {
		t.finish = d.Finish
	}
	return true
}

// hear takes in what a run says.
func (t *transcript) hear(ev *agentruntime.Event) {
	switch ev.Kind {
	case agentruntime.Reasoning:
		if ev.Hidden {
			t.unseen = append(t.unseen, ev.Text[:min(len(ev.Text), maxTranscript-len(t.unseen))]...)
			return
		}
		t.reasoning = t.add(t.reasoning, []byte(ev.Text))
	case agentruntime.Content:
		t.content = t.add(t.content, []byte(ev.Text))
	case agentruntime.ToolCall:
		t.calls = true
	case agentruntime.Notice, agentruntime.Finish:
	}
}

func (t *transcript) add(dst, text []byte) []byte {
	if room := maxTranscript - len(t.content) - len(t.reasoning); len(text) > room {
		t.cut = true
		text = text[:max(0, room)]
	}
	return append(dst, text...)
}

// overheard are a stream's events, which are taken down as they are passed on.
type overheard struct {
	*rotation.Stream
	x        *exchange
	endpoint openai.Endpoint
	head     *heading // of the first event that has one
}

// Next implements eventSource.
func (o *overheard) Next() (*rotation.Event, error) {
	ev, err := o.Stream.Next()
	if err == nil && !ev.Done && o.x.said.read(o.endpoint, ev.Data) {
		if o.x.cacheAs != "" && o.head.ID == "" {
			_ = json.Unmarshal(ev.Data, o.head) // what is of another type stays empty
		}
		o.x.piece("reasoning", o.x.said.delta.Reasoning, false)
		o.x.piece("content", o.x.said.delta.Content, false)
	}
	return ev, err
}

// counted is a stream's writer that knows how much has left.
type counted struct {
	io.Writer
	n *int
}

// Write implements io.Writer.
func (c counted) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	*c.n += n
	return n, err
}
