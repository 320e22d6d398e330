package redis

import (
	"context"
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// atOnce bounds what goes to Redis in one pipeline: other clients wait for it.
const atOnce = 64

// renew makes a round now and then until ctx ends: it renews the leases of this process,
// and gives back what could not be. After an error the next round tries again, long before
// a lease runs out.
func (m *sessions) renew(ctx context.Context) {
	t := time.NewTicker(m.leaseTTL / 30)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-m.wake:
		}
		m.round(ctx)
	}
}

// round does what is due.
func (m *sessions) round(ctx context.Context) {
	now := m.now()
	m.forget(now)
	if m.s.breaker.up() {
		m.ask(ctx, m.due(now, m.missed.Swap(false)))
		m.mu.Lock()
		some := make([]*lease, 0, len(m.later))
		for l := range m.later {
			some = append(some, l)
		}
		m.mu.Unlock()
		m.giveBack(ctx, some)
	}
	m.expire(now)
}

// due are the renewals of leases of which a third of the time has passed, or of all.
func (m *sessions) due(now time.Time, all bool) (calls []*call) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.held {
		l.mu.Lock()
		if l.ctx.Err() == nil && !l.released && (all || l.dirty || now.Sub(l.renewed) >= m.leaseTTL/3) {
			c := &call{l: l, do: doRenew, s: l.saved, seq: l.seq}
			if l.dirty {
				c.do += doSave
			}
			calls = append(calls, c)
		}
		l.mu.Unlock()
	}
	return calls
}

// ask tells Redis in pipelines, and the leases what it says.
func (m *sessions) ask(ctx context.Context, calls []*call) {
	for len(calls) > 0 {
		n := min(len(calls), atOnce)
		scripts := make([]*scripted, n)
		for i, c := range calls[:n] {
			scripts[i] = c.script()
		}
		asked := m.now()
		m.runAll(ctx, scripts)
		for i, c := range calls[:n] {
			if c.told, c.err = scripts[i].cmd.Text(); c.err == nil {
				c.heard(asked)
			} else if ctx.Err() == nil {
				m.s.failed(c.err)
			}
		}
		calls = calls[n:]
	}
}

// heard is told what Redis says to a call that was made at asked.
func (c *call) heard(asked time.Time) {
	l := c.l
	if l.ctx == nil {
		return
	}
	switch c.told {
	case "lost":
		l.cancel(state.ErrLost)
		return
	case "cancel":
		if !c.does(doGiveBack) {
			l.cancel(state.ErrCancelled)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.told == "gone" { // a renewal: the next round says what is to be there
		l.dirty = true
		l.m.poke()
		return
	}
	if l.seq == c.seq && c.does(doSave) {
		l.dirty = false
	}
	if c.does(doRenew) {
		l.renewed = asked
	}
}

// runAll runs scripts in one pipeline. It is no part of what requests share: whoever
// needs it has time.
func (m *sessions) runAll(ctx context.Context, scripts []*scripted) {
	pipe := m.s.steady.Pipeline()
	for _, q := range scripts {
		q.cmd = q.script.EvalSha(ctx, pipe, q.keys, q.args...)
	}
	_, err := pipe.Exec(ctx)
	var again []*scripted
	for _, q := range scripts {
		if q.forgotten() {
			q.cmd = q.script.Eval(ctx, pipe, q.keys, q.args...)
			again = append(again, q)
		}
	}
	if len(again) > 0 {
		_, err = pipe.Exec(ctx)
		scripts = again
	}
	if err == nil || errors.Is(err, goredis.Nil) {
		return
	}
	for _, q := range scripts { // refused as a whole, which commands do not always know of
		if q.cmd.Err() == nil && q.cmd.Val() == nil {
			q.cmd.SetErr(err)
		}
	}
}

// expire ends the runs whose leases could not be renewed in time, if nothing is to go on
// without Redis.
func (m *sessions) expire(now time.Time) {
	if m.mode() != state.ModeClosed {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.held {
		l.mu.Lock()
		over := now.Sub(l.renewed) > m.leaseTTL
		l.mu.Unlock()
		if over {
			l.cancel(state.ErrLost)
		}
	}
}
