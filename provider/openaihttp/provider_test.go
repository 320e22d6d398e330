package openaihttp

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
)

// What is sent is ours and the configuration's, nothing else.
//
// security: X1, X4
func TestHeadersSent(t *testing.T) {
	for name, tt := range map[string]struct {
		header http.Header
		call   provider.Call
		want   map[string]string
	}{
		"whole":  {nil, provider.Call{Request: parse(t, openai.Chat, plain), Secret: "k"}, map[string]string{"Accept": "application/json", "Authorization": "Bearer k"}},
		"stream": {nil, provider.Call{Request: parse(t, openai.Chat, streamed), Secret: "k"}, map[string]string{"Accept": "text/event-stream", "Authorization": "Bearer k"}},
		"no key": {nil, provider.Call{Request: parse(t, openai.Chat, plain)}, map[string]string{"Accept": "application/json"}},
		"configured": {
			http.Header{"x-team": {"research"}, "authorization": {"Basic abc"}, "User-Agent": {"me"}}, provider.Call{Request: parse(t, openai.Chat, plain), Secret: "k"},
			map[string]string{"Accept": "application/json", "Authorization": "Basic abc", "X-Team": "research", "User-Agent": "me"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			u := serve(t, ok)
			tt.want["Content-Type"] = "application/json"
			tt.want["Content-Length"] = fmt.Sprint(len(tt.call.Request.Rewrite(openai.Edit{Model: "m"})))
			if tt.want["User-Agent"] == "" {
				tt.want["User-Agent"] = "ai-gateway"
			}
			tt.call.Model = "m"
			post(t, open(t, Options{BaseURL: u.URL + "/v1", Header: tt.header}), tt.call)
			got := map[string]string{}
			for name, values := range u.request.Header {
				got[name] = strings.Join(values, " and ")
			}
			if !maps.Equal(got, tt.want) {
				t.Errorf("sent %v, want %v", got, tt.want)
			}
			if r := u.request; r.Method != "POST" || r.Host != strings.TrimPrefix(u.URL, "http://") || r.URL.RawQuery != "" {
				t.Errorf("%s %s %s", r.Method, r.Host, r.URL)
			}
		})
	}
}

// contract: R1, S2
func TestBodySent(t *testing.T) {
	for name, tt := range map[string]struct {
		options Options
		body    string
		want    string
	}{
		"model only": {Options{}, `{ "z":12345678901234567890,"model":"x", "messages":[{"role":"user","content":"\u00fc"}] }`, `{ "z":12345678901234567890,"model":"m", "messages":[{"role":"user","content":"\u00fc"}] }`},
		"drop":       {Options{Drop: []string{"user", "absent"}}, `{"model":"x","user":"u","messages":[{"role":"user","content":"hi"}]}`, `{"model":"m","messages":[{"role":"user","content":"hi"}]}`},
		"rename":     {Options{Rename: []openai.Rename{{From: "max_completion_tokens", To: "max_tokens"}}}, `{"model":"x","max_completion_tokens":5,"messages":[{"role":"user","content":"hi"}]}`, `{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}`},
		"usage off":  {Options{NoUsage: true}, streamed, strings.Replace(streamed, `"x"`, `"m"`, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			u := serve(t, ok)
			tt.options.BaseURL = u.URL
			post(t, open(t, tt.options), provider.Call{Request: parse(t, openai.Chat, tt.body), Model: "m", AskUsage: true})
			if u.body != tt.want {
				t.Errorf("sent %s, want %s", u.body, tt.want)
			}
		})
	}
	u := serve(t, ok)
	post(t, open(t, Options{BaseURL: u.URL}), provider.Call{Request: parse(t, openai.Chat, streamed), Model: "m", AskUsage: true})
	if !strings.Contains(u.body, `"include_usage":true`) {
		t.Errorf("usage was not asked for: %s", u.body)
	}
}

