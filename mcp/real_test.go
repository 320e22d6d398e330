package mcp

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/mcp/mcptest"
)

// contract: M1
func TestRealServers(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("hello from a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	read, _ := json.Marshal(map[string]string{"path": filepath.Join(dir, "a.txt")})
	cases := map[string]struct {
		open      func(t *testing.T) Options
		transport string
		version   string
		tool      string
		args      string
		want      string
	}{
		"everything": {
			func(t *testing.T) Options { return Options{URL: mcptest.Everything(t, mcptest.HTTP).URL} },
			"streamable", legacyVersion, "echo", `{"message":"hello"}`, "hello",
		},
		"everything over SSE": {
			func(t *testing.T) Options { return Options{URL: mcptest.Everything(t, mcptest.SSE).URL} },
			"sse", legacyVersion, "echo", `{"message":"hello"}`, "hello",
		},
		"everything over stdio": {
			func(t *testing.T) Options { return Options{Command: mcptest.StdioCommand(t, "everything")} },
			"stdio", legacyVersion, "echo", `{"message":"hello"}`, "hello",
		},
		"filesystem": {
			func(t *testing.T) Options { return Options{Command: mcptest.StdioCommand(t, "filesystem", dir)} },
			"stdio", legacyVersion, "read_text_file", string(read), "hello from a file",
		},
		"memory": {
			func(t *testing.T) Options { return Options{Command: mcptest.StdioCommand(t, "memory")} },
			"stdio", legacyVersion, "create_entities", `{"entities":[{"name":"a","entityType":"b","observations":["c"]}]}`, `"a"`,
		},
		"go everything-server": {
			func(t *testing.T) Options { return Options{URL: mcptest.GoServer(t, "everything-server").URL} },
			"streamable", modernVersion, "", "", "",
		},
		"go memory": {
			func(t *testing.T) Options { return Options{URL: mcptest.GoServer(t, "memory").URL} },
			"streamable", legacyVersion, "create_entities", `{"entities":[{"name":"a","entityType":"b","observations":["c"]}]}`, "",
		},
		"go sse": {
			func(t *testing.T) Options { return Options{URL: mcptest.GoServer(t, "sse").URL} },
			"sse", "", "", "", "",
		},
		"go hello over stdio": {
			func(t *testing.T) Options { return Options{Command: mcptest.StdioCommand(t, "go-hello")} },
			"stdio", modernVersion, "", "", "",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := open(t, c.open(t))
			eventually(t, "its tools are known", func() bool { return len(s.Offer(t.Context()).Tools) > 0 })
			st := s.Status()
			if st.Transport != c.transport || c.version != "" && st.Version != c.version {
				t.Errorf("spoken to over %s, %s", st.Transport, st.Version)
			}
			for _, tool := range st.Tools {
				if tool.State != "offered" {
					t.Errorf("%s is %s: %s", tool.Name, tool.State, tool.Reason)
				}
			}
			if c.tool == "" {
				return
			}
			res, err := s.Call(t.Context(), Call{Tool: c.tool, Arguments: json.RawMessage(c.args)})
			if err != nil || res.Failed || !strings.Contains(res.Text, c.want) {
				t.Errorf("got %+v, %v", res, err)
			}
		})
	}
}

// A server that starts anew has forgotten its sessions.
//
// contract: M3, K6
func TestRealServerRestarts(t *testing.T) {
	for _, tr := range []mcptest.Transport{mcptest.HTTP, mcptest.SSE} {
		t.Run(string(tr), func(t *testing.T) {
			srv := mcptest.Everything(t, tr)
			s := open(t, Options{URL: srv.URL, Breaker: BreakerPolicy{Open: 200 * time.Millisecond}})
			hello := func() error {
				_, err := s.Call(t.Context(), Call{Tool: "echo", Arguments: json.RawMessage(`{"message":"hello"}`)})
				return err
			}
			if err := hello(); err != nil {
				t.Fatal(err)
			}
			srv.Restart()
			if err := hello(); err != nil && tr == mcptest.HTTP {
				t.Errorf("after a restart: %v", err)
			}
			eventually(t, "it is back", func() bool { return hello() == nil })
			srv.Stop()
			if err := hello(); err == nil {
				t.Error("a stopped server answers")
			}
			srv.Start()
			eventually(t, "it is back", func() bool { return hello() == nil })
		})
	}
}

// contract: K6, S9
func TestRealServerHangs(t *testing.T) {
	srv := mcptest.Everything(t, mcptest.HTTP)
	s := open(t, Options{URL: srv.URL})
	hello := json.RawMessage(`{"message":"hello"}`)
	if _, err := s.Call(t.Context(), Call{Tool: "echo", Arguments: hello}); err != nil {
		t.Fatal(err)
	}
	srv.Hang()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := s.Call(ctx, Call{Tool: "echo", Arguments: hello})
	if k := kindOf(t, err); k != KindCanceled || time.Since(start) > 2*time.Second {
		t.Errorf("got %v after %v", err, time.Since(start))
	}
	srv.Resume()
	if _, err := s.Call(t.Context(), Call{Tool: "echo", Arguments: hello}); err != nil {
		t.Errorf("then: %v", err)
	}
}

// contract: M2
func TestRealProgress(t *testing.T) {
	s := open(t, Options{URL: mcptest.Everything(t, mcptest.HTTP).URL})
	heard := 0
	res, err := s.Call(t.Context(), Call{
		Tool: "trigger-long-running-operation", Arguments: json.RawMessage(`{"duration":1,"steps":3}`),
		Progress: func(string) { heard++ },
	})
	if err != nil || res.Failed || heard == 0 {
		t.Errorf("got %+v, %v, heard %d", res, err, heard)
	}
}
