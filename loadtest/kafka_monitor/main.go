// Command kafka_monitor watches the topic of audit events while a gateway is under load: how many come, of which types, whether any
// are missing, came twice, stand in the wrong order within their request, or are not as the schema says. It ends with a summary.
//
//	go run ./loadtest/kafka_monitor -brokers localhost:9092               # from now on, until Ctrl-C
//	go run ./loadtest/kafka_monitor -brokers localhost:9092 -from-start
//
// The exit status is 1 if something is wrong. Doubles are not: delivery is at least once. For a look at what is there already,
// with TLS and SASL: caddy ai-gateway audit verify.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/universal-ai-gateway/magicproxy/audit/kafka"
	"github.com/universal-ai-gateway/magicproxy/audit/verify"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kafka_monitor:", err)
		os.Exit(1)
	}
}

func run() error {
	brokers := flag.String("brokers", os.Getenv("KAFKA_BROKERS"), "brokers of the topic, host:port, separated by commas (default $KAFKA_BROKERS)")
	topic := flag.String("topic", kafka.DefaultTopic, "the topic")
	fromStart := flag.Bool("from-start", false, "begin with the oldest event, not with what comes next")
	every := flag.Duration("every", time.Second, "time between two lines")
	asJSON := flag.Bool("json", false, "write the summary so far as a line of JSON instead of text")
	held := flag.Bool("held", false, "end with standard input, too")
	flag.Parse()
	if flag.NArg() > 0 || *every <= 0 {
		return errors.New("unexpected argument, or -every not above zero: see -h")
	}
	list, err := kafka.ParseBrokers(*brokers)
	if err != nil {
		return fmt.Errorf("-brokers %q: %w", *brokers, err)
	}
	check, err := verify.NewChecker(verify.Options{Partial: !*fromStart})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *held {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	m := &watch{check: check, out: os.Stdout, asJSON: *asJSON, start: time.Now()}
	err = m.follow(ctx, kafka.Options{Brokers: list, Topic: *topic}, *fromStart, *every)
	return errors.Join(err, m.end())
}

// watch is what has been seen so far.
type watch struct {
	check  *verify.Checker
	out    io.Writer
	asJSON bool
	start  time.Time
	told   uint64 // events, when it last spoke
	since  time.Time
}

// follow reads until ctx ends, and says every so often how it stands. Reading has its own goroutine: it says something also
// while nothing comes.
func (m *watch) follow(ctx context.Context, o kafka.Options, fromStart bool, every time.Duration) error {
	type read struct {
		event []byte
		err   error
	}
	events, begun := make(chan read, 1024), make(chan struct{})
	go func() {
		defer close(events)
		for v, err := range kafka.Read(ctx, o, kafka.Reading{FromStart: fromStart, Follow: true, Begin: func(int64, bool) { close(begun) }}) {
			events <- read{v, err}
		}
	}()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-begun:
			begun = nil
			if err := m.tell(); err != nil {
				return err
			}
		case r, ok := <-events:
			switch {
			case !ok, ctx.Err() != nil && r.err != nil:
				return nil
			case r.err != nil:
				return r.err
			}
			m.check.Add(r.event)
		case <-tick.C:
			if begun == nil {
				if err := m.tell(); err != nil {
					return err
				}
			}
		}
	}
}

// tell writes a line.
func (m *watch) tell() error {
	s := m.check.Summary()
	now := time.Now()
	rate := 0.0
	if !m.since.IsZero() {
		rate = float64(s.Events-m.told) / now.Sub(m.since).Seconds()
	}
	m.told, m.since = s.Events, now
	if m.asJSON {
		return json.NewEncoder(m.out).Encode(s)
	}
	types := make([]string, 0, len(s.Types))
	for _, t := range slices.Sorted(maps.Keys(s.Types)) {
		types = append(types, fmt.Sprintf("%s %d", t, s.Types[t]))
	}
	_, err := fmt.Fprintf(m.out, "%4.0f s %9d events %7.0f/s %6d open %4d doubles %4d wrong  %s\n", now.Sub(m.start).Seconds(), s.Events, rate, s.Open, s.Doubles,
		s.Wrong(), strings.Join(types, ", "))
	return err
}

// end writes the summary. The error says that something is wrong with the audit.
func (m *watch) end() error {
	s := m.check.Summary()
	var err error
	if m.asJSON {
		err = json.NewEncoder(m.out).Encode(s)
	} else {
		fmt.Fprintln(m.out)
		err = s.WriteTable(m.out)
	}
	if err == nil && !s.OK {
		err = verify.ErrNotWhole
	}
	return err
}