// contract: R6
func TestPaths(t *testing.T) {
	for _, base := range []string{"/v1", "/v1/", "", "/a/b"} {
		u := serve(t, ok)
		p := open(t, Options{BaseURL: u.URL + base})
		for ep, body := range map[openai.Endpoint]string{openai.Chat: plain, openai.Completions: `{"model":"x","prompt":"p"}`, openai.Embeddings: `{"model":"x","input":"i"}`, openai.Responses: `{"model":"x","input":"i"}`} {
			post(t, p, provider.Call{Request: parse(t, ep, body), Model: "m"})
			if got, want := u.request.URL.Path, strings.TrimSuffix(base, "/")+ep.Path(); got != want {
				t.Errorf("base %q: %s, want %s", base, got, want)
			}
		}
	}
}

// A status is an answer, a redirect too.
//
// security: X1
func TestStatusesAreAnswers(t *testing.T) {
	for _, status := range []int{200, 204, 301, 307, 400, 429, 503} {
		u := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		})
		got := post(t, open(t, Options{BaseURL: u.URL}), provider.Call{Request: parse(t, openai.Chat, plain), Model: "m"})
		if got != status || u.request.URL.Path != "/chat/completions" {
			t.Errorf("%d at %s, want %d", got, u.request.URL.Path, status)
		}
	}
}

// security: X10
func TestCompressedAnswers(t *testing.T) {
	for encoding, good := range map[string]bool{"": true, "identity": true, "Identity": true, "gzip": false, "br": false, "gzip, identity": false} {
		u := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", encoding)
			_, _ = w.Write([]byte("{}"))
		})
		res, err := open(t, Options{BaseURL: u.URL}).Do(t.Context(), &provider.Call{Request: parse(t, openai.Chat, plain), Model: "m"})
		if err == nil {
			_ = res.Body.Close()
		}
		if (err == nil) != good || err != nil && err.(*provider.Error).Kind != provider.KindBroken { //nolint:errorlint // Do documents it
			t.Errorf("%q: %v", encoding, err)
		}
	}
}

// security: X13
func TestBadBaseURLs(t *testing.T) {
	for base, want := range map[string]string{
		"":                                     "must begin with http",
		"api.example.com/v1":                   "must begin with http",
		"ftp://api.example.com":                "must begin with http",
		"gpt:canary-key@example.com":           "must begin with http",
		"http://":                              "no host",
		"http:///v1":                           "no host",
		"https://u:canary-key@example.com":     "must not hold credentials",
		"https://canary-key@example.com":       "must not hold credentials",
		"https://u:canary-key@ex ample":        "not a URL",
		"https://example.com/%zz":              "not a URL",
		"https://example.com?key=canary-key":   "base_url of example.com: a query",
		"https://example.com/v1#canary-key":    "base_url of example.com: a query",
		"https://example.com:canary-key/v1":    "not a URL",
		"://canary-key":                        "not a URL",
		"https://example.com/v1\x7fcanary-key": "not a URL",
	} {
		_, err := New(Options{BaseURL: base})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v, want %q", base, err, want)
		}
	}
	for _, base := range []string{"http://localhost:8080", "https://[::1]:1/v1", "HTTPS://example.com/a%2Fb/v1/"} {
		if _, err := New(Options{BaseURL: base}); err != nil {
			t.Errorf("%q: %v", base, err)
		}
	}
}

// security: X11
func TestBadHeaders(t *testing.T) {
	for name, value := range map[string]string{
		"": "v", "a b": "v", "a:b": "v", "ü": "v", "X\r\nY": "v", "X-Team": "canary\r\nX-Evil: 1", "X-Nul": "canary\x00",
		"host": "v", "Content-Length": "1", "transfer-encoding": "chunked", "Connection": "close", "Accept-Encoding": "gzip",
		"Upgrade": "h2c", "TE": "trailers", "Trailer": "X", "Keep-Alive": "1", "Proxy-Connection": "close",
	} {
		_, err := New(Options{BaseURL: "http://localhost", Header: http.Header{name: {value}}})
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q %q: %v", name, value, err)
		}
	}
}

// The options belong to the provider: what their maker does with them later
// changes nothing.
func TestHeaderIsCopied(t *testing.T) {
	u := serve(t, ok)
	h := http.Header{"X-Team": {"a", "b"}}
	p := open(t, Options{BaseURL: u.URL, Header: h})
	h.Set("X-Team", "c")
	post(t, p, provider.Call{Request: parse(t, openai.Chat, plain), Model: "m"})
	if got := u.request.Header.Values("X-Team"); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%q", got)
	}
}
