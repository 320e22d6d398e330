package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// profileTargets writes a CPU profile of each Caddy under each kind of load: <dir>/<target>-<kind>.pprof.
func profileTargets(ctx context.Context, b *bed, dir string, p *plan, progress io.Writer) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	const seconds = 5
	for _, t := range b.targets {
		if t.admin == "" {
			continue
		}
		for _, k := range kinds {
			path := filepath.Join(dir, t.name+"-"+k.String()+".pprof")
			fmt.Fprintf(progress, "profiling into %s\n", path)
			load, stop := context.WithCancel(ctx)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for load.Err() == nil {
					closedLoop(load, t.pool, k, p.count(k), p.Concurrency)
				}
			}()
			err := fetchProfile(ctx, t.admin, "profile", seconds, path)
			stop()
			<-ended
			if err != nil {
				return fmt.Errorf("profile of %s: %w", t.name, err)
			}
		}
	}
	return nil
}

// fetchProfile writes what the admin API has under /debug/pprof/. seconds are those of a profile over time.
func fetchProfile(ctx context.Context, admin, what string, seconds int, path string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds+10)*time.Second)
	defer cancel()
	url := fmt.Sprintf("http://%s/debug/pprof/%s", admin, what)
	if what == "profile" || what == "trace" { // of the others it would be a difference
		url += fmt.Sprintf("?seconds=%d", seconds)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("admin API: %s", resp.Status)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, resp.Body); err != nil {
		_ = f.Close() // the copy's error says more
		return err
	}
	return f.Close()
}

// profiles are what a run of Locust is looked at with, in this order: how long each takes, 0 for a look at what there is.
var profiles = []struct {
	what    string
	seconds int
	file    string
}{
	{"profile", 15, "cpu.pprof"},
	{"trace", 3, "trace.out"},
	{"heap", 0, "heap.pprof"},
	{"mutex", 0, "mutex.pprof"},
	{"block", 0, "block.pprof"},
	{"goroutine", 0, "goroutine.pprof"},
}

// profileLength is how long all of them take.
const profileLength = 20 * time.Second

// profileGateway writes all profiles of a gateway under load.
func profileGateway(ctx context.Context, admin, dir string, progress io.Writer) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, p := range profiles {
		path := filepath.Join(dir, p.file)
		fmt.Fprintf(progress, "  profiling into %s\n", path)
		if err := fetchProfile(ctx, admin, p.what, p.seconds, path); err != nil {
			return fmt.Errorf("%s: %w", p.what, err)
		}
	}
	return nil
}
