// Package rotation makes every model call: it finds the targets a name stands
// for, takes a key, tries one target after the other, and remembers what failed.
//
// A Table is compiled from a configuration and immutable; health, use and calls
// under way live in a State per provider, which outlives it. All of it is safe
// for concurrent use; a Stream belongs to one goroutine.
//
//	chain := table.Lookup(req.Model)
//	s, err := caller.Stream(ctx, rotation.Call{Route: chain.Route(start), Request: req})
package rotation

import (
	"bytes"
	"context"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
)

// Caps on what an upstream can make us hold or relay (security X10).
const (
	maxErrorBody = 64 << 10
	maxAnswer    = 128 << 20 // embeddings of many inputs are large
)

// attempt is one try at one target with one key. It belongs to the goroutine of
// its call; only its timer runs beside it.
type attempt struct {
	run    *run
	target *Target
	key    *Key

	ofTarget, ofKey, ofPair grant
	pair                    *health

	ctx    context.Context
	cancel context.CancelCauseFunc
	watch  context.Context // what the observer's Begin returned: its End gets it back
	res    *provider.Response
	usage  openai.Usage
	err    *provider.Error

	healed bool // see Attempt
	marked bool // its outcome has been held against, or in favour of, what it used

	// The timers of contract S6, all in one: total counts from start, the one for
	// the first content too until first is set, idle from the beginning of a read.
	start   time.Time
	timer   *time.Timer
	reading atomic.Int64  // when the read under way began, in ns since start; 0 for none
	first   atomic.Bool   // content has been seen
	ending  atomic.Int64  // when the draining of a finished stream began, likewise
	seen    time.Duration // from start to the first content
}

// begin makes the attempt's context and starts its clock.
func (a *attempt) begin() {
	r := a.run
	ctx := r.ctx
	if r.Observer != nil {
		ctx = r.Observer.Begin(ctx, a.report())
	}
	a.watch = ctx
	a.ctx, a.cancel = context.WithCancelCause(ctx)
	if a.target.Provider.Timeout > 0 || r.Request.Stream {
		// Armed after it is stored: tick uses it.
		a.timer = time.AfterFunc(never, a.tick)
		a.timer.Reset(a.patience())
	}
}

const never = time.Duration(math.MaxInt64)

// patience is how long to sleep before the timers are looked at again.
func (a *attempt) patience() time.Duration {
	wait, _ := a.due(time.Since(a.start))
	return max(wait, time.Nanosecond)
}

// due returns the time left and the timer that ends it; never when none of those
// that count now is set.
func (a *attempt) due(now time.Duration) (left time.Duration, cause error) {
	p := a.target.Provider
	if at := time.Duration(a.ending.Load()); at > 0 {
		return at + drainTime - now, io.EOF
	}
	left = never
	consider := func(at time.Duration, why error) {
		if d := at - now; d < left {
			left, cause = d, why
		}
	}
	if p.Timeout > 0 {
		consider(p.Timeout, provider.ErrTotalTimeout)
	}
	if !a.run.stream {
		return left, cause
	}
	if !a.first.Load() {
		if p.FirstTimeout > 0 {
			consider(p.FirstTimeout, provider.ErrFirstTimeout)
		}
		return left, cause
	}
	if p.IdleTimeout > 0 {
		// Between reads it is the client who is slow, not the upstream.
		from := now
		if at := time.Duration(a.reading.Load()); at > 0 {
			from = at
		}
		consider(from+p.IdleTimeout, provider.ErrIdleTimeout)
	}
	return left, cause
}

// tick runs on the timer: it ends the attempt or goes back to sleep. The reads
// then cost no timer operation.
func (a *attempt) tick() {
	if a.ctx.Err() != nil {
		return
	}
	left, cause := a.due(time.Since(a.start))
	if left <= 0 {
		a.cancel(cause)
		return
	}
	a.timer.Reset(left)
	if wait := a.patience(); wait < left { // it may have been armed for sooner meanwhile
		a.timer.Reset(wait)
	}
}

// content notes that the first content has arrived: what follows is no longer
// under the first timer, and the probe, if it was one, has succeeded.
func (a *attempt) content() {
	a.seen = time.Since(a.start)
	a.first.Store(true)
	if a.run.stream { // any other answer has no beginning of its own
		// There will be no other attempt, and a stream may last: let go of the
		// request's body, which may be large.
		a.run.Request = nil
		a.run.Trace.First = a.start.Add(a.seen)
	}
	if a.timer != nil {
		a.timer.Reset(a.patience())
	}
	a.mark(provider.KindOK, 0)
}

