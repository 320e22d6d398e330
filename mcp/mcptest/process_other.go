//go:build !linux

package mcptest

import (
	"os/exec"
	"syscall"
)

// Nothing is started here: see lacks.
const (
	hang   = syscall.SIGTERM
	resume = syscall.SIGTERM
)

func attributes() *syscall.SysProcAttr { return nil }

func signal(cmd *exec.Cmd, _ syscall.Signal) { _ = cmd.Process.Kill() }
