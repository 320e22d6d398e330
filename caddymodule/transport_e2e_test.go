package caddymodule

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// The three ways to an upstream: our own client, Caddy's transport over TLS with
// HTTP/1.1, and with HTTP/2.
func TestUpstreamTransports(t *testing.T) {
	for _, tt := range []struct {
		name  string
		start func(u *upstream)
		block string
		proto int
	}{
		{"http", func(u *upstream) { u.Start() }, "", 1},
		{"https, HTTP/1.1", func(u *upstream) { u.StartTLS() }, "transport http {\n tls_insecure_skip_verify\n versions 1.1\n}", 1},
		{"https, HTTP/2", func(u *upstream) { u.EnableHTTP2 = true; u.StartTLS() }, "transport http {\n tls_insecure_skip_verify\n}", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("KEY", "canary-key")
			u := unstarted(t)
			tt.start(u)
			var proto int
			u.when("probe", func(w http.ResponseWriter, r *http.Request) {
				proto = r.ProtoMajor
				raw("application/json", goodAnswer)(w, r)
			})
			g := start(t, config{global: fmt.Sprintf("provider up openai {\n base_url %s\n key {env.KEY}\n %s\n}", u.base(), tt.block), handler: "auth off"})
			if a := g.chat("up/probe", false).want(t, 200); a.body != goodAnswer {
				t.Errorf("%s", a.body)
			}
			if proto != tt.proto {
				t.Errorf("HTTP/%d", proto)
			}
			for range 3 {
				g.chat("up/m", true).want(t, 200).whole(t)
				g.chat("up/m", false).want(t, 200)
			}
			// Small ones, those around the size at which the client changes, and one
			// beyond every buffer.
			for _, size := range []int{1, 3 << 10, 4 << 10, largeBody - 200, largeBody, 1 << 20, 10 << 20} {
				body := strings.Replace(chatBody("up/m", size%2 == 0), `"hi"`, `"`+strings.Repeat("x", size)+`"`, 1)
				g.do("POST", "/v1/chat/completions", body).want(t, 200)
				in := u.seen()
				if got := in[len(in)-1].body; !strings.Contains(got, strings.Repeat("x", size)) || len(got) > size+200 {
					t.Errorf("%d bytes arrived as %d", size, len(got))
				}
			}
			u.when("", status(413))
			g.do("POST", "/v1/chat/completions", strings.Replace(chatBody("up/m", true), `"hi"`, `"`+strings.Repeat("x", 5<<20)+`"`, 1)).want(t, 413)
			u.when("", hang(roleEvent+contentEvent))
			res := g.open("POST", "/v1/chat/completions", strings.NewReader(chatBody("up/m", true)))
			if res.StatusCode != 200 {
				t.Errorf("status %d", res.StatusCode)
			}
			left := u.left()
			res.Body.Close()
			eventually(t, "the upstream's request is cancelled", func() bool { return u.left() > left })
			eventually(t, "nothing is in flight", func() bool { return g.provider("up").Active == 0 })
		})
	}
}
