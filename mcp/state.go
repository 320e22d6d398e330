package mcp

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// State is what outlives a configuration: the breaker, the tools found and their
// pins, how the server is spoken to. The zero value is ready. It must not be copied.
type State struct {
	breaker Breaker
	list    atomic.Pointer[listing] // nil until the first has succeeded

	mu       sync.Mutex
	route    route
	running  chan struct{} // closed when the listing under way has ended
	first    time.Time     // until when first requests wait
	stale    bool          // the list is known to be old
	started  time.Time     // when the last listing started
	failures int           // of listings, in a row
	next     time.Time     // not before then after a failure
	failed   *Error
	failedAt time.Time

	pinMu sync.Mutex
	pins  map[string]string // nil until they are known
}

// listing is what a server has listed. It is immutable.
type listing struct {
	at      time.Time
	ttl     time.Duration
	entries []*entry // sorted by name
	cut     bool     // there were more
}

// entry is a tool that a server lists.
type entry struct {
	tool    *Tool
	hash    string // of its definition
	refused string // why nobody gets to see it
	changed bool   // its definition is not the one that is pinned
}

// find returns the entry of a tool, nil without one.
func (l *listing) find(tool string) *entry {
	i, ok := slices.BinarySearchFunc(l.entries, tool, func(e *entry, name string) int {
		switch {
		case e.tool.Name < name:
			return -1
		case e.tool.Name > name:
			return 1
		}
		return 0
	})
	if !ok {
		return nil
	}
	return l.entries[i]
}

func (st *State) entry(tool string) *entry {
	if l := st.list.Load(); l != nil {
		return l.find(tool)
	}
	return nil
}

// approved marks an entry as pinned.
func (st *State) approved(tool, hash string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	l := st.list.Load()
	if l == nil {
		return
	}
	next := *l
	next.entries = slices.Clone(l.entries)
	for i, e := range next.entries {
		if e.tool.Name == tool && e.hash == hash {
			e := *e
			e.changed = false
			next.entries[i] = &e
		}
	}
	st.list.Store(&next)
}

func (st *State) known() route {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.route
}

func (st *State) found(r route) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.route = r
}

// When lists are asked for again.
const (
	firstWait  = 2 * time.Second
	defaultTTL = 5 * time.Minute
	minTTL     = 30 * time.Second
	maxTTL     = 24 * time.Hour
	minGap     = time.Second // between two listings that the server brings about
	maxBackoff = time.Minute // after failures
)

// refresh lists the tools in the background. An operator's wish waits for nothing.
func (st *State) refresh(s *Server, wished bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.stale = true
	st.start(s, wished)
}

// start starts a listing unless one is under way, or it is too early after the last.
// It is called with mu held, and returns what is closed when the listing has ended,
// nil without one.
func (st *State) start(s *Server, wished bool) chan struct{} {
	at := time.Now()
	switch {
	case st.running != nil:
		return st.running
	case !wished && (at.Before(st.next) || at.Sub(st.started) < minGap):
		return nil
	}
	permit, ok := st.breaker.Allow(at.UnixNano())
	if !ok {
		return nil
	}
	done := make(chan struct{})
	st.running, st.started, st.stale = done, at, false
	go func() {
		l, f := s.discover()
		s.settle(permit, f)
		st.listed(s, l, f, time.Since(at))
		close(done)
	}()
	return done
}

// listed keeps the outcome of a listing. One that has failed leaves the old list.
func (st *State) listed(s *Server, l *listing, f *fault, took time.Duration) {
	var failed *Error
	st.pinMu.Lock() // an approval comes before or after all of it
	if f != nil {
		failed = s.fail(f)
	} else {
		st.check(s, l.entries)
	}
	st.mu.Lock()
	st.running = nil
	if f == nil {
		st.list.Store(l)
		st.failures, st.next, st.failed = 0, time.Time{}, nil
	} else {
		st.next = time.Now().Add(min(time.Second<<min(st.failures, 10), maxBackoff))
		st.failures++
		st.failed, st.failedAt = failed, time.Now()
	}
	st.mu.Unlock()
	st.pinMu.Unlock()
	n := 0
	if l != nil {
		n = len(l.entries)
	}
	s.o.Observer.Listed(s.o.Name, n, failed, took)
}

// current returns the list, and has it refreshed in the background if it is old.
// Where there has never been one, the first requests wait for it together, no longer
// than firstWait (contract M5).
func (st *State) current(ctx context.Context, s *Server) *listing {
	l := st.list.Load()
	at := time.Now()
	st.mu.Lock()
	if l != nil {
		if st.stale || at.Sub(l.at) > l.ttl {
			st.start(s, false)
		}
		st.mu.Unlock()
		return l
	}
	if st.first.IsZero() {
		st.first = at.Add(firstWait)
	}
	done, until := st.start(s, false), st.first
	st.mu.Unlock()
	if done == nil || !at.Before(until) {
		return st.list.Load()
	}
	t := time.NewTimer(until.Sub(at))
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	case <-ctx.Done():
	}
	return st.list.Load()
}

// trouble says why there is no list.
func (st *State) trouble() string {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.failed != nil {
		return st.failed.Message
	}
	return "its tools are not known yet"
}