// Read reads the answer's body and keeps the time.
func (a *attempt) Read(p []byte) (int, error) {
	from := time.Since(a.start)
	a.reading.Store(max(int64(from), 1)) // 0 means none
	n, err := a.res.Body.Read(p)
	a.reading.Store(0)
	a.run.Trace.Waited += time.Since(a.start) - from
	return n, err
}

// open sends the request and checks the header of the answer.
func (a *attempt) open() *provider.Error {
	p := a.target.Provider
	// The call is no part of the attempt: a stream would keep the request's body.
	res, err := p.Client.Do(a.ctx, &provider.Call{
		Request: a.run.Request, Model: a.target.Model, Secret: a.key.Secret, AskUsage: true,
	})
	a.run.Trace.Waited += time.Since(a.start)
	if err != nil {
		return provider.AsError(a.ctx, err)
	}
	a.res = res
	kind := provider.KindOfStatus(res.Status)
	if kind != provider.KindOK {
		return a.refusal(kind)
	}
	if a.run.stream {
		// JSON may say why there is no stream: see Stream.begin.
		if mt := a.mediaType(); mt != "" && mt != eventStream && !strings.HasSuffix(mt, "json") {
			return &provider.Error{Kind: provider.KindBroken, Status: res.Status, Message: "upstream answered a stream request with something else"}
		}
	}
	return nil
}

const eventStream = "text/event-stream"

// mediaType returns the answer's, in lower case and without parameters; "" when
// it has none.
func (a *attempt) mediaType() string {
	mt, _, _ := strings.Cut(a.res.Header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(mt))
}

// refusal reads the answer of a non-2xx status.
func (a *attempt) refusal(kind provider.Kind) *provider.Error {
	e := &provider.Error{Kind: kind, Status: a.res.Status, RetryAfter: provider.ParseRetryAfter(a.res.Header.Get("Retry-After"), time.Now())}
	body, err := io.ReadAll(io.LimitReader(a, maxErrorBody))
	if err != nil && a.ctx.Err() != nil {
		return provider.AsError(a.ctx, err)
	}
	// A status says enough: of a body that breaks off what came is read.
	if d, ok := openai.ParseErrorBody(body); ok {
		a.describe(e, d)
	}
	return e
}

// describe takes over an upstream's own words, without what is secret.
func (a *attempt) describe(e *provider.Error, d openai.ErrorDetail) {
	if d.Message != "" {
		e.Message = a.scrub(d.Message)
	}
	e.Param = openai.Cut(a.scrub(d.Param), 128)
	e.Code = openai.Cut(a.scrub(d.Code), 64)
	e.ToolUse, e.Generation = d.ToolUse, d.Generation
}

// scrub takes secrets out of an upstream's text.
func (a *attempt) scrub(text string) string { return a.target.Provider.scrub(text, a.ownSecret()) }

// ownSecret is the user's own key, if the attempt uses one.
func (a *attempt) ownSecret() string {
	if a.key.own {
		return a.key.Secret
	}
	return ""
}

// event reads an error object that came under a 200.
func (a *attempt) event(raw []byte) *provider.Error {
	e := &provider.Error{Kind: provider.KindErrorEvent, Status: a.res.Status, Message: "upstream sent an error"}
	if d, ok := openai.ParseErrorObject(raw); ok {
		a.describe(e, d)
	}
	if e.ToolUse { // the model's mistake: no other status would say so (contract A9)
		e.Kind = provider.KindRejected
	}
	return e
}

// count notes the tokens of the answer, as far as they are known.
func (a *attempt) count(u openai.Usage) { a.usage, a.run.Trace.Usage = u, u }

// whole reads an answer without stream.
func (a *attempt) whole() ([]byte, *provider.Error) {
	if err := a.open(); err != nil {
		return nil, err
	}
	body, err := readAll(a, a.res.Header.Get("Content-Length"), maxAnswer)
	if err != nil {
		return nil, provider.AsError(a.ctx, err)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, &provider.Error{Kind: provider.KindBroken, Status: a.res.Status, Message: "upstream's answer is empty"}
	}
	info, err := openai.ScanAnswer(body)
	switch {
	case err != nil:
		return nil, &provider.Error{Kind: provider.KindBroken, Status: a.res.Status, Message: "upstream's answer is not the JSON it should be", Err: err}
	case info.Error != nil:
		return nil, a.event(info.Error)
	}
	a.count(info.Usage)
	a.content()
	return body, nil
}

