package mcptest

import (
	"os/exec"
	"syscall"
)

const (
	hang   = syscall.SIGSTOP
	resume = syscall.SIGCONT
)

// attributes gives a process a group of its own, so that its children are reached
// too, and ends it with a test that panics or is killed and runs no clean-up.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// signal sends to the process's group; that it is gone already is no error.
func signal(cmd *exec.Cmd, sig syscall.Signal) { _ = syscall.Kill(-cmd.Process.Pid, sig) }
