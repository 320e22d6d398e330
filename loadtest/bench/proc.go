package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// process is one that we started; it is ended by its id, and by nothing else.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string // path of stderr
	hold io.Closer
	gone chan struct{}
	err  error // valid once gone is closed
}

func startProcess(name, dir string, env []string, argv ...string) (*process, *bufio.Reader, error) {
	p := &process{name: name, log: filepath.Join(dir, name+".log"), gone: make(chan struct{})}
	logFile, err := os.Create(p.log)
	if err != nil {
		return nil, nil, err
	}
	defer logFile.Close()                      // the child has its own descriptor
	p.cmd = exec.Command(argv[0], argv[1:]...) //nolint:gosec // who runs a bench says what it runs
	p.cmd.Env, p.cmd.Dir, p.cmd.Stderr = env, dir, logFile
	p.cmd.SysProcAttr = childAttr()
	out, in, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	p.cmd.Stdout = in
	hold, err := p.cmd.StdinPipe()
	if err == nil {
		p.hold = hold
		err = p.cmd.Start()
	}
	_ = in.Close() // ours; the child has its own
	if err != nil {
		_ = out.Close()
		return nil, nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		_ = out.Close()
		close(p.gone)
	}()
	return p, bufio.NewReader(out), nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// alive returns an error with the end of the log when the process has ended.
func (p *process) alive() error {
	select {
	case <-p.gone:
		return fmt.Errorf("%s ended (%v): %s", p.name, p.err, p.tail()) //nolint:errorlint // nil after exit 0
	default:
		return nil
	}
}

func (p *process) tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(b[max(0, len(b)-1500):]))
}

// stop asks, waits, then kills.
func (p *process) stop() {
	_ = p.hold.Close()
	if p.cmd.Process.Signal(os.Interrupt) != nil {
		_ = p.cmd.Process.Kill() // systems without signals
	}
	select {
	case <-p.gone:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.gone
	}
}

// startUpstream runs this binary again as the upstream, so that its CPU is counted apart.
func startUpstream(dir string, t timing) (*process, []string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	p, out, err := startProcess("upstream", dir, os.Environ(), self, "upstream", "-pace", t.pace.String(), "-delay", t.delay.String(), "-between", t.between.String())
	if err != nil {
		return nil, nil, err
	}
	var hello upstreamHello
	line, err := out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &hello)
	}
	if err == nil && len(hello.Addrs) != 2 {
		err = errors.New("no two addresses announced")
	}
	if err != nil {
		p.stop()
		return nil, nil, fmt.Errorf("starting the upstream: %w: %s", err, p.tail())
	}
	return p, hello.Addrs, nil
}

// freeAddr is a loopback address nobody listened on a moment ago.
func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// caddyAddrs are the addresses of a Caddy to be started: where it serves, the port of that, and its admin API's.
func caddyAddrs() (addr, port, admin string, err error) {
	if addr, err = freeAddr(); err != nil {
		return "", "", "", err
	}
	if admin, err = freeAddr(); err != nil {
		return "", "", "", err
	}
	_, port, err = net.SplitHostPort(addr)
	return addr, port, admin, err
}

// executable finds a program, and says where from anywhere: children run in directories of their own.
func executable(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%w (make build and make locust make what is missing)", err)
	}
	return filepath.Abs(path)
}
