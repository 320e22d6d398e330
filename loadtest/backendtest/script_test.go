package backendtest

import (
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// here skips where the script runs nothing but containers.
func here(t *testing.T) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip(errSystem)
	}
	file, err := path()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// call runs the script with an environment of its own, and returns what it said, on both streams, and its exit code.
func call(t *testing.T, env []string, args ...string) (said string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), here(t), args...)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// bare is an environment without addresses of servers.
func bare(more ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "XDG_CACHE_HOME=" + os.Getenv("XDG_CACHE_HOME")}, more...)
}

func TestUpAgainStartsNothing(t *testing.T) {
	s := Redis(t)
	pid := s.PID()
	if said, code := call(t, bare(), "up", "redis", "--dir", s.dir); code != 0 {
		t.Fatalf("exit %d: %s", code, said)
	}
	if s.PID() != pid {
		t.Errorf("pid %d, want %d", s.PID(), pid)
	}
	s.Kill()
	if said, code := call(t, bare(), "up", "redis", "--dir", s.dir); code != 0 || s.PID() == 0 {
		t.Errorf("after a kill: exit %d, pid %d: %s", code, s.PID(), said)
	}
}

func TestUpTakesWhatIsGiven(t *testing.T) {
	here(t)
	const given = "redis://it's:given@127.0.0.1:1/0"
	dir := filepath.Join(t.TempDir(), "d")
	said, code := call(t, bare("REDIS_URL="+given), "up", "redis", "--dir", dir)
	if code != 0 || strings.Contains(said, "given@") {
		t.Errorf("exit %d, said %q, which must not have the password", code, said)
	}
	said, code = call(t, bare(), "env", "--dir", dir)
	if code != 0 || said != `export REDIS_URL='redis://it'\''s:given@127.0.0.1:1/0'`+"\n" {
		t.Errorf("exit %d, env prints %q", code, said)
	}
	if said, code = call(t, bare(), "kill", "redis", "--dir", dir); code != 1 {
		t.Errorf("kill of a given server: exit %d: %s", code, said)
	}
	if said, code = call(t, bare(), "down", "--dir", dir); code != 0 {
		t.Errorf("exit %d: %s", code, said)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s after down: %v", dir, err)
	}
}

// A pid may by now be another process's.
func TestDownEndsOnlyWhatItStarted(t *testing.T) {
	s := Redis(t)
	other := exec.CommandContext(t.Context(), "cat")
	stdin, err := other.StdinPipe() // it waits for input
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(s.dir, "redis", "process")
	was, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, since, _ := strings.Cut(string(was), " ")
	pid := strconv.Itoa(other.Process.Pid) // began after the server, so its start is never the one noted
	for name, process := range map[string]string{"the server's start": pid + " " + since, "another start": pid + " 1\n"} {
		if err := os.WriteFile(file, []byte(process), 0o600); err != nil {
			t.Fatal(err)
		}
		if said, code := call(t, bare(), "stop", "redis", "--dir", s.dir); code != 0 {
			t.Errorf("%s: exit %d: %s", name, code, said)
		}
	}
	if err := os.WriteFile(file, was, 0o600); err != nil {
		t.Fatal(err)
	}
	if s.PID() == 0 {
		t.Error("the server was ended for another's pid")
	}
	if err := errors.Join(stdin.Close(), other.Wait()); err != nil {
		t.Errorf("the other process: %v", err) // "signal: terminated" if it was taken for the server
	}
}

func TestFoldersOfOthersStay(t *testing.T) {
	here(t)
	dir := t.TempDir()
	kept := filepath.Join(dir, "redis", "kept")
	if err := os.MkdirAll(kept, 0o700); err != nil {
		t.Fatal(err)
	}
	if said, code := call(t, bare(), "up", "redis", "--dir", dir); code != 1 || !strings.Contains(said, "in the way") {
		t.Errorf("up: exit %d: %s", code, said)
	}
	if said, code := call(t, bare(), "down", "--dir", dir); code != 0 {
		t.Errorf("down: exit %d: %s", code, said)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error(err)
	}
}

