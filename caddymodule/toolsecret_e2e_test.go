package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// security: X4 X5
// contract: M6
// A tool server that repeats what it was sent, in every way it can: neither does
// the configuration's secret get out, nor does the caller's token get there.
func TestNoToolSecretGetsOut(t *testing.T) {
	const secret, token, cookie = "canary-tool-0123456789", "canary-caller-0123456789", "canary-cookie-0123456789"
	t.Setenv("TOOL", secret)
	t.Setenv("TOKEN", token)
	server := newToolServer(t)
	var headers strings.Builder
	say := func(header http.Header) string {
		_ = header.Write(&headers)
		return "you sent " + header.Get("X-Tool-Key") + " and " + header.Get("Authorization")
	}
	sdk.AddTool(server.server, &sdk.Tool{Name: "tell", Description: "Bearer " + secret}, func(_ context.Context, r *sdk.CallToolRequest, _ struct{}) (*sdk.CallToolResult, any, error) {
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: say(r.Extra.Header)}}}, nil, nil
	})
	sdk.AddTool(server.server, &sdk.Tool{Name: "fail"}, func(_ context.Context, r *sdk.CallToolRequest, _ struct{}) (*sdk.CallToolResult, any, error) {
		return nil, nil, errors.New(say(r.Extra.Header))
	})
	u := newUpstream(t)
	c := agentConfig(u, "mcp own "+server.URL+" {\nheader X-Tool-Key {env.TOOL}\nheader Authorization \"Bearer {env.TOOL}\"\n}", "tools own::*\nprogress on")
	c.global += "\ntoken ops {env.TOKEN}"
	c.handler = "auth bearer"
	g := start(t, c)
	g.listed("own")
	var out strings.Builder
	for _, tool := range []string{"tell", "fail", "nothing"} {
		u.when("", turns(streams("tool_calls", fmt.Sprintf(`{"tool_calls":[{"index":0,"id":"c","function":{"name":"own__%s","arguments":"{}"}}]}`, tool)), says("Done.")))
		a := g.chat("helper", true, "Authorization", "Bearer "+token, "Cookie", cookie).want(t, 200)
		out.WriteString(a.body)
		_ = a.Header.Write(&out)
	}
	var text string
	for _, path := range []string{"/config/", "/metrics", "/ai_gateway/mcp", "/ai_gateway/agents"} {
		g.adminDo(http.MethodGet, path, &text)
		out.WriteString(text)
	}
	for _, r := range u.seen() {
		out.WriteString(r.body)
	}
	out.WriteString(g.logged())
	for _, s := range []string{secret, token, cookie} {
		if i := strings.Index(out.String(), s); i >= 0 {
			t.Errorf("%s got out: …%s…", s, out.String()[max(0, i-200):i+len(s)])
		}
	}
	if !strings.Contains(headers.String(), secret) || strings.Contains(headers.String(), token) || strings.Contains(headers.String(), cookie) {
		t.Errorf("the tool server was sent %s", headers.String())
	}
	if !strings.Contains(out.String(), "you sent") || !strings.Contains(out.String(), "Done.") {
		t.Error("the search did not see what it should have")
	}
}
