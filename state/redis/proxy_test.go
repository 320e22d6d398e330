package redis

import (
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between a store and its Redis. It counts, holds or loses replies, and goes
// away.
type proxy struct {
	url    string
	to     string
	conns  atomic.Int64
	rounds atomic.Int64 // requests that came with no other since the last reply
	lose   atomic.Bool  // cuts the connection in place of the next reply
	away   atomic.Bool  // takes no connections

	ends     chan struct{}
	work     sync.WaitGroup
	mu       sync.Mutex
	gate     chan struct{} // replies wait for it; nil for none
	open     map[net.Conn]bool
	finished bool
}

// between puts a proxy in front of a Redis.
func between(t testing.TB, address string) *proxy {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{to: u.Host, ends: make(chan struct{}), open: make(map[net.Conn]bool)}
	u.Host = l.Addr().String()
	p.url = u.String()
	p.work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.conns.Add(1)
			p.work.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		close(p.ends)
		l.Close()
		p.mu.Lock()
		p.finished = true
		for c := range p.open {
			c.Close()
		}
		p.mu.Unlock()
		p.work.Wait()
	})
	return p
}

// keep notes a connection; false if it is too late for one.
func (p *proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.finished {
		c.Close()
		return false
	}
	p.open[c] = true
	return true
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer server.Close()
	if !p.keep(client) || !p.keep(server) || p.away.Load() {
		return
	}
	var asked atomic.Bool // since the last reply
	p.work.Go(func() {
		defer server.Close()
		carry(client, server, func() bool {
			if !asked.Swap(true) {
				p.rounds.Add(1)
			}
			return true
		})
	})
	carry(server, client, func() bool {
		p.wait()
		asked.Store(false)
		return !p.lose.Swap(false)
	})
}

// carry carries bytes as long as each is allowed to go on.
func carry(from, to net.Conn, may func() bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && may() {
			_, err = to.Write(buf[:n])
		} else if n > 0 {
			return
		}
		if err != nil {
			return
		}
	}
}

func (p *proxy) wait() {
	p.mu.Lock()
	gate := p.gate
	p.mu.Unlock()
	if gate == nil {
		return
	}
	select {
	case <-gate:
	case <-p.ends:
	}
}

// cut ends all connections, and takes no others until away is false again.
func (p *proxy) cut() {
	p.away.Store(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		c.Close()
	}
	clear(p.open)
}

// hold keeps replies back until release.
func (p *proxy) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate = make(chan struct{})
}

func (p *proxy) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.gate)
	p.gate = nil
}
