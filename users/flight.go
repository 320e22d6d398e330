package users

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// flight is a look-up in the store, which all who ask for the token at that time
// share. It has a deadline of its own: that one of them leaves ends it for nobody.
type flight struct {
	ctx  context.Context // of the look-up
	done chan struct{}

	caller *Caller // set before done is closed
	err    error   // likewise

	disowned bool // a Forget came after the beginning; the shard's mu is held
}

// wait waits for the end: of the look-up, of its time, or of ctx.
func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
	case <-f.ctx.Done(): // also soon after done
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-f.done:
		return f.err
	default: // the store does not heed its context
		return f.ctx.Err()
	}
}

// fly joins the look-up of a token, or begins one; nil if it is bounded and there are
// too many. The shard's mu is held.
func (d *Directory) fly(s *shard, h Hash, bounded bool) *flight {
	if f := s.flights[h]; f != nil {
		return f
	}
	if bounded && d.lookups.Add(1) > int64(d.o.Lookups) {
		d.lookups.Add(-1)
		return nil
	}
	ctx, stop := context.WithTimeout(context.Background(), d.o.Timeout)
	f := &flight{ctx: ctx, done: make(chan struct{})}
	s.flights[h] = f
	asked := d.now()
	go func() {
		u, t, err := d.find(ctx, h)
		if bounded {
			d.lookups.Add(-1)
		}
		d.land(s, h, f, asked, u, t, err)
		stop()
	}()
	return f
}

// find asks the store. A panic of it must end one look-up, not the process.
func (d *Directory) find(ctx context.Context, h Hash) (u User, t Token, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the store panicked: %v", v)
		}
	}()
	return d.store.Find(ctx, h)
}

// land keeps what a look-up has brought, unless it is disowned.
func (d *Directory) land(s *shard, h Hash, f *flight, asked time.Duration, u User, t Token, err error) {
	now := d.now()
	s.mu.Lock()
	switch {
	case err == nil && !u.Disabled:
		f.caller = &Caller{ID: u.ID, Name: u.Name, Created: u.Created, Overrides: u.Overrides, Keys: u.Keys, TokenID: t.ID}
		if !f.disowned {
			e := &entry{caller: f.caller, asked: asked}
			e.ask.Store(int64(asked + d.o.TTL/2))
			s.keep(h, e)
		}
	case err == nil || errors.Is(err, ErrUnknown):
		f.err = ErrUnknown
		if !f.disowned {
			s.refuse(h, now+d.o.UnknownTTL)
		}
	default:
		f.err = err
		if e := s.known[h]; e != nil && !f.disowned {
			e.ask.Store(int64(now + retryTime))
		}
	}
	if !f.disowned {
		delete(s.flights, h)
	}
	s.mu.Unlock()
	d.down.Store(f.err != nil && !errors.Is(f.err, ErrUnknown))
	close(f.done)
}