// On a machine with no Java, and nothing to install it with, Redis starts all the same.
func TestOneThatCannotBeHadLeavesTheOthers(t *testing.T) {
	Redis(t) // this machine has it
	bin := t.TempDir()
	for _, tool := range []string{
		"basename", "bash", "cat", "dirname", "env", "flock", "grep", "head", "id", "mkdir", "mv", "od", "redis-server", "rm", "rmdir", "sed",
		"setsid", "sleep", "tail", "timeout", "tr", "uname",
	} {
		file, err := exec.LookPath(tool)
		if err != nil {
			t.Skipf("%v: the server of this machine is a container", err)
		}
		if err := os.Symlink(file, filepath.Join(bin, tool)); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "d")
	env := []string{"PATH=" + bin, "XDG_CACHE_HOME=" + t.TempDir()}
	t.Cleanup(func() {
		if err := down(dir); err != nil {
			t.Error(err)
		}
	})
	said, code := call(t, env, "up", "kafka", "redis", "--dir", dir)
	if code != 3 || !strings.Contains(said, "kafka could not be had: Java 17 is missing") {
		t.Errorf("exit %d: %s", code, said)
	}
	if said, code = call(t, env, "env", "--dir", dir); code != 0 || !strings.Contains(said, "REDIS_PID=") || strings.Contains(said, "KAFKA") {
		t.Errorf("exit %d, env prints %q", code, said)
	}
}

func TestWrongUse(t *testing.T) {
	for _, args := range [][]string{{}, {"nothing"}, {"up", "oracle"}, {"kill"}, {"up", "--dir"}, {"up", "--owner", "me"}, {"run"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			if said, code := call(t, bare(), args...); code != 2 || !strings.Contains(said, "loadtest/backends up") {
				t.Errorf("exit %d: %s", code, said)
			}
		})
	}
}

func TestRun(t *testing.T) {
	here(t)
	tmp := t.TempDir()
	said, code := call(t, bare("TMPDIR="+tmp), "run", "redis", "--", "sh", "-c", `echo "at $REDIS_URL"; exit 7`)
	if code != 7 || !strings.Contains(said, "at redis://127.0.0.1:") {
		t.Errorf("exit %d: %s", code, said)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

const child = "BACKENDTEST_CHILD"

// A test binary that is killed runs no cleanup: its servers end all the same, private and shared ones.
func TestServersEndWithTheirProcess(t *testing.T) {
	if os.Getenv(child) != "" {
		s := Redis(t)
		t.Log("private", s.Addr)
		t.Log("shared", Shared(t, redis))
		if p, err := os.FindProcess(os.Getpid()); err != nil || p.Kill() != nil {
			t.Fatal("lives")
		}
		select {}
	}
	here(t)
	tmp := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestServersEndWithTheirProcess$", "-test.v")
	cmd.Env = bare(child+"=1", "TMPDIR="+tmp)
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("it was to be killed: %v: %s", err, out)
	}
	ports := 0
	for word := range strings.FieldsSeq(string(out)) {
		if u, err := url.Parse(word); err == nil && u.Scheme == "redis" {
			ports++
		}
	}
	if ports != 2 {
		t.Fatalf("%d servers: %s", ports, out)
	}
	end := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		left, err := os.ReadDir(tmp) // a folder goes last
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("30 s later there still are %v", left)
		}
		<-tick.C
	}
}

// recorder is a test that notes how it ends.
type recorder struct {
	testing.TB
	skipped, failed bool
}

func (r *recorder) Helper()       {}
func (r *recorder) Skip(_ ...any) { r.skipped = true }
func (r *recorder) Fatal(...any)  { r.failed = true }

func TestNeed(t *testing.T) {
	exit := func(code string) error { return exec.CommandContext(t.Context(), "sh", "-c", "exit "+code).Run() }
	for name, c := range map[string]struct {
		err     error
		ci      string
		skipped bool
		failed  bool
	}{
		"there":                          {},
		"not to be had":                  {err: exit("3"), skipped: true},
		"not to be had, in CI":           {err: exit("3"), ci: "true", failed: true},
		"broken":                         {err: exit("1"), failed: true},
		"another system":                 {err: errSystem, skipped: true},
		"another system, in CI":          {err: errSystem, ci: "true", failed: true},
		"not to be had, CI set to false": {err: exit("3"), ci: "false", skipped: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("CI", c.ci)
			r := &recorder{TB: t}
			need(r, c.err)
			if r.skipped != c.skipped || r.failed != c.failed {
				t.Errorf("skipped %v, failed %v; want %v, %v", r.skipped, r.failed, c.skipped, c.failed)
			}
		})
	}
}
