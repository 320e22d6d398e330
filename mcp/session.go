package mcp

import (
	"context"
	"errors"
	"sync"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// session is a connection of the SDK's, shared by the calls of one Server.
type session struct {
	cs   *sdk.ClientSession
	iso  *isolate
	kill context.CancelFunc // ends all its I/O

	headers bool // some arguments go into headers; see teach
	lesson  sync.Mutex
	page    uint

	// Guarded by Server.mu.
	refs    int
	retired bool // gets no more calls, and closes after the last
}

// dialing is an attempt to connect that calls wait for.
type dialing struct {
	cancel  context.CancelFunc
	done    chan struct{}
	waiters int // guarded by Server.mu, as is the rest until done is closed
	session *session
	fault   *fault
}

// How long connecting may take. A command may have to be downloaded first.
const (
	dialTimeout    = 15 * time.Second
	commandTimeout = time.Minute
	closeGrace     = 3 * time.Second
)

// acquire returns the session, connecting if there is none. Whoever gets one
// releases it.
func (s *Server) acquire(ctx context.Context) (*session, *fault) {
	s.mu.Lock()
	if ss := s.current; ss != nil {
		ss.refs++
		s.mu.Unlock()
		return ss, nil
	}
	d := s.dialing
	if d == nil {
		d = s.dial()
	}
	d.waiters++
	s.mu.Unlock()
	select {
	case <-d.done:
		return d.session, d.fault
	case <-ctx.Done():
	}
	s.mu.Lock()
	select {
	case <-d.done: // at the same time: ours to give back
		if d.session != nil {
			s.releaseLocked(d.session)
		}
	default:
		if d.waiters--; d.waiters == 0 && s.closed {
			d.cancel()
		}
	}
	s.mu.Unlock()
	return nil, &fault{kind: KindTimeout, text: "did not connect in time", unsent: true, cause: ctx.Err()}
}

// release gives a session back.
func (s *Server) release(ss *session) {
	s.mu.Lock()
	s.releaseLocked(ss)
	s.mu.Unlock()
}

func (s *Server) releaseLocked(ss *session) {
	ss.refs--
	switch {
	case ss.refs > 0:
	case ss.retired:
		go s.end(ss)
	case s.closed:
		s.retire(ss)
	}
}

// drop retires a session that is of no use any more.
func (s *Server) drop(ss *session) {
	s.mu.Lock()
	s.retire(ss)
	s.mu.Unlock()
}

// retire keeps further calls from a session, and ends it if there are none. It is
// called with mu held.
func (s *Server) retire(ss *session) {
	if ss.retired {
		return
	}
	ss.retired = true
	if s.current == ss {
		s.current = nil
	}
	if ss.refs == 0 {
		go s.end(ss)
	}
}

// end closes a session, with some time for a polite end.
func (s *Server) end(ss *session) {
	t := time.AfterFunc(closeGrace, ss.kill)
	_ = ss.cs.Close() // what it says is of no use to anybody
	t.Stop()
	ss.kill()
	s.mu.Lock()
	last := s.closed && s.current == nil && s.dialing == nil
	s.mu.Unlock()
	if last {
		s.idle()
	}
}

// dialTimeout is how long connecting may take.
func (s *Server) dialTimeout() time.Duration {
	if s.o.URL == "" {
		return commandTimeout
	}
	return min(dialTimeout, s.o.Timeout)
}

// dial starts connecting. It is called with mu held.
func (s *Server) dial() *dialing {
	ctx, cancel := context.WithTimeout(context.Background(), s.dialTimeout())
	d := &dialing{cancel: cancel, done: make(chan struct{})}
	s.dialing = d
	go func() {
		defer cancel()
		type result struct {
			ss *session
			f  *fault
		}
		ch := make(chan result, 1)
		life, kill := context.WithCancel(context.Background())
		go func() {
			ss, f := s.connect(ctx, life, kill)
			ch <- result{ss, f}
		}()
		var r result
		select {
		case r = <-ch:
		case <-ctx.Done():
			// The SDK's Connect may outlast its deadline: all its I/O ends now, and it
			// soon after, but nobody waits for that.
			kill()
			r.f = &fault{kind: KindTimeout, text: "did not connect in time", unsent: true, cause: ctx.Err()}
			go func() {
				if late := <-ch; late.ss != nil {
					s.end(late.ss)
				}
			}()
		}
		if r.f != nil {
			kill()
		}
		s.dialed(d, r.ss, r.f)
	}()
	return d
}

// dialed hands the outcome to those who wait.
func (s *Server) dialed(d *dialing, ss *session, f *fault) {
	s.mu.Lock()
	d.session, d.fault = ss, f
	s.dialing = nil
	if ss != nil {
		ss.refs = d.waiters
		s.current = ss
		if ss.refs == 0 && s.closed {
			s.retire(ss)
		}
		go func() {
			_ = ss.cs.Wait() // however it ended, it is over
			s.drop(ss)
		}()
	}
	idle := ss == nil && s.closed
	close(d.done) // with mu held: who leaves meanwhile has been counted, or is not
	s.mu.Unlock()
	if idle {
		s.idle()
	}
}

// left reports whether ctx ended because its owner left, not by our own deadline.
func left(ctx context.Context) bool {
	return ctx.Err() != nil && !errors.Is(context.Cause(ctx), errTimeout)
}

// errTimeout is the cause of our own deadlines.
var errTimeout = errors.New("did not answer in time")
