package sdk

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/mcp/mcptest"
)

// agentScenarios is what every SDK must go through with agents.
var agentScenarios = strings.Fields(`
	agent_models
	agent agent_stream agent_stream_usage agent_stream_helper agent_talks agent_outputs agent_target
	agent_tools agent_tools_stream agent_structured agent_structured_tags
	agent_error_bad_request agent_error_in_stream agent_timeout
	agent_sessions agent_error_session agent_cancel agent_leave`)

// testAgents starts a gateway with agents and runs every SDK against it. Where there
// are no real tool servers it skips.
//
// contract: R5, S1, S2, S3, S4, S9, S10, F7, A1, A2, A12, A13
func testAgents(t *testing.T, caddy string, upstream gateway, ready []client) {
	tools := mcptest.Everything(t, mcptest.HTTP)
	front := startGateway(t, caddy, "agents.caddyfile", "SDK_TOKEN="+token, "SDK_TOKEN_OTHER="+otherToken,
		"SDK_UPSTREAM_KEY="+upstreamKey, "SDK_UPSTREAM_URL="+upstream.url, "SDK_TOOLS_URL="+tools.URL, "SDK_SCRIPTED_URL="+scriptedModel(t))
	front.list(t, "everything")
	for _, c := range ready {
		t.Run(c.name, func(t *testing.T) { c.test(t, "agents", agentScenarios, front, upstream) })
	}
}

// list has the tools of a server listed: a busy machine may take longer for it than
// a first request waits.
func (g gateway) list(t *testing.T, server string) {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Post(g.admin+"/ai_gateway/mcp/refresh", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for {
		var status struct{ Tools []struct{ Name string } }
		res, err := client.Get(g.admin + "/ai_gateway/mcp/" + server)
		if err != nil {
			t.Fatal(err)
		}
		err = json.NewDecoder(res.Body).Decode(&status)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if len(status.Tools) > 0 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the tools of %s are not listed", server)
		}
	}
}
