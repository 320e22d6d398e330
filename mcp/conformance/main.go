// Command conformance is package mcp as a client of the MCP conformance suite, which
// runs it as
//
//	MCP_CONFORMANCE_SCENARIO=tools_call conformance http://localhost:1234/mcp
//
// It goes the way that agents go, through mcp.Server: what a scenario wants is the
// tools offered and some of them called. Besides it answers forms with what they
// propose, has a root, and reads resources and prompts, all of which the gateway does
// not. make mcp-conformance runs all of them.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/universal-ai-gateway/magicproxy/mcp"
)

// patience bounds a scenario, the time that the suite may take to answer included.
const patience = 25 * time.Second

func main() {
	if len(os.Args) != 2 {
		fail(errors.New("usage: conformance <url of the suite's server>"))
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := run(ctx, os.Getenv("MCP_CONFORMANCE_SCENARIO"), os.Args[1], os.Getenv("MCP_CONFORMANCE_CONTEXT")); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "conformance:", err)
	os.Exit(1)
}

// client is a Server under test.
type client struct {
	*mcp.Server
	tools  []*mcp.Tool
	script script
}

// script is what the suite says beside the URL.
type script struct {
	ToolCalls []toolCall `json:"toolCalls"`
}

type toolCall struct {
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
}

// scenarios says what to do once the tools have been found.
var scenarios = map[string]func(context.Context, *client) error{
	"initialize":       nothing,
	"request-metadata": nothing,

	"tools_call": addsNumbers,
	"sse-retry":  reconnects,

	"http-standard-headers":            uses,
	"http-custom-headers":              callsScript,
	"http-invalid-tool-headers":        callsAll,
	"json-schema-ref-no-deref":         callsAll,
	"json-schema-2020-12-preservation": echoesSchema,

	"elicitation-sep1034-client-defaults": asked,
	"sep-2322-client-request-state":       askedInRounds,
}

func run(ctx context.Context, scenario, url, text string) error {
	do := scenarios[scenario]
	if do == nil {
		return fmt.Errorf("no scenario %q", scenario)
	}
	s, err := mcp.New(mcp.Options{Name: "suite", URL: url, Input: proposed, Roots: []string{"file:///srv/suite"}}, new(mcp.State))
	if err != nil {
		return err
	}
	defer s.Close()
	c := &client{Server: s}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &c.script); err != nil {
			return fmt.Errorf("MCP_CONFORMANCE_CONTEXT: %w", err)
		}
	}
	if err := c.find(ctx, slices.Contains(toolless, scenario)); err != nil {
		return err
	}
	return do(ctx, c)
}

// toolless are the scenarios whose server has no tools.
var toolless = []string{"initialize", "request-metadata"}

// find waits for the tools, longer than an agent would.
func (c *client) find(ctx context.Context, none bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience/2)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		offer := c.Offer(ctx)
		if c.tools = offer.Tools; len(c.tools) > 0 || none && offer.Down == "" {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("no tools: %s", offer.Down)
		}
	}
}

func nothing(context.Context, *client) error { return nil }

func addsNumbers(ctx context.Context, c *client) error {
	text, err := c.call(ctx, "add_numbers", json.RawMessage(`{"a":5,"b":3}`))
	if err == nil && !strings.Contains(text, "8") {
		return fmt.Errorf("5 and 3 is %s", text)
	}
	return err
}

func reconnects(ctx context.Context, c *client) error {
	_, err := c.call(ctx, "test_reconnection", json.RawMessage(`{}`))
	return err
}

// call calls a tool, which must be there and do it.
func (c *client) call(ctx context.Context, tool string, arguments json.RawMessage) (string, error) {
	if !slices.ContainsFunc(c.tools, func(t *mcp.Tool) bool { return t.Name == tool }) {
		return "", fmt.Errorf("no tool %s among %d", tool, len(c.tools))
	}
	res, err := c.Call(ctx, mcp.Call{Tool: tool, Arguments: arguments})
	if err != nil {
		return "", err
	}
	if res.Failed {
		return "", fmt.Errorf("%s failed: %s", tool, res.Text)
	}
	return res.Text, nil
}

