package leanhttp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// FuzzResponse lets a server say anything: the answer is what net/http parses, it
// takes no longer than its context allows, and the next call gets its own answer.
// The clock is the test's own.
//
// security: X10
func FuzzResponse(f *testing.F) {
	for _, raw := range answers {
		if len(raw) < 1000 {
			f.Add([]byte(raw), true, false)
			f.Add([]byte(raw+fresh), false, true)
		}
	}
	errLate := errors.New("late")
	f.Fuzz(func(t *testing.T, raw []byte, closes, head bool) {
		synctest.Test(t, func(t *testing.T) {
			dials := 0
			tr := &Transport{MaxIdlePerHost: 1, MaxHeader: 8 << 10}
			tr.Dial = func(context.Context, string, string) (net.Conn, error) {
				dials++
				ours, theirs := net.Pipe()
				if dials > 1 {
					go each(fresh)(theirs)
					return ours, nil
				}
				go func() {
					br := bufio.NewReader(theirs)
					_ = ask(br)
					_, _ = theirs.Write(raw)
					for !closes && ask(br) == nil {
						_, _ = io.WriteString(theirs, fresh)
					}
					_ = theirs.Close()
				}()
				return ours, nil
			}
			defer tr.CloseIdleConnections()
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, errLate)
			defer cancel()
			method := http.MethodGet
			if head {
				method = http.MethodHead
			}
			got, err := do(tr, request(ctx, method, example, ""))
			switch {
			case errors.Is(err, errLate) && closes:
				t.Error("waits for what cannot come")
			case err == nil:
				if want, ok := parse(raw, method); !ok || got.status != want.status || got.body != want.body {
					t.Errorf("%+v, want %+v", got, want)
				}
			}
			get(t, tr, example, "fresh")
		})
	})
}

// parse reads a whole answer with net/http.
func parse(raw []byte, method string) (answer, bool) {
	br := bufio.NewReaderSize(bytes.NewReader(raw), 2<<10)
	for {
		res, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			return answer{}, false
		}
		if res.StatusCode/100 == 1 {
			continue
		}
		b, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		return answer{status: res.StatusCode, body: string(b)}, err == nil
	}
}
