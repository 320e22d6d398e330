package mcptest

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"mcptest","version":"1"}}}`
	getEnv     = `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"get-env","arguments":{}}}`
	discover   = `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
		`"io.modelcontextprotocol/clientInfo":{"name":"mcptest","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}`
)

// post returns the answer's body, up to the end of its first message, and its
// session.
func post(t *testing.T, url, body string, header ...string) (string, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	tr := &http.Transport{DisableKeepAlives: true}
	res, err := (&http.Client{Transport: tr, Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer), res.Header.Get("Mcp-Session-Id")
}

func wantIn(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("no %q in %.2000s", p, text)
		}
	}
}

// refused reports whether nobody listens.
func refused(s *Server) bool {
	c, err := net.Dial("tcp", s.addr.String())
	if err == nil {
		c.Close()
	}
	return err != nil
}

func TestEverything(t *testing.T) {
	t.Setenv("MCPTEST_CANARY", "canary-of-the-environment")
	s := Everything(t, HTTP)
	answer, session := post(t, s.URL, initialize)
	wantIn(t, answer, `"serverInfo"`, `"protocolVersion":"2025-11-25"`)
	answer, _ = post(t, s.URL, getEnv, "Mcp-Session-Id", session)
	wantIn(t, answer, "PATH", s.home)
	if strings.Contains(answer, "canary") {
		t.Error("it sees the environment")
	}
	wantIn(t, s.Log(), "Session initialized")

	t.Run("loopback only", func(t *testing.T) {
		addrs, err := net.InterfaceAddrs()
		if err != nil {
			t.Fatal(err)
		}
		tried := 0
		for _, a := range addrs {
			ip, _, err := net.ParseCIDR(a.String())
			if err != nil || ip.Equal(s.addr.IP) || ip.IsLinkLocalUnicast() {
				continue
			}
			tried++
			if c, err := net.DialTimeout("tcp", net.JoinHostPort(ip.String(), port(s.addr)), time.Second); err == nil {
				c.Close()
				t.Errorf("it listens on %s", ip)
			}
		}
		if tried == 0 {
			t.Skip("this machine has one address")
		}
	})

	url := s.URL
	s.Restart()
	if s.URL != url {
		t.Errorf("%s after a restart, %s before", s.URL, url)
	}
	answer, _ = post(t, s.URL, getEnv, "Mcp-Session-Id", session)
	wantIn(t, answer, "No valid session ID")

	s.Stop()
	s.Stop() // once more is fine
	if !refused(s) {
		t.Error("it listens after Stop")
	}
	s.Start()
	post(t, s.URL, initialize)
}

func TestHang(t *testing.T) {
	s := Everything(t, HTTP)
	s.Hang()
	if refused(s) {
		t.Error("a server that hangs refuses connections")
	}
	tr := &http.Transport{DisableKeepAlives: true}
	res, err := (&http.Client{Transport: tr, Timeout: 300 * time.Millisecond}).Post(s.URL, "application/json", strings.NewReader(initialize))
	if err == nil {
		res.Body.Close()
		t.Error("a server that hangs answers")
	}
	s.Resume()
	answer, _ := post(t, s.URL, initialize)
	wantIn(t, answer, `"serverInfo"`)
	s.Hang() // what hangs ends with the test too
}

func TestSSE(t *testing.T) {
	for name, start := range map[string]func() *Server{
		"everything": func() *Server { return Everything(t, SSE) },
		"go":         func() *Server { return GoServer(t, "sse") },
	} {
		t.Run(name, func(t *testing.T) {
			s := start()
			tr := &http.Transport{DisableKeepAlives: true}
			res, err := (&http.Client{Transport: tr, Timeout: 20 * time.Second}).Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			line, err := bufio.NewReader(res.Body).ReadString('\n')
			if err != nil || strings.TrimSpace(line) != "event: endpoint" {
				t.Errorf("%q, %v", line, err)
			}
		})
	}
}

func TestGoServer(t *testing.T) {
	for _, name := range []string{"everything", "everything-server", "memory"} {
		t.Run(name, func(t *testing.T) {
			s := GoServer(t, name)
			answer, session := post(t, s.URL, initialize)
			wantIn(t, answer, `"serverInfo"`)
			if stateless := session == ""; stateless != (name == "everything-server") {
				t.Errorf("session %q", session)
			}
			answer, _ = post(t, s.URL, discover, "MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "server/discover")
			wantIn(t, answer, `"supportedVersions"`)
			if modern := strings.Contains(answer, "2026-07-28"); modern != (name == "everything-server") {
				t.Errorf("era: %.2000s", answer)
			}
		})
	}
	s := GoServer(t, "everything-server", "-stateless=false")
	if _, session := post(t, s.URL, initialize); session == "" {
		t.Error("arguments are not handed on")
	}
}

func TestStdioCommand(t *testing.T) {
	dir := t.TempDir()
	for _, command := range [][]string{
		{"everything"}, {"filesystem", dir}, {"memory"}, {"go-everything"}, {"go-hello"}, {"go-memory"},
	} {
		t.Run(command[0], func(t *testing.T) {
			argv := StdioCommand(t, command[0], command[1:]...)
			if !filepath.IsAbs(argv[0]) {
				t.Errorf("%s is not an absolute path", argv[0])
			}
			cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
			cmd.Dir, cmd.Env = dir, []string{}
			cmd.SysProcAttr = attributes()
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
			defer func() {
				signal(cmd, syscall.SIGKILL)
				_ = cmd.Wait()
			}()
			lines := bufio.NewReader(out)
			ask := func(request string) string {
				if _, err := io.WriteString(in, request+"\n"); err != nil {
					t.Fatal(err)
				}
				line, err := lines.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				return line
			}
			if strings.HasPrefix(command[0], "go-") {
				wantIn(t, ask(discover), `"supportedVersions"`, "2026-07-28")
				return
			}
			wantIn(t, ask(initialize), `"serverInfo"`)
		})
	}
}

// A process ends with its test, also one that failed, and so do its children.
func TestServerEndsWithItsTest(t *testing.T) {
	var s *Server
	t.Run("", func(t *testing.T) { s = GoServer(t, "memory") })
	if s == nil {
		t.Skip("the tool servers are not installed")
	}
	if !refused(s) {
		t.Error("it goes on")
	}
}

func TestConformance(t *testing.T) {
	argv := append(Conformance(t), "list", "--client", "--requirements", "2026-07-28")
	out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	wantIn(t, string(out), "tools_call")
	if _, err := os.Stat(ConformanceClient(t)); err != nil {
		t.Error(err)
	}
}
