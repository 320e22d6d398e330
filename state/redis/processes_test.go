package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
	"github.com/universal-ai-gateway/magicproxy/state"
)

// What a process that rotates is told.
const (
	actURL    = "STATE_REDIS_URL"
	actPrefix = "STATE_REDIS_PREFIX"
	actMixed  = "STATE_REDIS_MIXED"

	processes = 3
	callers   = 16
	asks      = 400 // of each caller
	room      = 500 // of the limit that some of the mixed fall under
)

func init() { acts["rotate"] = rotate }

// rotate takes starts of one chain, and writes them down, one a line. Mixed with
// others, some requests are refused, and some find their answer: those take none.
//
// It begins when it is told to, so that all do at once.
func rotate() (err error) {
	s, err := New(os.Getenv(actURL), Options{Prefix: os.Getenv(actPrefix), Wait: calm})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	ctx := context.Background()
	mixed := os.Getenv(actMixed) != ""
	s.Admit(ctx, state.Admission{Cache: "connects"})
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprintln(out, "ready")
	if err = out.Flush(); err != nil {
		return err
	}
	if _, err = bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		counts = make(map[string]int)
	)
	take := func(a state.Admission) {
		got := s.Admit(ctx, a)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case got.Refused:
			counts["refused"]++
		case got.Cached != nil:
			counts["cached"]++
		default:
			counts["taken"]++
			fmt.Fprintln(out, got.Start)
		}
	}
	for c := range callers {
		wg.Go(func() {
			for i := range asks {
				a := state.Admission{Chain: "c", Limits: []state.Limit{plenty("all|c")}}
				if mixed {
					a.Cache = []string{"there", "not there"}[(c+i)%2]
					if i%3 == 0 {
						a.Limits = append(a.Limits, state.Limit{Key: "all|d", N: room, Window: time.Hour})
					}
				}
				take(a)
			}
		})
	}
	wg.Wait()
	for s.spares("c") > 0 { // those are this process's to hand out
		take(state.Admission{Chain: "c"})
	}
	fmt.Fprintln(out, "refused", counts["refused"])
	fmt.Fprintln(out, "cached", counts["cached"])
	if alone := s.Health().Alone; alone > 0 {
		return fmt.Errorf("%d were decided without Redis", alone)
	}
	return out.Flush()
}

// spares returns how many starts of a chain are kept, once no flight is under way.
func (s *Store) spares(chain string) int {
	f := &s.flights
	for {
		f.mu.Lock()
		under, n := f.under, len(f.spare[chain])
		f.mu.Unlock()
		if !under {
			return n
		}
		runtime.Gosched()
	}
}

// contract: F6
func TestExactOverProcesses(t *testing.T) {
	for _, mixed := range []string{"", "yes"} {
		t.Run("mixed:"+mixed, func(t *testing.T) {
			url, prefix := backendtest.Shared(t, "redis"), backendtest.RedisPrefix(t)
			s := connect(t, url, Options{Prefix: prefix, Wait: calm})
			s.Put("there", []byte("answer"), time.Hour)
			await(t, "the answer is there", func() bool {
				return s.Admit(t.Context(), state.Admission{Cache: "there"}).Cached != nil
			})
			var begin []io.WriteCloser
			var outs []*bufio.Scanner
			var ends []func() error
			for range processes {
				cmd := exec.CommandContext(t.Context(), os.Args[0])
				cmd.Env = append(os.Environ(), actAs+"=rotate", actURL+"="+url, actPrefix+"="+prefix, actMixed+"="+mixed)
				cmd.Stderr = os.Stderr
				in, err := cmd.StdinPipe()
				if err != nil {
					t.Fatal(err)
				}
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				begin, outs, ends = append(begin, in), append(outs, bufio.NewScanner(out)), append(ends, cmd.Wait)
			}
			for _, out := range outs {
				if !out.Scan() || out.Text() != "ready" {
					t.Fatalf("it is not ready: %q", out.Text())
				}
			}
			for _, in := range begin {
				fmt.Fprintln(in)
			}
			var starts []uint64
			counts := make(map[string]int)
			took := make([]int, processes)
			for i, out := range outs {
				for out.Scan() {
					if what, n, ok := strings.Cut(out.Text(), " "); ok {
						number, err := strconv.Atoi(n)
						if err != nil {
							t.Fatal(err)
						}
						counts[what] += number
						continue
					}
					v, err := strconv.ParseUint(out.Text(), 10, 64)
					if err != nil {
						t.Fatal(err)
					}
					starts = append(starts, v)
					took[i]++
				}
				if err := ends[i](); err != nil {
					t.Errorf("process %d: %v", i, err)
				}
			}
			dense(t, starts)
			t.Logf("%d starts (%v), %v", len(starts), took, counts)
			if mixed == "" && (len(starts) != processes*callers*asks || len(counts) != 2 || counts["refused"]+counts["cached"] != 0) {
				t.Errorf("%d starts, %v", len(starts), counts)
			}
			limited := processes * callers * ((asks + 2) / 3)
			if mixed != "" && (counts["refused"] != limited-room || counts["cached"] == 0 || len(starts) == 0) {
				t.Errorf("%d starts, %v, want %d refused", len(starts), counts, limited-room)
			}
		})
	}
}
