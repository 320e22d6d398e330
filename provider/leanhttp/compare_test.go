package leanhttp

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// Answers that every reader of HTTP must agree on, or refuse.
var answers = map[string]string{
	"plain":                   fresh,
	"bare line feeds":         "HTTP/1.1 200 OK\nContent-Length: 5\n\nfresh",
	"no reason":               "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nfresh",
	"empty reason":            "HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nfresh",
	"many fields":             "HTTP/1.1 200 OK\r\nx-a: 1\r\nX-A: 2\r\nx-B:3\r\nPragma: no-cache\r\nContent-Length: 0\r\n\r\n",
	"folded":                  "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
	"compressed":              "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nfresh",
	"500":                     "HTTP/1.1 500 Oh\r\nContent-Length: 5\r\n\r\nfresh",
	"redirect":                "HTTP/1.1 302 Found\r\nLocation: http://elsewhere.example/\r\nContent-Length: 0\r\n\r\n",
	"999":                     "HTTP/1.1 999 Odd\r\nContent-Length: 5\r\n\r\nfresh",
	"below 100":               "HTTP/1.1 099 Odd\r\nContent-Length: 5\r\n\r\nfresh",
	"000":                     "HTTP/1.1 000 Odd\r\n\r\nfresh",
	"199":                     "HTTP/1.1 199 Odd\r\n\r\n" + fresh,
	"interim":                 "HTTP/1.1 100 Continue\r\n\r\n" + fresh,
	"interim, ten":            strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 10) + fresh,
	"interim only":            "HTTP/1.1 100 Continue\r\n\r\n",
	"interim with a body":     "HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\nok" + fresh,
	"chunked":                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfre\r\n2;x=y\r\nsh\r\n0\r\n\r\n",
	"chunked, upper case":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n",
	"chunked, trailer":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n1\r\nx\r\n0\r\nX: y\r\nZ: z\r\n\r\n",
	"chunked, bad trailer":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\n\r\n",
	"chunked, no trailer":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
	"chunked, garbage":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nfresh",
	"chunked, negative":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nfresh",
	"chunked, huge":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nfresh",
	"chunked, not closed":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfreshX\r\n0\r\n\r\n",
	"chunked, cut":            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfre",
	"chunked twice":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"gzip, chunked":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	"identity":                "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nfresh",
	"chunked, HTTP/1.0":       "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"chunked and length":      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfresh\r\n0\r\n\r\n",
	"chunked and bad length":  "HTTP/1.1 200 OK\r\nContent-Length: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"length negative":         "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nfresh",
	"length signed":           "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nfresh",
	"length empty":            "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nfresh",
	"length in words":         "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nfresh",
	"length too large":        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nfresh",
	"length twice":            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nfresh",
	"lengths differ":          "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 4\r\n\r\nfresh",
	"length as a list":        "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nfresh",
	"length, cut":             "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nfresh",
	"length, more":            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfreshly",
	"to the end":              "HTTP/1.1 200 OK\r\n\r\nfresh",
	"to the end, HTTP/1.0":    "HTTP/1.0 200 OK\r\n\r\nfresh",
	"204 with a body":         "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nfresh",
	"304 with a body":         "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"HTTP/2":                  "HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nfresh",
	"HTTP/1.2":                "HTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\nfresh",
	"nothing":                 "",
	"a line feed":             "\r\n",
	"not HTTP":                "SSH-2.0-OpenSSH\r\n",
	"TLS":                     "\x15\x03\x01\x00\x02\x02\x46",
	"a request":               "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	"no version":              "200 OK\r\n\r\n",
	"status too short":        "HTTP/1.1 20 OK\r\n\r\n",
	"status too long":         "HTTP/1.1 2000 OK\r\n\r\n",
	"status negative":         "HTTP/1.1 -20 OK\r\n\r\n",
	"cut in the status":       "HTTP/1.1 20",
	"cut in the header":       "HTTP/1.1 200 OK\r\nContent-Le",
	"cut before the end":      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
	"field without colon":     "HTTP/1.1 200 OK\r\nX\r\n\r\n",
	"field without name":      "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
	"space before the colon":  "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nfresh",
	"first line begins blank": "HTTP/1.1 200 OK\r\n X: y\r\n\r\n",
	"NUL in a name":           "HTTP/1.1 200 OK\r\nX\x00: y\r\n\r\n",
	"NUL in a value":          "HTTP/1.1 200 OK\r\nX: \x00\r\nContent-Length: 5\r\n\r\nfresh",
	"large":                   "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100_000),
	"large, chunked":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n186A0\r\n" + strings.Repeat("x", 100_000) + "\r\n0\r\n\r\n",
	"long chunk extension":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + strings.Repeat("x", 10_000) + "\r\nx\r\n0\r\n\r\n",
	"long trailer":            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + strings.Repeat("x", 10_000) + "\r\n\r\n",
}

// Whatever a server answers, this transport reads it as net/http's does.
//
// security: X10
func TestReadsAsNetHTTP(t *testing.T) {
	for name, raw := range answers {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			t.Run(name+" "+method, func(t *testing.T) {
				url := listen(t, once(raw))
				std := &http.Transport{DisableCompression: true, MaxResponseHeaderBytes: defaultMaxHeader, ReadBufferSize: 2 << 10}
				t.Cleanup(std.CloseIdleConnections)
				want, wantErr := do(std, request(t.Context(), method, url, "{}"))
				got, err := do(newClient(t), request(t.Context(), method, url, "{}"))
				if (err == nil) != (wantErr == nil) || !reflect.DeepEqual(got, want) {
					t.Errorf("%+v, %v\nwant %+v, %v", got, err, want, wantErr)
				}
			})
		}
	}
}
