package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// memory is what open streams cost a proxy.
type memory struct {
	Target    string  `json:"target"`
	Streams   int     `json:"streams"`
	Warm      int64   `json:"rss_warm_bytes"`
	Open      int64   `json:"rss_open_bytes"` // the largest of the samples
	PerStream float64 `json:"bytes_per_stream"`
}

// measureMemory starts a fresh target, as one that carried load before would hide the streams in heap it already has, warms it up,
// opens the streams and samples the resident size while events flow.
func measureMemory(ctx context.Context, caddy, name string, p *plan, progress io.Writer) (_ *memory, err error) {
	if err := raiseFileLimit(uint64(2*p.OpenStreams + 500)); err != nil { //nolint:gosec // not negative; a proxy has two sockets a stream
		return nil, err
	}
	b, err := newBed(ctx, caddy, []string{name}, p.poolSize(), p)
	if err != nil {
		return nil, err
	}
	defer b.stop()
	t := b.targets[0]
	for _, k := range kinds {
		r := closedLoop(ctx, t.pool, k, 1000, p.Concurrency)
		if err := r.problem(); err != nil {
			return nil, fmt.Errorf("warm-up of %s, %s: %w", name, k, err)
		}
	}
	if err := pause(ctx, time.Second); err != nil {
		return nil, err
	}
	m := &memory{Target: name, Streams: p.OpenStreams}
	if m.Warm, err = residentBytes(t.proc.pid()); err != nil {
		return nil, err
	}
	fmt.Fprintf(progress, "memory %s: %.1f MB warm, opening %d streams\n", name, mega(m.Warm), p.OpenStreams)
	s, err := openStreams(ctx, t.pool, p.OpenStreams)
	defer s.close()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	// Every stream has begun; now let each have a few more events before and while the size is read.
	for range 8 {
		if err := pause(ctx, p.Pace/2+100*time.Millisecond); err != nil {
			return nil, err
		}
		rss, err := residentBytes(t.proc.pid())
		if err != nil {
			return nil, err
		}
		m.Open = max(m.Open, rss)
	}
	if alive, events := s.alive.Load(), s.events.Load(); int(alive) != p.OpenStreams || int(events) < 3*p.OpenStreams {
		return nil, fmt.Errorf("%s: %d of %d streams open, %d events: %s", name, alive, p.OpenStreams, events, s.firstErr())
	}
	m.PerStream = float64(m.Open-m.Warm) / float64(p.OpenStreams)
	fmt.Fprintf(progress, "memory %s: %.1f MB with %d streams, %.1f kB each\n", name, mega(m.Open), p.OpenStreams, m.PerStream/1e3)
	return m, nil
}

func mega(n int64) float64 { return float64(n) / 1e6 }

// streams are open event streams, each with a goroutine that reads it.
type streams struct {
	alive, events atomic.Int64
	wg            sync.WaitGroup
	mu            sync.Mutex
	conns         []net.Conn
	err           error
	closed        bool
}

// openStreams opens n slow streams, 32 at a time, and returns when each has had its first event.
func openStreams(ctx context.Context, p *pool, n int) (*streams, error) {
	s := &streams{}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	slots := make(chan struct{}, 32)
	began := make(chan struct{}, n)
	for range n {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return s, fmt.Errorf("opening streams: %w: %s", ctx.Err(), s.firstErr())
		}
		s.wg.Go(func() {
			first := sync.OnceFunc(func() { <-slots; began <- struct{}{} })
			defer first()
			if err := s.read(p.clients[0].addr, p.reqs[slowStream], first); err != nil {
				s.fail(err)
			}
		})
	}
	for range n {
		select {
		case <-began:
		case <-ctx.Done():
			return s, fmt.Errorf("opening streams: %w: %s", ctx.Err(), s.firstErr())
		}
	}
	if got := int(s.alive.Load()); got != n {
		return s, fmt.Errorf("%d of %d streams began: %s", got, n, s.firstErr())
	}
	return s, nil
}

// read follows one stream until it ends or is closed.
func (s *streams) read(addr string, req []byte, first func()) error {
	nc, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return err
	}
	defer nc.Close()
	if !s.keep(nc) {
		return nil
	}
	if _, err := nc.Write(req); err != nil {
		return err
	}
	br := bufio.NewReaderSize(nc, 1<<10)
	hd, err := readHead(br)
	if err != nil {
		return err
	}
	if hd.status != 200 {
		return fmt.Errorf("status %d", hd.status)
	}
	body := bufio.NewReaderSize(&bodyReader{br: br, chunked: hd.chunked, left: hd.length}, 1<<10)
	started := false
	for {
		line, err := body.ReadSlice('\n')
		if err != nil {
			if started {
				s.alive.Add(-1)
			}
			return err
		}
		if !bytes.HasPrefix(line, dataField) {
			continue
		}
		s.events.Add(1)
		if !started {
			started = true
			s.alive.Add(1)
			first()
		}
	}
}

func (s *streams) keep(nc net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns = append(s.conns, nc)
	return true
}

func (s *streams) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && !s.closed {
		s.err = err
	}
}

func (s *streams) firstErr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		return "no error seen"
	}
	return s.err.Error()
}

func (s *streams) close() {
	s.mu.Lock()
	s.closed = true
	for _, nc := range s.conns {
		_ = nc.Close() // ends the reader
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// pause waits, unless the run is given up.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
