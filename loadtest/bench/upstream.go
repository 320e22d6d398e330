package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// The answers every target has to deliver whole. The upstream sends them as constants so that its own cost stays small and equal.
const (
	contentEvents = 8
	answerText    = "The answer to the question is forty-two, as ever."

	plainAnswer = `{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"bench","system_fingerprint":"fp_bench",` +
		`"choices":[{"index":0,"message":{"role":"assistant","content":"` + answerText + `","refusal":null},"logprobs":null,"finish_reason":"stop"}],` +
		`"usage":{"prompt_tokens":420,"completion_tokens":8,"total_tokens":428}}`

	chunkHead = `data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"bench","system_fingerprint":"fp_bench",`
	doneEvent = "data: [DONE]\n\n"
)

// What the bodies of requests contain when they ask for a stream, and for a slow one.
var (
	asksStream = []byte(`"stream":true`)
	asksPace   = []byte(`"pace":"slow"`)
	asksFlood  = []byte(`"pace":"none"`)
)

// word is the text of content event i: numbered, so that a lost or swapped event shows.
func word(i int) string { return "word" + strconv.Itoa(i) + " " }

func contentEvent(i int) []byte {
	role := ""
	if i == 0 {
		role = `"role":"assistant",`
	}
	return fmt.Appendf(nil, `%s"choices":[{"index":0,"delta":{%s"content":%q},"logprobs":null,"finish_reason":null}],"usage":null}`+"\n\n", chunkHead, role, word(i))
}

// answerEvents is the whole streamed answer, one element per write.
func answerEvents() [][]byte {
	var events [][]byte
	for i := range contentEvents {
		events = append(events, contentEvent(i))
	}
	return append(events,
		[]byte(chunkHead+`"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}`+"\n\n"),
		[]byte(chunkHead+`"choices":[],"usage":{"prompt_tokens":420,"completion_tokens":8,"total_tokens":428}}`+"\n\n"),
		[]byte(doneEvent))
}

// timing is the upstream's: when it answers, and how far apart events are, of requests that ask for slow ones and of all others.
type timing struct{ pace, delay, between time.Duration }

// upstream answers chat completions, at once unless its timing says otherwise.
type upstream struct {
	timing
	plain  []byte
	events [][]byte
}

func newUpstream(t timing) *upstream {
	return &upstream{timing: t, plain: []byte(plainAnswer), events: answerEvents()}
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/v1/chat/completions" {
		http.NotFound(w, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, "body unreadable", http.StatusBadRequest)
		return
	}
	time.Sleep(u.delay) //nolint:forbidigo // the delay is what is meant; a client that leaves meanwhile is not
	h := w.Header()
	switch {
	case !bytes.Contains(body, asksStream):
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", strconv.Itoa(len(u.plain)))
		_, _ = w.Write(u.plain) // the client having left is the client's figure, not ours
	case bytes.Contains(body, asksPace):
		u.stream(w, r, u.pace, func(i int) []byte { return u.events[min(i, contentEvents-1)] })
	case bytes.Contains(body, asksFlood):
		u.stream(w, r, floodPace, func(int) []byte { return floodEvent })
	default:
		h.Set("Content-Type", "text/event-stream")
		rc := http.NewResponseController(w)
		for i, e := range u.events {
			if i > 0 {
				time.Sleep(u.between) //nolint:forbidigo // likewise
			}
			if _, err := w.Write(e); err != nil {
				return
			}
			if err := rc.Flush(); err != nil {
				return
			}
		}
	}
}

// stream sends content events, a pace apart, until the client leaves.
func (u *upstream) stream(w http.ResponseWriter, r *http.Request, pace time.Duration, event func(i int) []byte) {
	w.Header().Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for i := 0; ; i++ {
		if _, err := w.Write(event(i)); err != nil {
			return
		}
		if err := rc.Flush(); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// The flood: 80 KB a second to each client, whatever it takes.
const floodPace = 50 * time.Millisecond

var floodEvent = fmt.Appendf(nil, `%s"choices":[{"index":0,"delta":{"content":%q},"logprobs":null,"finish_reason":null}],"usage":null}`+"\n\n", chunkHead, strings.Repeat("flood ", 4<<10/6))

// upstreamHello is the one line the upstream process prints once it listens.
type upstreamHello struct {
	Addrs []string `json:"addrs"`
}

// runUpstream is the subcommand: two listeners, one handler. It ends when stdin does, so that it never outlives its parent.
func runUpstream(t timing) error {
	srv := &http.Server{Handler: newUpstream(t), ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	var hello upstreamHello
	fail := make(chan error, 3)
	for range 2 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("upstream: %w", err)
		}
		hello.Addrs = append(hello.Addrs, ln.Addr().String())
		go func() { fail <- srv.Serve(ln) }()
	}
	if err := json.NewEncoder(os.Stdout).Encode(hello); err != nil {
		return fmt.Errorf("upstream: announcing addresses: %w", err)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		fail <- nil
	}()
	err := <-fail
	_ = srv.Close() // the process ends here
	return err
}
