package main

import (
	"os"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	got, err := parseStat([]byte("42 (a) b (c) S 1 42 42 0 -1 4194304 104 0 1 0 150 25 0 0 20 0 1 0 401741 3133440"))
	if err != nil || got != 1750*time.Millisecond {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := parseStat([]byte("42 (x) S 1")); err == nil {
		t.Error("short line accepted")
	}
}

func TestOwnFigures(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); time.Since(start) < 100*time.Millisecond; { // burns what it then looks for
	}
	after, err := cpuTime(os.Getpid())
	if err != nil || after-before < 30*time.Millisecond || after-before > time.Minute {
		t.Errorf("CPU %s, %v", after-before, err)
	}
	if rss, err := residentBytes(os.Getpid()); err != nil || rss < 1<<20 {
		t.Errorf("resident %d, %v", rss, err)
	}
}

func TestSleepUntilIsNotEarly(t *testing.T) {
	at := time.Now().Add(3 * time.Millisecond)
	sleepUntil(at)
	if time.Now().Before(at) {
		t.Error("woke early")
	}
}
