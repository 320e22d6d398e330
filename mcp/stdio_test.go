//go:build unix

package mcp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// contract: M2, K6
func TestStdioIsolation(t *testing.T) {
	for name, c := range map[string]struct {
		want Kind   // kinds: it goes well
		text string // with this
	}{
		"garbage":      {KindProtocol, ""},
		"wrong":        {KindTimeout, ""}, // nobody can tell whose answer that was to be
		"null":         {KindTimeout, ""},
		"large":        {KindProtocol, ""},
		"largegarbage": {kinds, "then"},
		"hang":         {KindTimeout, ""},
		"error":        {KindRejected, ""},
		"noise":        {kinds, "heard"},
		"requests":     {kinds, "asked"},
		"stderr":       {kinds, "said"},
	} {
		t.Run(name, func(t *testing.T) {
			o := program(t, "rude")
			heard := new(observed)
			o.Observer = heard
			s := open(t, o)
			// A first listing may take a while where the machine is busy.
			eventually(t, "its tools are known", func() bool { return s.Offer(t.Context()).Down == "" })
			ch := make(chan error, 1)
			go func() {
				res, err := s.Call(t.Context(), Call{Tool: "slow"})
				if err == nil && res.Text != "slow" {
					err = errors.New(res.Text)
				}
				ch <- err
			}()
			ctx, cancel := context.WithTimeoutCause(t.Context(), 30*time.Second, errTimeout)
			if c.want == KindTimeout {
				cancel()
				ctx, cancel = context.WithTimeoutCause(t.Context(), 200*time.Millisecond, errTimeout)
			}
			defer cancel()
			// The slow call has to be there first, for the answer to be ambiguous.
			ss := s.current
			eventually(t, "the slow call is under way", func() bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				return ss.refs == 1
			})
			res, err := s.Call(ctx, Call{Tool: name})
			switch {
			case c.want != kinds:
				if err == nil || kindOf(t, err) != c.want {
					t.Errorf("got %+v, %v", res, err)
				}
			case err != nil || res.Text != c.text:
				t.Errorf("got %+v, %v", res, err)
			}
			say(t, s, "after it") // also has the slow one answered
			if err := <-ch; err != nil {
				t.Errorf("a good call beside it: %v", err)
			}
			heard.mu.Lock()
			defer heard.mu.Unlock()
			pids := 0
			for _, l := range heard.lines {
				if strings.HasPrefix(l, "stderr: pid") {
					pids++
				}
				if len(l) > maxSaid+20 || strings.ContainsAny(l, "\x1b\n") || strings.Contains(l, "canary") {
					t.Errorf("heard %q", l)
				}
			}
			if len(heard.lines) > 200 || pids != 1 {
				t.Errorf("heard %d lines of %d processes", len(heard.lines), pids)
			}
		})
	}
}

// contract: K6
func TestStdioExit(t *testing.T) {
	o := program(t, "rude")
	heard := new(observed)
	o.Observer = heard
	s := open(t, o)
	say(t, s, "x")
	_, err := s.Call(t.Context(), Call{Tool: "exit"})
	if k := kindOf(t, err); k != KindProtocol {
		t.Errorf("got %v", err)
	}
	say(t, s, "the next one starts it again")

	// It may also end while nobody calls it.
	pid := pidOf(t, heard)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its end has been noticed", func() bool { return !s.Status().Connected })
	say(t, s, "and again")
}

func pidOf(t *testing.T, o *observed) int {
	t.Helper()
	return numberAfter(t, o, "stderr: pid %d")
}

// numberAfter returns the number in the last line of a form.
func numberAfter(t *testing.T, o *observed, form string) (n int) {
	t.Helper()
	eventually(t, form, func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, l := range o.lines {
			_, _ = fmt.Sscanf(l, form, &n)
		}
		return n > 0
	})
	return n
}

// alive reports whether a process runs.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

// contract: X8
func TestStdioEnvironment(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", "canary-of-ours")
	o := program(t, "rude")
	o.Env["LANG"] = "xx_XX"
	o.Dir = t.TempDir()
	s := open(t, o)
	res, err := s.Call(t.Context(), Call{Tool: "env"})
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(res.Text, "\n") {
		name, _, _ := strings.Cut(line, "=")
		switch name {
		case "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "PWD", actAs:
		case "LANG":
			if line != "LANG=xx_XX" {
				t.Error(line)
			}
		case "SECRET":
			if line != "SECRET=[redacted]" {
				t.Error(line)
			}
		default:
			t.Errorf("it sees %s", line)
		}
	}
}

// A command, and all it has started, ends with its Server, whether it wants to or not.
//
// contract: X8
func TestStdioEnds(t *testing.T) {
	for _, act := range []string{"rude", "deaf", "stubborn"} {
		t.Run(act, func(t *testing.T) {
			o := program(t, act)
			heard := new(observed)
			o.Observer = heard
			s, err := New(o.named(), new(State))
			if err != nil {
				t.Fatal(err)
			}
			say(t, s, "x")
			pids := []int{pidOf(t, heard)}
			if act == "stubborn" {
				pids = append(pids, numberAfter(t, heard, "stderr: child %d"))
			}
			start := time.Now()
			s.Close()
			if took := time.Since(start); took > time.Second {
				t.Errorf("closing took %v", took)
			}
			for _, pid := range pids {
				eventually(t, "it has ended", func() bool { return !alive(pid) })
			}
			if took := time.Since(start); act != "stubborn" && took >= killGrace {
				t.Errorf("it had to be made to, after %v", took)
			}
		})
	}
}

func (o Options) named() Options {
	o.Name = "test"
	return o
}

func TestStdioDoesNotStart(t *testing.T) {
	for name, c := range map[string]struct {
		o    Options
		want Kind
	}{
		"no such program": {Options{Command: []string{"/nonexistent/program"}}, KindDial},
		"exits":           {program(t, "exits"), KindProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, c.o)
			_, err := s.Call(t.Context(), Call{Tool: "x"})
			if k := kindOf(t, err); k != c.want {
				t.Errorf("got %v: %v", k, err)
			}
		})
	}
}
