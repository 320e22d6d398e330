package audit

import (
	"bytes"
	"time"

	"github.com/universal-ai-gateway/magicproxy/openai"
)

// What follows looks into events as appendLine has made them: members have their
// places, and no text outside the payload is long.

const (
	timeFrom = len(`{"event_id":"`) + 32 + len(`","time":`)
	timeTo   = timeFrom + len(`"`+timeLayout+`"`)
	idFrom   = timeTo + len(`,"request_id":`)
)

// timeOf returns when an event was recorded.
func timeOf(value []byte) (time.Time, bool) {
	if len(value) < timeTo {
		return time.Time{}, false
	}
	t, err := time.Parse(timeLayout, string(value[timeFrom+1:timeTo-1]))
	return t, err == nil
}

// keyOf returns the session's id, or the request's without one. Mostly it is in the
// event's own memory.
func keyOf(value []byte) []byte {
	if len(value) < idFrom {
		return nil
	}
	id, rest := cutString(value[idFrom:])
	if rest, ok := bytes.CutPrefix(rest, []byte(`,"session_id":`)); ok {
		id, _ = cutString(rest)
	}
	if bytes.IndexByte(id, '\\') >= 0 {
		return openai.AppendUnquoted(nil, id)
	}
	return id
}

// cutString splits off the JSON string that b begins with, and its quotes.
func cutString(b []byte) (s, rest []byte) {
	if len(b) == 0 || b[0] != '"' {
		return nil, b
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return b[1:i:i], b[i+1:]
		}
	}
	return nil, b
}

// traceOf returns the trace context, which comes last; nil without one.
func traceOf(value []byte) []byte {
	const name = `,"traceparent":"`
	b, ok := bytes.CutSuffix(value, []byte(`"}`))
	if !ok {
		return nil // it ends with the payload
	}
	from := bytes.LastIndex(b[max(len(b)-maxName-len(name), 0):], []byte(name))
	if from < 0 {
		return nil
	}
	from += max(len(b)-maxName-len(name), 0)
	trace := b[from+len(name):]
	if bytes.ContainsAny(trace, `"\`) {
		return nil
	}
	return trace
}
