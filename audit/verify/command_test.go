package verify

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/audit"
	"github.com/universal-ai-gateway/magicproxy/audit/kafka"
	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
)

// ask records a whole request of three events.
func ask(log *audit.Log, id, user string) {
	trail := log.Trail(audit.Subject{Request: id, User: user})
	trail.Record(audit.Event{Model: "m", Payload: audit.Request{Endpoint: "chat"}})
	trail.Record(audit.Event{Model: "m", Payload: audit.Answer{Status: 200}})
	trail.Record(audit.Event{Model: "m", Payload: audit.Usage{Attempts: 1}})
}

// edit changes the lines of a journal's only segment.
func edit(t *testing.T, dir string, change func(lines []string) []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil || len(names) != 1 {
		t.Fatalf("segments: %v, %v", names, err)
	}
	b, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(strings.TrimSuffix(string(b), "\n"), "\n")
	lines[len(lines)-1] += "\n"
	if err := os.WriteFile(names[0], []byte(strings.Join(change(lines), "")), 0o600); err != nil {
		t.Fatal(err)
	}
}

// contract: U3
func TestVerifyJournal(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func([]string) []string
		check  func(*Summary) bool
		ok     bool
	}{
		{"whole", nil, func(s *Summary) bool { return s.Events == 30 && s.Requests == 10 && s.Ended == 10 }, true},
		{
			"a line is gone", func(l []string) []string { return append(l[:4], l[5:]...) },
			func(s *Summary) bool { return s.Missing == 1 && s.Gapped == 1 }, false,
		},
		{
			"the first line is gone", func(l []string) []string { return l[1:] },
			func(s *Summary) bool { return s.Missing == 1 }, false,
		},
		{
			"a line comes twice", func(l []string) []string { return append(l, l[2], l[3]) },
			func(s *Summary) bool { return s.Doubles == 2 && s.Missing == 0 }, true,
		},
		{
			"a letter has changed", func(l []string) []string { l[1] = strings.Replace(l[1], `"m"`, `"n"`, 1); return l },
			func(s *Summary) bool { return s.Unreadable == 1 && s.Missing == 1 }, false,
		},
		{
			"lines have changed places", func(l []string) []string { l[1], l[2] = l[2], l[1]; return l },
			func(s *Summary) bool { return s.Disorder == 1 && s.Missing == 0 }, false,
		},
		{
			"the last line has no end", func(l []string) []string { return append(l, l[0][:20]) },
			func(s *Summary) bool { return s.Events == 30 }, true,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := journal(t, func(log *audit.Log) {
				for i := range 10 {
					ask(log, "req_"+strconv.Itoa(i), "")
				}
			})
			if tc.change != nil {
				edit(t, dir, tc.change)
			}
			var out bytes.Buffer
			err := Verify(t.Context(), Command{Dir: dir, JSON: true}, &out)
			if (err == nil) != tc.ok || err != nil && !errors.Is(err, ErrNotWhole) {
				t.Errorf("error is %v", err)
			}
			var s Summary
			if err := json.Unmarshal(out.Bytes(), &s); err != nil {
				t.Fatal(err)
			}
			if !tc.check(&s) || s.OK != tc.ok {
				t.Errorf("found %s", out.String())
			}
		})
	}
}

func TestVerifyForPeople(t *testing.T) {
	dir := journal(t, func(log *audit.Log) { ask(log, "req_\x1b[31m\u202e", "") })
	edit(t, dir, func(l []string) []string { return l[1:] })
	var out bytes.Buffer
	if err := Verify(t.Context(), Command{Dir: dir}, &out); !errors.Is(err, ErrNotWhole) || !strings.Contains(err.Error(), "1 problems") {
		t.Errorf("error is %v", err)
	}
	for _, want := range []string{"events             2", "  usage            1", "missing            1  of 1 requests", "gap: event_seq 1 missing, request req_", "NOT OK: 1 problems\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("lacks %q:\n%s", want, out.String())
		}
	}
	if strings.ContainsAny(out.String(), "\x1b\u202e") {
		t.Errorf("control characters reach the terminal: %q", out.String())
	}
}

func TestNoSource(t *testing.T) {
	var out bytes.Buffer
	for name, c := range map[string]Command{
		"none":                {},
		"no directory":        {Dir: filepath.Join(t.TempDir(), "absent")},
		"brokers are no such": {Kafka: kafka.Options{Brokers: []string{"here"}}},
	} {
		if err := Verify(t.Context(), c, &out); err == nil || errors.Is(err, ErrNotWhole) {
			t.Errorf("%s: verify says %v", name, err)
		}
		c.FromStart = true
		if err := Tail(t.Context(), c, &out); err == nil {
			t.Errorf("%s: tail succeeds", name)
		}
	}
	if out.Len() > 0 {
		t.Errorf("writes %s", out.String())
	}
}

