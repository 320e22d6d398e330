package mcptest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	readyTime = 30 * time.Second // from the start of the process until it listens
	maxLog    = 64 << 10

	// Ports are taken from below those that the system gives to outgoing connections,
	// so that none of these takes a stopped server's.
	firstPort, ports = 20000, 12000
)

// plan is what to run once the address is known.
type plan struct {
	argv, env []string
	path      string // of the URL
}

// Server is a tool server in a process of its own, killed when its test ends. Its
// methods end the test where they fail, and belong to the test's goroutine.
type Server struct {
	// URL is where it is reached, the same after every start.
	URL string

	t    testing.TB
	plan plan
	addr *net.TCPAddr
	home string
	log  tail

	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd is gone
}

// launch starts what at says on a port that is free.
func launch(t testing.TB, at func(*net.TCPAddr) plan) *Server {
	t.Helper()
	s := &Server{t: t, home: t.TempDir()}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("the tool server said:\n%s", s.Log())
		}
	})
	var err error
	for range 5 { // somebody else may take the port in between
		s.addr = freeAddr(t)
		s.plan = at(s.addr)
		s.URL = "http://" + s.addr.String() + s.plan.path
		if err = s.start(); err == nil {
			return s
		}
	}
	t.Fatalf("%v\n%s", err, s.Log())
	return nil
}

func freeAddr(t testing.TB) *net.TCPAddr {
	t.Helper()
	for range 100 {
		addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: firstPort + rand.IntN(ports)} //nolint:gosec // not a secret
		if l, err := net.ListenTCP("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return nil
}

func port(addr *net.TCPAddr) string { return strconv.Itoa(addr.Port) }

// start runs the process and waits until it listens.
func (s *Server) start() error {
	cmd := exec.Command(s.plan.argv[0], s.plan.argv[1:]...) //nolint:gosec,noctx // of this package; it lives as long as the test
	cmd.Dir = s.home
	cmd.Env = append([]string{"PATH=/usr/bin:/bin", "HOME=" + s.home}, s.plan.env...)
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	cmd.SysProcAttr = attributes()
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait()
	}()
	s.cmd, s.exited = cmd, exited

	ctx, cancel := context.WithTimeout(context.Background(), readyTime)
	defer cancel()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", s.addr.String())
		if err == nil {
			c.Close()
		}
		select {
		case <-s.exited:
			s.kill()
			return fmt.Errorf("%s has ended: %v", s.plan.argv, cmd.ProcessState)
		default:
		}
		if err == nil {
			return nil
		}
		select {
		case <-poll.C:
		case <-s.exited:
		case <-ctx.Done():
			s.kill()
			return fmt.Errorf("%s does not listen: %w", s.plan.argv, err)
		}
	}
}

// Stop kills the server. Its port refuses connections then.
func (s *Server) Stop() {
	if s.cmd != nil {
		s.kill()
	}
}

func (s *Server) kill() {
	signal(s.cmd, syscall.SIGKILL)
	<-s.exited
	s.cmd = nil
}

// Start starts a stopped server again, on the same port.
func (s *Server) Start() {
	s.t.Helper()
	if s.cmd != nil {
		s.t.Fatal("the tool server is running")
	}
	if err := s.start(); err != nil {
		s.t.Fatalf("%v\n%s", err, s.Log())
	}
}

// Restart loses all that the server has in memory, sessions most of all.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.Start()
}

// Hang freezes the server: connections are accepted, by the system, and nothing is
// answered until Resume.
func (s *Server) Hang() { s.send(hang) }

// Resume lets a frozen server go on.
func (s *Server) Resume() { s.send(resume) }

func (s *Server) send(sig syscall.Signal) {
	s.t.Helper()
	if s.cmd == nil {
		s.t.Fatal("the tool server is not running")
	}
	signal(s.cmd, sig)
}

// Log is the end of what the server has written.
func (s *Server) Log() string { return s.log.String() }

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	if extra := len(l.text) - maxLog; extra > 0 {
		l.text = append(l.text[:0], l.text[extra:]...)
	}
	return len(p), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.ToValidUTF8(string(l.text), "?")
}
