package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// errTruncated marks a 200 whose body is not the whole answer: the failure a client can take for success.
var errTruncated = errors.New("truncated")

var (
	dataField    = []byte("data:")
	errorField   = []byte("event: error")
	doneData     = []byte("[DONE]")
	finishMember = []byte(`"finish_reason":"stop"`)
	usageMember  = []byte(`"usage":{`)
	contentNeed  = func() (need [contentEvents][]byte) {
		for i := range need {
			need[i] = fmt.Appendf(nil, `"content":%q`, word(i))
		}
		return
	}()
)

// checkPlain verifies a non-stream answer: one JSON object with the whole content.
func checkPlain(body []byte) error {
	if !json.Valid(body) {
		return fmt.Errorf("%w: %d bytes that are not JSON", errTruncated, len(body))
	}
	if !bytes.Contains(body, []byte(`"content":"`+answerText+`"`)) {
		return fmt.Errorf("answer without the upstream's content: %.120s", body)
	}
	return nil
}

// checkStream verifies a streamed answer: every content event once and in order, finish_reason, usage, [DONE], a blank line, nothing after.
// Comments are allowed between events. Anything missing is errTruncated; a visible error event is another error.
func checkStream(body []byte) error {
	const finish, usage, done, end = contentEvents, contentEvents + 1, contentEvents + 2, contentEvents + 3
	stage, open := 0, false // stage: what is expected next; open: inside an event
	for rest := body; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		rest = after
		line = bytes.TrimSuffix(line, []byte("\r"))
		if !whole {
			return fmt.Errorf("%w: ends within a line, at stage %d", errTruncated, stage)
		}
		switch {
		case len(line) == 0:
			open = false
			continue
		case line[0] == ':':
			continue
		case bytes.HasPrefix(line, errorField):
			return fmt.Errorf("error event at stage %d: %.200s", stage, rest)
		case !bytes.HasPrefix(line, dataField):
			continue
		}
		data := bytes.TrimPrefix(line[len(dataField):], []byte(" "))
		open = true
		var ok bool
		switch {
		case stage < contentEvents:
			ok = bytes.Contains(data, contentNeed[stage]) && data[len(data)-1] == '}'
		case stage == finish:
			ok = bytes.Contains(data, finishMember) && data[len(data)-1] == '}'
		case stage == usage:
			ok = bytes.Contains(data, usageMember) && data[len(data)-1] == '}'
		case stage == done:
			ok = bytes.Equal(data, doneData)
		}
		if !ok {
			return fmt.Errorf("%w: unexpected event at stage %d: %.120s", errTruncated, stage, data)
		}
		stage++
	}
	if stage != end || open {
		return fmt.Errorf("%w: ends at stage %d of %d", errTruncated, stage, end)
	}
	return nil
}
