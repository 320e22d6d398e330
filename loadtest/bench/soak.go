package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// runSoak is the subcommand soak: five times more than there is room for (fault K9), and clients that do not read (K10).
func runSoak(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("soak", flag.ExitOnError)
	caddy := fs.String("caddy", "bin/caddy", "the Caddy binary, with the gateway built in")
	length := fs.Duration("time", time.Minute, "length of each part")
	stalled := fs.Int("stalled", 1000, "clients that do not read")
	only := fs.String("only", "", "one part alone: overload or stalled")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 || *length < 5*time.Second || *stalled < 1 || *only != "" && *only != "overload" && *only != "stalled" {
		return errors.New("unexpected argument, -time below 5s, no client that does not read, or an unknown part")
	}
	binary, err := executable(*caddy)
	if err != nil {
		return err
	}
	if err := raiseFileLimit(uint64(4**stalled + 2000)); err != nil {
		return err
	}
	var bad []error
	for _, part := range []struct {
		name string
		run  func(context.Context, string, time.Duration, int, io.Writer) ([]string, error)
	}{{"overload", soakOverload}, {"stalled", soakStalled}} {
		if *only != "" && *only != part.name {
			continue
		}
		missed, err := part.run(ctx, binary, *length, *stalled, os.Stdout)
		if err != nil {
			return err
		}
		for _, m := range missed {
			bad = append(bad, errors.New(m))
		}
	}
	return errors.Join(bad...)
}

const overload = "overload" // its configuration

// soakBed is a gateway with overload.caddyfile in front of an upstream that takes its time.
func soakBed(ctx context.Context, caddy string, connections int) (*bed, *target, error) {
	p := &plan{Concurrency: 64, Prompt: 2, Pace: time.Second, Delay: soakDelay}
	b, err := newBed(ctx, caddy, []string{overload}, connections, p)
	if err != nil {
		return nil, nil, err
	}
	return b, b.targets[0], nil
}

// soakDelay is what a model takes: 64 at once are 640 a second.
const soakDelay = 100 * time.Millisecond

// event is a request of an open loop: when it was meant to leave, since the beginning, and how it went.
type event struct {
	at, took time.Duration // took counts from when it left
	late     time.Duration // how much later than meant it left
	err      error
}

// soakLoop sends n requests at a rate, each on a connection of its own among the pool's, whatever becomes of them.
func soakLoop(ctx context.Context, p *pool, rate float64, length time.Duration) []event {
	n := int(rate * length.Seconds())
	all := make([]event, n)
	idle := make(chan *client, len(p.clients))
	for _, c := range p.clients {
		idle <- c
	}
	var wg sync.WaitGroup
	s := schedule{start: time.Now().Add(time.Millisecond), rate: rate}
	for i := range n {
		meant := s.at(i)
		sleepUntil(meant)
		if ctx.Err() != nil {
			return all[:i]
		}
		c := <-idle
		left := time.Now()
		all[i].at, all[i].late = meant.Sub(s.start), left.Sub(meant)
		err := c.send(p.reqs[plain])
		wg.Go(func() {
			if err == nil {
				err = c.receive(checkPlain)
			}
			all[i].took, all[i].err = time.Since(left), err
			idle <- c
		})
	}
	wg.Wait()
	return all
}

// split sorts events into answers and refusals; anything else is an error.
func split(all []event) (good, refused []time.Duration, err error) {
	for _, e := range all {
		r, ok := errors.AsType[*refusal](e.err)
		switch {
		case e.err == nil:
			good = append(good, e.took)
		case ok && r.status == 503 && r.retryAfter:
			refused = append(refused, e.took)
		case err == nil:
			err = e.err
		}
	}
	slices.Sort(good)
	slices.Sort(refused)
	return good, refused, err
}

// soakOverload is K9: five times the load there is room for. What there is room for goes on, the rest is refused at once.
func soakOverload(ctx context.Context, caddy string, length time.Duration, _ int, w io.Writer) (missed []string, err error) {
	b, t, err := soakBed(ctx, caddy, 512)
	if err != nil {
		return nil, err
	}
	defer b.stop()
	peak := closedLoop(ctx, t.pool, plain, int(5*64*time.Second/soakDelay), 64)
	if err := peak.problem(); err != nil {
		return nil, fmt.Errorf("the peak: %w", err)
	}
	half := peak.throughput() / 2
	before := soakLoop(ctx, t.pool, half, 5*time.Second)
	good, _, err := split(before)
	if err != nil {
		return nil, fmt.Errorf("at half the peak: %w", err)
	}
	usual := percentile(good, 0.99)
	fmt.Fprintf(w, "K9: peak %.0f/s; at half of it p99 %s\n", peak.throughput(), usual.Round(100*time.Microsecond))

	rate := 5 * peak.throughput()
	all := soakLoop(ctx, t.pool, rate, length)
	took := length
	if n := len(all); n > 0 {
		took = max(took, all[n-1].at+all[n-1].late)
	}
	good, refused, err := split(all)
	if err != nil {
		return nil, fmt.Errorf("under overload: %w", err)
	}
	goodput := float64(len(good)) / took.Seconds() / peak.throughput()
	fmt.Fprintf(w, "K9: %.0f/s for %s: %d answered, %.1f %% of the peak, p99 %s; %d refused with 503 and Retry-After, p50 %s, p99 %s\n", float64(len(all))/took.Seconds(), took.Round(time.Millisecond),
		len(good), 100*goodput, percentile(good, 0.99).Round(time.Millisecond), len(refused), percentile(refused, 0.5).Round(10*time.Microsecond), percentile(refused, 0.99).Round(10*time.Microsecond))

	after := soakLoop(ctx, t.pool, half, 10*time.Second)
	if _, _, err := split(after); err != nil {
		return nil, fmt.Errorf("after the overload: %w", err)
	}
	var normal time.Duration
	for _, e := range after {
		if e.err != nil || e.took > 2*usual {
			normal = e.at
		}
	}
	fmt.Fprintf(w, "K9: normal again %s after the overload\n", normal.Round(time.Millisecond))
	if err := errors.Join(ctx.Err(), b.alive()); err != nil {
		return nil, err
	}
	if goodput < 0.9 {
		missed = append(missed, fmt.Sprintf("K9: goodput %.2f of the peak, less than 0.9", goodput))
	}
	if p := percentile(refused, 0.99); p > 10*time.Millisecond {
		missed = append(missed, fmt.Sprintf("K9: refusals take %s at p99, more than 10 ms", p))
	}
	if normal > 5*time.Second {
		missed = append(missed, fmt.Sprintf("K9: normal again after %s, more than 5 s", normal))
	}
	return missed, nil
}

