package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/audit/verify"
	"github.com/universal-ai-gateway/magicproxy/provider/mock"
)

// TestLocustfile runs the tests of loadtest/locustfile.py: what is a failure, and what is not.
func TestLocustfile(t *testing.T) {
	python, err := filepath.Abs("../../.tools/locust-venv/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(python); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("Locust is not installed: scripts/locust")
	}
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, python, "test_locustfile.py")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "\nOK") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestReadRaw(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raw.csv")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	head := strings.Join(rawHeader, ",") + "\n"
	write(head + "100.000000,register,StressUser,3.5,150,,\n" +
		"100.500000,stress,StressUser,90.25,2292,req_0,\n" + // while users are being started
		"110.000000,\"rotation, first text\",SwitchoverUser,11.5,0,req_1,\n" +
		"110.000000,rotation,SwitchoverUser,81.5,0,req_1,\n" +
		"111.000000,rotation,SwitchoverUser,80.5,0,req_2,\n" +
		"100.600000,stress,StressUser,1,0,,\"502 \"\"bad\"\", gateway\"\n")
	all, err := readRaw(path)
	if err != nil || len(all) != 6 || all[5].problem != `502 "bad", gateway` || all[1].took != 90250*time.Microsecond {
		t.Fatalf("%v %+v", err, all)
	}
	rows := make(map[string]*series)
	attempts := attemptsOf{"req_1": 2, "req_2": 1}
	gather(rows, all, 5*time.Second, attempts.row)
	for name, want := range map[string]int{rowRegister: 1, "rotation": 1, "rotation" + failsFirst: 1, "rotation, first text" + failsFirst: 1, "stress": 0} {
		if s := rows[name]; s == nil || len(s.sorted) != want {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if s := rows["stress"]; s.failed != 1 { // a failure counts whenever it is
		t.Errorf("%+v", s)
	}
	for _, bad := range []string{"", "a,b\n", head + "x,stress,u,1,0,,\n", head + "1,stress,u,fast,0,,\n", head + "1,stress\n"} {
		write(bad)
		if _, err := readRaw(path); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestLocustReport(t *testing.T) {
	good := func() *locustReport {
		r := newLocustReport(&locustPlan{Config: embedded, Users: 20, Rounds: 1, Length: time.Minute})
		for _, row := range rowsOfTable {
			r.ours[row.name] = &series{sorted: []time.Duration{82 * time.Millisecond, 84 * time.Millisecond}}
		}
		r.floor["stress"] = &series{sorted: []time.Duration{81 * time.Millisecond}}
		r.Failovers, r.Produced, r.Consumed = 3, 7, verify.Summary{Events: 8, Doubles: 1, OK: true}
		return r
	}
	r := good()
	r.tabulate()
	if bad := r.broken(); bad != nil {
		t.Errorf("%v", bad)
	}
	for _, row := range r.Rows {
		switch row.Name {
		case "stress":
			if row.Ours != (locustFigure{83, 82, 84, 84}) || row.Floor.Average != 81 || row.Seed.average != 93 {
				t.Errorf("%+v", row)
			}
		case "agent": // each turn but the first takes what its tokens take
			if row.Floor.Average != 161 {
				t.Errorf("%+v", row)
			}
		}
	}
	for name, spoil := range map[string]func(*locustReport){
		"stress: 1 failed":       func(r *locustReport) { r.ours["stress"].add(sample{problem: "cut"}) },
		"floor, stress":          func(r *locustReport) { r.floor["stress"].add(sample{problem: "cut"}) },
		"agent: nothing":         func(r *locustReport) { delete(r.ours, "agent") },
		"was never tried":        func(r *locustReport) { r.Failovers = 0 },
		"audit: 8 events":        func(r *locustReport) { r.Produced = 8 },
		"7 read back, problems:": func(r *locustReport) { r.Consumed.OK = false },
	} {
		r := good()
		spoil(r)
		r.tabulate()
		if bad := r.broken(); len(bad) != 1 || !strings.Contains(bad[0], name) {
			t.Errorf("%s: %q", name, bad)
		}
	}
}

// The floor answers as the gateway's mock does, at its pace.
func TestFloor(t *testing.T) {
	srv := httptest.NewServer(&floorServer{mock.New(mock.Options{Tokens: mockTokens, TokenDelay: mockDelay})})
	defer srv.Close()
	ask := func(path, body string) (int, string, time.Duration) {
		start := time.Now()
		res, err := http.Post(srv.URL+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b), time.Since(start)
	}
	status, body, took := ask("/v1/chat/completions", `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`)
	if status != 200 || !strings.HasSuffix(body, doneEvent) || took < mockTokens*mockDelay {
		t.Errorf("%d after %s: %s", status, took, body)
	}
	if status, body, _ = ask("/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"hi"}]}`); status != 200 || !json.Valid([]byte(body)) {
		t.Errorf("%d: %s", status, body)
	}
	if status, body, _ = ask("/v1/chat/completions", `{`); status != 400 {
		t.Errorf("%d: %s", status, body)
	}
	if status, body, _ = ask("/v1/auth/register", `{}`); status != 404 {
		t.Errorf("%d: %s", status, body)
	}
}
