package leanhttp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

// closer is a request's body that counts how often it is closed.
type closer struct {
	io.Reader
	closed int
}

func (c *closer) Close() error { c.closed++; return nil }

// A request's body is closed once, however the call ends.
func TestRequestBodyIsClosed(t *testing.T) {
	good := listen(t, each(fresh))
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tt := range map[string]struct {
		url    string
		change func(*http.Request)
		fails  bool
	}{
		"answered":        {good, nil, false},
		"no HTTP":         {listen(t, once("SSH-2.0-x\r\n")), nil, true},
		"closed at once":  {listen(t, func(net.Conn) {}), nil, true},
		"https":           {"https://upstream.example", nil, true},
		"no host":         {"http:///v1", nil, true},
		"no URL":          {good, func(r *http.Request) { r.URL = nil }, true},
		"method":          {good, func(r *http.Request) { r.Method = "GET / HTTP/1.1\r\nX:" }, true},
		"header's name":   {good, func(r *http.Request) { r.Header["X Y"] = []string{"z"} }, true},
		"header's value":  {good, func(r *http.Request) { r.Header["X"] = []string{"canary\nY: z"} }, true},
		"no such port":    {"http://127.0.0.1:99999", nil, true},
		"no such name":    {"http://\xff", nil, true},
		"cancelled":       {good, func(r *http.Request) { *r = *r.WithContext(cancelled) }, true},
		"body too short":  {good, func(r *http.Request) { r.ContentLength++ }, true},
		"body too long":   {good, func(r *http.Request) { r.ContentLength-- }, true},
		"length, no body": {good, func(r *http.Request) { r.Body, r.ContentLength = nil, 1 }, true},
		"chunked":         {good, func(r *http.Request) { r.ContentLength = -1 }, false},
		"body fails":      {good, func(r *http.Request) { r.Body.(*closer).Reader = failing{errors.New("own")} }, true},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := url.Parse(tt.url)
			if err != nil {
				u = &url.URL{Scheme: "http", Host: strings.TrimPrefix(tt.url, "http://")}
			}
			body := &closer{Reader: strings.NewReader("{}")}
			req := (&http.Request{Method: "POST", URL: u, Header: http.Header{}, Body: body, ContentLength: 2}).WithContext(t.Context())
			if tt.change != nil {
				tt.change(req)
			}
			none := req.Body == nil
			_, err = do(newClient(t), req)
			if (err != nil) != tt.fails || err != nil && strings.Contains(err.Error(), "canary") {
				t.Error(err)
			}
			if body.closed != 1 && !none {
				t.Errorf("closed %d times", body.closed)
			}
		})
	}
}

// What is sent is what the request says, and nothing of the transport's own.
//
// security: X1
func TestRequestOnTheWire(t *testing.T) {
	got := make(chan *http.Request, 1)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(b)))
		got <- r
	}))
	t.Cleanup(s.Close)
	c := newClient(t)
	for _, size := range []int{0, 1, 3000, 4096, 5000, 1 << 20} {
		for name, body := range map[string]io.Reader{
			"in memory": strings.NewReader(strings.Repeat("x", size)),
			"bytes":     io.NopCloser(bytesOf(size)),
			"read":      io.LimitReader(bytesOf(size), int64(size)),
		} {
			req, _ := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/v1?q", body)
			req.ContentLength = int64(size)
			req.Host = "other.example"
			req.Header = http.Header{"User-Agent": {"u"}, "Authorization": {"Bearer k"}}
			if _, err := do(c, req); err != nil {
				t.Fatal(err)
			}
			r := <-got
			sent, _ := io.ReadAll(r.Body)
			delete(r.Header, "Content-Length")
			if !reflect.DeepEqual(r.Header, req.Header) || r.Host != "other.example" || r.RequestURI != "/v1?q" || r.ContentLength != int64(size) && size > 0 || string(sent) != strings.Repeat("x", size) {
				t.Errorf("%s of %d: %v %s %s, %d bytes of %d", name, size, r.Header, r.Host, r.RequestURI, len(sent), r.ContentLength)
			}
		}
	}
	if n := c.dials.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestAddress(t *testing.T) {
	for from, want := range map[string]string{
		"http://a.example":               "a.example:80",
		"http://a.example:":              "a.example:80",
		"http://a.example:8080":          "a.example:8080",
		"http://10.0.0.1/v1":             "10.0.0.1:80",
		"http://[::1]":                   "[::1]:80",
		"http://[::1]:8080":              "[::1]:8080",
		"http://[fe80::1%25eth0]":        "[fe80::1%eth0]:80",
		"http://b\u00fccher.example":     "xn--bcher-kva.example:80",
		"http://b\u00fccher.example:1":   "xn--bcher-kva.example:1",
		"http://user:secret@a.example/x": "a.example:80",
	} {
		asked := ""
		tr := &Transport{Dial: func(_ context.Context, network, addr string) (net.Conn, error) {
			asked = network + " " + addr
			return nil, io.EOF
		}}
		if err := fails(t, tr, request(t.Context(), "GET", from, "")); err != io.EOF || asked != "tcp "+want {
			t.Errorf("%s: %q, %v", from, asked, err)
		}
	}
}

func TestIPv6(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host) }))
	_ = s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	get(t, newClient(t), s.URL, l.Addr().String())
}

// The hook that lets go of a request's body is called with every way of writing.
func TestWroteRequest(t *testing.T) {
	url := listen(t, each(fresh))
	for name, body := range map[string]io.Reader{
		"none": http.NoBody, "small": strings.NewReader("{}"), "large": bytesOf(1 << 20), "unknown": io.MultiReader(bytesOf(10)),
	} {
		n := 0
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{WroteRequest: func(i httptrace.WroteRequestInfo) {
			if n++; i.Err != nil {
				t.Error(i.Err)
			}
		}})
		req, _ := http.NewRequestWithContext(ctx, "POST", url, body)
		if _, err := do(newClient(t), req); err != nil || n != 1 {
			t.Errorf("%s: called %d times; %v", name, n, err)
		}
	}
}
