package caddymodule

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// ownServer is a tool server made with the SDK, whose tools a test can change.
type ownServer struct {
	*httptest.Server
	server *sdk.Server
	calls  chan string // of every call, if there is room
}

func newToolServer(t *testing.T) *ownServer {
	o := &ownServer{server: sdk.NewServer(&sdk.Implementation{Name: "own", Version: "1"}, nil), calls: make(chan string, 1000)}
	o.Server = httptest.NewServer(sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return o.server }, nil))
	t.Cleanup(func() {
		for session := range o.server.Sessions() { // nobody waits for the client's good-bye
			_ = session.Close()
		}
		o.CloseClientConnections()
		o.Close()
	})
	return o
}

type query struct {
	Query string `json:"query"`
}

// add adds a tool, or puts another description on it.
func (o *ownServer) add(name, description string) {
	sdk.AddTool(o.server, &sdk.Tool{Name: name, Description: description}, func(_ context.Context, _ *sdk.CallToolRequest, q query) (*sdk.CallToolResult, any, error) {
		select {
		case o.calls <- name + " " + q.Query:
		default:
		}
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: "Found " + q.Query}}}, nil, nil
	})
}
