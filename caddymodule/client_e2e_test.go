package caddymodule

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// contract: S9
func TestClientLeaves(t *testing.T) {
	for _, tt := range []struct {
		name   string
		stream bool
		answer http.HandlerFunc
		after  string // the line after which the client leaves; "" for before the first byte
	}{
		{"before an answer without stream", false, hang(""), ""},
		{"before the first byte of a stream", true, hang(""), ""},
		{"in the middle of a stream", true, hang(roleEvent + contentEvent), "data: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := newUpstream(t)
			u.when("", tt.answer)
			g := start(t, config{global: "provider up openai {\n base_url " + u.base() + "\n}", handler: "auth off"})
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				req, _ := http.NewRequestWithContext(ctx, "POST", "http://"+g.addr+"/v1/chat/completions", strings.NewReader(chatBody("up/m", tt.stream)))
				req.Header.Set("Content-Type", "application/json")
				res, err := g.client.Do(req)
				if err != nil {
					return
				}
				defer res.Body.Close()
				for lines := bufio.NewScanner(res.Body); lines.Scan(); {
					if tt.after != "" && strings.HasPrefix(lines.Text(), tt.after) {
						leave()
					}
				}
			}()
			if tt.after == "" {
				eventually(t, "the upstream has the request", func() bool { return len(u.seen()) == 1 })
				leave()
			}
			<-ended
			eventually(t, "the upstream's request is cancelled", func() bool { return u.left() == 1 })
			eventually(t, "nothing is in flight", func() bool { return g.provider("up").Active == 0 })
			eventually(t, "the access log says so", func() bool { return strings.Contains(g.logged(), `"outcome":"canceled"`) })
			if tt.after == "" && !strings.Contains(g.logged(), `"status":499`) {
				t.Error("no status 499")
			}
			if s := g.provider("up"); !well(s, "m") || s.Keys[0].State != "healthy" {
				t.Errorf("a client that left has marked something: %+v", s)
			}
		})
	}
}

