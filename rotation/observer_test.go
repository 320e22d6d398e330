package rotation

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
)

// attemptLog is an Observer that keeps what it hears.
type attemptLog struct {
	mu    sync.Mutex
	begun int
	ended []Attempt
}

type mark struct{}

func (l *attemptLog) Begin(ctx context.Context, a Attempt) context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun++
	return context.WithValue(ctx, mark{}, a.Target)
}

func (l *attemptLog) End(ctx context.Context, a Attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Value(mark{}) != a.Target {
		a.Target = nil
	}
	l.ended = append(l.ended, a)
}

func (l *attemptLog) counts() (begun, ended int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.begun, len(l.ended)
}

func TestObserverHearsOfEveryAttempt(t *testing.T) {
	bothWays(t, func(t *testing.T, stream bool) {
		_, ta := serve(t, fails(429)).provider(t, "a", "k1", "k2")
		_, tb := serve(t, good).provider(t, "b")
		var log attemptLog
		askAs(t, t.Context(), &Caller{Observer: &log}, inOrder(ta, tb), stream)
		var got []string
		for _, a := range log.ended {
			kind := provider.KindOK
			if a.Err != nil {
				kind = a.Err.Kind
			}
			got = append(got, a.Target.String()+" "+a.KeyID+" "+kind.String())
			if a.Took <= 0 || a.Endpoint != openai.Chat || (a.First > 0) != (kind == provider.KindOK) {
				t.Errorf("%+v", a)
			}
		}
		want := "a/m " + KeyID("k1") + " rate_limited, a/m " + KeyID("k2") + " rate_limited, b/m " + KeyID("b") + " ok"
		if s := strings.Join(got, ", "); s != want || log.begun != 3 {
			t.Errorf("%s, want %s", s, want)
		}
		if u := log.ended[2].Usage; u.Total != 8 {
			t.Errorf("%+v", u)
		}
	})
}

// faked is a provider for what HTTP can't produce.
type faked func(ctx context.Context, c *provider.Call) (*provider.Response, error)

func (f faked) Do(ctx context.Context, c *provider.Call) (*provider.Response, error) {
	return f(ctx, c)
}

// A panic ends one request: it takes neither a slot nor a probe with it.
//
// security: X14
func TestPanicKeepsNothing(t *testing.T) {
	bothWays(t, func(t *testing.T, stream bool) {
		p := bound("p", "k")
		p.MaxConcurrent = 1
		p.Client = faked(func(context.Context, *provider.Call) (*provider.Response, error) { panic("a bug") })
		ta := NewTarget(p, "m")
		ta.state.failNow(granted, 0) // half-open
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			ask(t, inOrder(ta), stream)
		}()
		wantIdle(t, ta)
	})
}
