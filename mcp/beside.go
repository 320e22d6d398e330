package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// besideWait is how long a new session waits for its stream of the server's own.
const besideWait = 2 * time.Second

// beside opens the stream on which a server of the older era says what it does not say
// in the answer to a call: some ask there. It comes before the first call, for what is
// asked while nobody listens is lost; a server without one just has none. The SDK hears
// nothing of it, so nothing on it can end the session.
func (t *isolate) beside(ctx context.Context, url, session string) {
	req, err := http.NewRequestWithContext(t.life, http.MethodGet, url, nil)
	if err != nil {
		return
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set(versionHeader, legacyVersion)
	if session != "" {
		req.Header.Set(sessionHeader, session)
	}
	open := make(chan struct{})
	go t.hear(req, open)
	wait := time.NewTimer(besideWait)
	defer wait.Stop()
	select {
	case <-open:
	case <-wait.C:
	case <-ctx.Done():
	}
}

// hear reads the stream, and opens it again while the session lasts and the server has
// one. It closes open after the first try.
func (t *isolate) hear(req *http.Request, open chan<- struct{}) {
	pause := minGap
	for first := true; ; first = false {
		start := time.Now()
		resp, f := t.send(t.life, req, nil, nil)
		if first {
			close(open)
		}
		if f == nil && !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
			resp.Body.Close()
			return
		}
		if f == nil {
			t.listen(req, resp)
		} else if f.status != 0 && f.status < 500 && f.kind != KindLimited {
			return
		}
		if time.Since(start) > maxBackoff {
			pause = minGap
		}
		select {
		case <-time.After(pause):
		case <-t.life.Done():
			return
		}
		pause = min(2*pause, maxBackoff)
	}
}

// listen takes what comes, until the stream ends.
func (t *isolate) listen(req *http.Request, resp *http.Response) {
	defer resp.Body.Close()
	events := newEvents(resp.Body)
	for {
		ev, err := events.next()
		if errors.Is(err, errTooLarge) {
			ev, err = event{}, events.skip()
		}
		if err != nil {
			return
		}
		messages, err := parse(ev.data)
		if err != nil {
			continue
		}
		for _, m := range messages {
			switch {
			case m.request():
				t.asked(req, m)
			case !m.response():
				t.notice(&m, nil)
			}
		}
	}
}

// asked answers a request of the server's, no more than maxRequests at a time.
func (t *isolate) asked(req *http.Request, m message) {
	if t.answering.Add(1) > maxRequests {
		t.answering.Add(-1)
		return
	}
	go func() {
		defer t.answering.Add(-1)
		calls := t.calls.all()
		switch {
		case m.Method == methodElicit && len(calls) > 0:
			t.reply(req, calls, m)
		case m.Method == methodRoots && len(t.roots) > 0:
			roots, err := json.Marshal(rootsResult(t.roots))
			if err == nil {
				t.back(req, answerMessage(string(m.ID), roots))
			}
		case m.Method == methodPing:
			t.back(req, answerMessage(string(m.ID), json.RawMessage("{}")))
		default:
			t.back(req, errorMessage(string(m.ID), jsonrpc.CodeMethodNotFound, doesNothing, nil))
		}
	}()
}
