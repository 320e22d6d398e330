package mock

import "github.com/universal-ai-gateway/magicproxy/openai"

// response speaks /v1/responses: one message with one text.
type response struct {
	*answer
	id, item string

	// The numbers the request may bring, as JSON.
	temperature, topP, maxTokens string

	sequence int
}

func newResponse(a *answer, r *openai.Request) *response {
	or := func(name, otherwise string) string {
		if v := r.Field(name); v != nil {
			return string(v)
		}
		return otherwise
	}
	return &response{
		answer: a, id: id("resp_", a.seed), item: id("msg_", mix(a.seed)),
		temperature: or("temperature", "1"), topP: or("top_p", "1"), maxTokens: or("max_output_tokens", "null"),
	}
}

// The states of a response and its message.
const (
	inProgress = "in_progress"
	completed  = "completed"
	incomplete = "incomplete"
)

// ended returns the state the response ends in.
func (r *response) ended() string {
	if r.finish == finishLength {
		return incomplete
	}
	return completed
}

func (r *response) step(dst []byte, k int) []byte {
	switch {
	case k == 0:
		for _, kind := range []string{"response.created", "response.in_progress"} {
			dst = r.open(dst, kind)
			dst = append(dst, `,"response":`...)
			dst = r.appendObject(dst, inProgress)
			dst = append(dst, "}\n\n"...)
		}
		dst = r.open(dst, "response.output_item.added")
		dst = append(dst, `,"output_index":0,"item":`...)
		dst = r.appendItem(dst, inProgress)
		dst = append(dst, "}\n\n"...)
		dst = r.openPart(dst, "response.content_part.added")
		dst = append(dst, `,"part":`...)
		dst = appendPart(dst, "")
		return append(dst, "}\n\n"...)
	case k <= r.tokens:
		dst = r.openPart(dst, "response.output_text.delta")
		dst = append(dst, `,"delta":`...)
		dst = openai.AppendString(dst, r.token(0, k-1))
		return append(dst, `,"logprobs":[]}`+"\n\n"...)
	}
	text := r.content(0)
	dst = r.openPart(dst, "response.output_text.done")
	dst = append(dst, `,"text":`...)
	dst = openai.AppendString(dst, text)
	dst = append(dst, `,"logprobs":[]}`+"\n\n"...)
	dst = r.openPart(dst, "response.content_part.done")
	dst = append(dst, `,"part":`...)
	dst = appendPart(dst, text)
	dst = append(dst, "}\n\n"...)
	dst = r.open(dst, "response.output_item.done")
	dst = append(dst, `,"output_index":0,"item":`...)
	dst = r.appendItem(dst, r.ended())
	dst = append(dst, "}\n\n"...)
	dst = r.open(dst, "response."+r.ended())
	dst = append(dst, `,"response":`...)
	dst = r.appendObject(dst, r.ended())
	return append(dst, "}\n\n"...)
}

func (r *response) document(dst []byte) []byte { return r.appendObject(dst, r.ended()) }

// open begins an event of the given type; the caller goes on with a comma.
func (r *response) open(dst []byte, kind string) []byte {
	dst = append(dst, "event: "...)
	dst = append(dst, kind...)
	dst = append(dst, "\n"+`data: {"type":"`...)
	dst = append(dst, kind...)
	dst = append(dst, `","sequence_number":`...)
	dst = appendInt(dst, r.sequence)
	r.sequence++
	return dst
}

// openPart begins an event that is about the text.
func (r *response) openPart(dst []byte, kind string) []byte {
	dst = r.open(dst, kind)
	dst = append(dst, `,"item_id":"`...)
	dst = append(dst, r.item...)
	return append(dst, `","output_index":0,"content_index":0`...)
}

func appendPart(dst []byte, text string) []byte {
	dst = append(dst, `{"type":"output_text","text":`...)
	dst = openai.AppendString(dst, text)
	return append(dst, `,"annotations":[],"logprobs":[]}`...)
}

// appendItem appends the message, without its text while it is in progress.
func (r *response) appendItem(dst []byte, status string) []byte {
	dst = append(dst, `{"id":"`...)
	dst = append(dst, r.item...)
	dst = append(dst, `","type":"message","status":"`...)
	dst = append(dst, status...)
	dst = append(dst, `","role":"assistant","content":[`...)
	if status != inProgress {
		dst = appendPart(dst, r.content(0))
	}
	return append(dst, "]}"...)
}

// appendObject appends the response itself. The texts it could repeat from the
// request (instructions, tools) are left at their defaults.
func (r *response) appendObject(dst []byte, status string) []byte {
	dst = append(dst, `{"id":"`...)
	dst = append(dst, r.id...)
	dst = append(dst, `","object":"response","created_at":`...)
	dst = appendInt(dst, r.created)
	dst = append(dst, `,"status":"`...)
	dst = append(dst, status...)
	dst = append(dst, `","error":null,"incomplete_details":`...)
	if status == incomplete {
		dst = append(dst, `{"reason":"max_output_tokens"}`...)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"instructions":null,"max_output_tokens":`...)
	dst = append(dst, r.maxTokens...)
	dst = append(dst, `,"model":`...)
	dst = openai.AppendString(dst, r.model)
	dst = append(dst, `,"output":[`...)
	if status != inProgress {
		dst = r.appendItem(dst, status)
	}
	dst = append(dst, `],"parallel_tool_calls":true,"previous_response_id":null,"temperature":`...)
	dst = append(dst, r.temperature...)
	dst = append(dst, `,"text":{"format":{"type":"text"}},"tool_choice":"auto","tools":[],"top_p":`...)
	dst = append(dst, r.topP...)
	dst = append(dst, `,"truncation":"disabled","metadata":{}`...)
	if status != inProgress {
		dst = r.appendUsage(dst)
	}
	return append(dst, '}')
}

func (r *response) appendUsage(dst []byte) []byte {
	u := r.usage()
	dst = append(dst, `,"usage":{"input_tokens":`...)
	dst = appendInt(dst, u.Prompt)
	dst = append(dst, `,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"output_tokens":`...)
	dst = appendInt(dst, u.Completion)
	dst = append(dst, `,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":`...)
	dst = appendInt(dst, u.Total)
	return append(dst, '}')
}