// soakStalled is K10: clients that ask for long answers and never read them, beside good traffic.
func soakStalled(ctx context.Context, caddy string, length time.Duration, n int, w io.Writer) (missed []string, err error) {
	b, t, err := soakBed(ctx, caddy, 256)
	if err != nil {
		return nil, err
	}
	defer b.stop()
	const rate = 300
	traffic := func(length time.Duration) (p50, p99 time.Duration, err error) {
		good, refused, err := split(soakLoop(ctx, t.pool, rate, length))
		if err == nil && len(refused) > 0 {
			err = fmt.Errorf("%d of %d were refused", len(refused), len(refused)+len(good))
		}
		return percentile(good, 0.5), percentile(good, 0.99), err
	}
	if _, _, err := traffic(3 * time.Second); err != nil { // warm
		return nil, fmt.Errorf("good traffic: %w", err)
	}
	q50, q99, err := traffic(length / 2)
	if err != nil {
		return nil, fmt.Errorf("good traffic alone: %w", err)
	}
	idle, err := residentBytes(t.proc.pid())
	if err != nil {
		return nil, err
	}
	// In waves: when the gateway has cut off all of one, the next one comes.
	crowd, stop := context.WithCancel(ctx)
	defer stop()
	waves := make(chan error, 1)
	var cut []time.Duration // how long each wave was held
	go func() {
		for {
			took, err := stallWave(crowd, t, n)
			if err != nil {
				waves <- err
				return
			}
			cut = append(cut, took)
		}
	}()
	s50, s99, err := traffic(length)
	if err != nil {
		return nil, fmt.Errorf("good traffic beside them: %w", err)
	}
	held, err := residentBytes(t.proc.pid())
	if err != nil {
		return nil, err
	}
	stop()
	if err := <-waves; !errors.Is(err, context.Canceled) {
		return nil, fmt.Errorf("clients that do not read: %w", err)
	}
	slices.Sort(cut)
	fmt.Fprintf(w, "K10: %d times %d clients that do not read: all of them cut off after %s (median) and at most %s; memory %.1f MB, %.1f MB before\n", len(cut), n,
		percentile(cut, 0.5).Round(10*time.Millisecond), percentile(cut, 1).Round(10*time.Millisecond), mega(held), mega(idle))
	fmt.Fprintf(w, "K10: good traffic at %d/s: p50 %s, alone %s; p99 %s, alone %s: %+.0f %%\n", rate, s50.Round(100*time.Microsecond), q50.Round(100*time.Microsecond),
		s99.Round(100*time.Microsecond), q99.Round(100*time.Microsecond), 100*(float64(s99)/float64(q99)-1))
	if err := errors.Join(ctx.Err(), b.alive()); err != nil {
		return nil, err
	}
	if float64(s99) > 1.2*float64(q99) {
		missed = append(missed, fmt.Sprintf("K10: p99 of good traffic is %.2f × that alone, more than 1.2", float64(s99)/float64(q99)))
	}
	if len(cut) == 0 {
		missed = append(missed, "K10: nobody was cut off")
	}
	return missed, nil
}

// stallWave has n clients ask for an answer without end and read nothing of it, and returns how long it took until the gateway had
// cut all of them off.
func stallWave(ctx context.Context, t *target, n int) (time.Duration, error) {
	// A small window: what is measured is a client that does not read, not what the kernel reads for it.
	d := net.Dialer{Timeout: 5 * time.Second, Control: func(_, _ string, c syscall.RawConn) error { return smallWindow(c) }}
	conns := make([]net.Conn, 0, n)
	defer func() {
		for _, nc := range conns {
			_ = nc.Close()
		}
	}()
	for range n {
		nc, err := d.DialContext(ctx, "tcp", t.pool.clients[0].addr)
		if err != nil {
			return 0, err
		}
		conns = append(conns, nc)
		if _, err := nc.Write(t.pool.reqs[flood]); err != nil {
			return 0, err
		}
	}
	start := time.Now()
	most := 0.0
	for {
		open, err := gauge(ctx, t.admin, "caddy_ai_gateway_streams_in_flight")
		switch took := time.Since(start); {
		case err != nil:
			return 0, err
		case open == 0 && most > 0:
			if most < float64(n)/2 {
				return 0, fmt.Errorf("only %.0f of %d were open at once", most, n)
			}
			return took, nil
		case took > time.Minute:
			return 0, fmt.Errorf("%.0f of %d are still open after %s", open, n, took)
		}
		most = max(most, open)
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// gauge reads a gauge of the gateway's.
func gauge(ctx context.Context, admin, name string) (float64, error) {
	var text string
	if err := getJSON(ctx, "http://"+admin+"/metrics", &text); err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(v), 64)
		}
	}
	return 0, fmt.Errorf("no metric %s", name)
}
