package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/universal-ai-gateway/magicproxy/audit/verify"
)

// monitor is loadtest/kafka_monitor as a process beside the load.
type monitor struct {
	proc *process
	out  *bufio.Reader
	last verify.Summary
}

// startMonitor builds the monitor and has it follow the topic from now on.
func startMonitor(ctx context.Context, dir string) (*monitor, error) {
	binary := filepath.Join(dir, "kafka_monitor.bin")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "./loadtest/kafka_monitor").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the monitor: %w: %s", err, out)
	}
	p, out, err := startProcess("kafka_monitor", dir, os.Environ(), binary, "-brokers", os.Getenv("KAFKA_BROKERS"), "-json", "-held")
	if err != nil {
		return nil, err
	}
	m := &monitor{proc: p, out: out}
	// Its first line comes once it reads.
	if err := m.next(); err != nil {
		m.stop()
		return nil, fmt.Errorf("the monitor: %w: %s", err, p.tail())
	}
	return m, nil
}

func (m *monitor) next() error {
	line, err := m.out.ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, &m.last)
}

// summary waits until the monitor has seen so many events, and ends it. What it has seen is returned also if it are fewer.
func (m *monitor) summary(ctx context.Context, produced uint64) (verify.Summary, error) {
	ended := make(chan error, 1)
	go func() {
		for deadline := time.Now().Add(30 * time.Second); m.last.Events-m.last.Doubles < produced && time.Now().Before(deadline); {
			if err := m.next(); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	select {
	case err := <-ended:
		if err != nil {
			return m.last, errors.Join(fmt.Errorf("the monitor: %w", err), m.proc.alive())
		}
	case <-ctx.Done():
		return m.last, ctx.Err()
	}
	return m.last, nil
}

func (m *monitor) stop() { m.proc.stop() }
