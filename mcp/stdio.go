package mcp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// stdioTransport speaks to a command over its standard input and output, a message a
// line (contract X8).
type stdioTransport struct {
	iso  *isolate
	o    *Options
	said func(line string)
}

const (
	killGrace  = 3 * time.Second        // from the polite end to the other
	drainGrace = 500 * time.Millisecond // for what an ended command has still said
	maxSaidPer = 20                     // lines of its standard error a second
)

// environment is what a command gets of ours.
func environment(env map[string]string) []string {
	var out []string
	for _, name := range inherited {
		if v, ok := os.LookupEnv(name); ok {
			if _, own := env[name]; !own {
				out = append(out, name+"="+v)
			}
		}
	}
	for name, v := range env {
		out = append(out, name+"="+v)
	}
	slices.Sort(out)
	return out
}

// outgoing is a message to a command.
type outgoing struct {
	line []byte
	x    *exchange
}

// command is a running one.
type command struct {
	cmd    *exec.Cmd
	stdin  *os.File // ours
	output chan outgoing

	writing sync.Mutex // held while something is written to stdin
	closed  bool       // guarded by writing: nothing is any more
	mu      sync.Mutex
	exited  bool
	asked   bool // to end
}

// Connect implements sdk.Transport.
func (t *stdioTransport) Connect(context.Context) (sdk.Connection, error) {
	var pipes [3][2]*os.File // in, out, err: its end, ours
	for i := range pipes {
		r, w, err := os.Pipe()
		if err != nil {
			for _, p := range pipes[:i] {
				p[0].Close()
				p[1].Close()
			}
			return nil, &fault{kind: KindDial, text: "cannot be started", unsent: true, cause: err}
		}
		pipes[i] = [2]*os.File{w, r}
		if i == 0 {
			pipes[i] = [2]*os.File{r, w}
		}
	}
	cmd := exec.Command(t.o.Command[0], t.o.Command[1:]...) //nolint:gosec,noctx // the configuration names it; it ends with the session
	cmd.Env, cmd.Dir = environment(t.o.Env), t.o.Dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = pipes[0][0], pipes[1][0], pipes[2][0]
	ownGroup(cmd)
	c := &command{cmd: cmd, stdin: pipes[0][1], output: make(chan outgoing, 16)}
	w := newWire(t.iso)
	w.stop = c.end
	w.send = func(ctx context.Context, _ string, data []byte, x *exchange) {
		select {
		case c.output <- outgoing{append(data, '\n'), x}:
		case <-ctx.Done():
		case <-w.done:
		}
	}
	started := make(chan error)
	go func() {
		// On Linux the command is to end with us, whatever ends us: the kernel takes
		// the end of the thread that has started it for ours, so that has to stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		for i := range pipes {
			pipes[i][0].Close()
		}
		started <- err
		if err == nil {
			t.wait(c, w, pipes[1][1], pipes[2][1])
		}
	}()
	if err := <-started; err != nil {
		for i := range pipes {
			pipes[i][1].Close()
		}
		return nil, &fault{kind: KindDial, text: "cannot be started", unsent: true, cause: err}
	}
	go c.feed(w.done)
	context.AfterFunc(t.iso.life, func() { _ = w.Close() })
	return w, nil
}

// wait reads what the command says until it has ended, and all it has started.
func (t *stdioTransport) wait(c *command, w *wire, stdout, stderr *os.File) {
	var readers sync.WaitGroup
	readers.Go(func() { t.listen(w, stdout) })
	readers.Go(func() { t.log(stderr) })
	err := c.cmd.Wait()
	c.mu.Lock()
	c.exited = true
	killGroup(c.cmd.Process) // what it has left behind
	c.mu.Unlock()
	// Something that has left the group may hold the pipes open.
	drained := time.AfterFunc(drainGrace, func() { stdout.Close(); stderr.Close() })
	readers.Wait()
	drained.Stop()
	stdout.Close()
	stderr.Close()
	c.stdin.Close()
	c.writing.Lock() // what has not been written is known now
	defer c.writing.Unlock()
	c.closed = true
	w.end(&fault{kind: KindProtocol, text: "its process has ended", cause: err})
}

// feed writes messages to the command.
func (c *command) feed(done <-chan struct{}) {
	for {
		select {
		case m := <-c.output:
			c.write(m)
		case <-done:
			return
		}
	}
}

// write writes a message. When that fails the command is ending, and the message
// with it.
func (c *command) write(m outgoing) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.closed {
		return
	}
	m.x.leave()
	if n, err := c.stdin.Write(m.line); n == 0 && err != nil {
		m.x.stay()
	}
}

// end asks the command to end, and makes it a little later.
func (c *command) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked {
		return
	}
	c.asked = true
	c.stdin.Close()
	if c.exited {
		return
	}
	endGroup(c.cmd.Process)
	time.AfterFunc(killGrace, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.exited {
			killGroup(c.cmd.Process)
		}
	})
}

// listen reads the command's messages.
func (t *stdioTransport) listen(w *wire, r io.Reader) {
	lines := newEvents(r)
	for {
		line, err := lines.line(maxMessage)
		if errors.Is(err, errTooLarge) {
			w.broken(line, tooLarge())
			err = lines.rest()
			line = nil
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if line[0] == '{' || line[0] == '[' {
				w.read(line)
			} else {
				t.said("stdout: " + t.iso.scrub.line(string(line[:min(len(line), 4<<10)]), maxSaid))
			}
		}
		if err != nil {
			return
		}
	}
}

// log passes the command's standard error on, a bounded part of it.
func (t *stdioTransport) log(r io.Reader) {
	lines := &events{bufio.NewReaderSize(r, 4<<10)}
	var window time.Time
	said, dropped := 0, 0
	for {
		line, err := lines.line(4 << 10)
		if errors.Is(err, errTooLarge) {
			err = lines.rest()
		}
		if time.Since(window) > time.Second {
			if dropped > 0 {
				t.said(fmt.Sprintf("stderr: %d more lines", dropped))
			}
			window, said, dropped = time.Now(), 0, 0
		}
		if text := t.iso.scrub.line(string(line), maxSaid); text != "" {
			if said++; said <= maxSaidPer {
				t.said("stderr: " + text)
			} else {
				dropped++
			}
		}
		if err != nil {
			return
		}
	}
}

// rest leaves out what is left of a line.
func (e *events) rest() error {
	for {
		_, err := e.r.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}
