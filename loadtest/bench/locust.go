package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/universal-ai-gateway/magicproxy/audit/verify"
)

// locustPlan is a run of `bench locust`; every field is a flag.
type locustPlan struct {
	Config  string        `json:"config"` // embedded or full
	Users   int           `json:"users"`
	Spawn   float64       `json:"spawn_per_second"`
	Length  time.Duration `json:"length_ns"` // of one run, its ramp included
	Rounds  int           `json:"rounds"`
	caddy   string
	locust  string
	results string
	profile bool
}

// ramp is how long users are being started; what is measured begins when all of them have been at it for a moment.
func (p *locustPlan) ramp() time.Duration {
	return time.Duration(float64(p.Users)/p.Spawn*float64(time.Second)) + 2*time.Second
}

// runLocust is the subcommand locust: the users of loadtest/locustfile.py against a Caddy with loadtest/<config>.caddyfile, and in
// turns with it against the floor, the mock behind bare HTTP.
func runLocust(ctx context.Context, args []string) error {
	p := &locustPlan{}
	fs := flag.NewFlagSet("locust", flag.ExitOnError)
	fs.StringVar(&p.Config, "config", embedded, "loadtest/`NAME`.caddyfile: embedded or full")
	fs.IntVar(&p.Users, "users", 20, "users at the same time")
	fs.Float64Var(&p.Spawn, "spawn", 5, "users started a second")
	fs.DurationVar(&p.Length, "time", 50*time.Second, "length of one run")
	fs.IntVar(&p.Rounds, "rounds", 3, "runs of each, in turns")
	fs.StringVar(&p.caddy, "caddy", "bin/caddy", "the Caddy binary, with the gateway built in")
	fs.StringVar(&p.locust, "locust", ".tools/locust-venv/bin/locust", "Locust (scripts/locust installs it)")
	fs.StringVar(&p.results, "results", "loadtest/results", "`directory` for everything that was measured")
	fs.BoolVar(&p.profile, "profile", false, "write profiles of the gateway under load, too; its figures then include what that costs")
	if err := fs.Parse(args); err != nil {
		return err
	}
	switch {
	case p.profile && p.Length < p.ramp()+profileLength+5*time.Second:
		return fmt.Errorf("-time %s: the profiles take %s of it, starting the users %s", p.Length, profileLength, p.ramp())
	case fs.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case p.Users < 4 || p.Spawn <= 0 || p.Rounds < 1:
		return errors.New("users must be at least 4, rates and rounds above zero")
	case p.Length < p.ramp()+5*time.Second:
		return fmt.Errorf("-time %s: starting the users takes %s of it", p.Length, p.ramp())
	case p.Config != embedded && p.Config != fullConfig:
		return fmt.Errorf("-config %s: there are %s and %s", p.Config, embedded, fullConfig)
	}
	for _, path := range []*string{&p.caddy, &p.locust} {
		var err error
		if *path, err = executable(*path); err != nil {
			return err
		}
	}
	out, err := filepath.Abs(filepath.Join(p.results, p.Config))
	if err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	p.results = out
	r, err := p.run(ctx)
	if err != nil {
		return err
	}
	if err := r.save(out); err != nil {
		return err
	}
	if err := r.write(os.Stdout); err != nil {
		return err
	}
	fmt.Printf("\nEverything measured is in %s\n", out)
	if bad := r.broken(); len(bad) > 0 {
		return errors.New(strings.Join(bad, "; "))
	}
	return nil
}

const (
	fullConfig = "full"

	rowRegister = "register"
)

// standing is a gateway under Locust's load.
type standing struct {
	proc  *process
	url   string
	admin string // host:port
	dir   string
}