// end notes how the attempt went. It is called once.
func (a *attempt) end(err *provider.Error) {
	a.err = err
	if err != nil {
		// An error of net/http may quote what the upstream sent.
		err.Err = a.target.Provider.scrubError(err.Err, a.ownSecret())
		a.mark(err.Kind, err.RetryAfter)
	}
}

// until returns the end of the rest of what the attempt's failure hit, zero for
// none.
func (a *attempt) until() time.Time {
	var h *health
	switch a.err.Kind.Blame() {
	case provider.BlameKey:
		h = &a.key.state.health
	case provider.BlamePair:
		h = a.key.state.pair(a.target.Model)
	case provider.BlameTarget:
		h = &a.target.state.health
	}
	if h == nil {
		return time.Time{}
	}
	at := h.until.Load()
	if at == 0 {
		return time.Time{}
	}
	return time.Unix(0, at)
}

// close ends the attempt for good.
func (a *attempt) close() {
	if a.timer != nil {
		a.timer.Stop()
	}
	if a.res != nil {
		_ = a.res.Body.Close() // nothing of it is wanted any more
	}
	a.cancel(context.Canceled)
	if !a.marked {
		a.mark(provider.KindCanceled, 0)
	}
	a.target.Provider.state.limit.done()
	if o := a.run.Observer; o != nil {
		o.End(a.watch, a.report())
	}
}

// report is the attempt as its observer sees it now.
func (a *attempt) report() Attempt {
	r := Attempt{
		Target: a.target, Endpoint: a.run.endpoint, KeyID: a.key.ID, Own: a.key.own, Err: a.err,
		Took: time.Since(a.start), First: a.seen, Usage: a.usage, Healed: a.healed,
	}
	if a.err != nil {
		r.Until = a.until()
	}
	return r
}

// mark holds an outcome against, or in favour of, what the attempt used (contract
// F2).
func (a *attempt) mark(kind provider.Kind, given time.Duration) {
	p, now := a.target.Provider, time.Now().UnixNano()
	target, key := &a.target.state.health, &a.key.state.health
	// What the outcome does not spend is given back: a probe never released would
	// be the last one. A second outcome, of a stream that broke after its content,
	// finds all of it spent.
	defer a.release()
	a.marked = true
	if p.Quarantine <= 0 && kind != provider.KindOK {
		return
	}
	switch kind {
	case provider.KindOK:
		a.healed = a.ofKey == probe || a.ofPair == probe
		target.succeed(a.ofTarget.spend())
		key.succeed(a.ofKey.spend())
		if a.pair != nil {
			a.pair.succeed(a.ofPair.spend())
		}
	case provider.KindRejected: // it answered; whether it has looked at the key we can't know
		target.succeed(a.ofTarget.spend())
	}
	switch kind.Blame() {
	case provider.BlameKey:
		key.fail(a.ofKey.spend(), now, kind, given, p.Quarantine)
	case provider.BlamePair:
		a.key.state.failPair(a.target.Model, a.ofPair.spend(), now, kind, given, p.Quarantine)
	case provider.BlameTarget:
		// A request that makes one upstream after the other fail must not take
		// them all away from everybody else.
		if kind == provider.KindServerError && a.run.marked {
			return
		}
		a.run.marked = a.run.marked || kind == provider.KindServerError
		target.fail(a.ofTarget.spend(), now, kind, given, p.Quarantine)
	}
}

// release gives back what was claimed and not spent.
func (a *attempt) release() {
	a.target.state.release(a.ofTarget.spend())
	a.key.state.release(a.ofKey.spend())
	if a.pair != nil {
		a.pair.release(a.ofPair.spend())
	}
}

// readAll reads up to limit bytes. length is the upstream's word for how many
// there will be: a hint, believed only up to a point.
func readAll(r io.Reader, length string, limit int) ([]byte, error) {
	const trust = 1 << 20
	size, n := 512, 0
	if length != "" { // parsing nothing would allocate an error
		n, _ = strconv.Atoi(length)
	}
	tooLarge := func() error {
		return &provider.Error{Kind: provider.KindBroken, Message: "upstream's answer is larger than " + strconv.Itoa(limit>>20) + " MiB"}
	}
	switch {
	case n > limit:
		return nil, tooLarge()
	case n > 0:
		size = min(n, trust) + 1 // room to read the end without growing
	}
	b := make([]byte, 0, size)
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case err == io.EOF:
			return b, nil
		case err != nil:
			return b, err
		case len(b) > limit:
			return b, tooLarge()
		case len(b) == cap(b):
			b = slices.Grow(b, len(b))
		}
	}
}
