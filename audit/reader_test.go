package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// found is what a reader says, in short.
func found(t testing.TB, dir string, o ReadOptions) (all []string) {
	t.Helper()
	for line, err := range Read(within(t), dir, o) {
		switch {
		case err == nil:
			all = append(all, decode(t, line.Value).Request)
		case errors.Is(err, ErrCorrupt):
			all = append(all, "corrupt")
		case errors.Is(err, ErrTorn):
			all = append(all, "torn")
		default:
			all = append(all, err.Error())
		}
	}
	return all
}

func segmentOf(ids ...string) []byte {
	var b []byte
	for _, id := range ids {
		b = append(b, line(Subject{Request: id}, 1, answer(1))...)
	}
	return b
}

func TestReader(t *testing.T) {
	abc := segmentOf("a", "b", "c")
	flipped := bytes.Clone(abc)
	flipped[len(abc)/2] ^= 1
	tests := map[string]struct {
		segments map[uint64][]byte
		want     string
	}{
		"nothing":                  {nil, ""},
		"one":                      {map[uint64][]byte{1: abc}, "a b c"},
		"several":                  {map[uint64][]byte{1: abc, 4: segmentOf("d"), 5: nil, 6: segmentOf("e")}, "a b c d e"},
		"corrupt":                  {map[uint64][]byte{1: flipped}, "a corrupt c"},
		"torn":                     {map[uint64][]byte{1: abc[:len(abc)-1]}, "a b torn"},
		"torn, and more":           {map[uint64][]byte{1: abc[:len(abc)-1], 3: segmentOf("d")}, "a b torn d"},
		"corrupt and torn":         {map[uint64][]byte{1: append(bytes.Clone(flipped), '{')}, "a corrupt c torn"},
		"an empty line":            {map[uint64][]byte{1: append([]byte("\n"), abc...)}, "corrupt a b c"},
		"a long line":              {map[uint64][]byte{1: append(bytes.Repeat([]byte("x"), 5*blockSize/2), append([]byte("\n"), abc...)...)}, "corrupt a b c"},
		"a long torn line":         {map[uint64][]byte{1: append(bytes.Clone(abc), bytes.Repeat([]byte("x"), 2*blockSize)...)}, "a b c torn"},
		"a line over two blocks":   {map[uint64][]byte{1: bytes.Repeat(segmentOf("x"), blockSize/len(segmentOf("x"))+1)}, strings.TrimSpace(strings.Repeat("x ", blockSize/len(segmentOf("x"))+1))},
		"a checksum of other text": {map[uint64][]byte{1: []byte(`{"a":1,"crc":"00000000"}` + "\n")}, "corrupt"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for first, b := range tt.segments {
				rewrite(t, filepath.Join(dir, segmentName(first)), b)
			}
			if got := strings.Join(found(t, dir, ReadOptions{}), " "); got != tt.want {
				t.Errorf("%.200q, want %.200q", got, tt.want)
			}
		})
	}
	t.Run("no directory", func(t *testing.T) {
		if got := found(t, filepath.Join(t.TempDir(), "none"), ReadOptions{}); len(got) != 1 || !strings.Contains(got[0], "reading an audit journal") {
			t.Errorf("%q", got)
		}
	})
}

func TestReaderSaysWhere(t *testing.T) {
	dir := t.TempDir()
	a := segmentOf("a")
	rewrite(t, filepath.Join(dir, segmentName(7)), append(append(bytes.Clone(a), "x\n"...), a[:9]...))
	var said []string
	for line, err := range Read(within(t), dir, ReadOptions{}) {
		if wrong, ok := errors.AsType[*LineError](err); ok {
			said = append(said, wrong.Error())
		} else {
			said = append(said, fmt.Sprint(line.Position))
		}
	}
	want := fmt.Sprintf("[{7 0} %[1]s: corrupt line at offset %[2]d %[1]s: unfinished line at offset %[3]d]", segmentName(7), len(a), len(a)+2)
	if got := fmt.Sprint(said); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestReaderBeginsAnywhere(t *testing.T) {
	dir := t.TempDir()
	rewrite(t, filepath.Join(dir, segmentName(1)), segmentOf("a", "b"))
	rewrite(t, filepath.Join(dir, segmentName(3)), segmentOf("c", "d"))
	var all []Position
	for line, err := range Read(within(t), dir, ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, line.Position)
	}
	for i, at := range all {
		want := []string{"a", "b", "c", "d"}[i:]
		if got := found(t, dir, ReadOptions{From: at}); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("from %v: %q", at, got)
		}
	}
	if got := found(t, dir, ReadOptions{From: Position{Segment: 2, Offset: 99}}); strings.Join(got, " ") != "c d" {
		t.Errorf("from a segment that is gone: %q", got)
	}
	if got := found(t, dir, ReadOptions{New: true}); len(got) != 0 {
		t.Errorf("from now on: %q", got)
	}
}

