package mcp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"
)

// actAs is the variable that makes the test's own program a tool server.
const actAs = "MCP_TEST_ACT"

func TestMain(m *testing.M) {
	if act := os.Getenv(actAs); act != "" {
		acts[act]()
		return
	}
	goleak.VerifyTestMain(m)
}

// program has the test's own program be a tool server.
func program(t *testing.T, act string) Options {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Options{Command: []string{exe}, Env: map[string]string{actAs: act, "SECRET": "canary-0123456789"}}
}

// acts are the tool servers that it can be.
var acts = map[string]func(){
	"tools": func() { _ = newTools(nil).Run(context.Background(), &sdk.StdioTransport{}) },
	"asks":  func() { _ = newAsking(context.Background()).Run(context.Background(), &sdk.StdioTransport{}) },
	"rude":  rude,
	"exits": func() { os.Exit(3) },
	"deaf": func() {
		rude()
		select {} // until it is told to end in another way
	},
	"stubborn": func() {
		signal.Ignore(syscall.SIGTERM)
		child := exec.Command("sleep", "600")
		_ = child.Start()
		fmt.Fprintln(os.Stderr, "child", child.Process.Pid)
		rude()
		select {} // its input has ended, and it does not care
	},
}

// rude answers as its tools are named, a line a message.
func rude() {
	out := func(format string, args ...any) { fmt.Fprintf(os.Stdout, format+"\n", args...) }
	out("a banner on the wrong stream")
	fmt.Fprintln(os.Stderr, "pid", os.Getpid())
	in := bufio.NewReader(os.Stdin)
	var slow json.RawMessage
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var a ask
		_ = json.Unmarshal(line, &a)
		result := func(s string) { out("{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":%s}", a.ID, s) }
		switch a.Method {
		case "initialize":
			result(`{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"rude","version":"1"}}`)
		case "tools/list":
			var all []string
			for _, name := range []string{"echo", "slow", "garbage", "wrong", "null", "large", "largegarbage", "exit", "env", "stderr", "noise", "hang", "requests", "questions", "error"} {
				all = append(all, tool(name, "", anyObject))
			}
			result(list("", all...))
		case "tools/call":
			switch a.Params.Name {
			case "slow":
				slow = a.ID
			case "garbage":
				out("{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"cont", a.ID)
			case "wrong":
				out(`{"jsonrpc":"2.0","id":9999,"result":{"content":[]}}`)
			case "null":
				out(`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}`)
			case "large":
				_, _ = io.Copy(os.Stdout, io.MultiReader(
					strings.NewReader(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"`, a.ID)),
					bytes.NewReader(bytes.Repeat([]byte("x"), 3*maxMessage)), strings.NewReader("\"}]}}\n")))
			case "largegarbage":
				_, _ = os.Stdout.Write(append(bytes.Repeat([]byte("x"), 2*maxMessage), '\n'))
				result(said("then"))
			case "exit":
				os.Exit(1)
			case "env":
				result(said(strings.Join(os.Environ(), "\n")))
			case "stderr":
				for i := range 1000 {
					fmt.Fprintf(os.Stderr, "line %d \x1b[31m canary-0123456789 %s\n", i, strings.Repeat("y", 10000))
				}
				result(said("said"))
			case "noise":
				out("not JSON\n\n[]\n7\nnull\n{}\n{\"jsonrpc\":\"2.0\",\"method\":\"notifications/odd\"}")
				result(said("heard"))
			case "requests":
				for i := range 1000 {
					out("{\"jsonrpc\":\"2.0\",\"id\":\"r%d\",\"method\":\"sampling/createMessage\",\"params\":7}", i)
				}
				result(said("asked"))
			case "questions":
				for i := range 1000 {
					out("{\"jsonrpc\":\"2.0\",\"id\":\"q%d\",\"method\":\"elicitation/create\",\"params\":{\"message\":\"m\"}}", i)
				}
				result(said("asked"))
			case "hang":
			case "error":
				out("{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{\"code\":-32004,\"message\":\"closing\"}}", a.ID)
			default:
				var in struct {
					Text string `json:"text"`
				}
				_ = json.Unmarshal(a.Params.Arguments, &in)
				result(said(in.Text))
				if slow != nil {
					a.ID, slow = slow, nil
					result(said("slow"))
				}
			}
		case "server/discover":
			out("{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{\"code\":-32601,\"message\":\"no such method\"}}", a.ID)
		}
	}
}
