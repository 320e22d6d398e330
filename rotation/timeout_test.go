package rotation

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/universal-ai-gateway/magicproxy/provider"
)

// step is what a paced body sends, and how long after the step before.
type step struct {
	after time.Duration
	text  string
}

// paced is an answer whose body comes at a known pace: with synctest the timers
// are tested to the nanosecond.
func paced(header time.Duration, steps ...step) faked {
	return func(ctx context.Context, c *provider.Call) (*provider.Response, error) {
		if err := sleep(ctx, header); err != nil {
			return nil, err
		}
		h := http.Header{"Content-Type": {"application/json"}}
		if c.Request.Stream {
			h.Set("Content-Type", "text/event-stream")
		}
		return &provider.Response{Status: 200, Header: h, Body: &pacedBody{ctx, steps}}, nil
	}
}

type pacedBody struct {
	ctx   context.Context //nolint:containedctx // a body ends with its call
	steps []step
}

func (b *pacedBody) Read(p []byte) (int, error) {
	if len(b.steps) == 0 {
		return 0, io.EOF
	}
	if err := sleep(b.ctx, b.steps[0].after); err != nil {
		return 0, err
	}
	n := copy(p, b.steps[0].text)
	if b.steps[0] = (step{0, b.steps[0].text[n:]}); b.steps[0].text == "" {
		b.steps = b.steps[1:]
	}
	return n, nil
}

func (b *pacedBody) Close() error {
	if b.ctx.Err() != nil {
		return errors.New("cut off before it was closed") // costs a transport its connection
	}
	bodiesClosed.Add(1)
	return nil
}

var bodiesClosed atomic.Int64

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// timed is a target with timers of 10 s, 5 s and 60 s.
func timed(client provider.Provider) *Target {
	p := bound("p", "k")
	p.Client, p.FirstTimeout, p.IdleTimeout, p.Timeout = client, 10*time.Second, 5*time.Second, time.Minute
	return NewTarget(p, "m")
}

const s = time.Second

// contract: S6
func TestTimersOfAStream(t *testing.T) {
	for _, tt := range []struct {
		name   string
		client faked
		after  time.Duration
		cause  error // nil: it comes whole
		begun  bool  // content came first
	}{
		{"fast", paced(0, step{0, wholeStream}), 0, nil, true},
		{"just in time", paced(9*s, step{s - 1, helloEvent}, step{5*s - 1, finishEvent}, step{5*s - 1, doneEvent}), 20*s - 3, nil, true},
		{"no header", paced(time.Hour), 10 * s, provider.ErrFirstTimeout, false},
		{"no body", paced(3*s, step{time.Hour, helloEvent}), 10 * s, provider.ErrFirstTimeout, false},
		{"no content", paced(0, step{s, roleEvent}, step{2 * s, ": wait\n\n"}, step{2 * s, roleEvent}, step{9 * s, helloEvent}), 10 * s, provider.ErrFirstTimeout, false},
		{"idle", paced(s, step{0, helloEvent}, step{time.Hour, doneEvent}), 6 * s, provider.ErrIdleTimeout, true},
		{"idle after a while", paced(s, step{0, helloEvent}, step{4 * s, helloEvent}, step{4 * s, ": wait\n\n"}, step{time.Hour, ""}), 14 * s, provider.ErrIdleTimeout, true},
		{"endless", paced(0, steps(100, step{4 * s, helloEvent})...), 60 * s, provider.ErrTotalTimeout, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				target := timed(tt.client)
				res := ask(t, inOrder(target), true)
				if took := time.Since(start); took != tt.after {
					t.Errorf("took %v, want %v", took, tt.after)
				}
				var err error = res.err
				if tt.begun {
					err = res.broken
				}
				if tt.cause == nil {
					if res.err != nil || res.broken != nil {
						t.Errorf("%+v", res)
					}
					return
				}
				wantKind(t, err, provider.KindTimeout)
				if got := cause(&target.state.health); got != "timeout" {
					t.Errorf("held against it: %q", got)
				}
				if !tt.begun {
					wantAPI(t, res.err, 504, "did not answer in time")
				}
				wantIdle(t, target)
			})
		})
	}
}

func steps(n int, one step) (all []step) {
	for range n {
		all = append(all, one)
	}
	return all
}

// contract: S6
func TestWholeAnswerHasTheTotalOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if res := ask(t, inOrder(timed(paced(40*s, step{15 * s, wholeAnswer}))), false); res.err != nil {
			t.Error(res.err)
		}
		if took := time.Since(start); took != 55*s {
			t.Errorf("took %v", took)
		}
		start = time.Now()
		res := ask(t, inOrder(timed(paced(s, step{time.Hour, wholeAnswer}))), false)
		wantAPI(t, res.err, 504, "did not answer in time")
		if took := time.Since(start); took != time.Minute {
			t.Errorf("took %v", took)
		}
	})
}