// security: X5
func TestTail(t *testing.T) {
	dir := journal(t, func(log *audit.Log) { ask(log, "req_1", "u\x1b]0;\u202e\u009b") })
	var people, raw bytes.Buffer
	if err := Tail(t.Context(), Command{Dir: dir, FromStart: true}, &people); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(people.String(), "\n"); len(lines) != 4 || !strings.Contains(lines[0], " req_1 1 request user=u") || !strings.HasSuffix(lines[1], `model=m {"status":200,"seconds":0,"bytes":0}`) {
		t.Errorf("writes\n%s", people.String())
	}
	if strings.ContainsAny(people.String(), "\x1b\u202e\u009b") {
		t.Errorf("control characters reach the terminal: %q", people.String())
	}
	if err := Tail(t.Context(), Command{Dir: dir, FromStart: true, JSON: true}, &raw); err != nil {
		t.Fatal(err)
	}
	if want := bytes.Join(append(values(t, dir), nil), []byte{'\n'}); !bytes.Equal(raw.Bytes(), want) {
		t.Errorf("writes\n%s\nwant\n%s", raw.Bytes(), want)
	}
}

// follow runs a command until the test ends, and returns the lines it writes.
func follow(t *testing.T, run func(ctx context.Context, out io.Writer) error) (lines <-chan string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, w)
		_ = w.Close()
		done <- err
	}()
	c := make(chan string, 1000)
	go func() {
		defer close(c)
		for s := bufio.NewScanner(r); s.Scan(); {
			c <- s.Text()
		}
	}()
	t.Cleanup(cancel)
	return c, func() error { cancel(); return <-done }
}

func wait(t *testing.T, lines <-chan string, want string) {
	t.Helper()
	for deadline := time.After(20 * time.Second); ; {
		select {
		case l, ok := <-lines:
			if !ok {
				t.Fatalf("ended without %q", want)
			}
			if strings.Contains(l, want) {
				return
			}
		case <-deadline:
			t.Fatalf("no %q", want)
		}
	}
}

func TestTailFollows(t *testing.T) {
	dir := t.TempDir()
	log, err := audit.Open(dir, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close(t.Context()) //nolint:errcheck // nothing is in it that matters
	ask(log, "req_1", "")
	lines, stop := follow(t, func(ctx context.Context, w io.Writer) error {
		return Tail(ctx, Command{Dir: dir, FromStart: true, Follow: true}, w)
	})
	wait(t, lines, "req_1 3 usage")
	ask(log, "req_2", "")
	wait(t, lines, "req_2 3 usage")
	if err := stop(); err != nil {
		t.Errorf("says %v", err)
	}
}

func TestVerifyFollows(t *testing.T) {
	dir := journal(t, func(log *audit.Log) { ask(log, "req_1", "") })
	edit(t, dir, func(l []string) []string { return append(l[:1], l[2:]...) })
	pr, pw := io.Pipe()
	defer pr.Close() //nolint:errcheck // has none
	told := make(chan string, 10)
	go func() {
		defer close(told)
		for s := bufio.NewScanner(pr); s.Scan(); {
			told <- s.Text()
		}
	}()
	var out bytes.Buffer
	_, stop := follow(t, func(ctx context.Context, _ io.Writer) error {
		defer pw.Close() //nolint:errcheck // has none
		return Verify(ctx, Command{Dir: dir, FromStart: true, Follow: true, Progress: pw}, &out)
	})
	wait(t, told, "gap: event_seq 2 missing, request req_1")
	if err := stop(); !errors.Is(err, ErrNotWhole) {
		t.Errorf("says %v", err)
	}
	if !strings.Contains(out.String(), "NOT OK") {
		t.Errorf("writes\n%s", out.String())
	}
}

// contract: U1
// contract: U3
func TestVerifyTopic(t *testing.T) {
	brokers := backendtest.Shared(t, "kafka")
	o := kafka.Options{Brokers: strings.Split(brokers, ","), Topic: backendtest.KafkaTopic(t, brokers, 3)}
	s, err := kafka.New(o)
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.Open(t.TempDir(), audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	log.Use(s)
	for i := range 100 {
		ask(log, "req_"+strconv.Itoa(i), "")
	}
	if err := log.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	verify := func(what string, c Command, want func(*Summary) bool) {
		t.Helper()
		var out bytes.Buffer
		c.Kafka, c.JSON = o, true
		err := Verify(t.Context(), c, &out)
		var s Summary
		if jerr := json.Unmarshal(out.Bytes(), &s); jerr != nil {
			t.Fatal(err, jerr)
		}
		if (err == nil) != s.OK || !want(&s) {
			t.Errorf("%s: %v, %s", what, err, out.String())
		}
	}
	verify("whole", Command{}, func(s *Summary) bool { return s.OK && s.Events == 300 && s.Ended == 100 })

	lines, stop := follow(t, func(ctx context.Context, w io.Writer) error { return Tail(ctx, Command{Kafka: o}, w) })
	for i := range 200 { // until the reader is there
		ask(log, "late_"+strconv.Itoa(i), "")
		if err := log.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case l := <-lines:
			if !strings.Contains(l, " late_") {
				t.Errorf("says %s", l)
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
			lines = nil
		case <-time.After(50 * time.Millisecond):
			continue
		}
		break
	}
	if lines != nil {
		t.Error("nothing comes")
	}

	if err := log.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Somebody else's events, one of which is lost.
	s, err = kafka.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // it is done
	var batch []audit.Record
	for i, e := range []ev{{"x", 1, "request", 0}, {"x", 3, "answer", 0}} {
		batch = append(batch, audit.Record{Key: []byte("x"), Value: e.encode(i)})
	}
	for _, err := range s.Send(t.Context(), batch) {
		if err != nil {
			t.Fatal(err)
		}
	}
	verify("not whole", Command{}, func(s *Summary) bool { return s.Missing == 1 && s.Problems[0].Request == "x" })
}
