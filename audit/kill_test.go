package audit

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// recordUntilKilled is the process that is killed. It prints a request's id when its
// event has been recorded for 50 ms.
func recordUntilKilled(dir string) {
	l, err := Open(dir, Options{MaxBytes: 16 << 20})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	type recorded struct {
		id string
		at time.Time
	}
	ids := make(chan recorded, 1<<20)
	go func() {
		out := bufio.NewWriter(os.Stdout)
		for r := range ids {
			if wait := time.Until(r.at.Add(50 * time.Millisecond)); wait > 0 {
				_ = out.Flush()
				<-time.After(wait)
			}
			fmt.Fprintln(out, r.id)
		}
	}()
	tick := time.NewTicker(time.Millisecond)
	for i := 0; ; i++ {
		id := fmt.Sprintf("req_%08d", i)
		trail := l.Trail(Subject{Request: id, Session: "s"})
		trail.Record(Event{Payload: Request{Endpoint: "chat"}})
		trail.Record(answer(i))
		ids <- recorded{id, time.Now()}
		if i%10 == 0 {
			<-tick.C
		}
	}
}

// contract: U3
func TestKilledProcessLosesNothing(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	promised := make(map[string]bool)
	for round := range 3 {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), actAs+"="+filepath.Join(dir, "journal"))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			promised[fmt.Sprintf("%d %s", round, lines.Text())] = true
			if n == 2000 {
				_ = cmd.Process.Kill()
			}
		}
		timer.Stop()
		_ = cmd.Wait()
		if len(promised) < 2000*(round+1) {
			t.Fatalf("only %d events", len(promised))
		}
	}
	dir = filepath.Join(dir, "journal")
	// The last one has died in the middle of a line.
	all, err := listSegments(dir)
	if err != nil || len(all) < 3 {
		t.Fatalf("%v %v", all, err)
	}
	last := filepath.Join(dir, segmentName(all[len(all)-1]))
	rewrite(t, last, append(content(t, last), `{"event_id":"0123`...))

	l := open(t, dir, Options{})
	s := l.Stats()
	if s.Corrupt != 0 || s.Adopted < 2*uint64(len(promised)) {
		t.Errorf("%d promised, %+v", len(promised), s)
	}
	to := &target{}
	l.Use(to)
	flush(t, l)
	round, seen := -1, make(map[string]int)
	for _, e := range to.events() {
		if strings.HasSuffix(e.Request, "_00000000") && e.Seq == 1 {
			round++
		}
		seen[fmt.Sprintf("%d %s", round, e.Request)]++
	}
	for id := range promised {
		if seen[id] != 2 {
			t.Fatalf("%d events of %s", seen[id], id)
		}
	}
	if got := uint64(len(to.events())); got != s.Adopted {
		t.Errorf("%d adopted, %d shipped", s.Adopted, got)
	}
	t.Logf("%d events promised by 3 processes, %d found", 2*len(promised), s.Adopted)
}
