package verify

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/universal-ai-gateway/magicproxy/audit"
	"github.com/universal-ai-gateway/magicproxy/audit/kafka"
)

// Command says where events come from, and how to tell of them.
type Command struct {
	// Kafka is the topic to read, if it has brokers; else the journal in Dir is.
	Kafka kafka.Options
	Dir   string

	// FromStart begins with the oldest event there is, else with what comes from now
	// on. Follow waits for more at the end, until the context ends. One of them is
	// always meant: without either Tail follows, and Verify checks what there is.
	FromStart, Follow bool

	// Partial: see Options. What is told by the source itself need not be said: a
	// topic or a journal whose beginning has been deleted is partial.
	Partial bool

	// JSON writes JSON, one object a line, instead of text for people.
	JSON bool

	// Progress hears how far long work is, and what a following Verify finds; nil for
	// nobody.
	Progress io.Writer
}

// ErrNotWhole matches what Verify returns if something is wrong with the audit.
var ErrNotWhole = errors.New("the audit is not whole")

// source returns the events. An error that is a *audit.LineError does not end it.
// begin is called before the first event: how many there are now, -1 if that is not
// known, and whether older ones are gone.
func (c *Command) source(ctx context.Context, begin func(events int64, cut bool)) iter.Seq2[[]byte, error] {
	if len(c.Kafka.Brokers) > 0 {
		return kafka.Read(ctx, c.Kafka, kafka.Reading{FromStart: c.FromStart, Follow: c.Follow, Begin: begin})
	}
	return func(yield func([]byte, error) bool) {
		if c.Dir == "" {
			yield(nil, errors.New("neither brokers nor the directory of a journal"))
			return
		}
		begun := false
		for line, err := range audit.Read(ctx, c.Dir, audit.ReadOptions{Follow: c.Follow, New: !c.FromStart}) {
			if !begun && err == nil {
				begun = true
				begin(-1, !c.FromStart || line.Position.Segment > 1)
			}
			if !yield(line.Value, err) {
				return
			}
		}
	}
}

// Tail writes events as they are, JSON, or in a line each for people. The end of ctx
// is no error.
func Tail(ctx context.Context, c Command, out io.Writer) error {
	c.Follow = c.Follow || !c.FromStart
	w := bufio.NewWriter(out)
	for v, err := range c.source(ctx, func(int64, bool) {}) {
		var wrong *audit.LineError
		switch {
		case errors.As(err, &wrong):
			c.say("%v\n", err)
			continue
		case ctx.Err() != nil:
			return w.Flush()
		case err != nil:
			return errors.Join(err, w.Flush())
		case c.JSON:
			w.Write(v) //nolint:errcheck // Flush has it
		default:
			w.WriteString(line(v)) //nolint:errcheck // Flush has it
		}
		w.WriteByte('\n') //nolint:errcheck // Flush has it
		if c.Follow || w.Buffered() > 32<<10 {
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}

// Verify checks events and writes a summary of them. The error matches ErrNotWhole if
// the audit is not; if it follows, the end of ctx is none.
func Verify(ctx context.Context, c Command, out io.Writer) error {
	c.FromStart = c.FromStart || !c.Follow
	check, err := NewChecker(Options{Partial: c.Partial})
	if err != nil {
		return err
	}
	if c.Follow && c.Progress != nil {
		check.report = func(p Problem) { c.say("%s\n", p) }
	}
	p := progress{c: &c, check: check, total: -1, began: time.Now(), told: time.Now()}
	for v, err := range c.source(ctx, func(events int64, cut bool) {
		p.total = events
		check.o.Partial = check.o.Partial || cut
	}) {
		var wrong *audit.LineError
		switch {
		case errors.As(err, &wrong):
			if errors.Is(err, audit.ErrCorrupt) {
				check.unreadable(err.Error())
			} else {
				c.say("%v\n", err)
			}
		case err == nil:
			check.Add(v)
			p.tell()
		case ctx.Err() != nil && c.Follow:
		default:
			return err
		}
	}
	s := check.Summary()
	if c.JSON {
		err = json.NewEncoder(out).Encode(s)
	} else {
		err = s.WriteTable(out)
	}
	if err != nil {
		return err
	}
	if !s.OK {
		return fmt.Errorf("%w: %d problems", ErrNotWhole, s.Wrong())
	}
	return nil
}

func (c *Command) say(format string, args ...any) {
	if c.Progress != nil {
		fmt.Fprintf(c.Progress, format, args...)
	}
}

// progress tells every few seconds how far it is.
type progress struct {
	c           *Command
	check       *Checker
	total       int64
	began, told time.Time
}

const tellEvery = 5 * time.Second

func (p *progress) tell() {
	n := p.check.sum.Events
	if n%256 != 0 || time.Since(p.told) < tellEvery {
		return
	}
	p.told = time.Now()
	of := ""
	if p.total > 0 {
		of = fmt.Sprintf(" of %d", p.total)
	}
	p.c.say("%d%s events, %.0f/s, %d problems\n", n, of, float64(n)/time.Since(p.began).Seconds(), p.check.sum.Wrong())
}
