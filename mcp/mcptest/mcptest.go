// Package mcptest runs real tool servers for tests of any package: those of the
// protocol's own project, written in TypeScript, and those of the Go SDK, which
// speak 2026-07-28 too.
//
// scripts/mcp (make mcp) installs them. Where that has not been done tests skip,
// and with CI=true they fail. A server is a process that ends with its test, listens
// on loopback only, and sees nothing of the environment.
//
//	s := mcptest.Everything(t, mcptest.HTTP)
//	call(s.URL)
//	s.Restart() // its sessions are lost
//	s.Hang()    // it accepts connections and says nothing
package mcptest

import (
	"net"
	"os/exec"
	"path/filepath"
	"testing"
)

// Transport is how server-everything is spoken to over HTTP.
type Transport string

// The transports, named as server-everything names them.
const (
	HTTP Transport = "streamableHttp"
	SSE  Transport = "sse" // of 2024-11-05
)

// Everything starts server-everything: a tool for each feature of the protocol up
// to 2025-11-25, with sessions.
func Everything(t testing.TB, tr Transport) *Server {
	t.Helper()
	in := needs(t, packages)
	argv := append(in.loopback(t), in.module("server-everything"), string(tr))
	path := map[Transport]string{HTTP: "/mcp", SSE: "/sse"}[tr]
	if path == "" {
		t.Fatalf("server-everything has no transport %q", tr)
	}
	return launch(t, func(addr *net.TCPAddr) plan {
		return plan{argv: argv, env: []string{"PORT=" + port(addr)}, path: path}
	})
}

// GoServer starts a server of the Go SDK:
//
//	everything         a bit of each feature, with sessions, up to 2025-11-25
//	everything-server  2026-07-28 and before, stateless: what the suite tests servers with
//	memory             a knowledge graph, kept in memory, with sessions, up to 2025-11-25
//	sse                greetings over the transport of 2024-11-05
//
// With "-stateless=false" everything-server is one more with sessions.
// args are added to its command line.
func GoServer(t testing.TB, name string, args ...string) *Server {
	t.Helper()
	in := needs(t, programs)
	return launch(t, func(addr *net.TCPAddr) plan {
		switch name {
		case "everything", "everything-server", "memory":
			return plan{argv: append([]string{in.program(name), "-http", addr.String()}, args...), path: "/mcp"}
		case "sse":
			return plan{argv: append([]string{in.program(name), "-host", addr.IP.String(), "-port", port(addr)}, args...), path: "/greeter1"}
		}
		t.Fatalf("no server %q over HTTP", name)
		return plan{}
	})
}

// StdioCommand is the command of a server that speaks over its standard input and
// output: everything, filesystem (args are the folders it may see), memory; of the
// Go SDK and up to 2026-07-28 go-everything, go-hello, go-memory. Paths are
// absolute.
func StdioCommand(t testing.TB, name string, args ...string) []string {
	t.Helper()
	var command []string
	switch name {
	case "everything":
		in := needs(t, packages)
		command = []string{in.node, in.module("server-everything"), "stdio"}
	case "filesystem":
		in := needs(t, packages)
		command = []string{in.node, in.module("server-filesystem")}
	case "memory": // would write beside its own code
		in := needs(t, packages)
		env, err := exec.LookPath("env")
		if err != nil {
			t.Fatal(err)
		}
		command = []string{env, "MEMORY_FILE_PATH=" + filepath.Join(t.TempDir(), "memory.jsonl"), in.node, in.module("server-memory")}
	case "go-everything", "go-hello", "go-memory":
		command = []string{needs(t, programs).program(name[len("go-"):])}
	default:
		t.Fatalf("no server %q over stdio", name)
	}
	return append(command, args...)
}

// Conformance is the command of the conformance suite; arguments follow it. What the
// suite listens on is loopback too.
func Conformance(t testing.TB) []string {
	t.Helper()
	in := needs(t, packages)
	return append(in.loopback(t), in.module("conformance"))
}

// ConformanceClient is the client that the Go SDK is tested with by the suite.
func ConformanceClient(t testing.TB) string {
	t.Helper()
	return needs(t, programs).program("everything-client")
}
