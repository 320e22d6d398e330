//go:build unix && !linux

package mcp

import "syscall"

// endWithParent does nothing: a command sees its input end when we do.
func endWithParent(*syscall.SysProcAttr) {}
