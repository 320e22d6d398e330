package rotation

import (
	"fmt"
	"net/http"
	"strings"
)

// Events of a chat stream.
const (
	roleEvent   = `data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}` + "\n\n"
	helloEvent  = `data: {"choices":[{"index":0,"delta":{"content":"hello"},"finish_reason":null}]}` + "\n\n"
	finishEvent = `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	usageEvent  = `data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}` + "\n\n"
	doneEvent   = "data: [DONE]\n\n"
	wholeStream = roleEvent + helloEvent + finishEvent + usageEvent + doneEvent

	wholeAnswer = `{"choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}`
)

func streams(r *http.Request) bool { return r.Header.Get("Accept") == "text/event-stream" }

// good answers well, whichever way it is asked.
func good(w http.ResponseWriter, r *http.Request) {
	if streams(r) {
		sends(wholeStream)(w, r)
		return
	}
	says(http.StatusOK, wholeAnswer)(w, r)
}

// sends answers with a stream, flushing piece by piece.
func sends(pieces ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		for _, p := range pieces {
			_, _ = w.Write([]byte(p))
			w.(http.Flusher).Flush()
		}
	}
}

// says answers with a status, a JSON body and header pairs.
func says(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// fails answers with a status and an error object that says it.
func fails(status int, header ...string) http.HandlerFunc {
	return says(status, fmt.Sprintf(`{"error":{"message":"no: %d","type":"t","param":"p","code":"c"}}`, status), header...)
}

// cuts sends pieces and breaks the connection without an end.
func cuts(pieces ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		sends(pieces...)(w, r)
		panic(http.ErrAbortHandler)
	}
}

// drops closes the connection without an answer.
func drops(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// hangs sends pieces and then nothing until the client is gone; without pieces
// not even a header.
func hangs(pieces ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if len(pieces) > 0 {
			sends(pieces...)(w, r)
		}
		<-r.Context().Done()
	}
}

// floods repeats an event until the client is gone.
func floods(before, event string) http.HandlerFunc {
	block := []byte(strings.Repeat(event, 1+(64<<10)/len(event)))
	return func(w http.ResponseWriter, r *http.Request) {
		sends(before)(w, r)
		for {
			if _, err := w.Write(block); err != nil {
				<-r.Context().Done()
				return
			}
		}
	}
}