// run measures.
func (p *locustPlan) run(ctx context.Context) (_ *locustReport, err error) {
	r := newLocustReport(p)
	floor, err := startFloor(p.results)
	if err != nil {
		return nil, err
	}
	defer floor.proc.stop()
	var watcher *monitor
	if p.Config == fullConfig { // before the gateway: it begins with what comes next
		if watcher, err = startMonitor(ctx, p.results); err != nil {
			return nil, err
		}
		defer watcher.stop()
	}
	gw, err := p.startGateway(ctx)
	if err != nil {
		return nil, err
	}
	stopped := false
	defer func() {
		if !stopped {
			gw.proc.stop()
		}
	}()
	for round := range p.Rounds {
		for _, i := range order(2, round) {
			name, host, classes, users := "gateway", gw.url, []string(nil), p.Users
			if i == 1 {
				// Without the agent's users, whom a bare model cannot serve, and as many of the others as there are before the gateway.
				name, host, classes, users = "floor", floor.url, []string{"StressUser", "SwitchoverUser"}, p.Users*3/4
			}
			fmt.Fprintf(os.Stderr, "round %d/%d: %s, %d users for %s\n", round+1, p.Rounds, name, users, p.Length)
			profiled := make(chan error, 1)
			if p.profile && round == 0 && name == "gateway" {
				go func() {
					err := pause(ctx, p.ramp())
					if err == nil {
						err = profileGateway(ctx, gw.admin, filepath.Join(p.results, "profile"), os.Stderr)
					}
					profiled <- err
				}()
			} else {
				profiled <- nil
			}
			raw, err := p.locustOnce(ctx, fmt.Sprintf("%s-%d", name, round+1), host, users, classes)
			if err = errors.Join(err, <-profiled); err != nil {
				return nil, err
			}
			if name == "gateway" {
				attempts, err := readAttempts(filepath.Join(gw.dir, "access.log"))
				if err != nil {
					return nil, err
				}
				gather(r.ours, raw, p.ramp(), func(s sample) string { return attempts.row(s) })
			} else {
				gather(r.floor, raw, p.ramp(), func(s sample) string { return s.name })
			}
			if err := errors.Join(gw.proc.alive(), floor.proc.alive()); err != nil {
				return nil, err
			}
		}
	}
	if r.Failovers, err = failovers(ctx, gw.admin); err != nil {
		return nil, err
	}
	if r.Produced, err = settledAudit(ctx, gw.admin); err != nil {
		return nil, err
	}
	stopped = true
	gw.proc.stop()
	if watcher != nil {
		r.Consumed, err = watcher.summary(ctx, r.Produced)
	} else {
		r.Consumed, err = verifyFiles(ctx, filepath.Join(gw.dir, "audit"))
	}
	return r, err
}

// locustOnce runs Locust once and returns what it has measured. Failures of requests are in there; the error is Locust's own.
func (p *locustPlan) locustOnce(ctx context.Context, name, host string, users int, classes []string) ([]sample, error) {
	base := filepath.Join(p.results, name)
	args := append([]string{
		"-f", "loadtest/locustfile.py", "--headless", "-u", strconv.Itoa(users), "-r", strconv.FormatFloat(p.Spawn, 'g', -1, 64),
		"-t", strconv.Itoa(int(p.Length.Seconds())) + "s", "--host", host, "--csv", base, "--html", base + ".html", "--only-summary", "--exit-code-on-error", "0",
	}, classes...)
	cmd := exec.CommandContext(ctx, p.locust, args...)
	cmd.Env = append(os.Environ(), "LOADTEST_RAW="+base+"_raw.csv", "PYTHONDONTWRITEBYTECODE=1")
	cmd.SysProcAttr = childAttr()
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	stop := tell(os.Stderr, p.Length)
	err := cmd.Run()
	stop()
	if werr := os.WriteFile(base+".log", said.Bytes(), 0o644); werr != nil {
		return nil, werr
	}
	if err != nil {
		return nil, fmt.Errorf("locust: %w: %.2000s", err, said.String())
	}
	return readRaw(base + "_raw.csv")
}

// tell shows how far a run is.
func tell(w io.Writer, length time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		start, tick := time.Now(), time.NewTicker(5*time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				fmt.Fprintf(w, "  %.0f of %.0f s\n", time.Since(start).Seconds(), length.Seconds())
			}
		}
	}()
	return func() { cancel(); <-ended }
}

func startFloor(dir string) (*standing, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, out, err := startProcess("floor", dir, os.Environ(), self, "mock", "-held")
	if err != nil {
		return nil, err
	}
	var hello mockHello
	line, err := out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &hello)
	}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("starting the floor: %w: %s", err, p.tail())
	}
	return &standing{proc: p, url: "http://" + hello.Addr}, nil
}