// uses does with the first tool, resource and prompt what there is to do.
func uses(ctx context.Context, c *client) error {
	if _, err := c.call(ctx, c.tools[0].Name, json.RawMessage(`{}`)); err != nil {
		return err
	}
	var list struct {
		Resources []struct {
			URI string `json:"uri"`
		} `json:"resources"`
		Prompts []struct {
			Name string `json:"name"`
		} `json:"prompts"`
	}
	for _, method := range []string{"resources/list", "prompts/list"} {
		result, err := c.Request(ctx, method, nil)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(result, &list); err != nil {
			return err
		}
	}
	if len(list.Resources) == 0 || len(list.Prompts) == 0 {
		return fmt.Errorf("%d resources, %d prompts", len(list.Resources), len(list.Prompts))
	}
	for method, params := range map[string]any{"resources/read": list.Resources[0], "prompts/get": list.Prompts[0]} {
		b, err := json.Marshal(params)
		if err != nil {
			return err
		}
		if _, err := c.Request(ctx, method, b); err != nil {
			return err
		}
	}
	return nil
}

func callsScript(ctx context.Context, c *client) error {
	if len(c.script.ToolCalls) == 0 {
		return errors.New("MCP_CONFORMANCE_CONTEXT names no calls")
	}
	for _, t := range c.script.ToolCalls {
		if _, err := c.call(ctx, t.Name, t.Arguments); err != nil {
			return err
		}
	}
	return nil
}

// callsAll calls what is offered; what comes of it does not matter.
func callsAll(ctx context.Context, c *client) error {
	for _, t := range c.tools {
		_, _ = c.call(ctx, t.Name, json.RawMessage(`{"id":"a","region":"us-west1"}`))
	}
	return nil
}

// asked calls a tool that asks for input.
func asked(ctx context.Context, c *client) error {
	_, err := c.call(ctx, "test_client_elicitation_defaults", json.RawMessage(`{}`))
	return err
}

// askedInRounds calls tools of which two ask for input, and leave nothing behind in
// the calls of the others.
func askedInRounds(ctx context.Context, c *client) error {
	for _, tool := range []string{"test_mrtr_echo_state", "test_mrtr_unrelated", "test_mrtr_no_state", "test_mrtr_no_result_type"} {
		if _, err := c.call(ctx, tool, json.RawMessage(`{}`)); err != nil {
			return err
		}
	}
	return nil
}

// proposed fills a form in with its defaults, and agrees to what has none.
func proposed(_ context.Context, q *mcp.Question) json.RawMessage {
	var schema struct {
		Properties map[string]struct {
			Type    string          `json:"type"`
			Default json.RawMessage `json:"default"`
		} `json:"properties"`
	}
	if json.Unmarshal(q.Schema, &schema) != nil {
		return nil
	}
	content := map[string]json.RawMessage{}
	for name, p := range schema.Properties {
		switch {
		case p.Default != nil:
			content[name] = p.Default
		case p.Type == "boolean":
			content[name] = json.RawMessage("true")
		}
	}
	b, _ := json.Marshal(content) //nolint:errchkjson // what has been decoded has a form
	return b
}

// echoesSchema sends a tool's schema back as it has arrived.
func echoesSchema(ctx context.Context, c *client) error {
	i := slices.IndexFunc(c.tools, func(t *mcp.Tool) bool { return t.Name == "json_schema_2020_12_tool" })
	if i < 0 {
		return fmt.Errorf("no tool with a schema among %d", len(c.tools))
	}
	arguments, err := json.Marshal(map[string]json.RawMessage{"schema": c.tools[i].Schema})
	if err != nil {
		return err
	}
	_, err = c.call(ctx, "json_schema_echo", arguments)
	return err
}
