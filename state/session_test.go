package state

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// contract: A12 (ids)
func TestValidSessionID(t *testing.T) {
	const x15 = "abcdefghijklmno"
	for id, want := range map[string]bool{
		x15 + "p":                  true,
		"AZaz09_-AZaz09_-":         true,
		"----------------":         true,
		strings.Repeat("x", 128):   true,
		"":                         false,
		x15:                        false,
		strings.Repeat("x", 129):   false,
		x15 + " ":                  false,
		x15 + "\n":                 false,
		x15 + "\x00":               false,
		x15 + ":":                  false,
		x15 + "/":                  false,
		x15 + "@":                  false,
		x15 + "[":                  false,
		x15 + "`":                  false,
		x15 + "{":                  false,
		x15 + "é":                  false,
		x15 + "\u212a":             false, // K for Kelvin
		"../../etc/passwd/session": false,
	} {
		if got := ValidSessionID(id); got != want {
			t.Errorf("%q: %v", id, got)
		}
	}
}

func TestNewSessionID(t *testing.T) {
	const n = 2000
	ids, used := make(map[string]bool), make([]map[byte]bool, 32)
	for range n {
		id := NewSessionID()
		if len(id) != len(used) || !ValidSessionID(id) {
			t.Fatalf("%q", id)
		}
		ids[id] = true
		for i := range used {
			if used[i] == nil {
				used[i] = make(map[byte]bool)
			}
			used[i][id[i]] = true
		}
	}
	if len(ids) != n {
		t.Errorf("%d ids of %d differ", len(ids), n)
	}
	for i, chars := range used { // that one of 64 is missing has a chance of 1e-12
		if len(chars) != 64 {
			t.Errorf("at %d there are only %d characters", i, len(chars))
		}
	}
}

func TestSessionAsJSON(t *testing.T) {
	at := time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)
	s := Session{Agent: "a", Phase: 1, Steps: 2, Notebook: []string{"<one>"}, Created: at, Used: at.Add(time.Second), Running: true}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"agent":"a","phase":1,"steps":2,"notebook":["\u003cone\u003e"],"created":"2026-11-25T10:00:00Z","used":"2026-11-25T10:00:01Z","running":true}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
	var back Session
	if err = json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(back.Notebook, s.Notebook) || back.Phase != s.Phase || !back.Used.Equal(s.Used) || !back.Running {
		t.Errorf("%+v", back)
	}
}
