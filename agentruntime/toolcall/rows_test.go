package toolcall

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// row is one line of the collection of real damaged outputs.
type row struct {
	ID, Channel, Dialect, Raw string
	Tool                      string            `json:"expected_tool"`
	Args                      json.RawMessage   `json:"expected_args"`
	Given                     string            `json:"given_tool"`
	AlsoOK                    []json.RawMessage `json:"also_ok"`
}

// TestCollection reads real outputs, where they are at hand. contract: A8
// contract: A9
func TestCollection(t *testing.T) {
	f, err := os.Open(filepath.Join("..", "..", "..", "shared", "data", "malformed_tool_calls.jsonl"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the collection is not part of the repository")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r row
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		t.Run(r.ID, func(t *testing.T) {
			name := r.Tool
			known := func(s string) bool { return s == name && s != "" }
			var calls []Call
			var err error
			switch r.Channel {
			case "native_arguments":
				calls, _, err = Native(r.Given, r.Raw, known)
			case "native_call":
				var c struct {
					Name      string
					Arguments json.RawMessage
				}
				if err := json.Unmarshal([]byte(r.Raw), &c); err != nil {
					t.Fatal(err)
				}
				calls, _, err = Native(c.Name, string(c.Arguments), known)
			default:
				calls, _, _, err = Text(r.Raw, known)
			}
			if r.Tool == "" {
				if len(calls) > 0 {
					t.Fatalf("read %s from what is no call", show(calls))
				}
				return
			}
			if err != nil || len(calls) == 0 {
				t.Fatalf("read nothing, error %v", err)
			}
			want := append([]json.RawMessage{r.Args}, r.AlsoOK...)
			for _, c := range calls {
				ok := false
				for _, w := range want {
					ok = ok || canonical(w) == canonical(c.Arguments)
				}
				if c.Name != r.Tool || !ok {
					t.Errorf("read %s", show(calls))
				}
			}
		})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

// show writes calls as the tables do: name{…} name{…}.
func show(calls []Call) string {
	var parts []string
	for _, c := range calls {
		parts = append(parts, c.Name+canonical(c.Arguments))
	}
	return strings.Join(parts, " ")
}
