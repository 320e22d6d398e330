package main

import (
	"fmt"
	"strings"
)

// kind is a way of asking: plain and streamed answers are measured apart.
type kind uint8

const (
	plain kind = iota
	stream
	slowStream // one event a pace, until the client leaves
	flood      // many large events, until the client leaves
)

var kinds = []kind{plain, stream}

func (k kind) String() string { return [...]string{"plain", "sse", "slow sse", "flood"}[k] }

func (k kind) check() func([]byte) error {
	if k == plain {
		return checkPlain
	}
	return checkStream
}

// requestBytes is a whole HTTP request with a prompt of about so many KB, 2 at least, the same for every target but for the Host.
// Usage is asked for, so that all targets have the same events to deliver.
func requestBytes(addr, token string, k kind, prompt int) []byte {
	const system = "You are a careful assistant. Answer briefly, name your sources, and say so when you do not know. "
	const user = `What is the answer to the question, and why is it \"forty-two\"? Explain as you would to a colleague — in one line. `
	model, options := "bench", ""
	switch k {
	case stream:
		options = `,"stream":true,"stream_options":{"include_usage":true}`
	case slowStream:
		options = `,"stream":true,"stream_options":{"include_usage":true},"metadata":{"pace":"slow"}`
	case flood:
		model, options = "flood", `,"stream":true,"metadata":{"pace":"none"}`
	}
	body := fmt.Sprintf(`{"model":"%s","messages":[{"role":"system","content":"%s"},{"role":"user","content":"%s"}],"temperature":0.7,"max_tokens":256%s}`,
		model, strings.Repeat(system, 8), strings.Repeat(user, 10+max(0, prompt-2)*1000/len(user)), options)
	return httpRequest(addr, token, body)
}

// agentUsers is how many users agents.caddyfile knows: the token and a number is theirs.
const agentUsers = 4

// agentRequests are requests of a streamed answer from an agent, one for each user.
func agentRequests(addr, token, agent string) (reqs [][]byte) {
	const user = `What do the documents say about \"forty-two\"? Explain as you would to a colleague — in one line. `
	body := fmt.Sprintf(`{"model":"%s","messages":[{"role":"user","content":"%s"}],"temperature":0.7,"stream":true,"stream_options":{"include_usage":true}}`,
		agent, strings.Repeat(user, 20))
	for i := range agentUsers {
		reqs = append(reqs, httpRequest(addr, fmt.Sprintf("%s-%d", token, i+1), body))
	}
	return reqs
}

func httpRequest(addr, token, body string) []byte {
	return fmt.Appendf(nil, "POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: application/json, text/event-stream\r\n"+
		"Authorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", addr, token, len(body), body)
}
