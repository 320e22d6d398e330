package rotation

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
)

// Observer hears of every attempt. Its methods are called concurrently, on the
// goroutine of the request, and must not block.
type Observer interface {
	// Begin is called before an attempt; the context it returns is the
	// attempt's.
	Begin(ctx context.Context, a Attempt) context.Context

	// End is called once per attempt, when its answer has been read or given up,
	// with the context that Begin returned.
	End(ctx context.Context, a Attempt)
}

// Attempt is one try at one target, as observers see it.
type Attempt struct {
	Target   *Target
	Endpoint openai.Endpoint

	// KeyID is the beginning of the key's hash, empty for none; Own says that it is
	// one of the user's own.
	KeyID string
	Own   bool

	// Err is nil when the answer came whole.
	Err *provider.Error

	// Took is the time from the start to the end, First the time to the first
	// content, 0 when there was none.
	Took, First time.Duration

	// Until is the end of the rest that the attempt brought upon what it used, if
	// it did.
	Until time.Time

	// Healed says that the attempt was a probe, and has shown the key, or the key for
	// this model, to be well again.
	Healed bool

	Usage openai.Usage
}

// Caller makes model calls: the one way to reach a model. It plans, takes keys,
// fails over, times out and marks what failed. It is safe for concurrent use.
type Caller struct{ Observer Observer }

// Call is what to ask, and whom.
type Call struct {
	Route   Route
	Request *openai.Request

	// Own are the user's own keys, nil for none. They belong to the user's request,
	// all of whose calls share them.
	Own *OwnKeys

	// Trace, if set, is filled in as the call goes on. It belongs to the caller.
	Trace *Trace

	// Tries, if set, is what earlier calls for the same answer have used: this one
	// uses none of it again, and adds to it. It belongs to the caller.
	Tries *Tries
}

// Trace is what a call came to, for logs.
type Trace struct {
	// Target is the one tried last: the one that answered, if any did.
	Target *Target

	// Attempts counts the tries.
	Attempts int

	// Waited is the time spent waiting for upstreams and for their queues.
	Waited time.Duration

	// First is when the first content arrived.
	First time.Time

	Usage openai.Usage
}

// Answer is a whole answer of a call without stream.
type Answer struct {
	Target *Target
	Body   []byte
	Usage  openai.Usage
}

