package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const procSupported = true

// clockTick is USER_HZ, the unit of /proc/<pid>/stat: 100 on every Linux port that Go supports.
const clockTick = 10 * time.Millisecond

// cpuTime is the CPU time of all threads of a process. The scheduler's own sum has nanoseconds but forgets threads that ended;
// utime+stime remembers them but counts in ticks. The larger one is the truer one.
func cpuTime(pid int) (time.Duration, error) {
	ticks, err := statTime(pid)
	if err != nil {
		return 0, err
	}
	return max(ticks, threadTime(pid)), nil
}

func statTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(b)
}

// parseStat reads utime and stime, fields 14 and 15. The second field is the command's name and may hold spaces and parentheses.
func parseStat(b []byte) (time.Duration, error) {
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("stat has %d fields", len(fields))
	}
	utime, err := strconv.ParseInt(string(fields[11]), 10, 64)
	if err != nil {
		return 0, err
	}
	stime, err := strconv.ParseInt(string(fields[12]), 10, 64)
	if err != nil {
		return 0, err
	}
	return time.Duration(utime+stime) * clockTick, nil
}

func threadTime(pid int) (sum time.Duration) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid)) // the pattern is well-formed
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread ended, or the kernel has no schedstat: statTime stands
		}
		if fields := bytes.Fields(b); len(fields) > 0 {
			ns, _ := strconv.ParseInt(string(fields[0]), 10, 64)
			sum += time.Duration(ns)
		}
	}
	return sum
}

// residentBytes is VmRSS.
func residentBytes(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, after, ok := bytes.Cut(b, []byte("VmRSS:"))
	fields := bytes.Fields(after)
	if !ok || len(fields) == 0 {
		return 0, fmt.Errorf("no VmRSS in the status of %d", pid)
	}
	kib, err := strconv.ParseInt(string(fields[0]), 10, 64)
	return kib << 10, err
}

// childAttr: a group of its own, so that Ctrl-C reaches only us and we end children in order; and the kernel ends them if we are
// killed. The main goroutine keeps to the main thread (see main), as that death signal is tied to the thread that forked.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// sleepUntil sleeps on the calling thread by the kernel's clock, to about 60 µs.
func sleepUntil(t time.Time) {
	for {
		d := time.Until(t)
		if d <= 0 {
			return
		}
		ts := syscall.NsecToTimespec(int64(d))
		_ = syscall.Nanosleep(&ts, nil) // a signal wakes it early: the loop goes on
	}
}

// raiseFileLimit sets the soft limit so that children inherit it: Go raises its own and restores the old one in what it starts.
func raiseFileLimit(need uint64) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	if l.Max < need {
		return fmt.Errorf("%d open files are needed, the hard limit is %d (ulimit -Hn)", need, l.Max)
	}
	l.Cur = max(l.Cur, need)
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
}

// smallWindow has the kernel take as little as it can for a connection that is not read.
func smallWindow(c syscall.RawConn) error {
	var err error
	if cerr := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) }); cerr != nil {
		return cerr
	}
	return err
}