// startGateway runs a Caddy with the committed configuration and waits until it is ready.
func (p *locustPlan) startGateway(ctx context.Context) (*standing, error) {
	addr, port, admin, err := caddyAddrs()
	if err != nil {
		return nil, err
	}
	config, err := filepath.Abs(filepath.Join("loadtest", p.Config+".caddyfile"))
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(p.results, "gateway")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir,
		"LOADTEST_ADMIN=" + admin, "LOADTEST_PORT=" + port, "LOADTEST_DIR=" + dir, "LOADTEST_PREFIX=loadtest:" + randomSecret() + ":",
	}
	for _, name := range append([]string{"GOGC", "GOMAXPROCS", "GOMEMLIMIT"}, backends...) {
		v, ok := os.LookupEnv(name)
		if ok {
			env = append(env, name+"="+v)
		} else if p.Config == fullConfig && strings.Contains(name, "_") {
			return nil, fmt.Errorf("%s is not set: loadtest/backends run -- COMMAND sets it", name)
		}
	}
	if p.profile {
		env = append(env, "PROFILE_CONTENTION=on")
	}
	proc, _, err := startProcess("gateway", p.results, env, p.caddy, "run", "--config", config, "--adapter", "caddyfile")
	if err != nil {
		return nil, err
	}
	g := &standing{proc: proc, url: "http://" + addr, admin: admin, dir: dir}
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := getJSON(ctx, "http://"+admin+"/ai_gateway/health/ready", nil)
		if err == nil {
			return g, nil
		}
		if gone := proc.alive(); gone != nil {
			return nil, gone
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			proc.stop()
			return nil, fmt.Errorf("the gateway is not ready: %w: %s", err, proc.tail())
		}
		_ = pause(ctx, 50*time.Millisecond)
	}
}

// getJSON asks for a document; into may be nil.
func getJSON(ctx context.Context, url string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return err
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: status %d: %.300s", url, res.StatusCode, b)
	case into == nil:
		return nil
	}
	if text, ok := into.(*string); ok {
		*text = string(b)
		return nil
	}
	return json.Unmarshal(b, into)
}

// attemptsOf says how many upstream attempts each request took, by its id.
type attemptsOf map[string]int

// readAttempts reads Caddy's access log.
func readAttempts(path string) (attemptsOf, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all := make(attemptsOf)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var entry struct {
			AI struct {
				RequestID string `json:"request_id"`
				Attempts  int    `json:"attempts"`
			} `json:"ai_gateway"`
		}
		if err := json.Unmarshal(lines.Bytes(), &entry); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if entry.AI.RequestID != "" {
			all[entry.AI.RequestID] = entry.AI.Attempts
		}
	}
	return all, lines.Err()
}

// row is the table's row of a sample: rotation is two, with and without a target that fails first.
func (a attemptsOf) row(s sample) string {
	if !strings.HasPrefix(s.name, "rotation") || s.problem != "" {
		return s.name
	}
	if a[s.request] > 1 {
		return s.name + failsFirst
	}
	return s.name
}

const failsFirst = " (the first target fails)"

// failovers counts the attempts that failed at the target that always does, as the gateway's metrics have them.
func failovers(ctx context.Context, admin string) (n int, err error) {
	var text string
	if err := getJSON(ctx, "http://"+admin+"/metrics", &text); err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "caddy_ai_gateway_attempts_total{") && strings.Contains(line, `provider="failing"`) {
			_, v, _ := strings.Cut(strings.TrimSpace(line), "} ")
			f, err := strconv.ParseFloat(v, 64)
			if err != nil {
				return 0, fmt.Errorf("metric %q: %w", line, err)
			}
			n += int(f)
		}
	}
	return n, nil
}

// settledAudit waits until all that was recorded is where it is to go, and says how many events that are.
func settledAudit(ctx context.Context, admin string) (uint64, error) {
	var doc struct {
		Stats struct{ Produced, Queued, Journaled, Acked, Dropped uint64 }
		Sink  string
	}
	before := ^uint64(0)
	for deadline := time.Now().Add(time.Minute); ; {
		if err := getJSON(ctx, "http://"+admin+"/ai_gateway/audit", &doc); err != nil {
			return 0, err
		}
		s := doc.Stats
		if s.Produced == before && s.Queued == 0 && (doc.Sink != "kafka" || s.Journaled == 0) {
			if s.Dropped > 0 {
				return s.Produced, fmt.Errorf("%d audit events were dropped", s.Dropped)
			}
			return s.Produced, nil
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("the audit does not settle: %+v", s)
		}
		before = s.Produced
		if err := pause(ctx, 500*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// verifyFiles checks the files of an audit.
func verifyFiles(ctx context.Context, dir string) (s verify.Summary, err error) {
	var out bytes.Buffer
	err = verify.Verify(ctx, verify.Command{Dir: dir, JSON: true}, &out)
	if err != nil && !errors.Is(err, verify.ErrNotWhole) {
		return s, fmt.Errorf("reading the audit: %w", err)
	}
	err = json.Unmarshal(out.Bytes(), &s)
	return s, err
}