// Do makes a call whose answer comes in one piece: its request must not ask for a
// stream. The error is an *Error.
func (c *Caller) Do(ctx context.Context, call Call) (*Answer, error) {
	var answer *Answer
	err := c.run(ctx, call, func(a *attempt) *provider.Error {
		defer a.close()
		body, err := a.whole()
		a.end(err)
		if err == nil {
			answer = &Answer{Target: a.target, Body: body, Usage: a.usage}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// Stream makes a call whose answer comes in events, as its request must ask, and
// returns when the first content is there: until then it may fail over (contract
// S5). Ending ctx ends the stream, too. The error is an *Error. The stream must be
// closed.
func (c *Caller) Stream(ctx context.Context, call Call) (*Stream, error) {
	var stream *Stream
	err := c.run(ctx, call, func(a *attempt) *provider.Error {
		s := &Stream{attempt: a}
		defer func() {
			if stream == nil { // also after a panic: what it holds would be lost
				s.Close()
			}
		}()
		if err := s.begin(); err != nil {
			return err
		}
		stream = s
		return nil
	})
	if err != nil {
		return nil, err
	}
	return stream, nil
}

// run is one call's way through its plan.
type run struct {
	*Caller
	Call
	ctx context.Context

	// Of the request, which a stream lets go of once it has begun.
	endpoint openai.Endpoint
	stream   bool
	choices  int
	usage    bool // the client wants it

	*Tries
	busy []*Target // had no free slot
	full []*Target // nor room in the queue

	// Room for what most calls need.
	trace Trace
	tries Tries
	room  [2]pair
}

func (c *Caller) run(ctx context.Context, call Call, try func(*attempt) *provider.Error) error {
	r := &run{
		Caller: c, Call: call, ctx: ctx, endpoint: call.Request.Endpoint, stream: call.Request.Stream, choices: call.Request.Choices, usage: call.Request.IncludeUsage,
		Tries: call.Tries,
	}
	if r.Trace == nil {
		r.Trace = &r.trace
	}
	if r.Tries == nil {
		r.Tries = &r.tries
		r.tried = r.room[:0]
	}
	var room [8]*Target
	plan := call.Route.Plan(room[:0], time.Now().UnixNano(), call.Own)
	for _, t := range plan {
		if done, err := r.tryKeys(t, try); done {
			return err
		}
	}
	// What had no free slot is healthy: better to wait for it, if its queue has
	// room, than to probe what is not.
	for _, t := range r.busy {
		if r.over(t) {
			continue
		}
		switch err := r.wait(t); {
		case errors.Is(err, errBusy):
			r.full = append(r.full, t)
			continue
		case err != nil:
			return r.canceled()
		}
		if done, err := r.tryQueued(t, try); done {
			return err
		}
	}
	if t := r.soonest(plan); t != nil {
		if a := r.claim(t, claimEarly); a != nil {
			if done, err := r.account(a, try(a)); done {
				return err
			}
		}
	}
	return r.verdict(plan)
}

// wait gets a slot in the target's queue. It is as patient as the timers that
// would run if it had one.
func (r *run) wait(t *Target) error {
	p, ctx := t.Provider, r.ctx
	patience := p.Timeout
	if r.stream && p.FirstTimeout > 0 {
		patience = p.FirstTimeout
	}
	if patience > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, patience, errBusy)
		defer stop()
	}
	start := time.Now()
	defer func() { r.Trace.Waited += time.Since(start) }()
	return p.state.limit.wait(ctx, p.MaxConcurrent, p.Queue)
}

// tryKeys tries a target with one key after the other. done says that the call
// has come to its end, err how.
func (r *run) tryKeys(t *Target, try func(*attempt) *provider.Error) (done bool, err error) {
	for !r.over(t) {
		a := r.claim(t, claimRegular)
		if a == nil {
			break
		}
		if done, err = r.account(a, try(a)); done {
			return done, err
		}
		if r.keys >= keyBudget { // the next target is worth a try all the same
			break
		}
	}
	return false, nil
}

// tryQueued is tryKeys for a target whose slot the queue has given us.
func (r *run) tryQueued(t *Target, try func(*attempt) *provider.Error) (done bool, err error) {
	a := r.claim(t, claimQueued)
	if a == nil {
		t.Provider.state.limit.done()
		return false, nil
	}
	if done, err = r.account(a, try(a)); done || r.keys >= keyBudget {
		return done, err
	}
	return r.tryKeys(t, try)
}

// account takes an attempt's outcome into account and says whether the call has
// come to its end.
func (r *run) account(a *attempt, err *provider.Error) (done bool, _ error) {
	if err == nil {
		return true, nil
	}
	r.last = err
	r.causes.add(err.Kind)
	switch err.Kind {
	case provider.KindCanceled:
		return true, r.canceled()
	case provider.KindRejected:
		return true, &Error{Cause: err, API: rejected(err)}
	}
	switch blame := err.Kind.Blame(); blame {
	case provider.BlameKey, provider.BlamePair:
		if r.keys < keyBudget {
			r.keys++
		} else {
			r.retries++
		}
		if blame == provider.BlameKey {
			r.spent = append(r.spent, a.key.state)
		}
	default:
		r.give(a.target)
	}
	return false, nil
}

// claimMode says how a target is claimed.
type claimMode uint8

const (
	claimRegular claimMode = iota // it is healthy, or due, and has a free slot
	claimQueued                   // its queue has given us the slot already
	claimEarly                    // as a probe before its time
)

// claim takes a key, the target and a slot for one attempt; nil when they cannot
// all be had.
func (r *run) claim(t *Target, mode claimMode) *attempt {
	now := time.Now()
	a := &attempt{run: r, target: t, start: now}
	if a.ofTarget = t.state.claim(now.UnixNano(), mode == claimEarly); a.ofTarget == refused {
		return nil
	}
	if !a.takeKey(now.UnixNano(), mode == claimEarly) {
		t.state.release(a.ofTarget)
		return nil
	}
	if mode != claimQueued && !t.Provider.state.limit.take(t.Provider.MaxConcurrent) {
		a.mark(provider.KindBusy, 0)
		if !slices.Contains(r.busy, t) {
			r.busy = append(r.busy, t)
		}
		return nil
	}
	r.tried = append(r.tried, pair{a.key.state, t.state})
	r.Trace.Target = t
	r.Trace.Attempts++
	a.begin()
	return a
}

// soonest returns the target that has not been tried and is due first, if it may
// be probed before its time (contract F4).
func (r *run) soonest(plan []*Target) *Target {
	var best *Target
	var at int64
	for _, t := range plan {
		if r.over(t) || slices.Contains(r.full, t) {
			continue
		}
		if due, ok := r.due(t); ok && (best == nil || due < at) {
			best, at = t, due
		}
	}
	return best
}

// due returns when a target can serve with a key that this call has not used,
// and whether it may be probed earlier.
func (r *run) due(t *Target) (at int64, early bool) {
	found := false
	for key := range r.Own.before(t.Provider) {
		k := key.state
		if r.excluded(k, t.state) {
			continue
		}
		kat, kearly, _ := k.due(t.Model)
		// Of keys due at the same time one that may be probed counts.
		if !found || kearly && !early || kearly == early && kat < at {
			at, early, found = kat, kearly, true
		}
	}
	if !found {
		return 0, false
	}
	tat, tearly, _ := t.state.due()
	return max(at, tat), early && tearly
}

// canceled is the end of a call whose client has left.
func (r *run) canceled() error {
	return &Error{Cause: &provider.Error{Kind: provider.KindCanceled, Message: "canceled", Err: context.Cause(r.ctx)}}
}