// contract: S6
func TestFirstTimeoutFailsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, fast := timed(paced(time.Hour)), timed(paced(0, step{0, wholeStream}))
		if res := ask(t, inOrder(slow, fast), true); res.target != fast || res.text != wholeStream {
			t.Errorf("%+v", res)
		}
	})
}

func TestBodiesAreClosed(t *testing.T) {
	bothWays(t, func(t *testing.T, stream bool) {
		for _, body := range []string{wholeAnswer, wholeStream, "garbage", ""} {
			before := bodiesClosed.Load()
			ask(t, inOrder(timed(paced(0, step{0, body}))), stream)
			if n := bodiesClosed.Load() - before; n != 1 {
				t.Errorf("%.10q: %d bodies closed", body, n)
			}
		}
	})
}

// Between reads it is the client who is slow.
//
// contract: S6
func TestSlowClientIsNotAnIdleUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := timed(paced(0, step{0, helloEvent}, step{0, helloEvent}, step{0, finishEvent + doneEvent}))
		st, err := new(Caller).Stream(t.Context(), Call{Route: Route{Chain: inOrder(target)}, Request: request(t, true)})
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		for range 4 {
			time.Sleep(13 * s) //nolint:forbidigo // the client's slowness is what is meant; the clock is synctest's
			if _, err := st.Next(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A finished stream's upstream gets a moment to end the response, and no more.
func TestDrain(t *testing.T) {
	for _, timers := range []bool{true, false} {
		for end, want := range map[time.Duration]time.Duration{0: 0, drainTime - 1: drainTime - 1, time.Hour: drainTime} {
			synctest.Test(t, func(t *testing.T) {
				target := timed(paced(0, step{s, wholeStream}, step{end, "\n"}))
				if p := target.Provider; !timers {
					p.FirstTimeout, p.IdleTimeout, p.Timeout = 0, 0, 0
				}
				st, err := new(Caller).Stream(t.Context(), Call{Route: Route{Chain: inOrder(target)}, Request: request(t, true)})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := rest(st); err != nil {
					t.Error(err)
				}
				start := time.Now()
				st.Close()
				if took := time.Since(start); took != want {
					t.Errorf("end after %v: Close took %v, want %v", end, took, want)
				}
				wantMarks(t, target, "", "", "")
			})
		}
	}
}

// A timer that is set to 0 is off.
//
// contract: S6
func TestTimersOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := timed(paced(2*time.Hour, step{time.Hour, helloEvent}, step{time.Hour, doneEvent}))
		p := target.Provider
		p.FirstTimeout, p.IdleTimeout, p.Timeout = 0, 0, 0
		if res := ask(t, inOrder(target), true); res.err != nil || res.broken != nil {
			t.Errorf("%+v", res)
		}
		p.Client = paced(2*time.Hour, step{0, wholeAnswer})
		if res := ask(t, inOrder(target), false); res.err != nil {
			t.Error(res.err)
		}
		// One alone, of those that begin with content.
		p.IdleTimeout, p.Client = s, paced(time.Hour, step{0, helloEvent}, step{time.Hour, doneEvent})
		res := ask(t, inOrder(target), true)
		if res.err != nil {
			t.Fatal(res.err)
		}
		wantKind(t, res.broken, provider.KindTimeout)
		p.IdleTimeout, p.FirstTimeout, p.Client = 0, s, paced(0, step{0, helloEvent}, step{time.Hour, doneEvent})
		if res = ask(t, inOrder(target), true); res.err != nil || res.broken != nil {
			t.Errorf("%+v", res)
		}
	})
}

// The same over HTTP: a hanging upstream is given up, and hears of it.
//
// contract: S6
func TestHangingUpstreams(t *testing.T) {
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		stream bool
		begun  bool
	}{
		"no header, stream": {hangs(), true, false},
		"no header, whole":  {hangs(), false, false},
		"no content":        {hangs(roleEvent), true, false},
		"half an answer":    {hangs(`{"choices":[`), false, false},
		"idle":              {hangs(helloEvent), true, true},
	} {
		t.Run(name, func(t *testing.T) {
			u := serve(t, tt.answer)
			p, ta := u.provider(t, "a")
			if tt.stream {
				p.FirstTimeout, p.IdleTimeout = 100*time.Millisecond, 100*time.Millisecond
			} else {
				p.Timeout = 100 * time.Millisecond
			}
			_, tb := serve(t, good).provider(t, "b")
			res := ask(t, inOrder(ta, tb), tt.stream)
			if tt.begun {
				wantKind(t, res.broken, provider.KindTimeout)
			} else if res.target != tb {
				t.Errorf("%+v", res)
			}
			eventually(t, "the upstream sees it", func() bool { return u.left() == 1 })
			wantMarks(t, ta, "timeout", "", "")
			wantIdle(t, ta, tb)
		})
	}
}
