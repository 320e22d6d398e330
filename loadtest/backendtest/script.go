package backendtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	redis   = "redis"
	mongodb = "mongodb"
	kafka   = "kafka"
)

// variables hold the addresses of servers that are there already.
var variables = map[string]string{redis: "REDIS_URL", mongodb: "MONGODB_URL", kafka: "KAFKA_BROKERS"}

// deadline is for the slowest call, the first: it may download and install.
const deadline = 10 * time.Minute

var errSystem = errors.New("real servers for tests run on linux only")

// unavailable reports whether the error means that this machine has no such server, rather than that something is broken.
func unavailable(err error) bool {
	var exit *exec.ExitError
	return errors.Is(err, errSystem) || errors.As(err, &exit) && exit.ExitCode() == 3
}

// up starts the server in a folder of its own, which ends by itself when this process is gone.
func up(name string) (dir string, err error) {
	if runtime.GOOS != "linux" {
		return "", errSystem
	}
	if dir, err = os.MkdirTemp("", "magicproxy-backendtest-"); err != nil {
		return "", err
	}
	if _, err = script("up", name, "--dir", dir, "--owner", strconv.Itoa(os.Getpid())); err != nil {
		return "", errors.Join(err, down(dir))
	}
	return dir, nil
}

func down(dir string) error {
	_, err := script("down", "--dir", dir)
	return errors.Join(err, os.RemoveAll(dir))
}

// environment returns the variables that say what runs in the folder.
func environment(dir string) (map[string]string, error) {
	out, err := script("env", "--dir", dir)
	if err != nil {
		return nil, err
	}
	env := map[string]string{}
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		env[name] = strings.Trim(value, "'")
	}
	return env, nil
}

// script calls loadtest/backends and returns its output. The error has what it said.
func script(args ...string) (string, error) {
	file, err := path()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, file, args...)
	cmd.WaitDelay = 5 * time.Second // a server that the script leaves behind holds no pipe of ours
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if !slices.Contains([]string{"REDIS_URL", "MONGODB_URL", "KAFKA_BROKERS"}, name) { // a private server is wanted
			cmd.Env = append(cmd.Env, v)
		}
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("loadtest/backends %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}

// path finds the script from a test's working directory, its package.
var path = sync.OnceValues(func() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "loadtest", "backends"), nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod in this folder or one above it")
		}
		dir = parent
	}
})
