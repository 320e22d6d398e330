package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func wholeStream() []byte { return bytes.Join(answerEvents(), nil) }

func TestCheckStream(t *testing.T) {
	events := answerEvents()
	without := func(i int) []byte {
		return bytes.Join(append(append([][]byte{}, events[:i]...), events[i+1:]...), nil)
	}
	swapped := append([][]byte{}, events...)
	swapped[2], swapped[3] = swapped[3], swapped[2]
	tests := []struct {
		name      string
		body      []byte
		good      bool
		truncated bool
	}{
		{"whole", wholeStream(), true, false},
		{"whole with CRLF", bytes.ReplaceAll(wholeStream(), []byte("\n"), []byte("\r\n")), true, false},
		{"comments between events", append([]byte(": keep-alive\n\n"), wholeStream()...), true, false},
		{"data without space", bytes.ReplaceAll(wholeStream(), []byte("data: "), []byte("data:")), true, false},
		{"empty", nil, false, true},
		{"no content event", without(0), false, true},
		{"one content event lost", without(5), false, true},
		{"no finish_reason", without(contentEvents), false, true},
		{"no usage", without(contentEvents + 1), false, true},
		{"no [DONE]", without(contentEvents + 2), false, true},
		{"events swapped", bytes.Join(swapped, nil), false, true},
		{"event twice", append(append([]byte{}, events[0]...), wholeStream()...), false, true},
		{"something after [DONE]", append(wholeStream(), events[0]...), false, true},
		{"error event", append(append([]byte{}, events[0]...), "event: error\ndata: {\"error\":{}}\n\n"...), false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := checkStream(tt.body)
			if (err == nil) != tt.good {
				t.Fatalf("checkStream: %v", err)
			}
			if errors.Is(err, errTruncated) != tt.truncated {
				t.Errorf("truncated = %t, want %t: %v", !tt.truncated, tt.truncated, err)
			}
		})
	}
}

// Wherever a stream is cut, it must not pass for whole.
func TestCheckStreamSeesEveryCut(t *testing.T) {
	body := wholeStream()
	for n := range body {
		if err := checkStream(body[:n]); !errors.Is(err, errTruncated) {
			t.Fatalf("cut at %d of %d: %v", n, len(body), err)
		}
	}
}

func TestCheckPlain(t *testing.T) {
	if err := checkPlain([]byte(plainAnswer)); err != nil {
		t.Fatal(err)
	}
	for n := range len(plainAnswer) {
		if err := checkPlain([]byte(plainAnswer[:n])); !errors.Is(err, errTruncated) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	if err := checkPlain([]byte(strings.Replace(plainAnswer, "forty-two", "forty-one", 1))); err == nil || errors.Is(err, errTruncated) {
		t.Errorf("other content: %v", err)
	}
}