func TestReaderEndsWhenItIsTold(t *testing.T) {
	dir := t.TempDir()
	rewrite(t, filepath.Join(dir, segmentName(1)), segmentOf("a", "b"))
	for _, err := range Read(within(t), dir, ReadOptions{Follow: true}) {
		if err != nil {
			t.Error(err)
		}
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for _, err := range Read(ctx, dir, ReadOptions{Follow: true}) {
		if n++; n == 2 {
			cancel()
		}
		if n == 3 && !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	}
	if n != 3 {
		t.Errorf("%d lines", n)
	}
}

// TestReaderFollowsALog reads what another writes, ships and removes.
func TestReaderFollowsALog(t *testing.T) {
	for _, ship := range []bool{false, true} {
		t.Run(fmt.Sprintf("sender=%v", ship), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "later")
			ctx, cancel := context.WithCancel(within(t))
			defer cancel()
			const n = 20000
			var wg sync.WaitGroup
			var last uint64
			seen := 0
			wg.Go(func() {
				for line, err := range Read(ctx, dir, ReadOptions{Follow: true}) {
					if err != nil {
						if ctx.Err() == nil {
							t.Error(err)
						}
						return
					}
					e := decode(t, line.Value)
					if e.Seq <= last || !ship && e.Seq != last+1 {
						t.Errorf("%d after %d", e.Seq, last)
					}
					last = e.Seq
					if seen++; e.Seq == n {
						return
					}
				}
			})
			l := open(t, dir, Options{MaxBytes: 8 << 20}) // several segments
			if ship {
				l.Use(&target{})
			}
			trail := l.Trail(Subject{Request: "r"})
			for i := range n {
				trail.Record(answer(i))
				if i%1000 == 0 {
					flush(t, l)
				}
			}
			flush(t, l)
			if ship { // what is shipped may be gone before it is read
				cancel()
			}
			wg.Wait()
			if !ship && seen != n {
				t.Errorf("%d of %d seen", seen, n)
			}
			t.Logf("%d of %d seen", seen, n)
		})
	}
}

// TestReaderSeesAFileAgain: an empty segment is written anew under the same name.
func TestReaderSeesAFileAgain(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, segmentName(1))
	rewrite(t, path, nil)
	var got string
	r := &reader{ctx: within(t), dir: dir, o: ReadOptions{Follow: true}, yield: func(line Line, err error) bool {
		if err == nil {
			got = decode(t, line.Value).Request
		}
		return false
	}}
	defer r.close()
	if err := r.leave(1); err != nil || r.f == nil {
		t.Fatalf("not open: %v", err)
	}
	if err := os.Rename(path, path+".old"); err != nil {
		t.Skipf("open files can't be renamed: %v", err)
	}
	rewrite(t, path, segmentOf("again"))
	if err := r.run(); !errors.Is(err, errStop) || got != "again" {
		t.Errorf("got %q: %v", got, err)
	}
}

func FuzzRead(f *testing.F) {
	abc := segmentOf("a", "b", "c")
	f.Add(abc, []byte(nil), uint16(0))
	f.Add(abc[:len(abc)-7], abc, uint16(3))
	f.Add([]byte("\n\n{"), []byte(`{"crc":"00000000"}`+"\n"), uint16(1))
	f.Fuzz(func(t *testing.T, first, second []byte, cut uint16) {
		dir := t.TempDir()
		good := segmentOf("good")
		// Whatever is around it, a whole line is found.
		all := append(append(bytes.Clone(first), '\n'), good...)
		whole := len(all)
		all = append(all, second...)
		all = all[:max(len(all)-int(cut)%(len(second)+1), whole)]
		rewrite(t, filepath.Join(dir, segmentName(1)), all)
		var at int64 = -1
		seen, torn := 0, false
		for line, err := range Read(context.Background(), dir, ReadOptions{}) {
			off := line.Position.Offset
			if err != nil {
				wrong, ok := errors.AsType[*LineError](err)
				if !ok {
					t.Fatal(err)
				}
				off = wrong.Offset
				torn = errors.Is(err, ErrTorn)
			}
			if off <= at || off >= int64(len(all)) {
				t.Fatalf("offset %d after %d of %d", off, at, len(all))
			}
			at = off
			if err != nil {
				continue
			}
			end := bytes.IndexByte(all[off:], '\n') + 1
			if want, ok := openLine(bytes.Clone(all[off : off+int64(end)])); !ok || !bytes.Equal(want, line.Value) {
				t.Fatalf("%q is no line", line.Value)
			}
			_ = keyOf(line.Value)
			_ = traceOf(line.Value)
			_, _ = timeOf(line.Value)
			if off == int64(whole-len(good)) {
				seen++
			}
		}
		if seen != 1 {
			t.Fatalf("the good line is seen %d times", seen)
		}
		if torn != (all[len(all)-1] != '\n') {
			t.Fatalf("torn %v: %q", torn, all)
		}
	})
}
