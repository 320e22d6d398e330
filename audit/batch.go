package audit

import (
	"errors"
	"os"
	"slices"
)

// batchRecords bounds a batch beside its bytes, which a block has.
const batchRecords = 2000

// errUnclear is the result of a Send that breaks its contract.
var errUnclear = errors.New("the sender does not say what has arrived")

// read makes a batch of what is at a position of s.
func (c *courier) read(s *segment, at position, limit int64) error {
	if c.f == nil {
		f, err := os.Open(s.path)
		if err != nil {
			return err
		}
		c.f = f
		if c.block.buf == nil {
			c.block.buf = make([]byte, blockSize)
		}
		c.block.f = f
	}
	c.block.off = at.offset
	b, err := c.block.next(limit)
	corrupt := uint64(0)
	switch {
	case errors.Is(err, errLong):
		at.line++
		at.offset = c.block.off
		corrupt = 1
	case err != nil:
		return err
	}
	for line := range lines(b) {
		if len(c.records) == batchRecords {
			break
		}
		if value, ok := openLine(line); ok {
			c.add(value, at)
		} else {
			corrupt++
		}
		at.offset += int64(len(line))
		at.line++
	}
	c.end = at
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	if corrupt > 0 {
		c.l.lose(s, DroppedUnreadable, corrupt)
		if !s.scanned {
			c.l.stats.Corrupt += corrupt
		}
		signal(c.l.wake)
	}
	if len(c.records) == 0 {
		c.reach(s, at)
	} else if t, ok := timeOf(c.records[0].Value); ok {
		c.l.front = t
	}
	return nil
}

func (c *courier) add(value []byte, at position) {
	r := Record{Value: value}
	r.Key = keyOf(value)
	if t := traceOf(value); string(t) == c.trace {
		r.TraceParent = c.trace
	} else {
		r.TraceParent = string(t)
		c.trace = r.TraceParent
	}
	c.records = append(c.records, r)
	c.starts = append(c.starts, at)
}

// reach moves the position within s. mu is held.
func (c *courier) reach(s *segment, p position) {
	if !s.gone {
		c.l.at = p
		c.l.moved()
	}
}

// settle counts what became of the batch, and keeps of it what is to be sent again. It
// returns why that is.
func (c *courier) settle(results []error) (err error) {
	all := results == nil
	if !all && len(results) != len(c.records) {
		results = slices.Repeat([]error{errUnclear}, len(c.records))
	}
	var acked, rejected uint64
	kept := 0
	for i := range c.records {
		switch {
		case all || results[i] == nil:
			acked++
		case errors.Is(results[i], ErrRejected):
			rejected++
		default:
			if err == nil {
				err = results[i]
			}
			c.records[kept], c.starts[kept] = c.records[i], c.starts[i]
			kept++
		}
	}
	c.records, c.starts = c.records[:kept], c.starts[:kept]
	if acked+rejected > 0 {
		c.wait = 0
	}
	c.l.mu.Lock()
	c.l.cancel = nil
	if n := c.l.settle(c.seg, acked); c.seg.own {
		c.l.stats.Acked += n
	}
	c.l.lose(c.seg, DroppedRejected, rejected)
	if kept == 0 {
		c.reach(c.seg, c.end)
	} else {
		c.reach(c.seg, c.starts[0])
	}
	if c.l.use == c.use && c.l.ctx.Err() == nil {
		c.l.sendErr = err
	}
	c.l.mu.Unlock()
	if rejected > 0 {
		signal(c.l.wake)
	}
	c.save(false)
	return err
}
