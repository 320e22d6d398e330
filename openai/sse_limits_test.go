package openai

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// endless repeats its text for ever and counts what was taken.
type endless struct {
	text  string
	taken int
}

func (e *endless) Read(p []byte) (n int, err error) {
	for n < len(p) {
		n += copy(p[n:], e.text[(e.taken+n)%len(e.text):])
	}
	e.taken += n
	return n, nil
}

// security: X10
func TestLineCap(t *testing.T) {
	line := "data: " + strings.Repeat("x", MaxLine-len("data: "))
	for name, stream := range map[string]string{"LF": line + "\n\n", "CRLF": line + "\r\n\r\n", "CR": line + "\r\r", "cut off": line} {
		t.Run("just fits, "+name, func(t *testing.T) {
			for _, src := range []io.Reader{strings.NewReader(stream), iotest.DataErrReader(strings.NewReader(stream)), iotest.HalfReader(strings.NewReader(stream))} {
				evs, err := events(src)
				if err != nil || len(evs) != 1 || evs[0].Raw != stream || len(evs[0].Data) != MaxLine-len("data: ") {
					t.Fatalf("%d events, %v", len(evs), err)
				}
			}
		})
	}
	for name, stream := range map[string]string{
		"LF": line + "x\n\n", "CRLF": line + "x\r\n\r\n", "CR": line + "x\r\r", "cut off": line + "x", "comment": ":" + line + "\n\n",
	} {
		t.Run("too long, "+name, func(t *testing.T) {
			stream = "data: a\n\n" + stream
			for _, src := range []io.Reader{strings.NewReader(stream), iotest.DataErrReader(strings.NewReader(stream)), iotest.HalfReader(strings.NewReader(stream))} {
				evs, err := events(src)
				if !errors.Is(err, ErrLineTooLong) || len(evs) != 1 {
					t.Fatalf("%d events, %v", len(evs), err)
				}
			}
		})
	}
	t.Run("without end", func(t *testing.T) {
		src := &endless{text: "x"}
		if _, err := events(src); !errors.Is(err, ErrLineTooLong) {
			t.Fatal(err)
		}
		if src.taken > 4*MaxLine {
			t.Errorf("%d bytes taken", src.taken)
		}
	})
}

// security: X10
func TestEventCap(t *testing.T) {
	for _, text := range []string{"data: x\n", ": x\n", "data\r"} {
		src := &endless{text: text}
		if _, err := events(src); !errors.Is(err, ErrEventTooLong) {
			t.Fatalf("%q: %v", text, err)
		}
		if src.taken > MaxEvent {
			t.Errorf("%q: %d bytes taken", text, src.taken)
		}
	}
	largest := strings.Repeat("data: "+strings.Repeat("x", 1017)+"\n", MaxEvent/1024)
	largest = largest[:MaxEvent-1] + "\n"
	largest = largest[:MaxEvent-2] + "\n\n"
	evs, err := events(strings.NewReader(largest + "data: b\n\n"))
	if err != nil || len(evs) != 2 || evs[0].Raw != largest || evs[1].Data != "b" {
		t.Errorf("the largest: %d events, %v", len(evs), err)
	}
}

// Any number of events passes through a buffer that does not grow with them, even
// when every read fills it.
func TestLongStream(t *testing.T) {
	var stream bytes.Buffer
	for i := range 5000 {
		stream.WriteString("data: " + strings.Repeat("y", i%97) + "\n\n")
	}
	er := NewEventReader(bytes.NewReader(stream.Bytes()))
	defer er.Release()
	for i := range 5000 {
		ev, err := er.Next()
		if err != nil || len(ev.Data) != i%97 {
			t.Fatalf("event %d: %d bytes, %v", i, len(ev.Data), err)
		}
	}
	if len(er.buf) > busyBuffer {
		t.Errorf("the buffer grew to %d", len(er.buf))
	}
}

func TestReleasedReader(t *testing.T) {
	er := NewEventReader(strings.NewReader("data: a\n\ndata: b\n\n"))
	if _, err := er.Next(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		er.Release()
		if _, err := er.Next(); !errors.Is(err, io.ErrClosedPipe) || er.Buffered() {
			t.Fatal(err)
		}
	}
}

func TestEventReaderDoesNotAllocate(t *testing.T) {
	stream := strings.Repeat("data: "+chatChunk+"\n\n", 50)
	src := strings.NewReader(stream)
	allocs := testing.AllocsPerRun(20, func() {
		src.Reset(stream)
		er := NewEventReader(src)
		for {
			if _, err := er.Next(); err != nil {
				break
			}
		}
		er.Release()
	})
	if allocs > 3 { // of the reader, of a buffer the pool did not have
		t.Errorf("%v allocations for 50 events", allocs)
	}
}

// Any way to cut a stream into reads gives the same events, whose Raws are the
// stream.
//
// security: X10
func FuzzEventReader(f *testing.F) {
	f.Add([]byte("\xEF\xBB\xBFdata: a\r\ndata:b\r\revent: error\n\n: c\n\ndata: d"), []byte{1, 2, 3})
	f.Add([]byte("data: a\n\r\n\rdata\r\n\r\n\r"), []byte{0})
	f.Add([]byte("data: "+strings.Repeat("x", 5000)+"\n\ndata: y\r\n\r\n"), []byte{255, 1})
	f.Add([]byte("\xEF\xBBdata: a\n\n"), []byte{})
	f.Fuzz(func(t *testing.T, stream, cuts []byte) {
		whole, err := events(bytes.NewReader(stream))
		if err != nil {
			t.Skip(err) // a line beyond the cap
		}
		var raws []byte
		for i, ev := range whole {
			raws = append(raws, ev.Raw...)
			if ev.Partial && i+1 < len(whole) {
				t.Fatalf("event %d of %d is partial", i, len(whole))
			}
		}
		if !bytes.Equal(raws, bytes.TrimPrefix(stream, []byte("\xEF\xBB\xBF"))) {
			t.Fatalf("raws %q", raws)
		}
		var reads []io.Reader
		rest := stream
		for _, c := range cuts {
			n := min(int(c), len(rest))
			reads = append(reads, bytes.NewReader(rest[:n]))
			rest = rest[n:]
		}
		got, err := events(io.MultiReader(append(reads, bytes.NewReader(rest))...))
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "cut", got, whole)
	})
}

// A stream that brings an event at a time keeps its small buffer.
func TestQuietStreamStaysSmall(t *testing.T) {
	var events []string
	for range 1000 {
		events = append(events, "data: "+strings.Repeat("y", 200)+"\n\n")
	}
	er := NewEventReader(&pieces{events})
	defer er.Release()
	for range events {
		if _, err := er.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if len(er.buf) != readBuffer {
		t.Errorf("the buffer grew to %d", len(er.buf))
	}
}

// pieces brings one of them with every read.
type pieces struct{ left []string }

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.left[0])
	p.left = p.left[1:]
	return n, nil
}