// A client that does not read is cut off, and holds nothing any more; one that reads
// slowly gets all of it.
//
// fault: K10
func TestClientDoesNotRead(t *testing.T) {
	long := strings.Repeat(contentEvent, 40_000) // more than the connections on the way hold
	big := strings.Replace(goodAnswer, `"Hello"`, `"`+strings.Repeat("x", 16<<20)+`"`, 1)
	for _, stream := range []bool{true, false} {
		t.Run(fmt.Sprintf("stream=%t", stream), func(t *testing.T) {
			u := newUpstream(t)
			u.when("", raw("text/event-stream", roleEvent+long+finishEvent+doneEvent))
			if !stream {
				u.when("", raw("application/json", big))
			}
			g := start(t, config{global: "provider up openai {\n base_url " + u.base() + "\n}", handler: "auth off\nwrite_timeout 300ms"})
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", g.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			body := chatBody("up/m", stream)
			if _, err := fmt.Fprintf(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", g.addr, len(body), body); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it is cut off", func() bool { return strings.Contains(g.logged(), `"outcome":"canceled"`) })
			eventually(t, "nothing is in flight", func() bool { return g.provider("up").Active == 0 })
			if s := g.provider("up"); !well(s, "m") {
				t.Errorf("the client has marked something: %+v", s)
			}
			// Much slower than the timeout, and never silent for as long.
			res := g.open(http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
			defer res.Body.Close()
			b, whole := make([]byte, 512<<10), ""
			for pause := time.NewTicker(30 * time.Millisecond); ; <-pause.C {
				n, err := io.ReadFull(res.Body, b)
				whole = whole[max(0, len(whole)-100):] + string(b[:n])
				if err != nil {
					if err != io.ErrUnexpectedEOF && err != io.EOF {
						t.Errorf("stream %t: %v", stream, err)
					}
					break
				}
			}
			if end := map[bool]string{true: doneEvent, false: `"total_tokens":10}}`}[stream]; !strings.HasSuffix(whole, end) {
				t.Errorf("stream %t: it ends with %q", stream, whole[max(0, len(whole)-100):])
			}
		})
	}
}

// How long a client may take has nothing to do with how long an upstream thinks, also
// over HTTP/2, where a deadline passes without anybody writing.
//
// contract: S4
func TestWriteTimeoutAndSilence(t *testing.T) {
	u := newUpstream(t)
	goOn := make(chan struct{})
	u.when("", func(w http.ResponseWriter, r *http.Request) {
		raw("text/event-stream", roleEvent+contentEvent)(w, r)
		<-goOn
		raw("text/event-stream", finishEvent+doneEvent)(w, r)
	})
	g := start(t, config{head: "servers {\nprotocols h1 h2c\n}", global: "provider up openai {\n base_url " + u.base() + "\n}", handler: "auth off\nkeep_alive off\nwrite_timeout 200ms"})
	for _, h2 := range []bool{false, true} {
		var p http.Protocols
		p.SetHTTP1(!h2)
		p.SetUnencryptedHTTP2(h2)
		tr := &http.Transport{Protocols: &p}
		g.client = &http.Client{Transport: tr}
		time.AfterFunc(600*time.Millisecond, func() { goOn <- struct{}{} })
		a := g.chat("up/m", true)
		tr.CloseIdleConnections()
		if want := map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[h2]; a.Proto != want || a.err != nil || !strings.HasSuffix(a.body, doneEvent) {
			t.Errorf("%s, %v: %s", a.Proto, a.err, a.body)
		}
	}
}

// Small answers fill the buffers on the way, too: a client that asks and never reads
// holds its place no longer than any other.
//
// fault: K10
func TestClientAsksAndNeverReads(t *testing.T) {
	u := newUpstream(t)
	u.when("", raw("application/json", strings.Replace(goodAnswer, `"Hello"`, `"`+strings.Repeat("x", 12<<10)+`"`, 1)))
	g := start(t, config{global: "token ann never-reads\nprovider up openai {\n base_url " + u.base() + "\n}", handler: "write_timeout 300ms\nconcurrency 1"})
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	body := chatBody("up/m", false)
	request := fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAuthorization: Bearer never-reads\r\nContent-Length: %d\r\n\r\n%s", g.addr, len(body), body)
	var asking sync.WaitGroup
	asking.Go(func() {
		for {
			if _, err := io.WriteString(conn, request); err != nil {
				return // cut off
			}
		}
	})
	defer asking.Wait()
	defer conn.Close()
	eventually(t, "it is cut off", func() bool { return strings.Contains(g.logged(), `"outcome":"canceled"`) })
	eventually(t, "its place is free", func() bool { return g.chat("up/m", false, bearer("never-reads")...).StatusCode == 200 })
}

// security: X2, X3
func TestWhoMayCall(t *testing.T) {
	u := newUpstream(t)
	t.Setenv("OPS", "canary-ops-token")
	t.Setenv("OPS_NEXT", "canary-ops-next")
	hash, err := bcrypt.GenerateFromPassword([]byte("pw"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	global := "token ops {env.OPS} {env.OPS_NEXT}\n provider up openai {\n base_url " + u.base() + "\n}"
	const none = "\x00"
	for _, tt := range []struct {
		auth, header string
		status       int
		user         string
	}{
		{"bearer", none, 401, ""},
		{"bearer", "Bearer wrong", 401, ""},
		{"bearer", "Bearer canary-ops-toke", 401, ""},
		{"bearer", "canary-ops-token", 401, ""},
		{"bearer", "Basic canary-ops-token", 401, ""},
		{"bearer", "Bearer " + strings.Repeat("a", 600), 401, ""},
		{"bearer", "Bearer canary-ops-token", 200, "ops"},
		{"bearer", "Bearer canary-ops-next", 200, "ops"},
		{"optional", none, 200, ""},
		{"optional", "Bearer wrong", 401, ""},
		{"optional", "Bearer canary-ops-token", 200, "ops"},
		{"off", none, 200, ""},
		{"off", "Bearer wrong", 200, ""},
	} {
		t.Run(tt.auth+" "+tt.header[:min(len(tt.header), 24)], func(t *testing.T) {
			g := start(t, config{global: global, handler: "auth " + tt.auth})
			before := len(u.seen())
			var header []string
			if tt.header != none {
				header = []string{"Authorization", tt.header}
			}
			for _, a := range []*answer{g.chat("up/m", false, header...), g.do("GET", "/v1/models", "", header...)} {
				a.want(t, tt.status)
				if tt.status == 401 {
					if e := a.apiError(t); e.Code != "invalid_api_key" || e.Type != "invalid_request_error" {
						t.Errorf("%+v", e)
					}
				}
				if got := g.accessLog(a.Header.Get("X-Request-Id")).UserID; got != tt.user {
					t.Errorf("user %q, want %q", got, tt.user)
				}
			}
			if tt.status == 401 && len(u.seen()) != before {
				t.Error("the upstream was asked")
			}
			// Nothing tells an unknown token from a malformed one, and neither is
			// asked about before the body: a bad body makes no difference.
			if tt.status == 401 {
				g.do("POST", "/v1/chat/completions", "no json", header...).want(t, 401)
			}
		})
	}
	t.Run("an earlier handler's word is taken", func(t *testing.T) {
		g := start(t, config{global: global, site: "basic_auth {\n ada " + string(hash) + "\n}", handler: "auth bearer"})
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+g.addr+"/v1/models", nil)
		req.SetBasicAuth("ada", "pw")
		res, err := g.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 200 {
			t.Errorf("status %d", res.StatusCode)
		}
		if got := g.accessLog(res.Header.Get("X-Request-Id")).UserID; got != "ada" {
			t.Errorf("user %q", got)
		}
	})
}
