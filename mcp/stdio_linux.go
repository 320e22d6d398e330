package mcp

import "syscall"

// endWithParent has the kernel end a command when we end without having done so.
func endWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
