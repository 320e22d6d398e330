//go:build unix

package leanhttp

import (
	"net"
	"syscall"
)

// alive reports whether an idle connection is still good: open, and with nothing
// to read, as nobody has asked. It costs one system call.
func alive(nc net.Conn) bool {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return probe(nc)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	good := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, e := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		good = e == syscall.EAGAIN || e == syscall.EWOULDBLOCK
		return true // whatever it was, do not wait
	})
	return good && err == nil
}
