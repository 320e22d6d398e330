//go:build !linux

package main

import (
	"errors"
	"syscall"
	"time"
)

const procSupported = false

var errLinuxOnly = errors.New("CPU and memory of another process are read from /proc: linux only")

func cpuTime(int) (time.Duration, error) { return 0, errLinuxOnly }

func residentBytes(int) (int64, error) { return 0, errLinuxOnly }

func childAttr() *syscall.SysProcAttr { return nil }

func sleepUntil(t time.Time) { time.Sleep(time.Until(t)) }

func raiseFileLimit(uint64) error { return nil }

func smallWindow(syscall.RawConn) error { return nil }
